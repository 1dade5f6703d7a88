// replay/recovery.hpp -- a symbol's state as of an offset: newest good snapshot before it, plus its
// own records.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "market/output.hpp"
#include "market/settings.hpp"
#include "replay/symbol_fold.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

struct Restored {
  SymbolFold fold;
  /// Snapshots that were passed over because their bytes are bad: one message each.
  std::vector<std::string> bad_snapshots;
};

/// The newest good snapshot with next <= `at_most`, restored; an empty fold where there is none. A
/// bad snapshot falls back to the one before. What is stored by older rules than `rules` is passed
/// over. `state` may be null: no snapshots. Of a trimmed tape
/// never one of before its start: what follows it is not there; error `out_of_range` (field "at")
/// names the start where `at_most` lies before it.
[[nodiscard]] Result<Restored> newest_good(const storage::TapeReader& tape,
                                           const storage::StateReader* state,
                                           std::string_view symbol, Partition partition,
                                           Offset at_most, const FoldRules& rules);
/// Error `out_of_range` (field "at"): `what` lies before the partition's start, which it names.
[[nodiscard]] Error trimmed(const std::string& what, Partition partition, Offset start);

/// Whether outputs get the emission positions they had (merge the partition's marks by position),
/// or only the state matters (leave the marks out).
enum class Marks { merged, left_out };

/// Folds the symbol's records in [fold.next(), to). Afterwards fold.next() == to, and releases
/// below are met. `before` sees each record first. `state` (may be null) shortens a release.
Result<void> catch_up(SymbolFold& fold, const storage::TapeReader& tape, Offset to, Marks marks,
                      market::Outputs& outputs,
                      const std::function<void(const storage::Record&)>& before = {},
                      const storage::StateReader* state = nullptr);

/// Where a partition resumes: the newest checkpoint past neither the output store's cursor nor what
/// a sink has committed, and not of older rules; from the tape's beginning where there is none.
/// Error `corrupt` where the state is older than the start of a trimmed tape.
struct ResumePlan {
  storage::Checkpoint checkpoint;
  Offset cursor = 0;                 ///< the output store's
  Offset silent_below = 0;           ///< outputs emitted below are stored and committed
  std::vector<std::string> symbols;  ///< that have a state at or before the checkpoint, ascending
};
[[nodiscard]] Result<ResumePlan> plan_resume(const storage::TapeReader& tape,
                                             const storage::StateReader& state,
                                             const FoldRules& rules, Partition partition,
                                             Offset committed = storage::kNoOffset);

/// What makes the state forget what it still holds by older rules than `rules`, as parts of a
/// write: `forget` and `rules_met`. Error `corrupt` where the state has met control records that
/// there are none of.
[[nodiscard]] Result<storage::StateStore::Batch> forget_outdated(const storage::TapeReader& tape,
                                                                 const storage::StateReader& state,
                                                                 const FoldRules& rules,
                                                                 Partition partition);
/// Of one control record.
[[nodiscard]] Result<std::vector<storage::StateStore::Forget>> forget_of(
    const storage::TapeReader& tape, Partition partition, const Outdated& outdated);
/// Of the symbol's snapshots, or without one of the checkpoints, those with a higher next are of
/// older rules than `rules`.
[[nodiscard]] Result<Offset> usable_upto(const storage::StateReader& state, const FoldRules& rules,
                                         Partition partition, std::string_view symbol = {});

}  // namespace tapedeck::replay
