// Duplicates, gaps, jumps, sessions, trust.
#include <catch2/catch.hpp>

#include "tests/market/fold_tester.hpp"

using namespace tapedeck::market;

namespace {

constexpr auto kPerSymbol = static_cast<std::uint8_t>(Sequencing::per_symbol);
Trust trust_of(const FoldTester& fold) { return fold.state.view().trust; }

}  // namespace

TEST_CASE("a sequence that was folded already is a duplicate, by stream", "[integrity]") {
  FoldTester fold;
  fold.apply({with_sequence(add_order(1, 1, Side::bid, 100, 1), 10)});
  fold.apply({with_sequence(add_order(1, 1, Side::bid, 100, 1), 10)});
  fold.apply({with_sequence(add_order(1, 2, Side::bid, 100, 1), 9)});
  CHECK(fold.state.counts().duplicates == 2);
  fold.apply({with_sequence(trade_of(1, 100, 1), 3)});  // another stream
  fold.apply({with_sequence(set_quote(1, Side::bid, 100, 1), 3)});
  fold.apply({with_sequence(add_order(1, 3, Side::bid, 100, 1), 11)});
  CHECK(fold.state.counts().duplicates == 2);
  CHECK(fold.state.counts().folded == 5);
  CHECK(fold.outputs.empty());
}

TEST_CASE("events without a sequence are never duplicates", "[integrity]") {
  FoldTester fold;
  fold.apply({trade_of(1, 100, 1)});
  fold.apply({trade_of(1, 100, 1)});
  CHECK(fold.state.counts().folded == 3);
}

TEST_CASE("holes in message numbers mean nothing", "[integrity]") {
  FoldTester fold;
  fold.apply({with_sequence(add_order(1, 1, Side::bid, 100, 1), 10)});
  fold.apply({with_sequence(add_order(1, 2, Side::bid, 100, 1), 500'000'000)});
  CHECK(trust_of(fold) == Trust::clean);
}

TEST_CASE("a hole in contiguous sequences makes the state gapped, since that event",
          "[integrity]") {
  FoldTester fold(test_settings(), true, kPerSymbol);
  fold.apply({with_sequence(add_order(1, 1, Side::bid, 100, 1), 10),
              with_sequence(add_order(1, 2, Side::bid, 100, 1), 11)});
  CHECK(trust_of(fold) == Trust::clean);
  fold.apply({with_sequence(add_order(1, 3, Side::bid, 100, 1), 12),
              with_sequence(add_order(1, 4, Side::bid, 100, 1), 14)});
  CHECK(trust_of(fold) == Trust::gapped);
  CHECK(fold.state.view().trust_since == Position{0, 3, 1});
  CHECK(fold.state.view().integrity.gaps == 1);
}

TEST_CASE("a jump is believed only when the next message follows it", "[integrity]") {
  FoldTester fold(test_settings(), true, kPerSymbol);
  fold.apply({with_sequence(add_order(1, 1, Side::bid, 100, 1), 10)});
  fold.apply({with_sequence(add_order(1, 2, Side::bid, 100, 1), 5'000'000)});
  CHECK(fold.refusals() == std::vector{Refused::sequence_jump});
  fold.apply({with_sequence(add_order(1, 3, Side::bid, 100, 1), 11)});  // garbled once
  CHECK(trust_of(fold) == Trust::clean);
  CHECK(fold.state.snapshot().streams[0].pending_jump == 0);
  fold.apply({with_sequence(add_order(1, 4, Side::bid, 100, 1), 6'000'000)});
  fold.apply({with_sequence(add_order(1, 5, Side::bid, 100, 1), 6'000'001)});
  CHECK(fold.refusals().size() == 2);
  CHECK(trust_of(fold) == Trust::gapped);
  CHECK(fold.state.snapshot().streams[0].last == 6'000'001);
}

TEST_CASE("unknown orders and reductions beyond an order's size make the state gapped",
          "[integrity]") {
  for (const EventKind kind : {EventKind::execute, EventKind::reduce, EventKind::remove,
                               EventKind::replace, EventKind::execute_price}) {
    FoldTester fold;
    fold.apply({take_order(kind, 1, 99, 1)});
    CHECK(trust_of(fold) == Trust::gapped);
    CHECK(fold.state.view().integrity.unknown_orders == 1);
    CHECK(fold.state.book(0).bids.empty());
  }
  FoldTester fold;
  fold.apply({add_order(1, 1, Side::ask, 100, 5), take_order(EventKind::execute, 2, 1, 6)});
  CHECK(trust_of(fold) == Trust::gapped);
  CHECK(fold.state.view().integrity.oversized_reductions == 1);
  CHECK(fold.state.book(0).asks.empty());
}

