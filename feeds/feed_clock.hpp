// feeds/feed_clock.hpp -- feed time of a file: the highest event time so far that can be believed.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "market/units.hpp"

namespace tapedeck::feeds {

/// How far past feed time a message may be without its successors' support.
constexpr market::TimeNs kMaxTimeLead = 3600 * market::kSecond;
/// How many successors must agree with one that is further ahead.
constexpr std::size_t kTimeWitnesses = 16;
/// Times of day end here; no witness makes a later one true.
constexpr market::TimeNs kMaxTimeOfDay = 25 * 3600 * market::kSecond;

/// Feed time starts at local midnight and never goes back. A message at most an hour ahead moves
/// it. One further ahead moves it only if each of the next 16 messages (or as many as there are) is
/// more than an hour ahead as well and none lies more than an hour before it: a whole feed that
/// jumps is believed at once, a single wild time never. Where times are instants there is no
/// midnight: feed time is 0 until the first message that is not more than an hour past the median
/// of its time and those of the next 16.
class FeedClock {
public:
  explicit FeedClock(market::TimeNs midnight)
      : now_(midnight), day_end_(midnight + kMaxTimeOfDay) {}
  /// For times that are instants.
  FeedClock() : now_(0), day_end_(market::kNever), begun_(false) {}

  /// Feed time after a message at `time`. `next_time(i, t)` sets t to the time of the i-th message
  /// after it, or returns false if there is none; called for distant times only.
  template <class NextTime>
  market::TimeNs observe(market::TimeNs time, NextTime&& next_time) {
    if (!begun_) [[unlikely]]
      return begin(time, next_time);
    if (time <= now_) return now_;
    if (time <= now_ + kMaxTimeLead) return now_ = time;
    if (time > day_end_) return now_;
    for (std::size_t i = 0; i < kTimeWitnesses; ++i) {
      market::TimeNs witness = 0;
      if (!next_time(i, witness)) break;
      if (witness <= now_ + kMaxTimeLead || witness < time - kMaxTimeLead) return now_;
    }
    return now_ = time;
  }
  /// A time that moves the clock without looking ahead.
  [[nodiscard]] bool is_near(market::TimeNs time) const noexcept {
    return begun_ && time > now_ && time <= now_ + kMaxTimeLead;
  }
  market::TimeNs move_to(market::TimeNs near) noexcept { return now_ = near; }
  [[nodiscard]] market::TimeNs now() const { return now_; }

private:
  template <class NextTime>
  market::TimeNs begin(market::TimeNs time, NextTime& next_time) {
    std::array<market::TimeNs, kTimeWitnesses + 1> times{time};
    std::size_t count = 1;
    while (count < times.size() && next_time(count - 1, times[count])) ++count;
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(count / 2);
    std::nth_element(times.begin(), middle, times.begin() + static_cast<std::ptrdiff_t>(count));
    begun_ = time <= *middle + kMaxTimeLead;
    return now_ = begun_ ? time : now_;
  }

  market::TimeNs now_;
  market::TimeNs day_end_;
  bool begun_ = true;
};

}  // namespace tapedeck::feeds
