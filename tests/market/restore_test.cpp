#include <catch2/catch.hpp>

#include <functional>

#include "tests/market/fold_tester.hpp"
#include "tests/market/stream_generator.hpp"

using namespace tapedeck::market;

namespace {

std::int64_t odd_value(Random& random) {
  const std::int64_t values[] = {0,         1,         -1, kNever, kNoTime, kMaxSize, kMaxSize + 1,
                                 kMaxPrice, -kMaxPrice};
  return random.chance(60) ? values[random.below(std::size(values))]
                           : static_cast<std::int64_t>(random.next() >> random.below(64));
}

template <class T>
T* pick(std::vector<T>& values, Random& random) {
  return values.empty() ? nullptr : &values[random.below(values.size())];
}

/// Writes something odd somewhere.
void spoil(SymbolSnapshot& s, Random& random) {
  const std::int64_t value = odd_value(random);
  const auto word = static_cast<std::uint64_t>(value);
  const auto byte = static_cast<std::uint8_t>(random.below(random.chance(50) ? 4 : 256));
  switch (random.below(30)) {
    case 0: s.source = word; break;
    case 1: s.event_time = value; break;
    case 2: s.feed_time = value; break;
    case 3: s.max_event_time = value; break;
    case 4: s.trust = static_cast<Trust>(byte); break;
    case 5: s.sequencing = static_cast<Sequencing>(byte); break;
    case 6: s.crossing = byte; break;
    case 7: s.in_snapshot = !s.in_snapshot; break;
    case 8: s.depth_seen = !s.depth_seen; break;
    case 9: s.streams[byte % 3] = {word, random.next()}; break;
    case 10:
      if (auto* o = pick(s.orders, random)) o->price = value;
      break;
    case 11:
      if (auto* o = pick(s.orders, random)) o->size = value;
      break;
    case 12:
      if (auto* o = pick(s.orders, random)) o->id = word;
      break;
    case 13:
      if (auto* o = pick(s.orders, random)) o->side = static_cast<Side>(byte);
      break;
    case 14:
      if (auto* o = pick(s.orders, random)) o->joined = word;
      break;
    case 15:
      if (auto* o = pick(s.orders, random)) s.orders.push_back(*o);
      break;
    case 16: s.levels.push_back({value, odd_value(random), static_cast<Side>(byte)}); break;
    case 17:
      if (auto* c = pick(s.candles, random)) c->candle.open_time = value;
      break;
    case 18:
      if (auto* c = pick(s.candles, random)) c->candle.width = value;
      break;
    case 19:
      if (auto* c = pick(s.candles, random)) c->candle.notional = Int128{value} << 63;
      break;
    case 20:
      if (auto* c = pick(s.candles, random)) c->candle.closed = !c->candle.closed;
      break;
    case 21:
      if (auto* c = pick(s.candles, random)) c->candle.trades = word;
      break;
    case 22:
      if (auto* t = pick(s.kept_trades, random)) t->time = value;
      break;
    case 23:
      if (auto* t = pick(s.kept_trades, random)) t->in_candles = static_cast<std::uint16_t>(word);
      break;
    case 24:
      if (auto* t = pick(s.kept_trades, random)) t->price = value, t->size = odd_value(random);
      break;
    case 25: s.window.open_time = value; break;
    case 26: s.window_open = !s.window_open; break;
    case 27: s.window.order_flow_imbalance = Int128{value} << 64; break;
    case 28:
      if (auto* u = pick(s.kept_updates, random)) u->event.size = value;
      break;
    default: s.quotes[byte % 2] = {value, odd_value(random)}; break;
  }
}

void check_corrupt(const char* text, const std::function<void(SymbolSnapshot&)>& alter) {
  FoldTester fold;
  fold.apply({add_order(1, 1, Side::bid, 100, 10), add_order(1, 2, Side::bid, 100, 10),
              add_order(1, 3, Side::ask, 102, 10)});
  SymbolSnapshot snapshot = fold.state.snapshot();
  snapshot.marked = true;  // the digest does not help
  REQUIRE(SymbolState::restore(snapshot, fold.settings()));
  alter(snapshot);
  const auto restored = SymbolState::restore(snapshot, fold.settings());
  INFO(text);
  REQUIRE_FALSE(restored);
  CHECK(restored.error().code == tapedeck::ErrorCode::corrupt);
  CHECK_THAT(restored.error().message, Catch::Contains(text));
}

}  // namespace

