#include "api/decimal.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>

using namespace tapedeck;
using api::decimal;
using api::decimal_ratio;
using market::Int128;

namespace {

constexpr Int128 kMax = static_cast<Int128>(~market::UInt128{0} >> 1);
constexpr Int128 kMin = -kMax - 1;

/// What `decimal` prints, read back by other means: sign, digits without the point.
Int128 units_of(const std::string& text, int exponent) {
  market::UInt128 value = 0;
  for (const char c : text) {
    if (c >= '0' && c <= '9') value = value * 10 + static_cast<unsigned>(c - '0');
  }
  for (int i = 0; i < exponent; ++i) value /= 10;
  return text.front() == '-' ? static_cast<Int128>(~value + 1) : static_cast<Int128>(value);
}

}  // namespace

TEST_CASE("a decimal keeps every digit its exponent names", "[decimal]") {
  CHECK(decimal(1234500, -4) == "123.4500");
  CHECK(decimal(0, -4) == "0.0000");
  CHECK(decimal(7, -4) == "0.0007");
  CHECK(decimal(-7, -4) == "-0.0007");
  CHECK(decimal(-1234500, -4) == "-123.4500");
  CHECK(decimal(10000, -4) == "1.0000");
  CHECK(decimal(300, 0) == "300");
  CHECK(decimal(5, 2) == "500");
  CHECK(decimal(0, 2) == "0");
  CHECK(decimal(-3, 1) == "-30");
}

TEST_CASE("the extremes of 64 and 128 bits are exact", "[decimal]") {
  CHECK(decimal(std::numeric_limits<std::int64_t>::min(), 0) == "-9223372036854775808");
  CHECK(decimal(std::numeric_limits<std::int64_t>::max(), -18) == "9.223372036854775807");
  CHECK(decimal(kMax, 0) == "170141183460469231731687303715884105727");
  CHECK(decimal(kMin, -4) == "-17014118346046923173168730371588410.5728");
  CHECK(decimal(1, -36) == "0.000000000000000000000000000000000001");
}

TEST_CASE("a decimal read back is the integer it was, for random integers and exponents",
          "[decimal]") {
  const std::uint64_t seed = 20120621;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto bits = static_cast<int>(random() % 128);
    const auto wide = (static_cast<market::UInt128>(random()) << 64 | random()) >> (127 - bits);
    const int exponent = static_cast<int>(random() % 55) - 36;
    Int128 value = static_cast<Int128>(wide);
    if (exponent > 0) value %= 1'000'000'000;
    const auto text = decimal(value, exponent);
    INFO(text << " exponent " << exponent);
    REQUIRE(units_of(text, exponent) == value);
    const auto point = text.find('.');
    REQUIRE((point == text.npos ? 0 : text.size() - point - 1) ==
            (exponent < 0 ? static_cast<std::size_t>(-exponent) : 0));
  }
}

TEST_CASE("ratios round half to even", "[decimal]") {
  CHECK(decimal_ratio(1, 3, 0, 9) == "0.333333333");
  CHECK(decimal_ratio(2, 3, 0, 9) == "0.666666667");
  CHECK(decimal_ratio(5, 10, 0, 0) == "0");
  CHECK(decimal_ratio(15, 10, 0, 0) == "2");
  CHECK(decimal_ratio(25, 10, 0, 0) == "2");
  CHECK(decimal_ratio(35, 10, 0, 0) == "4");
  CHECK(decimal_ratio(125, 1000, 0, 2) == "0.12");
  CHECK(decimal_ratio(375, 1000, 0, 2) == "0.38");
  CHECK(decimal_ratio(-125, 1000, 0, 2) == "-0.12");
  CHECK(decimal_ratio(-375, 1000, 0, 2) == "-0.38");
  CHECK(decimal_ratio(126, 1000, 0, 2) == "0.13");
  CHECK(decimal_ratio(1999, 1000, 0, 1) == "2.0");
  CHECK(decimal_ratio(99999, 100000, 0, 2) == "1.00");
}

TEST_CASE("a ratio that rounds to nothing has no sign", "[decimal]") {
  CHECK(decimal_ratio(-1, 10'000'000'000, 0, 9) == "0.000000000");
  CHECK(decimal_ratio(0, -5, 0, 2) == "0.00");
  CHECK(decimal_ratio(-1, -2, 0, 1) == "0.5");
}

TEST_CASE("a ratio takes the exponent of its numerator", "[decimal]") {
  CHECK(decimal_ratio(5'859'400, 2, -4, 8) == "292.97000000");
  CHECK(decimal_ratio(10, 3, 2, 4) == "333.3333");
  CHECK(decimal_ratio(kMax, 3, -18, 22) == "56713727820156410577.2291012386280352423333");
}

TEST_CASE("a ratio of numbers near 2^127 does not overflow", "[decimal]") {
  CHECK(decimal_ratio(kMax - 1, kMax, 0, 9) == "1.000000000");
  CHECK(decimal_ratio(kMax / 2, kMax, 0, 9) == "0.500000000");
  CHECK(decimal_ratio(kMin, kMin, 0, 2) == "1.00");
  CHECK(decimal_ratio(kMax / 7, kMax, 0, 20) == "0.14285714285714285714");
}

TEST_CASE("a ratio without a denominator, or with too few digits, is a broken invariant",
          "[decimal]") {
  CHECK_THROWS_AS(decimal_ratio(1, 0, 0, 9), std::invalid_argument);
  CHECK_THROWS_AS(decimal_ratio(1, 2, -4, 3), std::invalid_argument);
}

TEST_CASE("a rounded ratio is never further than half a unit from the truth, for random ratios",
          "[decimal]") {
  const std::uint64_t seed = 7;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto numerator = static_cast<Int128>(static_cast<std::int64_t>(random()));
    auto denominator = static_cast<Int128>(random() >> (random() % 60));
    if (denominator == 0) denominator = 1;
    const auto rounded = units_of(decimal_ratio(numerator, denominator, 0, 4), 0);
    const Int128 off = 2 * (numerator * 10'000 - rounded * denominator);
    INFO(decimal(numerator, 0) << " / " << decimal(denominator, 0));
    const bool within = off < denominator && -off < denominator;
    const bool tie = (off == denominator || -off == denominator) && rounded % 2 == 0;
    REQUIRE((within || tie));
  }
}
