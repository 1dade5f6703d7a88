#include <catch2/catch.hpp>

#include <functional>
#include <set>

#include "tests/market/fold_tester.hpp"
#include "tests/market/stream_generator.hpp"

using namespace tapedeck::market;

namespace {

FoldSettings rich_settings() {
  FoldSettings settings;
  settings.candle_widths = {kSecond, 60 * kSecond};
  settings.metrics_window = 60 * kSecond;
  settings.refusals.price_band = 10'000;
  settings.patterns = {{"storm", {AlertRule::imbalance_flip, AlertRule::outlier}, kSecond, 0}};
  return settings;
}

/// A state in which every part of a snapshot holds something; last folded event, no mark since.
SymbolSnapshot rich_snapshot(const FoldSettings& settings, bool resyncing) {
  SymbolState state("ABC", settings);
  Outputs outputs;
  const auto apply = [&](SourceId source, std::vector<Event> events) {
    state.apply({source, "source", {0, 5, 0}, events}, outputs);
  };
  apply(1, {session_event(1, 10 * kSecond)});
  apply(2, {session_event(2, kSecond, 1)});
  const TimeNs t = 5 * kSecond;
  std::vector<Event> events = {with_sequence(add_order(t, 1, Side::bid, 100, 10), 3),
                               with_sequence(add_order(t, 2, Side::bid, 100, 20), 4),
                               with_sequence(add_order(t, 3, Side::bid, 99, 30), 5),
                               with_sequence(add_order(t, 4, Side::ask, 101, 30), 6),
                               with_sequence(set_level(t, Side::ask, 103, 7), 7),
                               with_sequence(set_level(t, Side::bid, 90, 7), 8),
                               with_sequence(trade_of(t, 100, 3, Side::bid, 41), 1),
                               with_sequence(trade_of(t + 1, 101, 4, Side::ask, 42), 2),
                               with_sequence(set_quote(t, Side::bid, 100, 30), 1),
                               with_sequence(set_quote(t, Side::ask, 101, 30), 2),
                               with_sequence(trade_of(t + 2 * kSecond, 100, 3, Side::none, 43), 3),
                               with_sequence(trade_of(t + 2 * kSecond, 150, 1, Side::none, 45), 4),
                               with_sequence(event_at(EventKind::gap, t + 2 * kSecond), 9)};
  Event status = event_at(EventKind::status, t + 2 * kSecond, 10);
  status.other = 'T', status.price = 1, status.size = 2;
  events.push_back(status);
  Event instrument = event_at(EventKind::instrument, t + 2 * kSecond, 11);
  instrument.price = -4, instrument.size = -2, instrument.other = 100;
  events.push_back(instrument);
  events.push_back(
      with_sequence(trade_of(t + 3 * kSecond, 100, 3, Side::none, 44), 9'000'000));  // a jump
  if (resyncing) {
    Event begin = event_at(EventKind::snapshot_begin, t + 2 * kSecond, 12);
    events.push_back(begin);
    Event in = with_sequence(add_order(t + 2 * kSecond, 9, Side::bid, 95, 5), 13);
    in.flags = kInSnapshot;
    events.push_back(in);
    Event in_level = with_sequence(set_level(t + 2 * kSecond, Side::bid, 94, 5), 14);
    in_level.flags = kInSnapshot;
    events.push_back(in_level);
    events.push_back(with_sequence(set_level(t + 2 * kSecond, Side::bid, 93, 5), 15));
  } else {
    events.push_back(with_sequence(add_order(t + 2 * kSecond, 7, Side::bid, 100, 1), 12));
  }
  apply(2, events);
  const auto alerts = std::ranges::count(outputs, OutputKind::alert, &Output::kind);
  // A closed candle, a refused jump, a refused price.
  REQUIRE(outputs.size() == 3 + static_cast<std::size_t>(alerts));
  const SymbolSnapshot snapshot = state.snapshot();
  REQUIRE_FALSE(snapshot.marked);
  REQUIRE(snapshot.window_open);
  REQUIRE(SymbolState::restore(snapshot, settings));
  return snapshot;
}

struct Alteration {
  std::string what;
  std::function<void(SymbolSnapshot&)> apply;
};

#define ALTER(expression)                               \
  Alteration {                                          \
#expression, [](SymbolSnapshot & s) { expression; } \
  }

std::vector<Alteration> alterations() {
  return {ALTER(s.source += 1),
          ALTER(s.earlier_sources[0] += 1),
          ALTER(s.earlier_sources.clear()),
          ALTER(s.earlier_sources.push_back(9)),
          ALTER(s.sequencing = Sequencing::message_number),
          ALTER(s.trust = s.trust == Trust::clean ? Trust::gapped : Trust::clean),
          ALTER(s.trust = Trust::suspect),
          ALTER(s.event_time += 1),
          ALTER(s.event_time -= 1),
          ALTER(s.max_event_time += 1),
          ALTER((s.counts.folded += 1, s.counts.read += 1)),
          ALTER(s.counts.read += 1),
          ALTER(s.counts.duplicates += 1),
          ALTER(s.alerts.silent_since += 1),
          ALTER(s.alerts.imbalance_level = s.alerts.imbalance_level == 1 ? 2 : 1),
          ALTER(s.alerts.flip_side = s.alerts.flip_side == 1 ? -1 : 1),
          ALTER(s.alerts.spread_is_wide = !s.alerts.spread_is_wide),
          ALTER(s.alerts.spread_sum += 1),
          ALTER(s.alerts.spread_count += 1),
          ALTER(s.alerts.told.at(0).time += 1),
          ALTER(s.alerts.told.clear()),
          ALTER(s.alerts.told.push_back({AlertRule::gap, AlertLevel::high, 5})),
          ALTER(s.alerts.patterns.at(0).told = 5),
          ALTER(s.alerts.patterns.at(0).starts.at(0) = 5),
          ALTER(s.integrity.gaps += 1),
          ALTER(s.integrity.crossed += 1),
          ALTER(s.integrity.locked += 1),
          ALTER(s.integrity.unknown_orders += 1),
          ALTER(s.integrity.oversized_reductions += 1),
          ALTER(s.integrity.late_trades += 1),
          ALTER(s.integrity.late_breaks += 1),
          ALTER(s.instrument.price_exponent += 1),
          ALTER(s.instrument.size_exponent += 1),
          ALTER(s.instrument.round_lot += 1),
          ALTER(s.statuses[0].told = false),
          ALTER(s.statuses[0].time += 1),
          ALTER(s.statuses[0].price += 1),
          ALTER(s.statuses[0].size += 1),
          ALTER(s.statuses[0].other += 1),
          ALTER(s.statuses[7].told = true),
          ALTER(std::swap(s.statuses[0], s.statuses[1])),
          ALTER(s.streams[0].last += 1),
          ALTER(s.streams[1].last += 1),
          ALTER(s.streams[2].last += 1),
          ALTER(s.streams[0].pending_jump = 1),
          ALTER(s.streams[2].pending_jump += 1),
          ALTER(s.orders[0].id += 100),
          ALTER(s.orders[0].size += 1),
          ALTER(s.orders[0].price += 1),
          ALTER(s.orders[0].joined += 1),
          ALTER(s.orders[0].joined -= 1),
          ALTER(s.orders[0].side = Side::ask),
          ALTER(s.orders.pop_back()),
          ALTER(s.orders.clear()),
          ALTER(s.orders.push_back({77, 200, 1, 1, Side::ask})),
          ALTER(s.levels[0].price += 1),
          ALTER(s.levels[0].size += 1),
          ALTER(s.levels[0].side = Side::ask),
          ALTER(s.levels.pop_back()),
          ALTER(s.levels.clear()),
          ALTER(s.quotes[0].price += 1),
          ALTER(s.quotes[0].size += 1),
          ALTER(s.quotes[1].price += 1),
          ALTER(s.quotes[1].size += 1),
          ALTER(std::swap(s.quotes[0], s.quotes[1])),
          ALTER(s.depth_seen = false),
          ALTER(s.in_snapshot = !s.in_snapshot),
          ALTER(s.crossing = 1),
          ALTER(s.candles[0].candle.open += 1),
          ALTER(s.candles[0].candle.high += 1),
          ALTER(s.candles[0].candle.low -= 1),
          ALTER(s.candles[0].candle.close += 1),
          ALTER(s.candles[0].candle.volume += 1),
          ALTER(s.candles[0].candle.buy_volume += 1),
          ALTER(s.candles[0].candle.sell_volume += 1),
          ALTER(s.candles[0].candle.notional += 1),
          ALTER(s.candles[0].candle.trades += 1),
          ALTER(s.candles[0].candle.revision += 1),
          ALTER(s.candles[0].candle.closed = false),
          ALTER(s.candles[0].candle.ohlc_exact = false),
          ALTER(s.candles[0].candle.open_time -= kSecond),
          ALTER(s.candles[0].candle.width += kSecond),
          ALTER(s.candles[0].first_time += 1),
          ALTER(s.candles[0].last_time += 1),
          ALTER(s.candles.back().candle.open += 1),
          ALTER(s.candles.back().candle.high += 1),
          ALTER(s.candles.back().candle.low -= 1),
          ALTER(s.candles.back().candle.close += 1),
          ALTER(s.candles.back().candle.volume += 1),
          ALTER(s.candles.back().candle.buy_volume += 1),
          ALTER(s.candles.back().candle.sell_volume += 1),
          ALTER(s.candles.back().candle.notional += 1),
          ALTER(s.candles.back().candle.trades += 1),
          ALTER(s.candles.back().candle.revision += 1),
          ALTER(s.candles.back().candle.closed = true),
          ALTER(s.candles.back().candle.ohlc_exact = false),
          ALTER(s.candles.back().candle.open_time += 60 * kSecond),
          ALTER(s.candles.back().first_time += 1),
          ALTER(s.candles.back().last_time += 1),
          ALTER(s.candles.pop_back()),
          ALTER(s.candles.erase(s.candles.begin())),
          ALTER(std::swap(s.candles[0], s.candles[1])),
          ALTER(s.kept_trades[0].ordinal -= 1),
          ALTER(s.kept_trades[0].id += 9),
          ALTER(s.kept_trades[0].time += 1),
          ALTER(s.kept_trades[0].price += 1),
          ALTER(s.kept_trades[0].size += 1),
          ALTER(s.kept_trades[0].aggressor = Side::none),
          ALTER(s.kept_trades[0].in_candles ^= 1),
          ALTER(s.kept_trades.pop_back()),
          ALTER(std::swap(s.kept_trades[0], s.kept_trades[1])),
          ALTER(s.trades += 1),
          ALTER(s.session_trades -= 1),
          ALTER(s.last_trade += 1),
          ALTER((s.beyond_band = false, s.price_beyond = 0, s.beyond_sequence = 0)),
          ALTER(s.price_beyond += 1),
          ALTER(s.beyond_sequence += 1),
          ALTER(s.window_open = false),
          ALTER((s.window_open = false, s.window = {})),
          ALTER(s.window.open_time -= kSecond),
          ALTER(s.window.samples += 1),
          ALTER(s.window.imbalance_ppm.min += 1),
          ALTER(s.window.imbalance_ppm.max += 1),
          ALTER(s.window.imbalance_ppm.last += 1),
          ALTER(s.window.imbalance_ppm.sum += 1),
          ALTER(s.window.spread.min += 1),
          ALTER(s.window.spread.max += 1),
          ALTER(s.window.spread.last += 1),
          ALTER(s.window.spread.sum += 1),
          ALTER(s.window.spread_samples += 1),
          ALTER(s.window.order_flow_imbalance += 1),
          ALTER(s.window.width += 1),
          ALTER(s.chain.high += 1),
          ALTER(s.chain.low += 1),
          ALTER(s.digest.high += 1),
          ALTER(s.digest.low ^= 1)};
}

void check_alterations(const SymbolSnapshot& snapshot, const FoldSettings& settings,
                       const std::vector<Alteration>& list) {
  for (const Alteration& alteration : list) {
    SymbolSnapshot altered = snapshot;
    alteration.apply(altered);
    INFO(alteration.what);
    if (altered == snapshot) continue;  // nothing of that kind in this snapshot
    CHECK_FALSE(SymbolState::restore(altered, settings).has_value());
  }
}

}  // namespace

