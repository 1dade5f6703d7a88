// schemas/row_text.hpp -- numbers and times as text formats write them, into the integers of
// market/. No floating point on the way.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "market/units.hpp"

namespace tapedeck::schemas {

/// 10^n, 0 <= n <= 18.
constexpr std::array<std::int64_t, 19> kPowersOfTen = [] {
  std::array<std::int64_t, 19> powers{};
  std::int64_t power = 1;
  for (std::size_t i = 0; i < powers.size(); ++i) {
    powers[i] = power;
    if (i + 1 < powers.size()) power *= 10;
  }
  return powers;
}();

/// Optional sign and digits; none if it is anything else or beyond 64 bits.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

/// A decimal number (`-12.5`, `1e-3`) in units of 10^exponent, exponent from -18 to 9. None if it
/// is no number, has digits below that unit, or is beyond 64 bits.
[[nodiscard]] std::optional<std::int64_t> parse_decimal(std::string_view text,
                                                        int exponent) noexcept;

/// RFC 3339 with up to 9 decimals of a second and `Z` or an offset; nanoseconds since 1970.
[[nodiscard]] std::optional<market::TimeNs> parse_rfc3339(std::string_view text) noexcept;

}  // namespace tapedeck::schemas
