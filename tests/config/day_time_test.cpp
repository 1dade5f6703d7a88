#include "config/day_time.hpp"

#include <catch2/catch.hpp>

#include "config/config.hpp"

using namespace tapedeck::config;

namespace {
constexpr std::int64_t minutes(std::int64_t n) { return n * 60'000'000'000; }
}  // namespace

TEST_CASE("a time of the day is taken to UTC", "[config]") {
  CHECK(parse_day_time("00:00") == 0);
  CHECK(parse_day_time("13:30") == minutes(13 * 60 + 30));
  CHECK(parse_day_time("13:30:05") == minutes(13 * 60 + 30) + 5'000'000'000);
  CHECK(parse_day_time("09:30 -04:00") == minutes(13 * 60 + 30));
  CHECK(parse_day_time("01:00 +05:30") == minutes(19 * 60 + 30));
  CHECK(parse_day_time("09:30 America/New_York 2012-06-21") == minutes(13 * 60 + 30));
  CHECK(parse_day_time("09:30 America/New_York 2012-01-21") == minutes(14 * 60 + 30));
  for (const char* bad :
       {"", "9:30", "24:00", "09:60", "09:30 ", "09:30 4:00", "09:30 Nowhere/Town 2012-06-21",
        "09:30 America/New_York", "09:30 America/New_York 2012-02-30", "09:30:61"}) {
    INFO(bad);
    CHECK_FALSE(parse_day_time(bad));
  }
}

TEST_CASE("a time of the day is shown as it can be read again", "[config]") {
  for (const char* text : {"00:00", "13:30", "13:30:05", "23:59:59"})
    CHECK(format_day_time(parse_day_time(text).value()) == text);
}
