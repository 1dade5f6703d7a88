#include "storage/memory_state_store.hpp"

#include <array>
#include <iterator>
#include <map>
#include <shared_mutex>
#include <utility>

#include "storage/state_rows.hpp"

namespace tapedeck::storage {
namespace {

class MemoryRows final : public Rows {
public:
  Result<std::optional<std::string>> get(Family family, std::string_view key) const override {
    std::shared_lock lock(mutex_);
    const auto& rows = of(family);
    const auto found = rows.find(key);
    return found == rows.end() ? std::nullopt : std::optional(found->second);
  }

  Result<void> scan(Family family, std::string_view lower, std::string_view upper, bool descending,
                    const Visit& visit) const override {
    // One row at a time, so that `visit` runs without the lock.
    std::optional<std::pair<std::string, std::string>> row;
    while (true) {
      {
        std::shared_lock lock(mutex_);
        row = descending ? before(of(family), row ? std::string_view(row->first) : upper, lower,
                                  row.has_value())
                         : after(of(family), row, lower, upper);
      }
      if (!row || !visit(row->first, row->second)) return {};
    }
  }

  Result<void> write(const std::vector<RowChange>& changes) override {
    std::unique_lock lock(mutex_);
    for (const auto& change : changes) {
      auto& rows = families_[static_cast<std::size_t>(change.family)];
      if (change.value) {
        rows.insert_or_assign(change.key, *change.value);
      } else {
        rows.erase(change.key);
      }
    }
    return {};
  }

  Result<void> sync() override { return {}; }
  Result<void> refresh() override { return {}; }
  Result<std::uint64_t> stored_bytes(Family) const override { return std::uint64_t{0}; }
  bool may_lag() const override { return false; }

private:
  using Map = std::map<std::string, std::string, std::less<>>;
  using Row = std::optional<std::pair<std::string, std::string>>;

  const Map& of(Family family) const { return families_[static_cast<std::size_t>(family)]; }

  static Row after(const Map& rows, const Row& previous, std::string_view lower,
                   std::string_view upper) {
    const auto next = previous ? rows.upper_bound(previous->first) : rows.lower_bound(lower);
    if (next == rows.end() || (!upper.empty() && next->first >= upper)) return std::nullopt;
    return Row(*next);
  }
  static Row before(const Map& rows, std::string_view bound, std::string_view lower, bool bounded) {
    const auto next = bound.empty() && !bounded ? rows.end() : rows.lower_bound(bound);
    if (next == rows.begin() || std::prev(next)->first < lower) return std::nullopt;
    return Row(*std::prev(next));
  }

  mutable std::shared_mutex mutex_;
  std::array<Map, kFamilies> families_;
};

}  // namespace

MemoryStateStore::MemoryStateStore() : RowStateStore(std::make_unique<MemoryRows>()) {}

void MemoryStateStore::damage(const SnapshotKey& key) {
  const auto row = snapshot_key(key.partition, key.symbol, key.next);
  auto value = rows().get(Family::snapshots, row);
  if (!value || !*value) return;
  (*value)->back() ^= 1;
  (void)rows().write({{Family::snapshots, row, std::move(*value)}});
}

Result<std::optional<market::FoldSettings>> MemoryControlStore::settings() const {
  std::lock_guard lock(mutex_);
  return settings_;
}

Result<market::FoldSettings> MemoryControlStore::settle(const market::FoldSettings& settings) {
  std::lock_guard lock(mutex_);
  if (!settings_) settings_ = settings;
  return *settings_;
}

Result<std::vector<schemas::ControlRecord>> MemoryControlStore::records() const {
  std::lock_guard lock(mutex_);
  return records_;
}

Result<void> MemoryControlStore::append(const schemas::ControlRecord& record) {
  std::lock_guard lock(mutex_);
  records_.push_back(record);
  return {};
}

}  // namespace tapedeck::storage
