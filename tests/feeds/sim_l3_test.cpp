// The synthetic session: the same bytes everywhere, a market without contradictions, and its shape.
#include <xxhash.h>

#include <catch2/catch.hpp>
#include <set>

#include "feeds/feed.hpp"
#include "feeds/sim_l3.hpp"
#include "feeds/sim_market.hpp"
#include "tests/feeds/feed_support.hpp"
#include "tests/feeds/naive_book.hpp"

namespace tapedeck::test {
namespace {

using feeds::SimL3Options;

std::vector<std::uint8_t> first_messages(const SimL3Options& options, std::size_t count) {
  feeds::SimMarket market(options);
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < count && market.next(bytes); ++i) {
  }
  return bytes;
}

TEST_CASE("the same seed makes the same bytes, on every machine", "[sim]") {
  const auto bytes = first_messages({}, 100'000);
  CHECK(XXH3_64bits(bytes.data(), bytes.size()) == 0xa0ad1f3668b77d25);
  CHECK(bytes == first_messages({}, 100'000));
  SimL3Options other;
  other.seed = 2;
  CHECK(bytes != first_messages(other, 100'000));
}

TEST_CASE("a session has exactly the messages asked for", "[sim]") {
  for (const auto& [symbols, messages] :
       {std::pair<std::uint32_t, std::uint64_t>{1, 24}, {50, 416}, {3, 10'000}, {200, 30'000}}) {
    SimL3Options options;
    options.symbols = symbols;
    options.messages = messages;
    REQUIRE(feeds::check(options));
    feeds::ItchFeed feed("sim", feeds::sim_l3_bytes(options), 0);
    const Everything all = drain(feed);
    CHECK(all.messages == messages);
    CHECK(all.dead_letters.empty());
    CHECK(all.symbols.size() == symbols);
    CHECK(std::set<std::string>(all.symbols.begin(), all.symbols.end()).size() == symbols);
  }
}

struct Shape {
  std::vector<NaiveBook> books;
  std::map<market::EventKind, std::uint64_t> kinds;
  std::map<std::int64_t, std::uint64_t> half_hours;
  std::size_t fewest_levels = 1'000'000, most_levels = 0, most_orders = 0;
  std::uint64_t messages = 0, ahead = 0, back = 0;
};

Shape fold(const SimL3Options& options) {
  Shape shape;
  feeds::ItchFeed feed("sim", feeds::sim_l3_bytes(options), 0);
  market::FeedBatch batch;
  market::TimeNs last = 0;
  const market::TimeNs open = options.open_s * market::kSecond;
  while (!batch.end) {
    REQUIRE(feed.poll(batch, 4096));
    shape.books.resize(shape.books.size() + batch.new_symbols.size());
    for (const auto& [symbol, event] : batch.events) {
      NaiveBook& book = shape.books[symbol];
      book.apply(event);
      ++shape.kinds[event.kind];
      shape.ahead += event.time > event.feed_time ? 1 : 0;
      shape.back += event.time < last ? 1 : 0;
      last = event.time;
      if (event.time < open) continue;
      ++shape.half_hours[(event.time - open) / (1800 * market::kSecond)];
      shape.fewest_levels = std::min({shape.fewest_levels, book.bids.size(), book.asks.size()});
      shape.most_levels = std::max({shape.most_levels, book.bids.size(), book.asks.size()});
      shape.most_orders = std::max(shape.most_orders, book.orders.size());
    }
  }
  shape.messages = batch.messages;
  return shape;
}

TEST_CASE("the synthetic market contradicts itself nowhere and has the shape of a real day",
          "[sim]") {
  SimL3Options options;
  options.symbols = 50;
  options.messages = 600'000;
  for (const std::uint64_t seed : {1, 2, 3}) {
    options.seed = seed;
    INFO("seed " << seed);
    Shape shape = fold(options);
    std::uint64_t executions = 0;
    for (const NaiveBook& book : shape.books) {
      CHECK(book.crossed == 0);
      CHECK(book.unknown + book.duplicates + book.oversized + book.bad_sizes == 0);
      executions += book.executions;
    }
    CHECK(shape.messages == options.messages);
    CHECK(shape.back == 0);
    CHECK(shape.ahead == 0);
    CHECK(shape.fewest_levels >= 10);
    CHECK(shape.most_levels <= 200);
    CHECK(shape.most_orders <= 2000);
    CHECK(executions * 100 >= options.messages);
    CHECK(executions * 100 <= 3 * options.messages);
    using market::EventKind;
    CHECK(shape.kinds[EventKind::replace] * 10 >= options.messages);
    for (const EventKind kind :
         {EventKind::execute_price, EventKind::reduce, EventKind::trade, EventKind::trade_break}) {
      CHECK(shape.kinds[kind] > 0);
    }
    // Busy at the open and the close.
    CHECK(shape.half_hours[0] > 3 * shape.half_hours[6]);
    CHECK(shape.half_hours[12] > 3 * shape.half_hours[6]);
    // Zipf: the first symbol twice as busy as the second, ten times as the tenth, within a quarter.
    const auto busy = [&](std::size_t i) { return static_cast<double>(shape.books[i].events); };
    CHECK(busy(0) / busy(1) == Approx(2).epsilon(0.25));
    CHECK(busy(0) / busy(9) == Approx(10).epsilon(0.25));
  }
}

TEST_CASE("some symbols halt, quote, cross and trade again", "[sim]") {
  SimL3Options options;
  options.symbols = 3;
  options.messages = 50'000;
  feeds::ItchFeed feed("sim", feeds::sim_l3_bytes(options), 0);
  std::string states;
  for (const auto& [symbol, event] : drain(feed).events) {
    if (event.kind != market::EventKind::status || event.code != 0) continue;
    states += static_cast<char>(event.other & 0xff);
  }
  CHECK(states == "TTTHQT");
}

TEST_CASE("sim:l3 as a feed says what its written file says", "[sim]") {
  const TempDir dir;
  const std::string text = "symbols=5,messages=20000,seed=9";
  const auto options = feeds::parse_sim_l3(text);
  REQUIRE(options);
  auto direct = feeds::open_feed("sim:l3", {text, "2012-06-21", "America/New_York"});
  REQUIRE(direct);
  const Everything expected = drain(**direct);
  for (const std::string name : {"s.itch", "s.itch.gz"}) {
    REQUIRE(feeds::write_sim_l3(dir / name, *options));
    auto feed = feeds::open_feed("itch", {dir / name, "2012-06-21", "America/New_York"});
    REQUIRE(feed);
    const Everything read = drain(**feed);
    CHECK(read.error.empty());
    CHECK(read.bytes == expected.bytes);
    REQUIRE(read.events.size() == expected.events.size());
    for (std::size_t i = 0; i < read.events.size(); ++i)
      REQUIRE(read.events[i].event == expected.events[i].event);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) ==
        2);  // nothing half-written stays
  CHECK(std::filesystem::file_size(dir / "s.itch") == expected.bytes);
}

TEST_CASE("parameters of the session are checked, and named in one way", "[sim]") {
  CHECK(feeds::canonical(*feeds::parse_sim_l3("")) == "seed=1,symbols=200,messages=2000000");
  CHECK(feeds::canonical(*feeds::parse_sim_l3("messages=9000,seed=7,symbols=3")) ==
        "seed=7,symbols=3,messages=9000");
  for (const std::string text : {"symbols=0", "symbols=10001", "messages=10", "seed", "seed=x",
                                 "colour=3", "open=1", "seed=-1", "open=40000,close=40010"}) {
    const auto options = feeds::parse_sim_l3(text);
    REQUIRE_FALSE(options);
    CHECK(options.error().code == ErrorCode::invalid);
    CHECK(options.error().field == "--input");
  }
  const auto name = feeds::source_name("sim:l3", {"seed=2", "", "America/New_York"});
  CHECK(*name == "sim:l3:seed=2,symbols=200,messages=2000000,date=2024-01-02");
  CHECK(*feeds::source_name("sim:l3", {"symbols=200,seed=2", "", "America/New_York"}) == *name);
}

TEST_CASE("a session that cannot be written says where and leaves nothing", "[sim]") {
  const TempDir dir;
  const auto written = feeds::write_sim_l3(dir / "no/such/dir.itch", {});
  REQUIRE_FALSE(written);
  CHECK(written.error().code == ErrorCode::environment);
  CHECK_THAT(written.error().message, Catch::Contains("no/such/dir.itch"));
}

}  // namespace
}  // namespace tapedeck::test
