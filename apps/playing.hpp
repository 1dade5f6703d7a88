// apps/playing.hpp -- a player against the machine's clock: replay, bench.
#pragma once

#include <cstdint>
#include <functional>

#include "replay/player.hpp"

namespace tapedeck::apps {

/// The monotonic clock, read.
[[nodiscard]] replay::ClockNs clock_now();
/// For threads that tell something at a time: the kernel wakes them at once and not some 50 us
/// later.
void wake_punctually();

/// Plays until the end or until `go_on`, asked at least every 50 ms, says no.
[[nodiscard]] Result<void> play_out(replay::Player& player, const replay::TellTo& tell,
                                    const std::function<bool()>& go_on);

}  // namespace tapedeck::apps
