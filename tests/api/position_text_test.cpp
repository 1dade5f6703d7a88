#include "api/position_text.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace tapedeck;
using namespace tapedeck::api;

TEST_CASE("a position is read in each of its four forms", "[position]") {
  CHECK(parse_position("end", "at") == PositionText{AtEnd{}});
  CHECK(parse_position("offset:0", "at") == PositionText{AtOffset{0}});
  CHECK(parse_position("offset:18446744073709551615", "at") == PositionText{AtOffset{~0ULL}});
  CHECK(parse_position("3:12", "at") == PositionText{AtPosition{3, 12, std::nullopt}});
  CHECK(parse_position("3:12:0", "at") == PositionText{AtPosition{3, 12, 0}});
  CHECK(parse_position("2012-06-21T09:30:00.004241176-04:00", "at") ==
        PositionText{AtInstant{1'340'285'400'004'241'176}});
}

TEST_CASE("a position written and read back is the same", "[position]") {
  for (const std::string_view text :
       {"end", "offset:17", "0:4", "2:9:31", "2012-06-21T13:30:00.004241176Z"}) {
    CHECK(format_position(parse_position(text, "at").value()) == text);
  }
}

TEST_CASE("anything else is refused and the field named", "[position]") {
  for (const std::string_view text : {"",
                                      "End",
                                      " end",
                                      "end ",
                                      "offset",
                                      "offset:",
                                      "offset:-1",
                                      "offset:+1",
                                      "offset:1x",
                                      "offset:1:2",
                                      "offset:18446744073709551616",
                                      "5",
                                      "1:",
                                      ":1",
                                      "1:2:",
                                      "1:2:3:4",
                                      "-1:2",
                                      "1:-2",
                                      "4294967296:0",
                                      "0:0:4294967296",
                                      "0x1:2",
                                      "1 :2",
                                      "2012-06-21",
                                      "2012-06-21T09:30:00",
                                      "2012:",
                                      "begin"}) {
    INFO(text);
    const auto parsed = parse_position(text, "at");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == ErrorCode::invalid);
    CHECK(parsed.error().field == "at");
    CHECK(parsed.error().message.starts_with("at: "));
  }
}