TEST_CASE("a gap makes the state gapped, a clear and a session heal it", "[integrity]") {
  FoldTester fold;
  fold.apply({add_order(1, 1, Side::bid, 100, 1), event_at(EventKind::gap, 2)});
  CHECK(trust_of(fold) == Trust::gapped);
  fold.apply({event_at(EventKind::gap, 3)});
  CHECK(fold.state.view().trust_since == Position{0, 2, 1});
  fold.apply({event_at(EventKind::clear, 4)});
  CHECK(trust_of(fold) == Trust::clean);
  CHECK_FALSE(fold.state.view().trust_since.has_value());
  CHECK(fold.state.book(0).bids.empty());
  fold.apply({event_at(EventKind::gap, 5)});
  fold.apply({session_event(kSource + 1, 6)}, kSource + 1);
  CHECK(trust_of(fold) == Trust::clean);
}

TEST_CASE("crossed and locked books are counted when they become so", "[integrity]") {
  FoldTester fold;
  fold.apply({set_level(1, Side::bid, 100, 1), set_level(1, Side::ask, 100, 1)});
  fold.apply({set_level(2, Side::bid, 100, 2)});
  CHECK(fold.state.view().integrity.locked == 1);
  fold.apply({set_level(2, Side::bid, 101, 2)});
  fold.apply({set_level(2, Side::bid, 101, 0)});
  CHECK(fold.state.view().integrity.crossed == 1);
  CHECK(fold.state.view().integrity.locked == 2);
}

TEST_CASE("a new session closes what is open as its source would have, and starts anew",
          "[integrity]") {
  FoldTester fold;
  fold.apply({with_sequence(add_order(10, 1, Side::bid, 100, 1), 100), trade_of(20, 50, 1)});
  fold.apply({session_event(kSource + 1, 5)}, kSource + 1);
  CHECK(fold.said<Candle>().size() == 3);
  CHECK(fold.said<MetricsRow>().size() == 1);
  for (const Output& output : fold.outputs) CHECK(output.source == kSource);
  CHECK(fold.outputs.front().time == kSecond);  // the window, then the candles
  CHECK(fold.state.book(0).bids.empty());
  CHECK(fold.state.candles(kSecond).empty());
  CHECK(fold.state.next_due() == kNever);
  fold.apply({with_sequence(add_order(6, 1, Side::bid, 100, 1), 1)}, kSource + 1);
  CHECK(fold.state.counts().duplicates == 0);
  CHECK(fold.state.max_event_time() == 20);
  CHECK(fold.state.book(0).event_time == 6);
}

TEST_CASE("a source that is over, and the current one's session, are duplicates", "[integrity]") {
  FoldTester fold;
  fold.apply({session_event()});
  CHECK(fold.state.counts().duplicates == 1);
  fold.apply({session_event(kSource + 1, 5)}, kSource + 1);
  fold.apply({session_event(), add_order(9, 1, Side::bid, 100, 1), trade_of(9, 1, 1)});
  fold.apply({add_order(9, 2, Side::bid, 100, 1)});
  CHECK(fold.state.counts().duplicates == 5);
  CHECK(fold.state.source() == kSource + 1);
  CHECK(fold.state.book(0).bids.empty());
}

TEST_CASE("statuses, instrument and the last trade are in the view", "[integrity]") {
  FoldTester fold;
  Event status = event_at(EventKind::status, 1);
  status.other = 'H' | 0x54310000;
  Event instrument = event_at(EventKind::instrument, 1);
  instrument.price = -4;
  instrument.other = 100;
  fold.apply({status, instrument, trade_of(1, 1234, 5)});
  const SymbolView view = fold.state.view();
  CHECK(view.trading_state == "H");
  CHECK(view.instrument == Instrument{-4, 0, 100});
  CHECK(view.last_trade == 1234);
  CHECK(view.trades == 1);
  CHECK(view.position == Position{0, 2, 2});
}

TEST_CASE("filtered events are read and filtered", "[integrity]") {
  FoldTester fold;
  fold.state.count_filtered(7);
  CHECK(fold.state.counts() == EventCounts{8, 1, 0, 0, 7});
}