TEST_CASE("the incremental digest is the one computed by walking the state", "[digest]") {
  for (std::uint64_t seed = 1; seed <= 20; seed += kNextSeed) {
    INFO("seed " << seed);
    const FoldSettings settings = random_settings(seed);
    SymbolState state("ABC", settings);
    Outputs outputs;
    for (const Message& message : generate(seed, {.messages = 700,
                                                 .sessions = true,
                                                 .resync = seed % 2 == 0,
                                                 .levels = seed % 3 == 0})) {
      state.apply({message.source, "s", {}, message.events}, outputs);
      if (!state.snapshot().marked) REQUIRE(state.digest() == state.recompute_digest());
    }
  }
}

TEST_CASE("altering any covered field of a snapshot is noticed", "[digest]") {
  const FoldSettings settings = rich_settings();
  const SymbolSnapshot snapshot = rich_snapshot(settings, false);
  check_alterations(snapshot, settings, alterations());
}

TEST_CASE("altering any covered field of a snapshot while resyncing is noticed", "[digest]") {
  const FoldSettings settings = rich_settings();
  const SymbolSnapshot snapshot = rich_snapshot(settings, true);
  std::vector<Alteration> list = {ALTER(s.kept_updates.clear()),
                                  ALTER(s.kept_updates[0].message_index += 1),
                                  ALTER(s.kept_updates[0].event.time -= 1),
                                  ALTER(s.kept_updates[0].event.feed_time += 1),
                                  ALTER(s.kept_updates[0].event.sequence += 1),
                                  ALTER(s.kept_updates[0].event.id += 1),
                                  ALTER(s.kept_updates[0].event.price += 1),
                                  ALTER(s.kept_updates[0].event.size += 1),
                                  ALTER(s.kept_updates[0].event.other += 1),
                                  ALTER(s.kept_updates[0].event.kind = EventKind::remove),
                                  ALTER(s.kept_updates[0].event.side = Side::ask),
                                  ALTER(s.kept_updates[0].event.flags ^= 8),
                                  ALTER(s.kept_updates[0].event.code += 1),
                                  ALTER(s.kept_updates.push_back(s.kept_updates[0]))};
  check_alterations(snapshot, settings, list);
  check_alterations(snapshot, settings, alterations());
}

