// market/candle_width.hpp -- what makes a candle: a time, or an amount of trading.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "market/units.hpp"

namespace tapedeck::market {

/// What a candle is measured by. Stored: numbers never change meaning.
enum class CandleMeasure : std::uint8_t {
  time = 0,
  ticks = 1,      ///< number of trades
  volume = 2,     ///< sum of their sizes
  notional = 3,   ///< sum of price * size
  imbalance = 4,  ///< absolute difference between the volumes of buyers and sellers
};
constexpr std::uint8_t kCandleMeasures = 5;

/// Nanoseconds of time, below 2^56; or measure * 2^56 + amount. The amount of ticks is their
/// number; of the others it is in millionths of a whole unit (a share, a coin, a dollar), so it
/// does not depend on an instrument's exponents. The order of widths is by measure, then amount.
using CandleWidth = std::int64_t;

constexpr unsigned kAmountBits = 56;
constexpr std::int64_t kMaxAmount = (std::int64_t{1} << kAmountBits) - 1;
constexpr std::int64_t kMillionth = 1'000'000;  ///< of a whole unit

[[nodiscard]] constexpr CandleWidth candle_width(CandleMeasure measure,
                                                 std::int64_t amount) noexcept {
  return static_cast<std::int64_t>(measure) << kAmountBits | amount;
}
[[nodiscard]] constexpr bool by_activity(CandleWidth width) noexcept { return width > kMaxAmount; }
[[nodiscard]] constexpr CandleMeasure measure_of(CandleWidth width) noexcept {
  return by_activity(width) ? static_cast<CandleMeasure>(width >> kAmountBits)
                            : CandleMeasure::time;
}
[[nodiscard]] constexpr std::int64_t amount_of(CandleWidth width) noexcept {
  return by_activity(width) ? width & kMaxAmount : width;
}
/// A known measure and an amount above 0.
[[nodiscard]] constexpr bool is_activity_width(CandleWidth width) noexcept {
  return by_activity(width) && static_cast<std::uint8_t>(width >> kAmountBits) < kCandleMeasures &&
         amount_of(width) > 0;
}

/// 100t ticks, 5000v volume, 1000000n notional, 0.5i imbalance, at most six decimals; none if it is
/// no such width.
[[nodiscard]] std::optional<CandleWidth> parse_activity(std::string_view text);
/// The same text of a width by activity.
[[nodiscard]] std::string activity_text(CandleWidth width);

}  // namespace tapedeck::market
