// config/day_time.hpp -- a time of the day, in UTC or a zone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tapedeck::config {

/// "13:30", "13:30:05" (UTC); "09:30 -04:00"; or "09:30 America/New_York 2012-06-21", with the
/// offset that the zone had at that time of that day. Nanoseconds since midnight UTC, below a day.
[[nodiscard]] std::optional<std::int64_t> parse_day_time(std::string_view text);
/// "13:30" or "13:30:05"; fractions of a second are cut off.
[[nodiscard]] std::string format_day_time(std::int64_t ns);

}  // namespace tapedeck::config
