#include "apps/playing.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace tapedeck::apps {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

namespace {

constexpr std::size_t kAtATime = 4096;
constexpr replay::ClockNs kLookEvery = 50'000'000;
/// So much time must be left before the next is due to restore a state meanwhile.
constexpr replay::ClockNs kIdle = 20'000'000;

}  // namespace

replay::ClockNs clock_now() {
  return std::chrono::duration_cast<nanoseconds>(Clock::now().time_since_epoch()).count();
}

void wake_punctually() {
  constexpr unsigned long kSlackNs = 1;
  ::prctl(PR_SET_TIMERSLACK, kSlackNs, 0, 0, 0);
}

Result<void> play_out(replay::Player& player, const replay::TellTo& tell,
                      const std::function<bool()>& go_on) {
  wake_punctually();
  player.play(clock_now());
  while (player.state() == replay::PlayState::playing && go_on()) {
    const auto now = clock_now();
    const auto due = player.next_due();
    if (due <= now) {
      if (auto told = player.tell_due(now, kAtATime, tell); !told)
        return tl::unexpected(told.error());
      continue;
    }
    if (due - now > kIdle) {
      const auto restored = player.restore_one();
      if (!restored) return tl::unexpected(restored.error());
      if (*restored) continue;
    }
    std::this_thread::sleep_until(Clock::time_point(nanoseconds(std::min(due, now + kLookEvery))));
  }
  return {};
}

}  // namespace tapedeck::apps
