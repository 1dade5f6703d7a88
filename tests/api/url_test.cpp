#include "api/url.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

using namespace tapedeck;
using api::parse_target;

TEST_CASE("a path is split before it is decoded, so that a symbol may hold a slash", "[url]") {
  const auto target = parse_target("/v1/symbols/BRK%2FB/book?at=0:4&depth=3").value();
  CHECK(target.segments == std::vector<std::string>{"v1", "symbols", "BRK/B", "book"});
  CHECK(target.query ==
        std::vector<std::pair<std::string, std::string>>{{"at", "0:4"}, {"depth", "3"}});
  CHECK(target.path() == "/v1/symbols/BRK/B/book");
}

TEST_CASE("paths and queries of all shapes", "[url]") {
  CHECK(parse_target("/").value().path() == "/");
  CHECK(parse_target("/?").value().path() == "/");
  CHECK(parse_target("/a/").value().path() == "/a/");
  CHECK(parse_target("http://127.0.0.1:8080/a?b=c").value().path() == "/a");
  CHECK(parse_target("http://127.0.0.1:8080").value().path() == "/");
  CHECK(parse_target("/a?b").value().query.front() == std::pair<std::string, std::string>{"b", ""});
  CHECK(parse_target("/a?&&b=1&").value().query.size() == 1);
  CHECK(parse_target("/a?b=1=2").value().query.front().second == "1=2");
}

TEST_CASE("a plus sign stays one: times have them", "[url]") {
  CHECK(parse_target("/a?at=00:00+02:00").value().query.front().second == "00:00+02:00");
  CHECK(parse_target("/a?at=00:00%2b02:00%20").value().query.front().second == "00:00+02:00 ");
}

TEST_CASE("bad escapes and bad paths are refused and named", "[url]") {
  CHECK(parse_target("/a%").error().field == "path");
  CHECK(parse_target("/a%4").error().field == "path");
  CHECK(parse_target("/a%zz").error().field == "path");
  CHECK(parse_target("/a?at=%g0").error().field == "at");
  CHECK(parse_target("/a?%g0=1").error().field == "query");
  CHECK(parse_target("*").error().field == "path");
  CHECK(parse_target("").error().field == "path");
  CHECK(parse_target("ftp://host/").error().field == "path");
}

TEST_CASE("any bytes, escaped, come back as they were", "[url]") {
  const std::uint64_t seed = 3;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2'000; ++i) {
    std::string bytes, escaped = "/x/";
    for (auto n = random() % 20; n > 0; --n) {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(random());
      bytes.push_back(static_cast<char>(byte));
      escaped.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
    REQUIRE(parse_target(escaped).value().segments == std::vector<std::string>{"x", bytes});
  }
}
