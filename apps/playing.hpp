// apps/playing.hpp -- a player against the machine's clock: replay, bench.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "replay/player.hpp"

namespace tapedeck::apps {

/// `text` (P) checked against every partition that it is about; `offset:N` is in the partition of
/// the only symbol.
[[nodiscard]] Result<replay::Moment> moment_on(const storage::TapeReader& tape,
                                               const std::string& text, const std::string& field,
                                               const std::vector<std::string>& symbols);
/// Where a replay ends that goes to P, inclusive: partitions other than the position's go to their
/// end.
[[nodiscard]] Result<replay::MergeOptions> end_at(const storage::TapeReader& tape,
                                                  const std::string& text, const std::string& field,
                                                  const std::vector<std::string>& symbols);
/// Empty bounds: all of the tape. Errors name the fields `from` and `to` behind `prefix`.
[[nodiscard]] Result<replay::PlayerOptions> player_options(const storage::TapeReader& tape,
                                                           const std::vector<std::string>& symbols,
                                                           const std::string& from,
                                                           const std::string& to,
                                                           const std::string& prefix = {});

/// The monotonic clock, read.
[[nodiscard]] replay::ClockNs clock_now();
/// For threads that tell something at a time: the kernel wakes them at once and not some 50 us
/// later.
void wake_punctually();

/// Plays until the end or until `go_on`, asked at least every 50 ms, says no.
[[nodiscard]] Result<void> play_out(replay::Player& player, const replay::TellTo& tell,
                                    const std::function<bool()>& go_on);

}  // namespace tapedeck::apps
