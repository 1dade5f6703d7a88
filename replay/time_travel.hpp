// replay/time_travel.hpp -- a symbol's state at any position or instant of the tape.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "market/settings.hpp"
#include "replay/recovery.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

/// As of the tape's end.
struct AtEnd {};
/// As of a record, or an event in it: inclusive. Without a partition: the symbol's own.
struct AtOffset {
  std::optional<Partition> partition;
  Offset offset = 0;
  std::optional<std::uint32_t> index;
};
/// Just before the symbol's first event that is later.
struct AtInstant {
  TimeNs time = 0;
};
using Moment = std::variant<AtEnd, AtOffset, AtInstant>;

struct StateAt {
  SymbolFold fold;
  std::vector<std::string> bad_snapshots;
  std::uint64_t refolded_events = 0;  ///< since the snapshot it began with
};

/// Error out_of_range (field "at") where the moment is beyond the partition's end or, for an
/// instant, beyond its last time mark; an empty partition is beyond nothing.
[[nodiscard]] Result<void> on_tape(const storage::TapeReader& tape, Partition partition,
                                   const Moment& moment);

/// The state of `symbol` at `moment`: newest good snapshot before it, then the symbol's own records
/// through the index. `state` may be null. Errors: not_found (field "symbol") where the tape has no
/// record of it; out_of_range (field "at") beyond the tape's end or, for an instant, beyond the
/// partition's last time mark, naming what is the last. Thread safe.
[[nodiscard]] Result<StateAt> state_at(const storage::TapeReader& tape,
                                       const storage::StateReader* state, std::string_view symbol,
                                       const Moment& moment, const FoldRules& rules);

}  // namespace tapedeck::replay
