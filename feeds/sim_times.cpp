// feeds/sim_times.cpp -- when the messages of the synthetic session come. See sim_market.hpp.
#include <algorithm>

#include "feeds/sim_market.hpp"

namespace tapedeck::feeds {
namespace {

constexpr std::uint64_t kMinuteNs = 60'000'000'000;

/// Relative intensity of a minute: a U over the day, with peaks in the first and last minutes.
std::uint64_t intensity(std::uint64_t minute, std::uint64_t minutes) {
  const std::uint64_t twice = 2 * minute + 1;
  const std::uint64_t x = twice > minutes ? twice - minutes : minutes - twice;
  std::uint64_t weight = 1000 + 3000 * x * x / (minutes * minutes);
  const std::uint64_t edge = std::min(minute, minutes - 1 - minute);
  if (edge < 5) weight *= 2;
  if (edge < 1) weight *= 2;
  return weight;
}

}  // namespace

SimTimes::SimTimes(std::uint64_t messages, std::uint64_t open_ns, std::uint64_t close_ns)
    : open_(open_ns), close_(close_ns), now_(open_ns) {
  const std::uint64_t minutes = (close_ns - open_ns + kMinuteNs - 1) / kMinuteNs;
  std::vector<std::uint64_t> cumulative;
  std::uint64_t total = 0;
  for (std::uint64_t minute = 0; minute < minutes; ++minute)
    cumulative.push_back(total += intensity(minute, minutes));
  for (const std::uint64_t weight : cumulative) {
    until_.push_back(
        static_cast<std::uint64_t>(static_cast<market::UInt128>(messages) * weight / total));
  }
}

std::uint64_t SimTimes::minute_end(std::size_t minute) const {
  return std::min(close_, open_ + (minute + 1) * kMinuteNs);
}

std::uint64_t SimTimes::next(Random& random) {
  while (minute_ + 1 < until_.size() && made_ >= until_[minute_]) {
    now_ = std::max(now_, minute_end(minute_));
    ++minute_;
  }
  const std::uint64_t left = until_[minute_] > made_ ? until_[minute_] - made_ : 1;
  const std::uint64_t end = minute_end(minute_);
  const std::uint64_t time_left = end > now_ + left ? end - now_ - left : 1;
  const std::uint64_t mean = time_left / left + 1;
  // Most messages follow closely on another's heels; pauses make up for them.
  const std::uint64_t gap = random.chance(7, 10)
                                ? random.below(std::min<std::uint64_t>(mean / 8 + 1, 40'000))
                                : random.below(mean * 5);
  now_ += 1 + std::min(gap, time_left - 1);
  ++made_;
  return now_;
}

}  // namespace tapedeck::feeds
