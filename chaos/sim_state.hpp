// chaos/sim_state.hpp -- the state store's disk, which outlives the processes that write it, and
// the store over it, which holds every write against the reference. One thread.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "chaos/dice.hpp"
#include "chaos/reference.hpp"
#include "chaos/verdict.hpp"
#include "storage/row_state_store.hpp"
#include "storage/rows.hpp"

namespace tapedeck::chaos {

/// Rows that survive a crash.
class SimDisk {
public:
  explicit SimDisk(Dice& dice) : dice_(dice) {}

  using Map = std::map<std::string, std::string, std::less<>>;
  [[nodiscard]] const Map& of(storage::Family family) const {
    return families_[static_cast<std::size_t>(family)];
  }
  /// All or nothing; may say that it failed although it did not.
  Result<void> write(const std::vector<storage::RowChange>& changes);
  /// The last writes, up to `count` of them, never happened. Nothing before the last sync is lost.
  void forget(std::size_t count);
  void sync() { undo_.clear(); }
  void wipe();
  /// Flips a bit of some row, for good.
  void rot(bool snapshots_only);
  /// Rows that are known to be rotten now.
  [[nodiscard]] std::size_t rotten() const noexcept { return rotten_.size(); }
  /// Whether anything rotted since the disk was empty.
  [[nodiscard]] bool ever_rotted() const noexcept { return ever_rotted_; }
  [[nodiscard]] Dice& dice() const noexcept { return dice_; }
  /// A dead process reads and writes nothing.
  void dead(bool is) noexcept { dead_ = is; }
  [[nodiscard]] bool dead() const noexcept { return dead_; }
  /// Writes that took effect so far.
  [[nodiscard]] std::uint64_t writes() const noexcept { return writes_; }
  enum class View : std::uint8_t {
    faulty,  ///< reads fail as the dice say
    plain,   ///< what is there, rot and all
    truth,   ///< what was written
  };
  [[nodiscard]] std::unique_ptr<storage::Rows> rows(View view);
  /// What was written to a row that is rotten now; null for others.
  [[nodiscard]] const std::string* written(storage::Family family, const std::string& key) const;

private:
  void change(const storage::RowChange& change);

  Dice& dice_;
  std::array<Map, storage::kFamilies> families_;
  std::deque<std::vector<storage::RowChange>> undo_;
  std::map<std::pair<storage::Family, std::string>, std::string> rotten_;  ///< what was written
  std::uint64_t writes_ = 0;
  std::uint32_t full_for_ = 0;  ///< writes that the full disk still refuses
  bool dead_ = false, ever_rotted_ = false;
};

/// What must be true of everything that is stored, at every moment.
class StateChecker {
public:
  StateChecker(const Reference& reference, SimDisk& disk, std::uint32_t partitions,
               Verdict& verdict);

  /// Told of every write.
  void on_write(std::function<void(std::string_view)> told) { told_ = std::move(told); }
  /// After `batch` took effect.
  void wrote(const storage::StateStore::Batch& batch);
  /// After old snapshots and checkpoints of the partition were removed.
  void thinned(Partition partition, Offset resumed_at);
  /// After the disk lost or regained something behind the store's back.
  void look_again();
  /// At the end: every output is there, and nothing else; cursors and checkpoints are at the end.
  void finish();
  /// Up to where a sink has delivered a partition; without one, not called.
  void on_committed(std::function<Offset(Partition)> told) { committed_ = std::move(told); }
  /// Where a process started now would begin.
  [[nodiscard]] Offset resumes_at(Partition partition) const;
  /// Everything below is stored, as the disk says.
  [[nodiscard]] Offset cursor(Partition partition) const;

private:
  void tell(const storage::StateStore::Batch& batch) const;
  void check_output(const std::string& symbol, const market::Output& output, bool newest);
  void check_snapshot(const storage::StoredSnapshot& snapshot);
  void check_cursor(Partition partition, Offset cursor);
  void check_checkpoint(const storage::Checkpoint& row);
  [[nodiscard]] Offset usable_upto(Partition partition) const;
  void check_covered(const storage::Checkpoint& row);

  const Reference& reference_;
  SimDisk& disk_;
  std::unique_ptr<storage::RowStateStore> truth_;
  std::map<std::string, std::set<std::string>, std::less<>> stored_;
  std::vector<std::size_t> checked_;  ///< by partition: outputs below the cursor known to be stored
  Verdict& verdict_;
  std::function<void(std::string_view)> told_;
  std::function<Offset(Partition)> committed_;
};

/// The store of one process.
class SimState final : public storage::RowStateStore {
public:
  SimState(SimDisk& disk, StateChecker& checker);
  Result<void> write(const Batch& batch) override;
  Result<std::uint64_t> thin(Partition partition, storage::TimeNs keep_after,
                             std::size_t checkpoints,
                             storage::Offset committed = storage::kNoOffset) override;

private:
  SimDisk& disk_;
  StateChecker& checker_;
};

}  // namespace tapedeck::chaos
