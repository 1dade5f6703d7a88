// replay/trim.hpp -- retention of an embedded tape: what may go, and the base snapshots that stand
// in its place. Decision 13, docs/formats/tape.md.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "replay/fold_rules.hpp"
#include "replay/time_travel.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

/// What is to stay; zero: no limit.
struct Retention {
  TimeNs age = 0;           ///< of feed time, back from the tape's newest mark
  std::uint64_t bytes = 0;  ///< of records on disk, all partitions together, about
};

/// By partition: the offset in front of which nothing is wanted any more. Without a limit that is
/// reached: where the tape begins.
using Wanted = std::vector<Offset>;
/// `before` is a position (of its partition only; records in front of it go), an instant (of all:
/// what the marks before it closed goes) or the end.
[[nodiscard]] Result<Wanted> wanted_before(const storage::TapeReader& tape, const Moment& before);
[[nodiscard]] Result<Wanted> wanted_by(const storage::TapeReader& tape, const Retention& retention);

struct TrimOptions {
  /// Symbols so far, and of how many.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  /// Asked between symbols: true ends the trim without effect.
  std::function<bool()> stop;
};

struct Trimmed {
  struct Part {
    Partition partition = 0;
    Offset from = 0, start = 0;  ///< the tape began at `from`, and begins at `start` now
    std::string held;            ///< why not where it was wanted; empty: it is
  };
  std::vector<Part> parts;  ///< by partition
  std::uint64_t symbols = 0, records = 0;
  bool interrupted = false;
};

/// Never past what a resume of the engine reads (its newest usable checkpoint, and what stands
/// behind there), what a release that is still to be met folds again, or a partition's newest mark.
/// The tape's writer is its owner; `state` and `records` are those of its engine, which may run
/// meanwhile. `state` is null where there is none: then nothing may go.
[[nodiscard]] Result<Trimmed> trim(storage::TapeWriter& tape, const storage::StateReader* state,
                                   const FoldRules& rules,
                                   std::span<const schemas::ControlRecord> records,
                                   const Wanted& wanted, const TrimOptions& options = {});

}  // namespace tapedeck::replay
