#include "feeds/row_feed.hpp"

#include <zlib.h>
#include <zstd.h>

#include <catch2/catch.hpp>
#include <map>

#include "feed_support.hpp"

using namespace tapedeck;
using namespace tapedeck::test;
using market::EventKind;

namespace {

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

Everything read(const std::string& feed, const std::string& text, feeds::FeedOptions options = {},
                std::size_t poll = 1000, std::size_t piece = 1 << 20) {
  options.input = "memory";
  auto opened =
      feeds::open_rows(feed, options, std::make_unique<MemorySource>(bytes_of(text), piece));
  if (!opened) {
    Everything none;
    none.error = opened.error().message;
    return none;
  }
  return drain(**opened, poll);
}

std::string row(const std::string& symbol, std::int64_t us, const std::string& price = "1.5") {
  return symbol + "," + std::to_string(us) + "," + price + ",2,buy\n";
}

constexpr std::int64_t kStart = 1'700'000'000'000'000;

}  // namespace

TEST_CASE("rows become trades, each symbol introduced by its exponents", "[rows]") {
  const auto all =
      read("trades-csv", row("A", kStart) + row("B", kStart + 1) + row("A", kStart + 2));
  REQUIRE(all.ended);
  CHECK(all.symbols == std::vector<std::string>{"A", "B"});
  REQUIRE(all.events.size() == 5);
  const auto& head = all.events[0].event;
  CHECK(head.kind == EventKind::instrument);
  CHECK(head.price == -8);
  CHECK(head.size == -8);
  CHECK(head.flags == market::kMore);
  CHECK(all.events[1].event.kind == EventKind::trade);
  CHECK(all.events[4].event.sequence == 3);
  CHECK(all.events[4].event.feed_time == (kStart + 2) * 1000);
  CHECK(all.messages == 3);
}

TEST_CASE("a bad row is a dead letter with its line and its bytes whole, and reading goes on",
          "[rows]") {
  const std::string bad = "A,x,1,1,buy";
  const auto all = read("trades-csv", row("A", kStart) + "\r\n" + bad + "\r\n" +
                                          row("A", kStart + 1) + "A,,,,\n" + "A");
  CHECK(all.error.empty());
  REQUIRE(all.dead_letters.size() == 3);
  CHECK(all.dead_letters[0].reason.starts_with("memory:3: expected an event time"));
  CHECK(all.dead_letters[0].bytes == bad + "\r");
  CHECK(all.dead_letters[0].byte_offset == row("A", kStart).size() + 2);
  CHECK(all.dead_letters[2].reason.starts_with("memory:6: expected as many fields"));
  CHECK(all.messages == 5);
  CHECK(all.events.back().event.sequence == 3);
}

TEST_CASE("a header says the order of columns", "[rows]") {
  const auto all = read(
      "trades-csv", "\xef\xbb\xbfside,price,venue,size,ts_ms,symbol\nsell,3,X,4,1700000000000,A\n");
  REQUIRE(all.events.size() == 2);
  CHECK(all.events[1].event.price == 300'000'000);
  CHECK(all.events[1].event.side == market::Side::ask);
  CHECK(all.dead_letters.empty());
  CHECK(read("trades-csv", "price,ts_us,size\n1,2,3\n")
            .error.starts_with("memory:1: expected a column symbol"));
}

TEST_CASE("neither pieces nor polls change what is read; the fast way reads as the general one",
          "[rows]") {
  std::string text, named = "symbol,ts_us,price,size,side,note\n";
  for (int i = 0; i < 3000; ++i) {
    const std::string symbol =
        "S" + std::to_string(i % 37) + (i % 5 == 0 ? "-LONGER-THAN-SIXTEEN" : "");
    const auto price = std::to_string(i) + "." + std::to_string(i % 100);
    const std::string line =
        i % 50 == 7 ? "broken," + std::to_string(i) + "\n" : row(symbol, kStart + i, price);
    text += line;
    named += i % 50 == 7 ? line : line.substr(0, line.size() - 1) + ",x\n";
  }
  const auto whole = read("trades-csv", text);
  CHECK(whole.dead_letters.size() == 60);
  const auto general = read("trades-csv", named);
  REQUIRE(general.events.size() == whole.events.size());
  for (std::size_t i = 0; i < whole.events.size(); ++i)
    REQUIRE(general.events[i].event == whole.events[i].event);
  for (const auto& [poll, piece] :
       std::map<std::size_t, std::size_t>{{1, 1000}, {7, 33}, {5000, 1}}) {
    const auto cut = read("trades-csv", text, {}, poll, piece);
    CHECK(cut.symbols == whole.symbols);
    CHECK(cut.dead_letters.size() == whole.dead_letters.size());
    REQUIRE(cut.events.size() == whole.events.size());
    for (std::size_t i = 0; i < whole.events.size(); ++i) {
      REQUIRE(cut.events[i].event == whole.events[i].event);
      REQUIRE(cut.events[i].symbol == whole.events[i].symbol);
    }
    CHECK(cut.bytes == text.size());
  }
}

