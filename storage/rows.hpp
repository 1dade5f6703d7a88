// storage/rows.hpp -- ordered rows in families: all that the state store needs of what it stands
// on. Internal seam between row_state_store.hpp (the rules, once) and memory or RocksDB (the
// bytes).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "market/result.hpp"

namespace tapedeck::storage {

enum class Family : std::uint8_t { meta, snapshots, digests, checkpoints, outputs };
constexpr const char* kFamilyNames[] = {"default", "snapshots", "digests", "checkpoints",
                                        "outputs"};
constexpr std::size_t kFamilies = 5;

struct RowChange {
  Family family = Family::meta;
  std::string key;
  std::optional<std::string> value;  ///< none: the row goes
};

/// Keys sort by their bytes. Reading is safe from several threads, beside one writer.
class Rows {
public:
  virtual ~Rows() = default;
  [[nodiscard]] virtual Result<std::optional<std::string>> get(Family family,
                                                               std::string_view key) const = 0;
  /// Rows with lower <= key < upper (empty: no bound), ascending, or the other way round. `visit`
  /// returns false to stop; it may ask for other rows.
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;
  virtual Result<void> scan(Family family, std::string_view lower, std::string_view upper,
                            bool descending, const Visit& visit) const = 0;
  /// All or nothing, in this order.
  virtual Result<void> write(const std::vector<RowChange>& changes) = 0;
  virtual Result<void> sync() = 0;
  virtual Result<void> refresh() = 0;
  [[nodiscard]] virtual Result<std::uint64_t> stored_bytes(Family family) const = 0;
  /// Beside a writer in another process: parts of its newest write may be visible a moment before
  /// others.
  [[nodiscard]] virtual bool may_lag() const = 0;
};

}  // namespace tapedeck::storage
