#include <catch2/catch.hpp>

#include "tests/market/fold_tester.hpp"

using namespace tapedeck::market;

namespace {

FoldSettings one_width(TimeNs lateness = 0) {
  FoldSettings settings = test_settings();
  settings.candle_widths = {kSecond};
  settings.lateness = lateness;
  return settings;
}
constexpr TimeNs ms(TimeNs n) { return n * 1'000'000; }

}  // namespace

TEST_CASE("a candle closes when the symbol's own event time reaches its end", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 1), trade_of(ms(500), 12, 2, Side::bid),
              trade_of(ms(900), 11, 3, Side::ask)});
  CHECK(fold.said<Candle>().empty());
  fold.apply({add_order(ms(1000), 1, Side::bid, 5, 5)});  // any event, not only a trade
  const auto candles = fold.said<Candle>();
  REQUIRE(candles.size() == 1);
  const Candle& candle = candles[0];
  CHECK(candle.open_time == 0);
  CHECK(candle.open == 10);
  CHECK(candle.high == 12);
  CHECK(candle.low == 10);
  CHECK(candle.close == 11);
  CHECK(candle.volume == 6);
  CHECK(candle.buy_volume == 2);
  CHECK(candle.sell_volume == 3);
  CHECK(candle.notional == 10 + 24 + 33);
  CHECK(candle.trades == 3);
  CHECK(candle.revision == 0);
  CHECK(candle.closed);
  CHECK(fold.outputs.back().time == kSecond);
}

TEST_CASE("a candle of a silent symbol closes by feed time, at its due time", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 1)});
  CHECK(fold.state.next_due() == 3 * kSecond);
  fold.mark(3 * kSecond - 1);
  CHECK(fold.outputs.empty());
  fold.mark(90 * kSecond);
  REQUIRE(fold.said<Candle>().size() == 1);
  CHECK(fold.outputs[0].time == 3 * kSecond);
  CHECK(fold.state.next_due() == kNever);
}

TEST_CASE("a mark of another source closes nothing", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 1)});
  fold.mark(90 * kSecond, 12345);
  CHECK(fold.outputs.empty());
}

TEST_CASE("open and close go by event time, and by tape order at the same time", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(500), 20, 1), seen_at(trade_of(ms(100), 10, 1), ms(500)),
              seen_at(trade_of(ms(100), 11, 1), ms(500)),
              seen_at(trade_of(ms(500), 21, 1), ms(500)),
              seen_at(trade_of(ms(300), 30, 1), ms(500))});
  fold.mark(5 * kSecond);
  const Candle candle = fold.said<Candle>().at(0);
  CHECK(candle.open == 10);
  CHECK(candle.close == 21);
  CHECK(candle.high == 30);
}

TEST_CASE("a late trade within the horizon makes revisions; after it, it is late", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 1), trade_of(ms(1500), 20, 1)});
  REQUIRE(fold.said<Candle>().size() == 1);
  fold.apply({seen_at(trade_of(ms(50), 7, 1), ms(1600))});
  REQUIRE(fold.said<Candle>().size() == 2);
  CHECK(fold.said<Candle>()[1].revision == 1);
  CHECK(fold.said<Candle>()[1].open == 7);
  CHECK(fold.said<Candle>()[1].trades == 2);
  CHECK(fold.said<LateTrade>().empty());
  fold.apply({seen_at(trade_of(ms(60), 7, 1), 61 * kSecond)});  // exactly at the horizon: corrected
  CHECK(fold.said<LateTrade>().empty());
  fold.apply({seen_at(trade_of(ms(60), 7, 1), 61 * kSecond + 1)});
  REQUIRE(fold.said<LateTrade>().size() == 1);
  CHECK(fold.said<LateTrade>()[0].event.price == 7);
  CHECK(fold.state.view().integrity.late_trades == 1);
}

TEST_CASE("a late trade of an interval that had none makes its candle", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(2500), 10, 1)});
  fold.apply({seen_at(trade_of(ms(500), 7, 1), ms(2600))});
  REQUIRE(fold.said<Candle>().size() == 1);
  CHECK(fold.said<Candle>()[0].open_time == 0);
  CHECK(fold.said<Candle>()[0].revision == 0);
}

TEST_CASE("lateness keeps intervals open side by side", "[candle]") {
  FoldTester fold(one_width(3 * kSecond));
  fold.apply({trade_of(ms(500), 10, 1), trade_of(ms(1500), 11, 1), trade_of(ms(2500), 12, 1),
              seen_at(trade_of(ms(600), 13, 1), ms(2500))});
  CHECK(fold.said<Candle>().empty());
  fold.apply({trade_of(ms(2900), 11, 1)});
  CHECK(fold.said<Candle>().empty());
  // Feed time passes the first end by idle_after (2 s) before event time passes it by the lateness
  // (3 s).
  fold.apply({trade_of(ms(3000), 11, 1)});
  REQUIRE(fold.said<Candle>().size() == 1);
  CHECK(fold.said<Candle>()[0].trades == 2);
  CHECK(fold.said<Candle>()[0].close == 13);
}

