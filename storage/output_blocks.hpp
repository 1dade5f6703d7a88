// storage/output_blocks.hpp -- how outputs lie in the state store: in blocks, one row for what one
// write brought of a symbol, kind and width in one span of time. Internal; docs/formats/outputs.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "market/output.hpp"
#include "storage/rows.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::storage {

/// symbol | 0 | kind | width | span (be64) | write (be64): a later write of the same identity
/// replaces an earlier one. Appends one row for each span of `outputs`, its blocks one after the
/// other; all get the number `write`, which only grows.
void append_output_blocks(const std::vector<EncodedOutputs>& outputs, std::uint64_t write,
                          std::vector<RowChange>& changes);

/// Puts blocks together again: newest of each identity, ascending.
class OutputMerge {
public:
  /// Identities in [lower, upper) (empty upper: to the end) of one symbol.
  OutputMerge(std::string_view symbol, std::string_view lower, std::string_view upper);
  /// Bounds of the rows to be scanned.
  [[nodiscard]] const std::string& first_key() const noexcept { return first_key_; }
  [[nodiscard]] const std::string& last_key() const noexcept { return last_key_; }

  /// Takes the rows in the order of their keys; tells the outputs of spans that are complete.
  /// False: `visit` said stop.
  using Visit = std::function<bool(const market::Output&)>;
  Result<bool> take(std::string_view key, std::string_view block, const Visit& visit);
  bool finish(const Visit& visit);

private:
  std::string lower_, upper_, first_key_, last_key_;
  std::string span_;  ///< key up to the write number
  std::map<std::string, market::Output, std::less<>> newest_;
};

}  // namespace tapedeck::storage
