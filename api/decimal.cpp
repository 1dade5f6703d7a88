#include "api/decimal.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <stdexcept>

namespace tapedeck::api {
namespace {

using market::Int128;
using market::UInt128;

constexpr int kMaxDigits = 39;  // of 2^128

UInt128 magnitude(Int128 value) {
  return value < 0 ? UInt128{0} - static_cast<UInt128>(value) : static_cast<UInt128>(value);
}

/// Decimal digits of `value` into `buffer`; returns how many.
std::size_t write_digits(UInt128 value, char (&buffer)[kMaxDigits + 1]) {
  if (value <= std::numeric_limits<std::uint64_t>::max()) {
    const auto end =
        std::to_chars(buffer, buffer + kMaxDigits, static_cast<std::uint64_t>(value)).ptr;
    return static_cast<std::size_t>(end - buffer);
  }
  char* at = buffer + kMaxDigits;
  for (; value != 0; value /= 10) *--at = static_cast<char>('0' + static_cast<int>(value % 10));
  const auto count = static_cast<std::size_t>(buffer + kMaxDigits - at);
  std::copy(at, at + count, buffer);
  return count;
}

/// Appends `digits`, with a point `decimals` places from their end.
void append_with_point(std::string& out, const char* digits, std::size_t count,
                       std::size_t decimals) {
  if (decimals == 0) {
    out.append(digits, count);
  } else if (count > decimals) {
    out.append(digits, count - decimals).push_back('.');
    out.append(digits + (count - decimals), decimals);
  } else {
    out.append("0.").append(decimals - count, '0').append(digits, count);
  }
}

/// Next decimal digit of remainder / denominator; `remainder` < `denominator` <= 2^127, so sums of
/// two fit.
char next_digit(UInt128& remainder, UInt128 denominator) {
  if (remainder <= std::numeric_limits<UInt128>::max() / 10) {
    const UInt128 scaled = remainder * 10;
    remainder = scaled % denominator;
    return static_cast<char>('0' + static_cast<int>(scaled / denominator));
  }
  char digit = '0';
  UInt128 sum = remainder;
  for (int i = 1; i < 10; ++i) {
    sum += remainder;
    if (sum >= denominator) sum -= denominator, ++digit;
  }
  remainder = sum;
  return digit;
}

void increment(std::string& digits) {
  for (auto at = digits.rbegin(); at != digits.rend(); ++at) {
    if (*at != '9') {
      ++*at;
      return;
    }
    *at = '0';
  }
  digits.insert(digits.begin(), '1');
}

}  // namespace

void append_decimal(std::string& out, Int128 units, int exponent) {
  char digits[kMaxDigits + 1];
  const auto count = write_digits(magnitude(units), digits);
  if (units < 0) out.push_back('-');
  append_with_point(out, digits, count, exponent < 0 ? static_cast<std::size_t>(-exponent) : 0);
  if (exponent > 0 && units != 0) out.append(static_cast<std::size_t>(exponent), '0');
}

std::string decimal(Int128 units, int exponent) {
  std::string out;
  append_decimal(out, units, exponent);
  return out;
}

std::string decimal_ratio(Int128 numerator, Int128 denominator, int exponent, int digits) {
  if (denominator == 0) throw std::invalid_argument("decimal_ratio: the denominator is zero");
  if (digits < 0 || digits + exponent < 0)
    throw std::invalid_argument("decimal_ratio: too few digits");
  const auto divisor = magnitude(denominator);
  const auto dividend = magnitude(numerator);
  char whole[kMaxDigits + 1];
  std::string quotient(whole, write_digits(dividend / divisor, whole));
  auto remainder = dividend % divisor;
  for (int i = 0; i < digits + exponent; ++i) quotient.push_back(next_digit(remainder, divisor));
  const auto rest = divisor - remainder;  // compared instead of 2 * remainder, which might not fit
  const bool odd = (quotient.back() - '0') % 2 != 0;
  if (remainder > rest || (remainder == rest && odd)) increment(quotient);
  const auto leading = std::min(quotient.find_first_not_of('0'), quotient.size() - 1);
  quotient.erase(0, leading);
  std::string out;
  if ((numerator < 0) != (denominator < 0) && quotient != "0") out.push_back('-');
  append_with_point(out, quotient.data(), quotient.size(), static_cast<std::size_t>(digits));
  return out;
}

}  // namespace tapedeck::api