TEST_CASE("what is due together is said by due time, then width, then metrics", "[candle]") {
  FoldSettings settings = test_settings();
  settings.candle_widths = {kSecond, 2 * kSecond, 10 * kSecond};
  settings.idle_after = 0;
  settings.metrics_window = 2 * kSecond;
  FoldTester fold(settings);
  fold.apply({add_order(ms(1100), 1, Side::bid, 10, 5), trade_of(ms(1200), 10, 1)});
  fold.mark(100 * kSecond);
  REQUIRE(fold.outputs.size() == 4);
  CHECK(std::get<Candle>(fold.outputs[0].body).width == kSecond);
  CHECK(std::get<Candle>(fold.outputs[1].body).width == 2 * kSecond);
  CHECK(fold.outputs[2].kind() == OutputKind::metrics);
  CHECK(fold.outputs[2].time == 2 * kSecond);
  CHECK(std::get<Candle>(fold.outputs[3].body).width == 10 * kSecond);
}

TEST_CASE("a break takes a kept trade out of its closed candle, exactly", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 1, Side::bid, 1), trade_of(ms(200), 99, 5, Side::bid, 2),
              trade_of(ms(300), 11, 2, Side::ask, 3), trade_of(ms(1100), 12, 1)});
  fold.apply({break_of(ms(1200), 2)});
  const auto candles = fold.said<Candle>();
  REQUIRE(candles.size() == 2);
  CHECK(candles[0].high == 99);
  CHECK(candles[1].revision == 1);
  CHECK(candles[1].high == 11);
  CHECK(candles[1].volume == 3);
  CHECK(candles[1].buy_volume == 1);
  CHECK(candles[1].notional == 10 + 22);
  CHECK(candles[1].ohlc_exact);
  fold.apply({break_of(ms(1300), 2)});  // again: nobody knows it any more
  CHECK(fold.said<Candle>().size() == 2);
  CHECK(fold.said<LateTrade>().size() == 1);
  CHECK(fold.state.view().integrity.late_breaks == 1);
}

TEST_CASE("a break of a trade in the open candle changes it silently", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 1, Side::none, 1), trade_of(ms(200), 20, 1, Side::none, 2)});
  fold.apply({break_of(ms(300), 2)});
  CHECK(fold.outputs.empty());
  CHECK(fold.state.candles(kSecond).at(0).high == 10);
}

TEST_CASE("where a candle's trades are not all kept, a break leaves its prices and says so",
          "[candle]") {
  FoldSettings settings = one_width();
  settings.kept_trades = 2;
  FoldTester fold(settings);
  fold.apply({trade_of(ms(100), 50, 1, Side::none, 1), trade_of(ms(200), 20, 1, Side::none, 2),
              trade_of(ms(300), 90, 1, Side::none, 3)});
  fold.apply({break_of(ms(400), 3)});
  fold.mark(10 * kSecond);
  const Candle candle = fold.said<Candle>().at(0);
  CHECK_FALSE(candle.ohlc_exact);
  CHECK(candle.high == 90);
  CHECK(candle.volume == 2);
  CHECK(candle.notional == 70);
}

TEST_CASE("a closed candle whose trades are all broken is said again, empty", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 1, Side::none, 1)});
  fold.mark(4 * kSecond);
  fold.apply({break_of(5 * kSecond, 1)});
  REQUIRE(fold.said<Candle>().size() == 2);
  CHECK(fold.said<Candle>()[1].trades == 0);
  CHECK(fold.said<Candle>()[1].volume == 0);
  CHECK(fold.said<Candle>()[1].revision == 1);
}

TEST_CASE("an open candle whose trades are all broken is never said", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 1, Side::none, 1), break_of(ms(200), 1)});
  fold.mark(10 * kSecond);
  CHECK(fold.outputs.empty());
}

TEST_CASE("executions trade at the order's price, priced ones at theirs if printable", "[candle]") {
  FoldTester fold(one_width());
  Event priced = take_order(EventKind::execute_price, ms(3), 1, 2, 7);
  priced.price = 95;
  priced.flags = kPrintable;
  Event hidden = priced;
  hidden.flags = 0;
  hidden.price = 1;
  fold.apply({add_order(ms(1), 1, Side::bid, 100, 10),
              take_order(EventKind::execute, ms(2), 1, 3, 5), priced, hidden});
  fold.mark(10 * kSecond);
  const Candle candle = fold.said<Candle>().at(0);
  CHECK(candle.trades == 2);
  CHECK(candle.open == 100);
  CHECK(candle.close == 95);
  CHECK(candle.sell_volume == 5);  // the resting order was a bid: sellers were the aggressors
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{100, 3, 1}});
}

TEST_CASE("a trade of size 0 is no trade", "[candle]") {
  FoldTester fold(one_width());
  fold.apply({trade_of(ms(100), 10, 0)});
  CHECK(fold.state.candles(kSecond).empty());
  CHECK(fold.state.view().trades == 0);
  CHECK(fold.state.counts().folded == 2);
}

TEST_CASE("intervals before 1970 are aligned to the epoch too", "[candle]") {
  FoldTester fold(one_width(), false);
  fold.apply({session_event(kSource, -10 * kSecond), trade_of(-ms(1500), 10, 1)});
  fold.mark(kSecond);
  CHECK(fold.said<Candle>().at(0).open_time == -2 * kSecond);
}
