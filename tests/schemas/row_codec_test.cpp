#include "schemas/row_codec.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "schemas/row_text.hpp"
#include "schemas/trade_line.hpp"

using namespace tapedeck;
using namespace tapedeck::schemas;
using market::EventKind;
using market::Side;

namespace {

/// A row with the bytes that decoders may read around it.
class Padded {
public:
  explicit Padded(const std::string& line)
      : bytes_(std::string(kTradeLinePadding, 'x') + line + "\n" +
               std::string(kTradeLinePadding, '9')),
        size_(line.size()) {}
  [[nodiscard]] std::string_view line() const {
    return std::string_view(bytes_).substr(kTradeLinePadding, size_);
  }

private:
  std::string bytes_;
  std::size_t size_;
};

struct Decoded {
  RowFault fault = RowFault::none;
  std::vector<market::Event> events;
  std::string symbol;
};

Decoded decode(RowDecoder& decoder, const std::string& line) {
  const Padded padded(line);
  Row row;
  Decoded decoded;
  decoded.fault = decoder.decode(padded.line(), row);
  if (decoded.fault != RowFault::none) return decoded;
  decoded.symbol = row.symbol;
  append_events(row, decoded.events);
  return decoded;
}

Decoded decode_csv(const std::string& line, const RowFormat& format = trades_format()) {
  return decode(*csv_decoder(format), line);
}
void require_same(const Row& row, const TradeLine& trade) {
  REQUIRE(row.symbol == trade.symbol);
  REQUIRE(row.time == trade.time);
  REQUIRE(row.price == trade.price);
  REQUIRE(row.size == trade.size);
  REQUIRE(row.side == trade.side);
}
Decoded decode_json(const std::string& line) { return decode(*json_decoder(json_format()), line); }

}  // namespace

