#include <catch2/catch.hpp>

#include "tests/market/fold_tester.hpp"

using namespace tapedeck::market;

namespace {

void check_refused(const Event& event, Refused rule) {
  FoldTester fold;
  fold.apply({with_sequence(add_order(5, 1, Side::bid, 100, 10), 7)});
  const SymbolSnapshot before = fold.state.snapshot();
  fold.apply({with_sequence(event, 9)});
  INFO(name(rule));
  REQUIRE(fold.refusals() == std::vector<Refused>{rule});
  CHECK(fold.said<Refusal>()[0].event == with_sequence(event, 9));
  SymbolSnapshot after = fold.state.snapshot();
  CHECK(after.counts.refused == 1);
  CHECK(after.counts.read == before.counts.read + 1);
  after.counts = before.counts;
  CHECK(after == before);  // neither time nor sequence nor digest moved
}

}  // namespace

TEST_CASE("each field rule refuses its event and leaves the state as it was", "[refusal]") {
  check_refused(seen_at(trade_of(20, 100, 1), 19), Refused::time_ahead);
  check_refused(add_order(6, 2, Side::bid, 100, 0), Refused::size_not_positive);
  check_refused(add_order(6, 2, Side::bid, 100, -5), Refused::size_not_positive);
  check_refused(take_order(EventKind::execute, 6, 1, 0), Refused::size_not_positive);
  check_refused(take_order(EventKind::reduce, 6, 1, -1), Refused::size_not_positive);
  check_refused(set_level(6, Side::bid, 100, -1), Refused::size_not_positive);
  check_refused(trade_of(6, 100, -1), Refused::size_not_positive);
  check_refused(add_order(6, 2, Side::bid, 100, kMaxSize + 1), Refused::size_too_large);
  check_refused(add_order(6, 2, Side::bid, 100, kMaxSize), Refused::size_too_large);  // level total
  check_refused(trade_of(6, 100, kMaxSize + 1), Refused::size_too_large);
  check_refused(add_order(6, 2, Side::bid, -1, 1), Refused::price_not_allowed);
  check_refused(add_order(6, 2, Side::bid, kMaxPrice + 1, 1), Refused::price_not_allowed);
  check_refused(set_quote(6, Side::ask, -1, 1), Refused::price_not_allowed);
  check_refused(add_order(6, 1, Side::ask, 101, 1), Refused::duplicate_order);
  check_refused(add_order(6, 2, Side::none, 101, 1), Refused::bad_side);
  check_refused(set_level(6, Side::none, 101, 1), Refused::bad_side);
  check_refused(trade_of(6, 101, 1, static_cast<Side>(3)), Refused::bad_side);
  check_refused(event_at(EventKind::undecodable, 6), Refused::undecodable);
  check_refused(event_at(static_cast<EventKind>(kEventKinds), 6), Refused::bad_value);
  check_refused(event_at(static_cast<EventKind>(255), 6), Refused::bad_value);
  Event status = event_at(EventKind::status, 6);
  status.code = 8;
  check_refused(status, Refused::bad_value);
  Event instrument = event_at(EventKind::instrument, 6);
  instrument.price = -19;
  check_refused(instrument, Refused::bad_value);
  check_refused(event_at(EventKind::gap, kNever), Refused::bad_value);
  check_refused(seen_at(event_at(EventKind::gap, kNoTime), 6), Refused::bad_value);
}

TEST_CASE("a replace is refused if its new order is on the book or its level would grow too large",
          "[refusal]") {
  FoldTester fold;
  fold.apply({add_order(1, 1, Side::bid, 100, 10), add_order(1, 2, Side::bid, 100, kMaxSize - 10)});
  Event replace = take_order(EventKind::replace, 2, 1, 5);
  replace.other = 2;
  replace.price = 99;
  fold.apply({replace});
  replace.other = 3;
  replace.price = 100;
  replace.size = 11;
  fold.apply({replace});
  CHECK(fold.refusals() == std::vector{Refused::duplicate_order, Refused::size_too_large});
  replace.size = 10;
  fold.apply({replace});
  CHECK(fold.refusals().size() == 2);
}

