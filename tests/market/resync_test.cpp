#include <catch2/catch.hpp>

#include "tests/market/fold_tester.hpp"

using namespace tapedeck::market;

namespace {

constexpr std::uint8_t kBySnapshot = 0x80;
constexpr std::uint8_t kContiguousBySnapshot = 0x81;

Event in_snapshot(Event event) {
  event.flags |= kInSnapshot;
  return event;
}
Event end_at(TimeNs time, Sequence valid) {
  Event event = event_at(EventKind::snapshot_end, time);
  event.other = valid;
  return event;
}
std::vector<Event> one_message(std::vector<Event> events) {
  for (Event& event : events) event.flags |= kMore;
  events.back().flags &= static_cast<std::uint8_t>(~kMore);
  return events;
}
Trust trust_of(const FoldTester& fold) { return fold.state.view().trust; }

}  // namespace

TEST_CASE("updates before the depth snapshot are kept and those it lacks applied after it",
          "[resync]") {
  FoldTester fold(test_settings(), true, kContiguousBySnapshot);
  CHECK(trust_of(fold) == Trust::resyncing);
  fold.apply({with_sequence(set_level(1, Side::bid, 100, 1), 5),
              with_sequence(set_level(2, Side::bid, 101, 2), 6),
              with_sequence(set_level(3, Side::bid, 102, 3), 7)});
  CHECK(fold.state.book(0).bids.empty());
  CHECK(fold.state.counts().folded == 4);
  fold.apply(one_message({event_at(EventKind::snapshot_begin, 4),
                          in_snapshot(set_level(4, Side::bid, 99, 9)), end_at(4, 6)}));
  CHECK(trust_of(fold) == Trust::clean);
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{102, 3, {}}, {99, 9, {}}});
  fold.apply({with_sequence(set_level(5, Side::bid, 103, 1), 8)});
  CHECK(trust_of(fold) == Trust::clean);
  CHECK(fold.state.book(0).bids.size() == 3);
}

TEST_CASE("updates that the snapshot holds already are duplicates afterwards", "[resync]") {
  FoldTester fold(test_settings(), true, kContiguousBySnapshot);
  fold.apply(one_message({event_at(EventKind::snapshot_begin, 4),
                          in_snapshot(set_level(4, Side::bid, 99, 9)), end_at(4, 50)}));
  fold.apply({with_sequence(set_level(5, Side::bid, 99, 1), 50)});
  CHECK(fold.state.counts().duplicates == 1);
  fold.apply({with_sequence(set_level(5, Side::bid, 99, 1), 51)});
  CHECK(trust_of(fold) == Trust::clean);
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{99, 1, {}}});
}

TEST_CASE("a hole between snapshot and kept updates leaves the state gapped", "[resync]") {
  FoldTester fold(test_settings(), true, kContiguousBySnapshot);
  fold.apply({with_sequence(set_level(1, Side::bid, 100, 1), 8)});
  fold.apply(one_message({event_at(EventKind::snapshot_begin, 4), end_at(4, 6)}));
  CHECK(trust_of(fold) == Trust::gapped);
}

TEST_CASE("a snapshot older than the updates already in the book leaves the state gapped",
          "[resync]") {
  FoldTester fold(test_settings(), true, static_cast<std::uint8_t>(Sequencing::per_symbol));
  fold.apply({with_sequence(set_level(1, Side::bid, 100, 1), 8)});
  fold.apply(one_message({event_at(EventKind::snapshot_begin, 4), end_at(4, 6)}));
  CHECK(trust_of(fold) == Trust::gapped);
}

TEST_CASE("updates between the messages of a snapshot wait for its end", "[resync]") {
  FoldTester fold;
  fold.apply({with_sequence(event_at(EventKind::snapshot_begin, 1), 1)});
  CHECK(trust_of(fold) == Trust::resyncing);
  fold.apply({with_sequence(in_snapshot(add_order(2, 1, Side::bid, 100, 10)), 2)});
  fold.apply({with_sequence(take_order(EventKind::reduce, 3, 1, 4), 3)});
  fold.apply({with_sequence(add_order(3, 2, Side::bid, 100, 1), 4)});
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{100, 10, 1}});
  fold.apply({with_sequence(end_at(4, 2), 5)});
  CHECK(trust_of(fold) == Trust::clean);
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{100, 7, 2}});
}

TEST_CASE("kept executions trade when the snapshot is complete", "[resync]") {
  FoldTester fold(test_settings(), true, kBySnapshot);
  fold.apply({with_sequence(take_order(EventKind::execute, 3, 1, 4), 3)});
  fold.apply(one_message({event_at(EventKind::snapshot_begin, 4),
                          in_snapshot(add_order(4, 1, Side::bid, 100, 10)), end_at(4, 2)}));
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{100, 6, 1}});
  CHECK(fold.state.candles(kSecond).at(0).volume == 4);
}

TEST_CASE("no more updates are kept than the limit allows", "[resync]") {
  FoldSettings settings = test_settings();
  settings.max_kept_updates = 2;
  FoldTester fold(settings, true, kBySnapshot);
  for (Sequence i = 1; i <= 4; ++i) fold.apply({with_sequence(set_level(1, Side::bid, 100, 1), i)});
  CHECK(fold.refusals() == std::vector{Refused::resync_overflow, Refused::resync_overflow});
  CHECK(fold.state.counts().refused == 2);
}

TEST_CASE("while resyncing trades go on and the metrics are silent", "[resync]") {
  FoldTester fold(test_settings(), true, kBySnapshot);
  fold.apply({trade_of(10, 5, 1), set_level(11, Side::bid, 4, 1)});
  fold.mark(100 * kSecond);
  CHECK(fold.said<Candle>().size() == 3);
  CHECK(fold.said<MetricsRow>().empty());
  for (const Output& output : fold.outputs) CHECK(output.trust == Trust::resyncing);
}

TEST_CASE("a clear ends resyncing with an empty, trusted book", "[resync]") {
  FoldTester fold(test_settings(), true, kBySnapshot);
  fold.apply({set_level(1, Side::bid, 100, 1), event_at(EventKind::clear, 2)});
  CHECK(trust_of(fold) == Trust::clean);
  CHECK(fold.state.book(0).bids.empty());
  fold.apply({set_level(3, Side::bid, 100, 1)});
  CHECK(fold.state.book(0).bids.size() == 1);
}
