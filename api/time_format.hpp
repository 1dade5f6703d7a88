// api/time_format.hpp -- times as RFC 3339, durations as `10s`: how the command line, HTTP and
// files write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "market/candle_width.hpp"
#include "market/result.hpp"
#include "market/units.hpp"

namespace tapedeck::api {

/// UTC with nine decimals: 2012-06-21T13:30:00.004241176Z.
[[nodiscard]] std::string format_time(market::TimeNs time);
void append_time(std::string& out, market::TimeNs time);

/// `YYYY-MM-DDThh:mm:ss[.1-9 digits](Z|+hh:mm|-hh:mm)`, nothing before or after, within the years
/// that 64 bits of nanoseconds reach (1677 to 2262). Errors are ErrorCode::invalid and carry
/// `field`.
[[nodiscard]] Result<market::TimeNs> parse_time(std::string_view text, std::string_view field);

/// The largest unit that divides it: 60'000'000'000 is "1m", 90 s "90s", 0 "0s". Units ns us ms s m
/// h d.
[[nodiscard]] std::string format_duration(std::int64_t duration_ns);

/// A whole number and a unit, as above, positive. Errors are ErrorCode::invalid and carry `field`.
[[nodiscard]] Result<std::int64_t> parse_duration(std::string_view text, std::string_view field);

/// A candle's: a duration from 1ms to 1d, or an amount of trading as market/candle_width.hpp has
/// it.
[[nodiscard]] std::string format_width(market::CandleWidth width);
[[nodiscard]] Result<market::CandleWidth> parse_width(std::string_view text,
                                                      std::string_view field);

}  // namespace tapedeck::api