TEST_CASE("a refused event of a message does not keep the others from being folded", "[refusal]") {
  FoldTester fold;
  std::vector<Event> events = {add_order(1, 1, Side::bid, 100, 1),
                               add_order(1, 2, Side::bid, 100, 0),
                               add_order(1, 3, Side::bid, 100, 1)};
  for (Event& event : events) event.sequence = 1, event.flags = kMore;
  events.back().flags = 0;
  fold.apply(events);
  CHECK(fold.state.counts().folded == 3);
  CHECK(fold.state.counts().refused == 1);
  CHECK(fold.said<Refusal>().at(0).message_index == 1);
  fold.apply(events);  // the message is known now: whole
  CHECK(fold.state.counts().duplicates == 3);
}

TEST_CASE("negative prices are folded where the settings allow them", "[refusal]") {
  FoldSettings settings;
  settings.allow_negative_prices = true;
  FoldTester fold(settings);
  fold.apply({add_order(1, 1, Side::bid, -37, 1), add_order(1, 2, Side::ask, -36, 1)});
  CHECK(fold.state.view().best_bid->price == -37);
  CHECK(fold.state.view().best_ask->price == -36);
  fold.apply({add_order(1, 3, Side::bid, -kMaxPrice - 1, 1)});
  CHECK(fold.refusals() == std::vector{Refused::price_not_allowed});
}

