// replay/pace.hpp -- event time against a clock: when what is due.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "market/result.hpp"
#include "market/units.hpp"

namespace tapedeck::replay {

/// Nanoseconds of a clock that never goes back; where it begins does not matter. Handed in: nothing
/// here reads one.
using ClockNs = std::int64_t;
constexpr ClockNs kNeverDue = std::numeric_limits<ClockNs>::max();
constexpr ClockNs kDueAtOnce = std::numeric_limits<ClockNs>::min();

/// How many times as fast as the session, in thousandths; 0: as fast as can be.
struct Speed {
  static constexpr std::uint32_t kSlowest = 100, kFastest = 1'000'000;
  std::uint32_t thousandths = 1000;
  friend bool operator==(const Speed&, const Speed&) = default;
};
/// `max`, or a decimal from 0.1 to 1000 with at most 3 places. Error `invalid` with `field`.
[[nodiscard]] Result<Speed> parse_speed(std::string_view text, std::string_view field);
/// As parse_speed() reads it.
[[nodiscard]] std::string format_speed(Speed speed);

/// At `clock` event time is `time`, and runs `speed` times as fast from there.
struct Pace {
  ClockNs clock = 0;
  market::TimeNs time = market::kNoTime;  ///< kNoTime: not known yet, everything is due
  Speed speed;

  [[nodiscard]] ClockNs due(market::TimeNs at) const noexcept;
  /// Event time at a clock; kNever at full speed.
  [[nodiscard]] market::TimeNs time_at(ClockNs now) const noexcept;
};

}  // namespace tapedeck::replay