TEST_CASE("what the digest leaves out does not change it", "[digest]") {
  const FoldSettings settings = rich_settings();
  const SymbolSnapshot snapshot = rich_snapshot(settings, false);
  SymbolSnapshot other = snapshot;
  other.position.offset += 1;
  other.trust_since.offset += 1;
  other.source_name = "another";
  other.counts.duplicates += 5, other.counts.refused += 6, other.counts.filtered += 7;
  other.counts.read += 18;
  const auto state = SymbolState::restore(other, settings);
  REQUIRE(state);
  CHECK(state->digest() == snapshot.digest);
}

TEST_CASE("every field of an event but its receive time is in the chain", "[digest]") {
  const auto digest_after = [](const std::function<void(Event&)>& alter) {
    FoldTester fold;
    Event event = event_at(EventKind::gap, 100, 5);
    event.feed_time = 200;
    alter(event);
    fold.apply({event});
    REQUIRE(fold.state.counts().folded == 2);
    return fold.state.digest();
  };
  std::set<Digest> digests = {digest_after([](Event&) {})};
  CHECK(digests.contains(digest_after([](Event& e) { e.receive_time = 7; })));
  const std::vector<std::function<void(Event&)>> changes = {
      [](Event& e) { e.time += 1; },        [](Event& e) { e.feed_time += 1; },
      [](Event& e) { e.sequence += 1; },    [](Event& e) { e.id += 1; },
      [](Event& e) { e.price += 1; },       [](Event& e) { e.size += 1; },
      [](Event& e) { e.other += 1; },       [](Event& e) { e.kind = EventKind::remove; },
      [](Event& e) { e.side = Side::bid; }, [](Event& e) { e.flags = kLastOfPacket; },
      [](Event& e) { e.code = 1; }};
  for (const auto& change : changes) digests.insert(digest_after(change));
  CHECK(digests.size() == changes.size() + 1);
}

