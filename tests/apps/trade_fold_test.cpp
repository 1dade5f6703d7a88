#include "apps/trade_fold.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "../feeds/memory_source.hpp"
#include "feeds/row_feed.hpp"

using namespace tapedeck;
using namespace tapedeck::apps;
using market::Outputs;

namespace {

constexpr std::int64_t kStart = 1'700'000'000'000'000;

/// Outputs by symbol and identity, told apart from the way they came.
using Said = std::map<std::string, std::vector<market::Output>>;

SaidListener into(Said& said) {
  return [&said](std::string_view symbol, const Outputs& outputs) {
    for (const auto& output : outputs) {
      if (output.kind() != market::OutputKind::refusal)
        said[std::string(symbol) + '\0' + market::identity(output)].push_back(output);
    }
  };
}

/// One draw a statement: compilers evaluate the parts of an expression in different orders.
/// Rows mostly in order; some late, some beyond the horizon, some far ahead, some refused, some
/// broken.
std::string session(std::uint64_t seed, std::size_t rows) {
  std::mt19937_64 random(seed);
  const auto chance = [&](std::uint64_t one_in) { return random() % one_in == 0; };
  const std::uint64_t step = 1 + random() % 400'000;
  std::int64_t now = kStart + static_cast<std::int64_t>(random() % 60'000'000);
  std::string text;
  for (std::size_t i = 0; i < rows; ++i) {
    now += static_cast<std::int64_t>(random() % step);
    if (chance(400)) now += 30'000'000;
    if (chance(500)) now = now / 1'000'000 * 1'000'000;
    std::int64_t time = now;
    if (chance(15)) time -= static_cast<std::int64_t>(random() % 5'000'000);
    if (chance(200)) time -= static_cast<std::int64_t>(random() % 200'000'000);
    if (chance(300)) time += 7'200'000'000;
    std::string price = std::to_string(100 + random() % 50) + ".";
    price += std::to_string(random() % 1000);
    std::string size = std::to_string(random() % 20);
    if (chance(90)) price = "-" + price;
    if (chance(90)) size = "-" + size;
    if (chance(70)) price = "x";
    if (chance(200)) size = "1400000000";
    constexpr std::array<const char*, 4> sides = {"buy", "sell", "S", ""};
    text += "S" + std::to_string(random() % 4);
    text += "," + std::to_string(time) + "," + price + "," + size + ",";
    text += std::string(sides[random() % sides.size()]) + "\n";
  }
  return text;
}

template <class Sink>
std::vector<std::string> read(Sink& sink, const std::string& text, std::size_t piece) {
  std::vector<std::string> bad;
  TradeRows<Sink> rows(sink, [&](const BadRow& row) {
    bad.push_back(std::to_string(row.line) + ":" + std::to_string(row.offset) + " " +
                  std::string(row.reason) + " " + std::string(row.bytes));
  });
  REQUIRE(rows.run(std::make_unique<test::MemorySource>(
      std::vector<std::uint8_t>(text.begin(), text.end()), piece)));
  sink.finish(rows.feed_time());
  CHECK(rows.bad_rows() == bad.size());
  return bad;
}

}  // namespace

TEST_CASE("candles alone are the candles of the whole fold, late and refused trades among them",
          "[trades]") {
  std::size_t revisions = 0, late = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    const std::string text = session(seed, 3000);
    market::FoldSettings settings;
    settings.alerts = market::no_alerts();  // candles alone give none
    if (seed % 3 == 0) settings.candle_widths = {700'000'000, 1'000'000'000, 86'400'000'000'000};
    if (seed % 4 == 0) settings.lateness = 1'500'000'000;
    Said whole, alone;
    WholeFold fold(settings, "source", into(whole));
    CandleFold candles(settings, "source", into(alone));
    const auto undecoded = read(fold, text, 1 << 20);
    const auto bad = read(candles, text, 777);
    std::uint64_t refusals = 0;
    for (const auto& state : fold.states()) refusals += state.counts().refused;
    CHECK(bad.size() == undecoded.size() + refusals);
    refused += refusals;
    REQUIRE(alone.size() == whole.size());
    for (const auto& [identity, outputs] : whole) {
      const auto& others = alone[identity];
      REQUIRE(others.size() == outputs.size());
      for (std::size_t i = 0; i < outputs.size(); ++i) REQUIRE(others[i].same_content(outputs[i]));
      if (const auto* candle = std::get_if<market::Candle>(&outputs.front().body))
        revisions += candle->revision;
      else
        ++late;
    }
  }
  CHECK(revisions > 100);
  CHECK(late > 100);
  CHECK(refused > 100);
}

