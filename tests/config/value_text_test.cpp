#include "config/value_text.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <random>

using namespace tapedeck::config;

TEST_CASE("a duration is a whole number with a unit", "[config]") {
  CHECK(parse_duration("2s") == 2'000'000'000);
  CHECK(parse_duration("0s") == 0);
  CHECK(parse_duration("-5ms") == -5'000'000);
  CHECK(parse_duration("1d") == 86'400'000'000'000);
  for (const char* bad : {"", "2", "s", "2 s", "2sec", "1.5s", "1m30s", " 2s", "9999999999d",
                          "99999999999999999999ns"}) {
    INFO(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("a size is a whole number of bytes, KiB, MiB or GiB", "[config]") {
  CHECK(parse_size("4096") == 4096);
  CHECK(parse_size("1B") == 1);
  CHECK(parse_size("4MiB") == 4 << 20);
  CHECK(parse_size("2GiB") == std::int64_t{2} << 30);
  for (const char* bad : {"", "4MB", "4 MiB", "MiB", "1.5MiB", "9999999999GiB"}) {
    INFO(bad);
    CHECK_FALSE(parse_size(bad));
  }
}

TEST_CASE("a printed duration or size reads back as the same number", "[config]") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const auto value = static_cast<std::int64_t>(random() >> (random() % 63 + 1));
    CHECK(parse_duration(format_duration(value)) == value);
    CHECK(parse_size(format_size(value)) == value);
    CHECK(parse_duration(format_duration(-value)) == -value);
  }
  CHECK(format_duration(90'000'000'000) == "90s");
  CHECK(format_duration(3'600'000'000'000) == "1h");
  CHECK(format_size(0) == "0B");
}

TEST_CASE("edit distance counts insertions, deletions and replacements", "[config]") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("port", "port") == 0);
  CHECK(edit_distance("prot", "port") == 2);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}
