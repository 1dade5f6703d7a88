#include <catch2/catch.hpp>

#include "market/output.hpp"
#include "tests/market/fold_tester.hpp"

using namespace tapedeck::market;

namespace {

Output candle_output(TimeNs width, TimeNs open_time, SourceId source, std::uint32_t revision) {
  Candle candle;
  candle.width = width, candle.open_time = open_time, candle.revision = revision;
  return {0, source, Trust::clean, {}, candle};
}

}  // namespace

TEST_CASE("identities sort by kind, width, time, source, revision", "[output]") {
  const std::vector<Output> ordered = {candle_output(1, -5, 1, 0),
                                       candle_output(1, 0, 1, 0),
                                       candle_output(1, 0, 1, 1),
                                       candle_output(1, 0, 2, 0),
                                       candle_output(1, 7, 0, 0),
                                       candle_output(256, -9, 0, 0),
                                       {0, 0, Trust::clean, {}, MetricsRow{}}};
  for (std::size_t i = 1; i < ordered.size(); ++i) {
    CHECK(identity(ordered[i - 1]) < identity(ordered[i]));
  }
}

TEST_CASE("an identity's layout is fixed", "[output]") {
  const std::string key = identity(candle_output(0x0102, 3, 0x0405, 6));
  CHECK(key ==
        std::string("\x01\0\0\0\0\0\0\x01\x02\x80\0\0\0\0\0\0\x03\0\0\0\0\0\0\x04\x05\0\0\0\x06",
                    29));
  const Event event = with_sequence(trade_of(3, 100, 1), 0x0708);
  const std::string late = identity({9, 5, Trust::clean, {}, LateTrade{0x0102, event, 4}});
  CHECK(late == std::string("\x03\0\0\0\0\0\0\x01\x02\x80\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x05\x02\0\0"
                            "\0\0\0\0\x07\x08\0\0\0\x04",
                            38));
  const std::string refusal =
      identity({9, 5, Trust::clean, {}, Refusal{Refused::bad_side, event, 4}});
  CHECK(refusal[0] == 4);
  CHECK(refusal.size() == 38);
}

TEST_CASE("content is everything but the position", "[output]") {
  const Output output = candle_output(1, 2, 3, 4);
  Output other = output;
  other.position.offset = 99;
  CHECK(output.same_content(other));
  other.trust = Trust::gapped;
  CHECK_FALSE(output.same_content(other));
  other = output;
  other.time = 1;
  CHECK_FALSE(output.same_content(other));
  other = output;
  std::get<Candle>(other.body).volume = 1;
  CHECK_FALSE(output.same_content(other));
}

TEST_CASE("a digest is 32 hexadecimal digits, high half first", "[output]") {
  CHECK(Digest{0x0123456789abcdef, 0xfedcba9876543210}.hex() == "0123456789abcdeffedcba9876543210");
}

TEST_CASE("a source's id is the hash of its name and never 0", "[output]") {
  CHECK(source_id("itch 2012-06-21") == source_id("itch 2012-06-21"));
  CHECK(source_id("a") != source_id("b"));
  CHECK(source_id("") != 0);
}

TEST_CASE("outputs carry the position of the event or mark that made them due", "[output]") {
  FoldTester fold;
  fold.apply({trade_of(1, 100, 1), trade_of(kSecond, 100, 1)});
  CHECK(fold.outputs.at(0).position == Position{0, 2, 1});
  fold.mark(100 * kSecond);
  CHECK(fold.outputs.back().position == Position{0, 3, 0});
}

TEST_CASE("every refusal rule has a name", "[output]") {
  CHECK(name(Refused::time_ahead) == "time_ahead");
  CHECK(name(Refused::bad_value) == "bad_value");
  CHECK(name(static_cast<Refused>(200)) == "unknown");
}