TEST_CASE("a symbol's first trade may be late already, and is told as such", "[trades]") {
  // A minute and ten seconds before what another symbol's trade made the feed time.
  const std::string text =
      "A,1700000100000000,1,1,buy\nB,1700000030000000,2,1,sell\nB,1700000031000000,3,1,sell\n";
  market::FoldSettings settings;
  settings.alerts = market::no_alerts();
  Said whole, alone;
  WholeFold fold(settings, "source", into(whole));
  CandleFold candles(settings, "source", into(alone));
  CHECK(read(fold, text, 1 << 20).empty());
  CHECK(read(candles, text, 1 << 20).empty());
  std::size_t late = 0;
  REQUIRE(alone.size() == whole.size());
  for (const auto& [identity, outputs] : whole) {
    const auto& others = alone[identity];
    REQUIRE(others.size() == 1);
    CHECK(others[0].same_content(outputs[0]));
    late += outputs[0].kind() == market::OutputKind::late_trade;
  }
  CHECK(late >= 2);
}

TEST_CASE("a symbol with a zero byte is none, whatever is known", "[trades]") {
  Said said;
  const market::FoldSettings settings;
  WholeFold fold(settings, "source", into(said));
  const std::string row = ",1700000000000000,1,1,buy\n", full = "ABCDEFGHIJKLMNOP";
  const std::string zero(1, '\0');
  const auto bad = read(
      fold, "AB" + row + "AB" + zero + row + full + row + full.substr(1) + zero + row, 1 << 20);
  CHECK(bad.size() == 2);
  REQUIRE(fold.states().size() == 2);
  CHECK(fold.states()[0].counts().folded == 3);  // with the source's beginning
  CHECK(fold.states()[1].symbol() == full);
}

TEST_CASE("a header of other columns is refused", "[trades]") {
  Said said;
  const market::FoldSettings settings;
  WholeFold fold(settings, "source", into(said));
  for (const std::string header : {"symbol,ts_us,size,price,side", "symbol,ts_ms,price,size,side",
                                   "ts_us,symbol,price,size,side", "symbol,ts_us,price,size"}) {
    INFO(header);
    TradeRows<WholeFold> rows(fold, {});
    const std::string text = header + "\nA,1,1,1,buy\n";
    const auto done = rows.run(std::make_unique<test::MemorySource>(
        std::vector<std::uint8_t>(text.begin(), text.end()), 1 << 20));
    REQUIRE_FALSE(done);
    CHECK(done.error().field == "--input");
  }
  CHECK(fold.states().empty());
}

TEST_CASE("a run of trades added to a candle equals its trades added one by one", "[trades]") {
  std::mt19937_64 random(Catch::rngSeed());
  for (int round = 0; round < 2000; ++round) {
    market::Candle once, twice;
    market::TimeNs first_once = 0, last_once = 0, first_twice = 0, last_twice = 0;
    market::TradeRun all, head, tail;
    const std::size_t count = 1 + random() % 12, cut = random() % (count + 1);
    for (std::size_t i = 0; i < count; ++i) {
      const auto time = static_cast<market::TimeNs>(random() % 6);
      const auto price = static_cast<market::Price>(random() % 5) - 2;
      const auto size = static_cast<market::Size>(1 + random() % 9);
      const auto side = static_cast<market::Side>(random() % 3);
      all.add(time, price, size, side);
      (i < cut ? head : tail).add(time, price, size, side);
      market::TradeRun one;
      one.add(time, price, size, side);
      one.add_to(once, first_once, last_once);
    }
    if (head.trades > 0) head.add_to(twice, first_twice, last_twice);
    if (tail.trades > 0) tail.add_to(twice, first_twice, last_twice);
    REQUIRE(once == twice);
    REQUIRE(first_once == first_twice);
    REQUIRE(last_once == last_twice);
    market::Candle whole;
    market::TimeNs first = 0, last = 0;
    all.add_to(whole, first, last);
    REQUIRE(whole == once);
  }
}