TEST_CASE("decimals are read exactly, or not at all", "[rows]") {
  CHECK(parse_decimal("187.25", -8) == 18'725'000'000);
  CHECK(parse_decimal("-0.00000001", -8) == -1);
  CHECK(parse_decimal(".5", -1) == 5);
  CHECK(parse_decimal("5.", 0) == 5);
  CHECK(parse_decimal("1e-3", -4) == 10);
  CHECK(parse_decimal("1.5E2", 0) == 150);
  CHECK(parse_decimal("1200", 2) == 12);
  CHECK(parse_decimal("9223372036854775807", 0) == 9223372036854775807);
  for (const char* text : {"", "-", ".", "1.2.3", "1e", "0x1", "nan", "1 ", "9223372036854775808",
                           "99999999999999999999999999999999999999999999", "1e30"}) {
    INFO(text);
    CHECK_FALSE(parse_decimal(text, 0));
  }
  CHECK_FALSE(parse_decimal("0.001", -2));
  CHECK(parse_decimal("0.010", -2) == 1);
}

TEST_CASE("instants are RFC 3339 with a zone", "[rows]") {
  CHECK(parse_rfc3339("1970-01-01T00:00:01Z") == 1'000'000'000);
  CHECK(parse_rfc3339("2012-06-21T09:30:00.004241176-04:00") == 1340285400004241176);
  CHECK(parse_rfc3339("2012-06-21 13:30:00.5Z") == 1340285400500000000);
  for (const char* text : {"2012-06-21T09:30:00", "2012-13-21T09:30:00Z", "2012-02-30T09:30:00Z",
                           "2012-06-21T24:30:00Z", "2012-06-21T09:30:00.Z", "now"}) {
    INFO(text);
    CHECK_FALSE(parse_rfc3339(text));
  }
}

TEST_CASE("a row of trades-csv is one trade in units of 10^-8", "[rows]") {
  const auto decoded = decode_csv("AAPL,1700000000123456,187.25,0.5,buy");
  REQUIRE(decoded.fault == RowFault::none);
  REQUIRE(decoded.events.size() == 1);
  const auto& event = decoded.events.front();
  CHECK(decoded.symbol == "AAPL");
  CHECK(event.kind == EventKind::trade);
  CHECK(event.time == 1'700'000'000'123'456'000);
  CHECK(event.price == 18'725'000'000);
  CHECK(event.size == 50'000'000);
  CHECK(event.side == Side::bid);
  CHECK(decode_csv("AAPL,1,1,1,").events.front().side == Side::none);
  CHECK(decode_csv("\"AAPL\",1,\"1\",1,S").events.front().side == Side::ask);
}

TEST_CASE("what is wrong with a row is told by its field", "[rows]") {
  const std::vector<std::pair<std::string, RowFault>> rows = {
      {"AAPL,1,1,1", RowFault::fields},
      {"AAPL,1,1,1,buy,x", RowFault::fields},
      {",1,1,1,buy", RowFault::symbol},
      {"A B,1,1,1,buy", RowFault::symbol},
      {"AAPL,,1,1,buy", RowFault::time},
      {"AAPL,1.5,1,1,buy", RowFault::time},
      {"AAPL,99999999999999999,1,1,", RowFault::time},
      {"AAPL,1,abc,1,buy", RowFault::price},
      {"AAPL,1,1.123456789,1,buy", RowFault::price},
      {"AAPL,1,1,--1,buy", RowFault::size},
      {"AAPL,1,1,1,maybe", RowFault::side},
      {"AAPL,1,,1,buy", RowFault::price},
      {"AAPL,1,1,,buy", RowFault::size},
      {"AAPL,1,,,buy", RowFault::empty},
  };
  for (const auto& [line, fault] : rows) {
    INFO(line);
    CHECK(decode_csv(line).fault == fault);
    CHECK_FALSE(expectation(fault).empty());
  }
}

TEST_CASE("a tick is a quote, a trade or both, of one message", "[rows]") {
  const auto both = decode_csv("BTC,1,99.5,2,100.5,3,100,1,sell", ticks_format());
  REQUIRE(both.events.size() == 3);
  CHECK(both.events[0].kind == EventKind::quote);
  CHECK(both.events[1].side == Side::ask);
  CHECK(both.events[2].kind == EventKind::trade);
  CHECK(both.events[1].flags == market::kMore);
  CHECK(both.events[2].flags == 0);
  CHECK(decode_csv("BTC,1,99.5,2,,,,,", ticks_format()).events.size() == 1);
  CHECK(decode_csv("BTC,1,99.5,,,,,,", ticks_format()).fault == RowFault::quote);
}

TEST_CASE("a JSON object is read by its keys, numbers by their digits", "[rows]") {
  const auto tick = decode_json(
      R"({"price": 0.1, "symbol":"ETH", "unknown":{"a":[1]}, "ts_ms":5, "size":"2.5","side":"B"})");
  REQUIRE(tick.fault == RowFault::none);
  CHECK(tick.symbol == "ETH");
  CHECK(tick.events.front().price == 10'000'000);
  CHECK(tick.events.front().time == 5'000'000);
  const auto book = decode_json(
      R"({"symbol":"E","time":"1970-01-01T00:00:01Z","bids":[["1",2],[0.5,0]],"asks":[[2,1]]})");
  REQUIRE(book.events.size() == 3);
  CHECK(book.events[1].kind == EventKind::level);
  CHECK(book.events[1].size == 0);
  CHECK(book.events[2].side == Side::ask);
  const std::vector<std::pair<std::string, RowFault>> bad = {
      {"", RowFault::json},
      {"[1]", RowFault::json},
      {R"({"symbol":"E")", RowFault::json},
      {R"({"symbol":"E","ts_us":1,"price":1,"size":1} x)", RowFault::json},
      {R"({"symbol":"E","ts_us":1,"price":true,"size":1})", RowFault::price},
      {R"({"symbol":"E","ts_us":1,"price":[1],"size":1})", RowFault::price},
      {R"({"symbol":"E","price":1,"size":1})", RowFault::time},
      {R"({"ts_us":1,"price":1,"size":1})", RowFault::symbol},
      {R"({"symbol":"E","ts_us":1,"bids":[[1]]})", RowFault::level},
      {R"({"symbol":"E","ts_us":1,"bids":3})", RowFault::level},
      {R"({"symbol":"E","ts_us":1})", RowFault::empty},
  };
  for (const auto& [line, fault] : bad) {
    INFO(line);
    CHECK(decode_json(line).fault == fault);
  }
}

TEST_CASE("columns can be named, ordered and passed over", "[rows]") {
  const auto format = parse_format("-,ts_ms=T,symbol=s,price=p,size=q", "--columns");
  REQUIRE(format);
  CHECK(decode_csv("7,5,ETH,1,2", *format).events.front().time == 5'000'000);
  const auto ordered = by_header("q,p,x,T,s", *format);
  REQUIRE(ordered);
  CHECK(decode_csv("2,1,?,5,ETH", *ordered).events.front().size == 200'000'000);
  for (const char* text : {"symbol,price", "ts_us,price", "symbol,ts_us,ts_ms",
                           "symbol,symbol,ts_us", "symbol,ts_us,colour", ""}) {
    INFO(text);
    CHECK_FALSE(parse_format(text, "--columns"));
  }
}

TEST_CASE(
    "the fast way through a trade line takes only what the general decoder takes, and reads "
    "the same",
    "[rows]") {
  const std::uint64_t seed = Catch::rngSeed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const auto decoder = csv_decoder(trades_format());
  const auto pick = [&](const std::string& from) {
    return std::string(1, from[random() % from.size()]);
  };
  const auto digits = [&](std::size_t most) {
    std::string text;
    for (std::size_t i = random() % (most + 1); i > 0; --i) text += pick("0123456789");
    return text;
  };
  const std::vector<std::string> sides = {"buy",  "sell", "B",  "s",  "",    "BUY",
                                          "Sell", "bid",  "-1", "bu", "sel", "sells"};
  std::size_t fast = 0, good = 0, bad = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string line = "SYM" + digits(20) + "," + "1" + digits(17) + "," + digits(9) +
                       (random() % 4 == 0 ? "" : "." + digits(9)) + "," + digits(9) +
                       (random() % 2 == 0 ? "" : "." + digits(9)) + "," +
                       sides[random() % sides.size()];
    if (random() % 3 == 0)
      line[random() % line.size()] = pick("0123456789.,-eE+ /:\r\"a\x80").front();
    if (random() % 16 == 0) line.erase(0, 3);
    if (random() % 16 == 0) line += "\r";
    const Padded padded(line);
    INFO(line);
    std::string_view text = padded.line();
    if (text.ends_with('\r')) text.remove_suffix(1);
    Row row;
    const RowFault fault = decoder->decode(text, row);
    if (const auto unusual = read_unusual_trade(padded.line().data())) {
      unusual->fault == RowFault::none ? ++good : ++bad;
      REQUIRE(unusual->fault == fault);
      REQUIRE(unusual->bytes == line.size() + 1);
      if (fault == RowFault::none) require_same(row, unusual->trade);
    }
    TradeLine trade;
    const char* end = parse_trade_line(padded.line().data(), trade);
    if (end == nullptr) continue;
    ++fast;
    REQUIRE((fault == RowFault::none || (fault == RowFault::symbol && !is_symbol(trade.symbol))));
    if (fault != RowFault::none) continue;
    REQUIRE(end == padded.line().data() + line.size() + 1);
    require_same(row, trade);
  }
  CHECK(fast > 10'000);
  CHECK(good > 10'000);
  CHECK(bad > 10'000);
}

TEST_CASE("marks are found the same with and without vector instructions", "[rows]") {
  const std::uint64_t seed = Catch::rngSeed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::array<char, 64> bytes{};
    for (char& byte : bytes) {
      const auto value = random();
      byte = value % 3 == 0 ? ",.\n-"[value >> 8 & 3] : static_cast<char>(value >> 16);
    }
    const LineMarks marks = find_marks(bytes.data()), plain = swar::find_marks(bytes.data());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      REQUIRE((plain.commas >> i & 1) == (bytes[i] == ',' ? 1 : 0));
      REQUIRE((plain.points >> i & 1) == (bytes[i] == '.' ? 1 : 0));
      REQUIRE((plain.ends >> i & 1) == (bytes[i] == '\n' ? 1 : 0));
    }
    REQUIRE(marks.commas == plain.commas);
    REQUIRE(marks.points == plain.points);
    REQUIRE(marks.ends == plain.ends);
  }
}
