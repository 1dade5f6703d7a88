#include <catch2/catch.hpp>

#include <functional>

#include "tests/market/fold_tester.hpp"

using namespace tapedeck::market;

namespace {

constexpr TimeNs ms(TimeNs n) { return n * 1'000'000; }
constexpr CandleWidth kTwoTicks = candle_width(CandleMeasure::ticks, 2);

FoldSettings by(std::vector<CandleWidth> widths) {
  FoldSettings settings = test_settings();
  settings.candle_widths = std::move(widths);
  return settings;
}
FoldSettings by(CandleMeasure measure, std::int64_t amount) {
  return by({candle_width(measure, amount)});
}
Event exponents(TimeNs time, Price price, Size size) {
  Event event = event_at(EventKind::instrument, time);
  event.price = price, event.size = size;
  return event;
}

}  // namespace

TEST_CASE("widths by activity are written and read alike", "[candle]") {
  CHECK(parse_activity("100t") == candle_width(CandleMeasure::ticks, 100));
  CHECK(parse_activity("5000v") == candle_width(CandleMeasure::volume, 5'000'000'000));
  CHECK(parse_activity("0.5v") == candle_width(CandleMeasure::volume, 500'000));
  CHECK(parse_activity("1000000n") == candle_width(CandleMeasure::notional, 1'000'000'000'000));
  CHECK(parse_activity("0.000001i") == candle_width(CandleMeasure::imbalance, 1));
  for (const char* text : {"1t", "72057594037927935t", "0.5v", "12.345678n", "72057594037.927935i"})
    CHECK(activity_text(parse_activity(text).value()) == text);
  for (const char* text : {"", "t", "0t", "-1t", "1.5t", ".5v", "5.v", "0.0000001v", "1x", "1 t",
                           "72057594037927936t", "100s", "0v"}) {
    INFO(text);
    CHECK_FALSE(parse_activity(text));
  }
}

TEST_CASE("a tick candle closes with its last trade, and the next trade opens one", "[candle]") {
  FoldTester fold(by({kTwoTicks}));
  fold.apply({trade_of(ms(1), 10, 1, Side::bid), trade_of(ms(5), 12, 2, Side::ask)});
  REQUIRE(fold.said<Candle>().size() == 1);
  const Candle candle = fold.said<Candle>()[0];
  CHECK(candle.width == kTwoTicks);
  CHECK(candle.number == 1);
  CHECK(candle.open_time == ms(1));
  CHECK(candle.end_time == ms(5) + 1);
  CHECK(candle.open == 10);
  CHECK(candle.close == 12);
  CHECK(candle.trades == 2);
  CHECK(candle.buy_volume == 1);
  CHECK(candle.sell_volume == 2);
  CHECK(candle.notional == 34);
  CHECK(candle.closed);
  CHECK(fold.outputs.back().time == ms(5));
  fold.apply({trade_of(ms(6), 13, 1)});
  CHECK(fold.said<Candle>().size() == 1);
  CHECK(fold.state.candles(kTwoTicks).back().number == 3);
}

TEST_CASE("silence and marks never close a candle by activity", "[candle]") {
  FoldTester fold(by({kTwoTicks}));
  fold.apply({trade_of(ms(1), 10, 1)});
  CHECK(fold.state.next_due() == kNever);
  fold.mark(1000 * kSecond);
  CHECK(fold.outputs.empty());
}

TEST_CASE("the trade that fills a candle by volume belongs to it whole", "[candle]") {
  FoldTester fold(by(CandleMeasure::volume, 10 * kMillionth));
  fold.apply({trade_of(ms(1), 10, 9), trade_of(ms(2), 10, 20), trade_of(ms(3), 10, 10)});
  const auto candles = fold.said<Candle>();
  REQUIRE(candles.size() == 2);
  CHECK(candles[0].volume == 29);
  CHECK(candles[1].volume == 10);
  CHECK(candles[1].number == 3);
}

TEST_CASE("amounts are in whole units, whatever the instrument's exponents", "[candle]") {
  FoldTester fold(by({candle_width(CandleMeasure::volume, kMillionth / 2),
                      candle_width(CandleMeasure::notional, 100 * kMillionth)}));
  // Sizes in thousandths, prices in hundredths: 0.5 is 500 units, 100 is 10,000,000 units.
  fold.apply({exponents(0, -2, -3), trade_of(ms(1), 200'00, 499)});
  CHECK(fold.said<Candle>().empty());
  fold.apply({trade_of(ms(2), 200'00, 1)});
  REQUIRE(fold.said<Candle>().size() == 2);
  CHECK(fold.said<Candle>()[0].volume == 500);
  CHECK(fold.said<Candle>()[1].notional == 10'000'000);
}

TEST_CASE("an imbalance candle closes when one side is ahead by its amount", "[candle]") {
  FoldTester fold(by(CandleMeasure::imbalance, 5 * kMillionth));
  fold.apply({trade_of(ms(1), 10, 4, Side::bid), trade_of(ms(2), 10, 3, Side::ask),
              trade_of(ms(3), 10, 100), trade_of(ms(4), 10, 3, Side::bid)});
  CHECK(fold.said<Candle>().empty());
  fold.apply({trade_of(ms(5), 10, 1, Side::bid)});
  REQUIRE(fold.said<Candle>().size() == 1);
  CHECK(fold.said<Candle>()[0].trades == 5);
}

TEST_CASE("a late trade goes into the open candle, and is never late", "[candle]") {
  FoldTester fold(by({kTwoTicks}));
  fold.apply({trade_of(90 * kSecond, 10, 1), seen_at(trade_of(ms(1), 99, 1), 90 * kSecond)});
  REQUIRE(fold.said<Candle>().size() == 1);
  const Candle candle = fold.said<Candle>()[0];
  CHECK(candle.open == 10);
  CHECK(candle.close == 99);  // the tape's order, not the event time's
  CHECK(candle.end_time == 90 * kSecond + 1);
  CHECK(fold.said<LateTrade>().empty());
}

TEST_CASE("a break moves no boundary: a closed candle gets a revision, an open one takes more",
          "[candle]") {
  FoldTester fold(by({kTwoTicks}));
  fold.apply({trade_of(ms(1), 10, 1, Side::none, 1), trade_of(ms(2), 20, 1, Side::none, 2),
              trade_of(ms(3), 30, 1, Side::none, 3)});
  fold.apply({break_of(ms(4), 1), break_of(ms(4), 3)});
  REQUIRE(fold.said<Candle>().size() == 2);
  const Candle revised = fold.said<Candle>()[1];
  CHECK(revised.revision == 1);
  CHECK(revised.number == 1);
  CHECK(revised.open_time == ms(1));
  CHECK(revised.trades == 1);
  CHECK(revised.open == 20);
  fold.apply({trade_of(ms(5), 40, 1), trade_of(ms(6), 50, 1)});
  REQUIRE(fold.said<Candle>().size() == 3);
  CHECK(fold.said<Candle>()[2].number == 3);
  CHECK(fold.said<Candle>()[2].trades == 2);
  CHECK(fold.said<Candle>()[2].open == 40);
}

TEST_CASE("a break behind the correction horizon, or of a trade not kept, is late", "[candle]") {
  FoldSettings settings = by({kTwoTicks});
  settings.kept_trades = 2;
  FoldTester fold(settings);
  fold.apply({trade_of(ms(1), 10, 1, Side::none, 1), trade_of(ms(2), 20, 1, Side::none, 2)});
  fold.apply({break_of(ms(2) + 1 + 60 * kSecond, 1)});
  CHECK(fold.said<Candle>().size() == 2);  // exactly at the horizon
  fold.apply({break_of(ms(3) + 60 * kSecond, 2)});
  CHECK(fold.said<Candle>().size() == 2);
  REQUIRE(fold.said<LateTrade>().size() == 1);
  CHECK(fold.said<LateTrade>()[0].width == kTwoTicks);
  CHECK(fold.state.view().integrity.late_breaks == 1);
}

TEST_CASE("a session closes what is open, at its own end, as its source's", "[candle]") {
  FoldTester fold(by({kTwoTicks}));
  fold.apply({trade_of(ms(7), 10, 1)});
  fold.apply({session_event(kSource + 1, kSecond)}, kSource + 1);
  REQUIRE(fold.said<Candle>().size() == 1);
  CHECK(fold.said<Candle>()[0].trades == 1);
  CHECK(fold.outputs[0].source == kSource);
  CHECK(fold.outputs[0].time == ms(7) + 1);
  fold.apply({trade_of(2 * kSecond, 10, 1)}, kSource + 1);
  CHECK(fold.state.candles(kTwoTicks).back().number == 1);  // counted from the source's beginning
}

TEST_CASE("candles that open at one instant have identities of their own", "[candle]") {
  FoldTester fold(by(CandleMeasure::ticks, 1));
  fold.apply({trade_of(ms(1), 10, 1), trade_of(ms(1), 10, 1)});
  REQUIRE(fold.outputs.size() == 2);
  CHECK(identity(fold.outputs[0]) < identity(fold.outputs[1]));
}

TEST_CASE("no more candles are kept than trades that may be broken", "[candle]") {
  FoldSettings settings = by(CandleMeasure::ticks, 1);
  settings.kept_trades = 8;
  FoldTester fold(settings);
  for (TimeNs i = 1; i <= 1000; ++i) fold.apply({trade_of(ms(1), 10, 1)});
  CHECK(fold.state.snapshot().candles.size() <= 9);
}

TEST_CASE("altering what a candle by activity or a further metric holds is noticed", "[digest]") {
  FoldSettings settings = by({60 * kSecond, kTwoTicks});
  settings.further_metrics = (1U << kFurtherMetrics) - 1;
  FoldTester fold(settings);
  fold.apply({add_order(ms(1), 1, Side::bid, 100, 10), add_order(ms(1), 2, Side::ask, 104, 30),
              add_order(ms(2), 3, Side::bid, 102, 10), trade_of(ms(2), 101, 4, Side::bid, 1),
              trade_of(ms(3), 102, 5, Side::ask, 2), trade_of(ms(4), 103, 6, Side::ask, 3)});
  const SymbolSnapshot snapshot = fold.state.snapshot();
  REQUIRE_FALSE(snapshot.marked);
  REQUIRE(SymbolState::restore(snapshot, fold.settings()));
  REQUIRE(snapshot.candles.size() == 3);
  REQUIRE(snapshot.window.further.size() == 9);
  std::vector<std::function<void(SymbolSnapshot&)>> changes;
  for (const std::size_t i : {1U, 2U}) {
    for (const auto& change : std::vector<std::function<void(CandleSnapshot&)>>{
             [](CandleSnapshot& c) { c.candle.number += 1; },
             [](CandleSnapshot& c) { c.candle.end_time += 1; },
             [](CandleSnapshot& c) { c.candle.open_time -= 1; },
             [](CandleSnapshot& c) { c.candle.close += 1; },
             [](CandleSnapshot& c) { c.candle.trades += 1; },
             [](CandleSnapshot& c) { c.candle.sell_volume += 1; },
             [](CandleSnapshot& c) { c.candle.revision += 1; },
             [](CandleSnapshot& c) { c.candle.closed = !c.candle.closed; },
             [](CandleSnapshot& c) { c.candle.width += 1; },
             [](CandleSnapshot& c) { c.first_time += 1; },
             [](CandleSnapshot& c) { c.last_time += 1; }}) {
      changes.emplace_back([i, change](SymbolSnapshot& s) { change(s.candles[i]); });
    }
  }
  changes.emplace_back([](SymbolSnapshot& s) { std::swap(s.candles[1], s.candles[2]); });
  changes.emplace_back([](SymbolSnapshot& s) { s.candles.pop_back(); });
  changes.emplace_back([](SymbolSnapshot& s) { s.candles[0].candle.number = 1; });
  for (std::size_t i = 0; i < snapshot.window.further.size(); ++i) {
    changes.emplace_back([i](SymbolSnapshot& s) { s.window.further[i].count += 1; });
    changes.emplace_back([i](SymbolSnapshot& s) { s.window.further[i].values.min -= 1; });
    changes.emplace_back([i](SymbolSnapshot& s) { s.window.further[i].values.max += 1; });
    changes.emplace_back([i](SymbolSnapshot& s) { s.window.further[i].values.last += 1; });
    changes.emplace_back([i](SymbolSnapshot& s) { s.window.further[i].values.sum += 1; });
  }
  changes.emplace_back([](SymbolSnapshot& s) { s.window.further.pop_back(); });
  for (std::size_t i = 0; i < changes.size(); ++i) {
    INFO("change " << i);
    SymbolSnapshot altered = snapshot;
    changes[i](altered);
    CHECK_FALSE(SymbolState::restore(altered, fold.settings()).has_value());
  }
}

TEST_CASE("intervals are counted from the origin", "[candle]") {
  FoldSettings settings = by({86'400 * kSecond});
  settings.candle_origin = 48'600 * kSecond;  // 13:30
  FoldTester fold(settings);
  fold.apply({trade_of(48'599 * kSecond, 10, 1), trade_of(48'600 * kSecond, 11, 1)});
  REQUIRE(fold.said<Candle>().size() == 1);
  CHECK(fold.said<Candle>()[0].open_time == -37'800 * kSecond);
  CHECK(fold.state.candles(86'400 * kSecond).back().open_time == 48'600 * kSecond);
}

TEST_CASE("metrics asked for are in the rows, of the samples of their window", "[metrics]") {
  FoldSettings settings = test_settings();
  settings.further_metrics = (1U << kFurtherMetrics) - 1;
  FoldTester fold(settings);
  fold.apply({add_order(ms(1), 1, Side::bid, 100, 10)});  // one side: depth only
  fold.apply({add_order(ms(2), 2, Side::ask, 104, 30)});
  fold.apply({add_order(ms(3), 3, Side::bid, 102, 10)});
  fold.apply({trade_of(ms(4), 104, 7, Side::bid), trade_of(ms(5), 102, 3, Side::ask)});
  fold.mark(10 * kSecond);
  REQUIRE(fold.said<MetricsRow>().size() == 1);
  using S = MetricSummary::Series;
  const std::vector<MetricSummary> expected = {
      // (10*10 - 30*10) / 400; then (20*10... bids 102: 10*10, 100: 10*9; ask 30*10: -110/490
      {S::weighted_imbalance, 2, {-500'000, -224'489, -224'489, -724'489}},
      {S::vtob, 2, {800'000, 1'000'000, 800'000, 1'800'000}},  // 40/40, 40/50
      {S::microprice, 2, {1'010'000, 1'025'000, 1'025'000, 2'035'000}},
      {S::bid_depth, 3, {10, 20, 20, 40}},
      {S::ask_depth, 3, {0, 30, 30, 60}},
      {S::buys, 1, {7, 7, 7, 7}},
      {S::sells, 1, {3, 3, 3, 3}},
      {S::mid, 2, {204, 206, 206, 410}},
      {S::mid_moves, 1, {2, 2, 2, 4}}};
  CHECK(fold.said<MetricsRow>()[0].further == expected);
}

TEST_CASE("trade flow makes a row of a tape that has no book", "[metrics]") {
  FoldSettings settings = test_settings();
  settings.further_metrics = 1U << static_cast<unsigned>(FurtherMetric::trade_flow);
  FoldTester fold(settings);
  fold.apply({trade_of(ms(4), 104, 7, Side::bid)});
  fold.mark(10 * kSecond);
  REQUIRE(fold.said<MetricsRow>().size() == 1);
  CHECK(fold.said<MetricsRow>()[0].samples == 0);
  CHECK(fold.said<MetricsRow>()[0].further.at(0).values.sum == 7);
}
