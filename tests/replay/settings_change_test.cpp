// The laws of new fold settings: a function of tape and control records, from wherever a fold
// begins and however it is cut; what both settings have goes on, what is new begins whole.
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "replay/recovery.hpp"
#include "replay/release.hpp"
#include "replay/time_travel.hpp"
#include "replay/verify.hpp"
#include "sessions.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;
using market::candle_width;
using market::CandleMeasure;
using market::kSecond;
using schemas::ControlRecord;

namespace {

constexpr market::CandleWidth kTicks = candle_width(CandleMeasure::ticks, 3);

struct Place {
  std::string symbol;
  market::Partition partition = 0;
  market::Offset end = 0;
};

Place place_of(const storage::TapeReader& tape, const std::string& symbol) {
  Place place{symbol, storage::partition_of(symbol, tape.partitions()), 0};
  place.end = tape.end(place.partition).value();
  return place;
}

tests::OutputMap told(const storage::TapeReader& tape, const replay::FoldRules& rules,
                      const std::string& symbol) {
  tests::OutputMap outputs;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& said) {
    if (fold.state().symbol() != symbol) return;
    for (const auto& output : said)
      outputs.insert_or_assign({symbol, market::identity(output)}, output);
  };
  REQUIRE(replay::refold(tape, rules, {}, listener));
  return outputs;
}

market::FoldSettings any_settings(std::mt19937& random) {
  const auto one_of = [&](auto... values) {
    const std::common_type_t<decltype(values)...> all[] = {values...};
    return all[random() % sizeof...(values)];
  };
  market::FoldSettings settings;
  settings.candle_widths.clear();
  for (const market::CandleWidth width :
       {kSecond / 10, kSecond, 10 * kSecond, 60 * kSecond, candle_width(CandleMeasure::ticks, 2),
        kTicks, candle_width(CandleMeasure::volume, 300 * market::kMillionth)}) {
    if (random() % 2 == 0) settings.candle_widths.push_back(width);
  }
  settings.candle_origin = one_of(0, 0, 0, 1) * kSecond / 2;
  settings.idle_after = one_of(0, 1, 2, 5) * kSecond;
  settings.lateness = one_of(0, 0, 1, 3) * kSecond;
  settings.correction_horizon = one_of(1, 20, 60) * kSecond;
  settings.kept_trades = one_of(20U, 64U, 256U);
  settings.metrics_levels = one_of(1U, 5U, 10U);
  settings.metrics_window = one_of(1, 10, 60) * kSecond;
  settings.further_metrics = static_cast<std::uint32_t>(random() % 64);
  if (random() % 3 == 0) settings.alerts = market::no_alerts();
  settings.alerts.imbalance_medium = one_of(300'000, 500'000);
  if (random() % 2 == 0) {
    settings.patterns = {{"flicker",
                          {market::AlertRule::imbalance_flip, market::AlertRule::imbalance_flip},
                          10 * kSecond,
                          0}};
  }
  return settings;
}

struct Session {
  storage::MemoryTape tape;
  std::vector<Place> places;
  Session(const std::string& what, std::size_t most) {
    tests::record_session(tape, {what, 64, 64});
    const auto symbols = tape.symbols().value();
    for (const auto& symbol : symbols) places.push_back(place_of(tape, symbol));
    std::ranges::sort(places, std::greater<>{}, &Place::end);
    places.resize(std::min(places.size(), most));
  }
};

/// One fold that is stored and taken up again now and then: its outputs, and digests by offset.
struct Disturbed {
  market::Outputs outputs;
  std::map<market::Offset, market::Digest> digests;
};
Disturbed disturbed_fold(const storage::TapeReader& tape, const Place& place,
                         const replay::FoldRules& rules, storage::MemoryStateStore& state,
                         std::mt19937& random) {
  Disturbed result;
  replay::SymbolFold fold(place.symbol, place.partition, rules);
  while (fold.next() < place.end) {
    const auto to = std::min<market::Offset>(place.end, fold.next() + 1 + random() % 40);
    REQUIRE(replay::catch_up(fold, tape, to, replay::Marks::merged, result.outputs));
    result.digests[to] = fold.state().digest();
    if (!fold.may_store() || random() % 2 == 0) continue;
    const auto stored = fold.take_snapshot();
    REQUIRE(state.write({{stored}, {}, {}, {}, {}}));
    auto restored = replay::SymbolFold::restore(stored, rules);
    INFO((restored ? "" : restored.error().message));
    REQUIRE(restored);
    fold = std::move(*restored);
  }
  while (fold.next_turn() <= place.end)
    REQUIRE(replay::meet_turn(fold, tape, nullptr, fold.next_turn(), result.outputs));
  CHECK(fold.state().recompute_digest() == fold.state().digest());
  result.digests[place.end] = fold.state().digest();
  return result;
}

}  // namespace