TEST_CASE("what the settings refuse is refused, and nothing of it folded", "[refusal]") {
  FoldSettings settings = test_settings();
  settings.refusals = {kSecond, true, true, 100'000, {}};
  FoldTester fold(settings);
  Event early = trade_of(5 * kSecond, 100, 1, Side::bid, 1);
  early.receive_time = 4 * kSecond;
  fold.apply({early});  // exactly the lead that is allowed
  early.id = 2, early.receive_time -= 1;
  fold.apply({early});
  CHECK(fold.refusals() == std::vector{Refused::future_time});
  fold.apply({trade_of(5 * kSecond, 100, 0, Side::bid, 3)});
  CHECK(fold.refusals().back() == Refused::zero_size);

  std::vector<Event> quotes = {set_quote(5 * kSecond, Side::bid, 100, 1),
                               set_quote(5 * kSecond, Side::ask, 100, 1)};
  quotes[0].flags = kMore;
  fold.apply(quotes);
  CHECK(fold.refusals().size() == 4);  // the message whole
  CHECK(fold.refusals().back() == Refused::crossed_quote);
  CHECK(fold.state.book(0).bids.empty());
  quotes[1].price = 101;
  fold.apply(quotes);
  CHECK(fold.state.view().best_ask->price == 101);
  fold.apply({set_quote(5 * kSecond, Side::bid, 102, 1)});  // against the ask that stands
  CHECK(fold.refusals().back() == Refused::crossed_quote);
  CHECK(fold.refusals().size() == 5);
}

TEST_CASE("a print beyond the band is believed when the next one is near it", "[refusal]") {
  FoldSettings settings = test_settings();
  settings.refusals.price_band = 100'000;
  FoldTester fold(settings);
  const auto print = [&](Price price, std::uint64_t id) {
    fold.apply({trade_of(5 * kSecond, price, 1, Side::bid, id)});
    return fold.state.view().last_trade.value_or(0);
  };
  CHECK(print(1000, 1) == 1000);
  CHECK(print(1100, 2) == 1100);  // a tenth away
  CHECK(print(1211, 3) == 1100);  // more than a tenth
  CHECK(print(1099, 4) == 1099);
  CHECK(print(5000, 5) == 1099);
  CHECK(print(9, 6) == 1099);
  CHECK(print(5000, 7) == 1099);
  CHECK(print(5400, 8) == 5400);
  CHECK(fold.refusals() == std::vector(4, Refused::price_band));
}

TEST_CASE("a refused print that comes again is refused again, whatever traded since", "[refusal]") {
  FoldSettings settings = test_settings();
  settings.refusals.price_band = 100'000;
  FoldTester fold(settings);
  fold.apply({with_sequence(trade_of(1 * kSecond, 1000, 1, Side::bid, 1), 1)});
  fold.apply({with_sequence(add_order(1 * kSecond, 7, Side::bid, 2000, 5), 2)});
  const Event far = with_sequence(trade_of(2 * kSecond, 2000, 1, Side::bid, 2), 3);
  const Event traded = with_sequence(take_order(EventKind::execute, 2 * kSecond, 7, 5), 4);
  fold.apply({far, traded});
  CHECK(fold.state.view().last_trade == 2000);
  const auto once = fold.state.digest();
  fold.apply({far, traded});  // the record again
  CHECK(fold.state.digest() == once);
  CHECK(fold.refusals() == std::vector(2, Refused::price_band));
  fold.apply({with_sequence(trade_of(3 * kSecond, 2001, 1, Side::bid, 3), 5)});
  CHECK(fold.state.view().last_trade == 2001);
}

TEST_CASE("what comes in one message with a source's beginning is judged by itself", "[refusal]") {
  FoldSettings settings = test_settings();
  settings.refusals = {0, true, true, 0, {}};
  FoldTester fold(settings, false);
  std::vector<Event> events = {session_event(), event_at(EventKind::instrument, 1),
                               set_quote(1, Side::bid, 101, 1), set_quote(1, Side::ask, 100, 1)};
  for (std::size_t i = 0; i < 3; ++i) events[i].flags = kMore;
  fold.apply(events);
  CHECK(fold.state.source() == kSource);
  CHECK(fold.refusals() == std::vector(2, Refused::crossed_quote));
  CHECK(fold.state.book(0).bids.empty());
  CHECK(fold.state.counts().folded == 2);
}

TEST_CASE("events of symbols that are not known are refused", "[refusal]") {
  CHECK(is_known("AAPL,BTC*", "AAPL"));
  CHECK(is_known("AAPL,BTC*", "BTCUSDT"));
  CHECK_FALSE(is_known("AAPL,BTC*", "AAPLX"));
  CHECK_FALSE(is_known("AAPL,BTC*", "ETHBTC"));
  CHECK(is_known("*", "ETHBTC"));
  FoldSettings settings = test_settings();
  settings.refusals.symbols = "OTHER";
  FoldTester fold(settings);
  fold.apply({add_order(1, 1, Side::bid, 100, 1)});
  CHECK(fold.refusals() == std::vector{Refused::unknown_symbol});
  CHECK(fold.state.book(0).bids.empty());
}

TEST_CASE("events of a source that was never announced are refused", "[refusal]") {
  FoldTester fold(test_settings(), false);
  fold.apply({add_order(1, 1, Side::bid, 100, 1)});
  fold.apply({add_order(1, 1, Side::bid, 100, 1)}, 0);
  CHECK(fold.refusals() == std::vector{Refused::unknown_source, Refused::unknown_source});
  fold.apply({session_event(kSource + 1)});  // the session of another source than the record's
  CHECK(fold.refusals().back() == Refused::bad_value);
  fold.apply({session_event(), add_order(1, 1, Side::bid, 100, 1)});
  CHECK(fold.state.counts().folded == 2);
  CHECK(fold.state.source() == kSource);
}

TEST_CASE("a message of a refused session is refused whole", "[refusal]") {
  FoldTester fold;
  Event session = session_event(kSource + 1, 10, 2);
  session.flags = kMore;
  fold.apply({session, add_order(10, 1, Side::bid, 100, 1)}, kSource + 1);
  CHECK(fold.refusals() == std::vector{Refused::bad_value, Refused::bad_value});
  CHECK(fold.state.source() == kSource);
  CHECK(fold.state.book(0).bids.empty());
}

TEST_CASE("extreme values fold without overflow", "[refusal]") {
  FoldTester fold;
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    fold.apply({trade_of(1, kMaxPrice, kMaxSize, Side::bid, i)});
    fold.apply({add_order(1, i, i % 2 == 0 ? Side::bid : Side::ask,
                          kMaxPrice - static_cast<Price>(i), kMaxSize)});
  }
  fold.mark(kNever);
  CHECK(fold.state.counts().refused == 0);
  CHECK(fold.said<Candle>().size() == 3);
}