TEST_CASE("two orders that swap places, sizes or prices have another digest", "[digest]") {
  const auto digest_of = [](std::vector<OrderSnapshot> orders) {
    FoldSettings settings;
    SymbolSnapshot snapshot;
    snapshot.orders = std::move(orders);
    snapshot.marked = true;
    auto state = SymbolState::restore(snapshot, settings);
    REQUIRE(state);
    return state->recompute_digest();
  };
  const std::set<Digest> digests = {
      digest_of({{1, 100, 10, 5, Side::bid}, {2, 100, 20, 6, Side::bid}}),
      digest_of({{2, 100, 20, 5, Side::bid}, {1, 100, 10, 6, Side::bid}}),
      digest_of({{1, 100, 20, 5, Side::bid}, {2, 100, 10, 6, Side::bid}}),
      digest_of({{2, 101, 20, 6, Side::bid}, {1, 100, 10, 5, Side::bid}}),
      digest_of({{1, 101, 10, 5, Side::bid}, {2, 100, 20, 6, Side::bid}})};
  CHECK(digests.size() == 5);
}

TEST_CASE("a stored digest stays what it was in every build", "[digest]") {
  FoldTester fold;
  fold.apply({with_sequence(add_order(10, 1, Side::bid, 100, 10), 1),
              with_sequence(add_order(20, 2, Side::ask, 105, 7), 2),
              with_sequence(take_order(EventKind::execute, 30, 1, 4, 9), 3)});
  CHECK(fold.state.digest().hex() == "19705bce4289475be31338fccf890f88");
}