TEST_CASE("new settings give the same states and outputs from any snapshot and cut", "[settings]") {
  const auto seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 17u;
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const Session session("seed=5,symbols=3,messages=9000", 1);
  const auto& place = session.places.front();
  for (int round = 0; round < 16; ++round) {
    INFO("round " << round);
    std::vector<market::Offset> ats(1 + random() % 4);
    for (auto& at : ats) at = random() % (place.end + 1);
    if (round % 3 == 0) ats.push_back(ats.back());  // two at one offset
    std::ranges::sort(ats);
    std::vector<ControlRecord> records;
    for (const auto at : ats)
      records.push_back(tests::change_at(session.tape, place.partition, at, any_settings(random)));
    const replay::FoldRules rules(any_settings(random), records);

    storage::MemoryStateStore state;
    const auto fold = disturbed_fold(session.tape, place, rules, state, random);
    tests::OutputMap expected;
    for (const auto& output : fold.outputs)
      expected.insert_or_assign({place.symbol, market::identity(output)}, output);
    tests::check_same_outputs(told(session.tape, rules, place.symbol), expected, true);
    for (const auto& [to, digest] : fold.digests) {
      INFO("up to offset " << to);
      const auto at = to == place.end ? replay::Moment(replay::AtEnd{})
                                      : replay::Moment(replay::AtOffset{{}, to - 1, {}});
      for (const storage::StateReader* from : {static_cast<const storage::StateReader*>(&state),
                                               static_cast<const storage::StateReader*>(nullptr)}) {
        const auto found = replay::state_at(session.tape, from, place.symbol, at, rules);
        if (!found) continue;  // before its first record
        CHECK(found->fold.state().digest() == digest);
      }
    }
    if (const auto verified = replay::verify(session.tape, state, rules, 1, {}); verified)
      CHECK(verified->mismatches.empty());
  }
}

TEST_CASE("what both settings have is told as if nothing had changed, what is new begins whole",
          "[settings]") {
  const Session session("seed=7,symbols=2,messages=12000", 1);
  const auto& place = session.places.front();
  market::FoldSettings before, after;
  before.candle_widths = {kSecond, 10 * kSecond};
  after.candle_widths = {kSecond, 5 * kSecond, kTicks};
  const auto at = place.end / 2;
  const std::vector records{tests::change_at(session.tape, place.partition, at, after)};
  const replay::FoldRules rules(before, records);
  const auto changed = told(session.tape, rules, place.symbol);
  const auto state = replay::state_at(session.tape, nullptr, place.symbol,
                                      replay::AtOffset{{}, at - 1, {}}, before);
  REQUIRE(state);
  const auto change_time = state->fold.state().view().event_time;

  const auto candles = [&](const tests::OutputMap& outputs, market::CandleWidth width) {
    std::map<std::string, market::Candle> found;
    for (const auto& [key, output] : outputs) {
      const auto* candle = std::get_if<market::Candle>(&output.body);
      if (candle != nullptr && candle->width == width) found.emplace(key.second, *candle);
    }
    return found;
  };
  const auto old = told(session.tape, before, place.symbol);
  const auto fresh = told(session.tape, after, place.symbol);
  CHECK(candles(changed, kSecond) == candles(old, kSecond));

  auto whole = candles(fresh, 5 * kSecond);
  std::erase_if(whole, [&](const auto& one) { return one.second.open_time <= change_time; });
  CHECK_FALSE(whole.empty());
  CHECK(candles(changed, 5 * kSecond) == whole);

  const auto ticks = candles(changed, kTicks);
  CHECK_FALSE(ticks.empty());
  for (const auto& [identity, candle] : ticks) {
    CHECK(candle.trades == 3);
    CHECK(candle.open_time >= change_time);
  }

  auto gone = candles(old, 10 * kSecond);
  for (const auto& [key, output] : old) {
    if (output.position.offset >= at) gone.erase(key.second);
  }
  CHECK_FALSE(gone.empty());
  CHECK(candles(changed, 10 * kSecond) == gone);
}

TEST_CASE("the same settings again change nothing that is told", "[settings]") {
  const Session session("seed=9,symbols=2,messages=6000", 1);
  const auto& place = session.places.front();
  const market::FoldSettings settings;
  const auto plain = told(session.tape, settings, place.symbol);
  for (market::Offset at = 0; at <= place.end; at += 1 + place.end / 9) {
    const std::vector records{tests::change_at(session.tape, place.partition, at, settings)};
    tests::check_same_outputs(
        told(session.tape, replay::FoldRules(settings, records), place.symbol), plain, false);
  }
}

TEST_CASE("a release across a change of settings folds both stretches by their own", "[settings]") {
  const Session session("seed=3,symbols=2,messages=8000", 1);
  const auto& place = session.places.front();
  market::FoldSettings after;
  after.candle_widths = {kSecond, kTicks};
  const auto index = session.tape.index(place.symbol, 0, place.end).value();
  const market::FoldItem item{{place.partition, index.at(index.size() / 4).offset, 0}, {}};
  const auto at = place.end / 2, released = place.end * 3 / 4;
  const std::vector records{
      ControlRecord{ControlRecord::Kind::quarantine, place.symbol, item, item.position.offset + 1},
      tests::change_at(session.tape, place.partition, at, after),
      ControlRecord{ControlRecord::Kind::release, place.symbol, item, released}};
  const replay::FoldRules rules({}, records);
  std::mt19937 random(4);
  storage::MemoryStateStore state;
  const auto fold = disturbed_fold(session.tape, place, rules, state, random);
  const auto found = replay::state_at(session.tape, nullptr, place.symbol, replay::AtEnd{}, rules);
  REQUIRE(found);
  CHECK(found->fold.state().digest() == fold.digests.at(place.end));
  CHECK(found->fold.settings() == after);
  const std::vector change{records[1]};
  const auto plain = replay::state_at(session.tape, nullptr, place.symbol, replay::AtEnd{},
                                      replay::FoldRules({}, change));
  REQUIRE(plain);
  CHECK(found->fold.state().counts() == plain->fold.state().counts());
  CHECK(found->fold.state().book(0).bids == plain->fold.state().book(0).bids);
}
