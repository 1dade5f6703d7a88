// api/decimal.hpp -- integers with an exponent as decimal strings, exactly; ratios rounded
// half-even.
#pragma once

#include <string>

#include "market/units.hpp"

namespace tapedeck::api {

/// `units` * 10^exponent with every digit the exponent names: (1234500, -4) is "123.4500", (5, 2)
/// is "500". No rounding, no exponent notation, no "-0". Exponents between -72 and 72.
void append_decimal(std::string& out, market::Int128 units, int exponent);
[[nodiscard]] std::string decimal(market::Int128 units, int exponent);

/// `numerator` / `denominator` * 10^exponent with `digits` decimals (at least -exponent),
/// half-even. Exact for all 128-bit values: the division is done digit by digit. Throws
/// std::invalid_argument on a zero denominator or too few digits.
[[nodiscard]] std::string decimal_ratio(market::Int128 numerator, market::Int128 denominator,
                                        int exponent, int digits);

}  // namespace tapedeck::api
