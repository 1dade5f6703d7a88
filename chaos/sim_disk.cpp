#include <algorithm>
#include <iterator>

#include "chaos/sim_state.hpp"

namespace tapedeck::chaos {

using storage::Family;
using storage::RowChange;

namespace {

constexpr std::size_t kUnsynced = 64;  // writes that a power loss may take back

class SimRows final : public storage::Rows {
public:
  SimRows(SimDisk& disk, SimDisk::View view) : disk_(disk), view_(view) {}

  Result<std::optional<std::string>> get(Family family, std::string_view key) const override {
    if (auto open = gate(); !open) return tl::unexpected(open.error());
    const auto& rows = disk_.of(family);
    const auto found = rows.find(key);
    if (found == rows.end()) return std::optional<std::string>{};
    return std::optional(value(family, rows, found));
  }

  Result<void> scan(Family family, std::string_view lower, std::string_view upper, bool descending,
                    const Visit& visit) const override {
    if (auto open = gate(); !open) return open;
    const auto& rows = disk_.of(family);
    std::vector<std::pair<std::string, std::string>> range;
    for (auto row = rows.lower_bound(lower);
         row != rows.end() && (upper.empty() || row->first < upper); ++row)
      range.emplace_back(row->first, value(family, rows, row));
    if (descending) std::reverse(range.begin(), range.end());
    for (const auto& [key, bytes] : range)
      if (!visit(key, bytes)) break;
    return {};
  }

  Result<void> write(const std::vector<RowChange>& changes) override {
    return disk_.write(changes);
  }
  Result<void> sync() override {
    disk_.sync();
    return {};
  }
  Result<void> refresh() override { return {}; }
  Result<std::uint64_t> stored_bytes(Family) const override { return std::uint64_t{0}; }
  [[nodiscard]] bool may_lag() const override { return false; }

private:
  [[nodiscard]] Result<void> gate() const {
    if (view_ != SimDisk::View::faulty) return {};
    if (disk_.dead()) return fail(ErrorCode::environment, "injected: the process is gone");
    if (disk_.dice().hit(Fault::state_read_fails))
      return fail(ErrorCode::environment, "injected: a row of the state cannot be read");
    return {};
  }
  /// Sometimes the next row's.
  [[nodiscard]] std::string value(Family family, const SimDisk::Map& rows,
                                  SimDisk::Map::const_iterator row) const {
    if (view_ == SimDisk::View::truth) {
      const auto* written = disk_.written(family, row->first);
      return written == nullptr ? row->second : *written;
    }
    if (view_ == SimDisk::View::faulty && disk_.dice().hit(Fault::misdirected_read)) {
      const auto next = std::next(row) == rows.end() ? rows.begin() : std::next(row);
      return next->second;
    }
    return row->second;
  }

  SimDisk& disk_;
  SimDisk::View view_;
};

}  // namespace

std::unique_ptr<storage::Rows> SimDisk::rows(View view) {
  return std::make_unique<SimRows>(*this, view);
}

const std::string* SimDisk::written(Family family, const std::string& key) const {
  const auto found = rotten_.find({family, key});
  return found == rotten_.end() ? nullptr : &found->second;
}

void SimDisk::change(const RowChange& change) {
  auto& rows = families_[static_cast<std::size_t>(change.family)];
  rotten_.erase({change.family, change.key});
  if (change.value) {
    rows.insert_or_assign(change.key, *change.value);
  } else {
    rows.erase(change.key);
  }
}

Result<void> SimDisk::write(const std::vector<RowChange>& changes) {
  if (dead_) return fail(ErrorCode::environment, "injected: the process is gone");
  if (full_for_ == 0 && dice_.hit(Fault::write_fails))
    full_for_ = static_cast<std::uint32_t>(1 + dice_.below(4));
  if (dice_.resting()) full_for_ = 0;
  if (full_for_ > 0) {
    --full_for_;
    return fail(ErrorCode::environment, "injected: no room for the state");
  }
  if (dice_.hit(Fault::write_throws)) throw Injected("injected: the state store threw");
  std::vector<RowChange> undo;
  for (const auto& one : changes) {
    const auto& rows = of(one.family);
    const auto found = rows.find(one.key);
    undo.push_back(
        {one.family, one.key, found == rows.end() ? std::nullopt : std::optional(found->second)});
    change(one);
  }
  ++writes_;
  undo_.push_back(std::move(undo));
  if (undo_.size() > kUnsynced) undo_.pop_front();
  if (dice_.hit(Fault::write_throws_after)) throw Injected("injected: the state store threw, late");
  return {};
}

void SimDisk::forget(std::size_t count) {
  for (; count > 0 && !undo_.empty(); --count, undo_.pop_back()) {
    const auto& undo = undo_.back();
    for (auto one = undo.rbegin(); one != undo.rend(); ++one) change(*one);
  }
}

void SimDisk::wipe() {
  for (auto& rows : families_) rows.clear();
  undo_.clear();
  rotten_.clear();
  ever_rotted_ = false;
}

void SimDisk::rot(bool snapshots_only) {
  const auto family =
      snapshots_only ? Family::snapshots : static_cast<Family>(dice_.below(storage::kFamilies));
  auto& rows = families_[static_cast<std::size_t>(family)];
  if (rows.empty()) return;
  auto row = std::next(rows.begin(), static_cast<std::ptrdiff_t>(dice_.below(rows.size())));
  if (row->second.empty() || !rotten_.emplace(std::pair(family, row->first), row->second).second)
    return;
  ever_rotted_ = true;
  row->second[dice_.below(row->second.size())] ^= static_cast<char>(1u << dice_.below(8));
}

}  // namespace tapedeck::chaos
