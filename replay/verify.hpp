// replay/verify.hpp -- refolds everything and compares with every recorded digest; compares two
// tapes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "market/settings.hpp"
#include "replay/refold.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

struct DigestMismatch {
  storage::SnapshotKey key;
  market::Digest recorded, refolded;
  std::uint64_t recorded_events = 0, refolded_events = 0;
};

struct Verified {
  std::uint64_t digests = 0;    ///< compared
  std::uint64_t snapshots = 0;  ///< restored and compared with their digest
  std::uint64_t events = 0, symbols = 0;
  std::vector<DigestMismatch> mismatches;  ///< by symbol, then offset
  std::vector<std::string> bad_snapshots;  ///< stored bytes that do not restore
};

/// Error `not_found` where no digest is recorded at all: nothing would have been verified.
[[nodiscard]] Result<Verified> verify(
    const storage::TapeReader& tape, const storage::StateReader& state, const FoldRules& rules,
    std::uint32_t threads, const std::function<void(std::uint64_t, std::uint64_t)>& progress);

/// The first event, by symbol and then by count of folded events, after which two tapes' states
/// differ.
struct Difference {
  std::string symbol;
  std::uint64_t events = 0;  ///< folded events up to which the states are equal
  std::optional<market::Position> left,
      right;  ///< of the event that makes the difference; none: the tape ends before it
};
/// One for each symbol that differs, ascending; none: the tapes hold the same. Offsets may differ.
[[nodiscard]] Result<std::vector<Difference>> diff(const storage::TapeReader& left,
                                                   const storage::TapeReader& right,
                                                   const FoldRules& left_rules,
                                                   const FoldRules& right_rules);

}  // namespace tapedeck::replay