TEST_CASE("a wild time never moves feed time, at the beginning neither", "[rows]") {
  const std::int64_t day = 86'400'000'000;
  std::string text = row("A", kStart + 9000 * day);
  for (int i = 0; i < 40; ++i) text += row("A", i == 20 ? kStart + 300 * day : kStart + i);
  const auto all = read("trades-csv", text);
  REQUIRE(all.events.size() == 42);
  CHECK(all.events[1].event.feed_time == 0);
  CHECK(all.events[2].event.feed_time == kStart * 1000);
  CHECK(all.events[22].event.feed_time == (kStart + 19) * 1000);
  CHECK(all.feed_time == (kStart + 39) * 1000);
}

TEST_CASE("a night between two days is believed once the next rows agree", "[rows]") {
  std::string text;
  for (int i = 0; i < 20; ++i) text += row("A", kStart + i);
  for (int i = 0; i < 20; ++i) text += row("A", kStart + 86'400'000'000 + i);
  const auto all = read("trades-csv", text, {}, 3);
  CHECK(all.events[21].event.feed_time == (kStart + 86'400'000'000) * 1000);
}

TEST_CASE("ticks are read from CSV and from JSON lines alike", "[rows]") {
  const auto csv =
      read("ticks-csv", "A,1700000000000000,1,2,3,4,,,\nA,1700000000000001,,,,,5,6,sell\n");
  const auto json = read(
      "ticks-json",
      "{\"symbol\":\"A\",\"ts_us\":1700000000000000,\"bid\":1,\"bid_size\":2,\"ask\":\"3\",\"ask_"
      "size\":4}\n"
      "{\"side\":\"sell\",\"symbol\":\"A\",\"ts_us\":1700000000000001,\"price\":5.0,\"size\":6e0}");
  REQUIRE(csv.events.size() == 4);
  REQUIRE(json.events.size() == csv.events.size());
  for (std::size_t i = 0; i < csv.events.size(); ++i)
    CHECK(json.events[i].event == csv.events[i].event);
  CHECK(json.ended);
}

TEST_CASE("columns and exponents are options of the feed", "[rows]") {
  feeds::FeedOptions options;
  options.columns = "ts_s=t,symbol=s,price=p,size=q";
  options.price_exponent = -2;
  options.size_exponent = 0;
  const auto all = read("trades-csv", "1700000000,A,1.25,3\n1700000001,A,1.255,3\n", options);
  REQUIRE(all.events.size() == 2);
  CHECK(all.events[1].event.price == 125);
  CHECK(all.dead_letters.size() == 1);
  options.columns = "symbol,price";
  CHECK(read("trades-csv", "", options).error.find("time column") != std::string::npos);
}

TEST_CASE("input of another kind is refused", "[rows]") {
  std::string junk;
  for (int i = 0; i < 100; ++i) junk += "not,a,trade\n";
  CHECK(read("trades-csv", junk).error == "memory: none of the first 64 rows can be decoded");
  const auto long_line = read(
      "trades-csv", row("A", kStart) + std::string(200'000, 'x') + "\n" + row("A", kStart + 1));
  CHECK(long_line.events.size() == 3);
  std::size_t bytes = 0;
  for (const auto& letter : long_line.dead_letters) bytes += letter.bytes.size();
  CHECK(bytes == 200'000);
}

TEST_CASE("gzip and zstd hold the same rows; damage ends the feed after the rows before it",
          "[rows]") {
  const TempDir folder;
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += row("A", kStart + i, std::to_string(i * 7919 % 10007));
  std::vector<std::uint8_t> zst(ZSTD_compressBound(text.size()));
  zst.resize(ZSTD_compress(zst.data(), zst.size(), text.data(), text.size(), 1));
  test::write_file(folder / "t.csv.zst", zst);
  test::write_file(folder / "t.csv", bytes_of(text));
  gzFile gz = gzopen((folder / "t.csv.gz").c_str(), "wb");
  gzwrite(gz, text.data(), static_cast<unsigned>(text.size()));
  gzclose(gz);
  for (const char* name : {"t.csv", "t.csv.gz", "t.csv.zst"}) {
    feeds::FeedOptions options;
    options.input = folder / name;
    auto feed = feeds::open_feed("trades-csv", options);
    REQUIRE(feed);
    const auto all = drain(**feed, 4096);
    CHECK(all.ended);
    CHECK(all.events.size() == 50'001);
    CHECK(all.bytes == text.size());
  }
  auto cut = test::read_file(folder / "t.csv.gz");
  cut.resize(cut.size() / 2);
  test::write_file(folder / "cut.csv.gz", cut);
  feeds::FeedOptions options;
  options.input = folder / "cut.csv.gz";
  const auto all = drain(**feeds::open_feed("trades-csv", options), 4096);
  CHECK(all.error.find("damaged at byte") != std::string::npos);
  CHECK(all.events.size() > 10'000);
}
