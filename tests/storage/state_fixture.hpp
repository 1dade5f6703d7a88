// tests/storage/state_fixture.hpp -- what the state suite needs of a store under test.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/state_store.hpp"

namespace tapedeck::storage::test {

/// A new, empty store. Removed when destroyed.
class StateFixture {
public:
  virtual ~StateFixture() = default;
  virtual StateStore& store() = 0;
  /// May be another object; the suite calls refresh() before it looks for news.
  virtual StateReader& reader() = 0;
  virtual ControlStore& control() = 0;
};

std::vector<std::string> state_variants();
std::unique_ptr<StateFixture> make_state(const std::string& variant);

StoredSnapshot make_snapshot(const std::string& symbol, Partition partition, Offset next,
                             TimeNs time, const std::string& bytes);
struct OutputRow {
  std::string symbol;
  market::Output output;
};
/// In one piece for each run of rows of one symbol.
std::vector<EncodedOutputs> encoded(const std::vector<OutputRow>& rows);
OutputRow make_candle(const std::string& symbol, TimeNs width, TimeNs open_time,
                      market::Price close, std::uint32_t revision = 0);

}  // namespace tapedeck::storage::test