TEST_CASE("a restored state folds on as the original", "[restore]") {
  for (std::uint64_t seed = 1; seed <= 12; seed += kNextSeed) {
    INFO("seed " << seed);
    const FoldSettings settings = random_settings(seed);
    const auto messages = generate(seed, {.messages = 600, .sessions = true, .resync = true});
    SymbolState original("ABC", settings);
    Outputs outputs;
    for (std::size_t i = 0; i < 300; ++i) {
      original.apply({messages[i].source, "s", {0, i, 0}, messages[i].events}, outputs);
    }
    auto restored = SymbolState::restore(original.snapshot(), settings);
    REQUIRE(restored);
    Outputs one, two;
    for (std::size_t i = 300; i < messages.size(); ++i) {
      const Batch batch{messages[i].source, "s", {0, i, 0}, messages[i].events};
      original.apply(batch, one);
      restored->apply(batch, two);
    }
    CHECK(same(one, two));
    CHECK(original.snapshot() == restored->snapshot());
  }
}

TEST_CASE("an empty state can be stored and taken up again", "[restore]") {
  const FoldSettings settings;
  SymbolState state("ABC", settings);
  const auto restored = SymbolState::restore(state.snapshot(), settings);
  REQUIRE(restored);
  CHECK(restored->digest() == state.digest());
  CHECK(restored->symbol() == "ABC");
}

TEST_CASE("a snapshot that contradicts itself is corrupt, and says why", "[restore]") {
  check_corrupt("counts do not add up", [](SymbolSnapshot& s) { s.counts.read += 1; });
  check_corrupt("stands twice", [](SymbolSnapshot& s) { s.orders[1].id = 1; });
  check_corrupt("an order is impossible", [](SymbolSnapshot& s) { s.orders[1].size = 0; });
  check_corrupt("an order is impossible", [](SymbolSnapshot& s) { s.orders[1].price = -1; });
  check_corrupt("orders out of order",
                [](SymbolSnapshot& s) { std::swap(s.orders[1], s.orders[2]); });
  check_corrupt("a queue is out of order",
                [](SymbolSnapshot& s) { std::swap(s.orders[0], s.orders[1]); });
  check_corrupt("a level is too large", [](SymbolSnapshot& s) { s.orders[0].size = kMaxSize; });
  check_corrupt("a price stands twice", [](SymbolSnapshot& s) {
    s.levels = {{100, 1, Side::bid}};
  });
  check_corrupt("levels out of order", [](SymbolSnapshot& s) {
    s.levels = {{1, 1, Side::bid}, {2, 1, Side::bid}};
  });
  check_corrupt("unknown trust", [](SymbolSnapshot& s) { s.trust = Trust::recovering; });
  check_corrupt("not resyncing", [](SymbolSnapshot& s) { s.in_snapshot = true; });
  check_corrupt("metric window", [](SymbolSnapshot& s) { s.window.width = 17; });
  check_corrupt("kept trade", [](SymbolSnapshot& s) { s.kept_trades.push_back({}); });
  check_corrupt("interval is out of place", [](SymbolSnapshot& s) { s.candles.push_back({}); });
}

TEST_CASE("a wrong digest is named with the right one", "[restore]") {
  FoldTester fold;
  SymbolSnapshot snapshot = fold.state.snapshot();
  snapshot.digest.low ^= 1;
  const auto restored = SymbolState::restore(snapshot, fold.settings());
  REQUIRE_FALSE(restored);
  CHECK_THAT(restored.error().message, Catch::Contains(fold.state.digest().hex()));
}

TEST_CASE("hostile snapshots are refused or fold on; they never break anything", "[restore]") {
  std::size_t refused = 0, taken = 0;
  for (std::uint64_t seed = 1; seed <= 60; seed += kNextSeed) {
    INFO("seed " << seed);
    Random random(seed);
    const FoldSettings settings = random_settings(seed);
    const auto messages =
        generate(seed, {.messages = 300, .resync = true, .levels = seed % 2 == 0});
    SymbolState state("ABC", settings);
    Outputs outputs;
    for (std::size_t i = 0; i < 150; ++i) {
      state.apply({messages[i].source, "s", {0, i, 0}, messages[i].events}, outputs);
    }
    const SymbolSnapshot good = state.snapshot();
    for (int attempt = 0; attempt < 60; ++attempt) {
      SymbolSnapshot bad = good;
      bad.marked = true;
      for (std::uint64_t count = 1 + random.below(2); count > 0; --count) spoil(bad, random);
      auto restored = SymbolState::restore(bad, settings);
      if (!restored) {
        ++refused;
        continue;
      }
      ++taken;
      for (std::size_t i = 150; i < messages.size(); ++i) {
        restored->apply({messages[i].source, "s", {0, i, 0}, messages[i].events}, outputs);
      }
      restored->advance({restored->source(), kNever, {}}, outputs);
      (void)restored->snapshot();
      (void)restored->book(0);
      outputs.clear();
    }
  }
  CHECK(refused > 500 / kNextSeed);
  CHECK(taken > 500 / kNextSeed);
}
