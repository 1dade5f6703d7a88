#include "api/time_format.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <string>

using namespace tapedeck;
using api::format_duration;
using api::format_time;
using api::parse_duration;
using api::parse_time;

namespace {

market::TimeNs time_of(std::string_view text) {
  const auto parsed = parse_time(text, "at");
  INFO(text);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace

TEST_CASE("times are written in UTC with nine decimals", "[time]") {
  CHECK(format_time(0) == "1970-01-01T00:00:00.000000000Z");
  CHECK(format_time(1'340'285'400'004'241'176) == "2012-06-21T13:30:00.004241176Z");
  CHECK(format_time(-1) == "1969-12-31T23:59:59.999999999Z");
  CHECK(format_time(951'782'400LL * market::kSecond) == "2000-02-29T00:00:00.000000000Z");
  CHECK(format_time(market::kNever) == "2262-04-11T23:47:16.854775807Z");
  CHECK(format_time(market::kNoTime) == "1677-09-21T00:12:43.145224192Z");
}

TEST_CASE("times are read with up to nine decimals and any offset", "[time]") {
  CHECK(time_of("2012-06-21T09:30:00.004241176-04:00") == 1'340'285'400'004'241'176);
  CHECK(time_of("2012-06-21T13:30:00.004241176Z") == 1'340'285'400'004'241'176);
  CHECK(time_of("2012-06-21T19:00:00.5+05:30") == 1'340'285'400'500'000'000);
  CHECK(time_of("2012-06-21t13:30:00z") == 1'340'285'400'000'000'000);
  CHECK(time_of("1970-01-01T00:00:00.000000001Z") == 1);
  CHECK(time_of("1970-01-01T00:00:00-00:00") == 0);
}

TEST_CASE("a text that is not an RFC 3339 time is refused and the field named", "[time]") {
  const std::string_view bad[] = {"",
                                  "now",
                                  "2012-06-21",
                                  "2012-06-21T09:30:00",
                                  "2012-06-21 09:30:00Z",
                                  "2012-06-21T09:30Z",
                                  "2012-06-21T09:30:00.Z",
                                  "2012-06-21T09:30:00.1234567890Z",
                                  "2012-06-21T09:30:00Z ",
                                  " 2012-06-21T09:30:00Z",
                                  "2012-06-21T09:30:00+0400",
                                  "2012-06-21T09:30:00+04",
                                  "2012-06-31T09:30:00Z",
                                  "2011-02-29T09:30:00Z",
                                  "2012-13-01T09:30:00Z",
                                  "2012-00-01T09:30:00Z",
                                  "2012-06-21T24:00:00Z",
                                  "2012-06-21T09:60:00Z",
                                  "2012-06-21T09:30:60Z",
                                  "2012-06-21T09:30:00+24:00",
                                  "2012-06-21T09:30:00+01:60",
                                  "1677-09-21T00:12:43Z",
                                  "2262-04-11T23:47:17Z",
                                  "0000-01-01T00:00:00Z",
                                  "9999-12-31T23:59:59Z",
                                  "-012-06-21T09:30:00Z",
                                  "2012-+6-21T09:30:00Z"};
  for (const auto text : bad) {
    INFO(text);
    const auto parsed = parse_time(text, "from");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == ErrorCode::invalid);
    CHECK(parsed.error().field == "from");
    CHECK(parsed.error().message.starts_with("from: "));
  }
}

TEST_CASE("a time written and read back is the same, for random times", "[time]") {
  const std::uint64_t seed = 99;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto time = static_cast<market::TimeNs>(random());
    REQUIRE(time_of(format_time(time)) == time);
  }
}

TEST_CASE("widths are durations or amounts of trading", "[time]") {
  for (const char* text : {"1s", "1m", "250ms", "1d", "100t", "0.5v", "1000000n", "500i"})
    CHECK(api::format_width(api::parse_width(text, "width").value()) == text);
  for (const char* text : {"", "1", "0t", "-1s", "1w", "t", "1000d"}) {
    const auto width = api::parse_width(text, "width");
    REQUIRE_FALSE(width);
    CHECK(width.error().field == "width");
    CHECK_THAT(width.error().message, Catch::Contains("100t"));
  }
}

TEST_CASE("durations are written in the largest unit that divides them", "[time]") {
  CHECK(format_duration(market::kSecond) == "1s");
  CHECK(format_duration(10 * market::kSecond) == "10s");
  CHECK(format_duration(60 * market::kSecond) == "1m");
  CHECK(format_duration(90 * market::kSecond) == "90s");
  CHECK(format_duration(3600 * market::kSecond) == "1h");
  CHECK(format_duration(86'400 * market::kSecond) == "1d");
  CHECK(format_duration(250'000'000) == "250ms");
  CHECK(format_duration(1'500) == "1500ns");
  CHECK(format_duration(0) == "0s");
}

TEST_CASE("a duration written and read back is the same, for random durations", "[time]") {
  const std::uint64_t seed = 5;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto duration = static_cast<std::int64_t>(random() >> (1 + random() % 63)) + (i == 0);
    if (duration == 0) continue;
    const auto text = format_duration(duration);
    INFO(text);
    const auto parsed = parse_duration(text, "width");
    REQUIRE(parsed);
    REQUIRE(*parsed == duration);
  }
}

TEST_CASE("a text that is not a duration is refused and the field named", "[time]") {
  for (const std::string_view text : {"", "1", "s", "0s", "-1s", "+1s", "1 s", "1.5s", "1m30s",
                                      "1S", "1w", "1s ", "99999999999999999999s", "107000d"}) {
    INFO(text);
    const auto parsed = parse_duration(text, "width");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == ErrorCode::invalid);
    CHECK(parsed.error().field == "width");
  }
}
