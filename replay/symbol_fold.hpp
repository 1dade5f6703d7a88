// replay/symbol_fold.hpp -- a symbol's state and how far on the tape it is: decodes records and
// folds them. Start here.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "market/symbol_state.hpp"
#include "replay/fold_rules.hpp"
#include "schemas/batch_codec.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

using market::Offset;
using market::Partition;
using market::TimeNs;

/// When a symbol snapshots itself for time travel: after so many events or records, but not before
/// the records since its last snapshot weigh as much as that snapshot, so that snapshots at most
/// double the disk.
struct SnapshotPolicy {
  std::uint64_t events = 65'536;
  std::uint64_t records = 256;
};

/// One symbol being folded. Owned by one thread at a time. The rules' settings must outlive it.
/// A turn – a release, a change of settings – is met by meet_turn() (replay/release.hpp) before a
/// record at or behind it is folded; apply() throws std::logic_error where that was forgotten.
class SymbolFold {
public:
  SymbolFold(std::string symbol, Partition partition, const FoldRules& rules);

  /// Error `corrupt` names the snapshot's key.
  [[nodiscard]] static Result<SymbolFold> restore(const storage::StoredSnapshot& stored,
                                                  const FoldRules& rules);

  /// Folds a record of this symbol; one below next() is passed over. Error `corrupt` names
  /// partition:offset where the payload does not decode; nothing of it was folded then.
  Result<void> apply(const storage::Record& record, market::Outputs& outputs) {
    return apply_until(record, kWholeRecord, market::kNever, outputs).map([](bool) {});
  }

  /// Folds the record's events with an index below `event_count`, up to the first one later than
  /// `instant`. False: it stopped before the record's end, and next() still names this record.
  Result<bool> apply_until(const storage::Record& record, std::uint32_t event_count, TimeNs instant,
                           market::Outputs& outputs);
  static constexpr std::uint32_t kWholeRecord = std::numeric_limits<std::uint32_t>::max();

  /// The same by messages: whole messages of the record at next(), which `ends_record` where they
  /// are its last. Batch::marks are the fold's own business: none are given.
  void apply(const market::Batch& messages, bool ends_record, market::Outputs& outputs);

  void advance(const market::TimeMark& mark, market::Outputs& outputs) {
    state_.advance(mark, outputs);
  }
  /// Everything of this symbol below `next` has been folded, whether it had records there or not.
  void pass(Offset next) {
    if (next > next_) next_ = next;
  }

  /// Every record of this symbol with a lower offset is folded.
  [[nodiscard]] Offset next() const noexcept { return next_; }
  [[nodiscard]] const market::SymbolState& state() const noexcept { return state_; }
  [[nodiscard]] market::SymbolState& state() noexcept { return state_; }
  [[nodiscard]] Partition partition() const noexcept { return partition_; }

  /// What the fold goes by from here on. The settings of where it is stay as they are.
  void set_rules(const FoldRules& rules);
  [[nodiscard]] const FoldRules& rules() const noexcept { return rules_; }
  /// The first release that is not met yet; kNotReleased: none.
  [[nodiscard]] Offset next_release() const noexcept {
    return own_rules_ == nullptr ? kNotReleased : own_rules_->next_release(met_below_);
  }
  /// The first change of settings that is not met yet; null: none.
  [[nodiscard]] const SettingsChange* next_change() const noexcept {
    return rules_.change(partition_, changes_met_);
  }
  /// Whichever of the two comes first; kNoTurn: neither.
  [[nodiscard]] Offset next_turn() const noexcept {
    const auto* change = next_change();
    return change == nullptr ? next_release() : std::min(next_release(), change->at);
  }
  /// Goes over to the next change's settings; all records below it are folded.
  void change_settings(market::Outputs& outputs);
  [[nodiscard]] const market::FoldSettings& settings() const noexcept { return *settings_; }
  /// Of what is released at or before `at`: the lowest offset.
  [[nodiscard]] Offset first_released(Offset at) const noexcept;
  /// What is released at `at`, the first of several.
  [[nodiscard]] market::FoldItem released_item(Offset at) const noexcept;
  /// Releases below are taken as met.
  void enter(Offset met_below);

  /// Tests only: where the fold meets the item, `fault` strikes.
  void set_fault(const market::FoldItem& item, market::Fault fault);

  /// False where a turn was met in front of next(): what is stored there is the state before it.
  [[nodiscard]] bool may_store() const noexcept {
    return met_below_ <= next_ && settings_below_ <= next_;
  }
  [[nodiscard]] bool wants_snapshot(const SnapshotPolicy& policy) const noexcept;
  /// Serialises the state as of next(), and starts counting towards the next snapshot.
  [[nodiscard]] storage::StoredSnapshot take_snapshot();

private:
  SymbolFold(market::SymbolState state, SettingsPtr settings, Partition partition, Offset next,
             std::uint64_t snapshot_bytes, const FoldRules& rules);
  struct PlannedFault {
    market::FoldItem item;
    market::Fault strike;
  };
  void mark_items(const market::Position& first, std::span<market::Event> events,
                  std::vector<market::EventMark>& marks) const;
  void refresh_due_rules();

  SettingsPtr settings_;  ///< the state's: outlives it
  market::SymbolState state_;
  FoldRules rules_;
  std::shared_ptr<const SymbolRules> own_rules_;  ///< null: nothing is left out
  std::unique_ptr<PlannedFault> fault_;
  Offset met_below_ = 0;  ///< releases below are met
  std::size_t changes_met_ = 0;
  Offset settings_below_ = 0;  ///< the last change that was met is below
  Partition partition_ = 0;
  Offset next_ = 0;
  std::uint64_t events_since_ = 0;
  std::uint64_t records_since_ = 0;
  std::uint64_t bytes_since_ = 0;
  std::uint64_t snapshot_bytes_ = 0;
};

/// A mark record as the fold takes it. Error `corrupt` names partition:offset.
[[nodiscard]] Result<market::TimeMark> time_mark(const storage::Record& record);

/// "partition:offset", as messages name a record.
[[nodiscard]] std::string place(Partition partition, Offset offset);

}  // namespace tapedeck::replay
