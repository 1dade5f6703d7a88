// The laws of quarantine and release: a function of tape and control records, from wherever a fold
// begins and however it is cut.
#include <catch2/catch.hpp>
#include <random>

#include "replay/recovery.hpp"
#include "replay/release.hpp"
#include "replay/time_travel.hpp"
#include "replay/verify.hpp"
#include "sessions.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;
using schemas::ControlRecord;

namespace {

const market::FoldSettings kSettings;

struct Place {
  std::string symbol;
  market::Partition partition = 0;
  std::vector<storage::IndexEntry> records;
  market::Offset end = 0;
};

Place place_of(const storage::TapeReader& tape, const std::string& symbol) {
  Place place{symbol, storage::partition_of(symbol, tape.partitions()), {}, 0};
  place.end = tape.end(place.partition).value();
  place.records = tape.index(symbol, 0, place.end).value();
  return place;
}

market::FoldItem item_at(const Place& place, std::size_t record, std::uint32_t index) {
  return {{place.partition, place.records.at(record).offset, index}, {}};
}

market::SymbolState state_at(const storage::TapeReader& tape, const storage::StateReader* state,
                             const replay::FoldRules& rules, const Place& place,
                             const replay::Moment& moment) {
  auto at = replay::state_at(tape, state, place.symbol, moment, rules);
  REQUIRE(at);
  return std::move(at->fold.state());
}

/// The newest of each candle, and all else by identity.
tests::OutputMap told(const storage::TapeReader& tape, const replay::FoldRules& rules) {
  tests::OutputMap outputs;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& said) {
    for (const auto& output : said)
      outputs.insert_or_assign({fold.state().symbol(), market::identity(output)}, output);
  };
  REQUIRE(replay::refold(tape, rules, {}, listener));
  return outputs;
}

/// By width, open time and source: candles without their revision.
auto newest_candles(const tests::OutputMap& outputs) {
  std::map<std::tuple<std::string, market::TimeNs, market::TimeNs, market::SourceId>,
           market::Candle>
      newest;
  for (const auto& [key, output] : outputs) {
    const auto* candle = std::get_if<market::Candle>(&output.body);
    if (candle == nullptr) continue;
    newest.insert_or_assign({key.first, candle->width, candle->open_time, output.source}, *candle);
  }
  for (auto& [key, candle] : newest) candle.revision = 0;
  return newest;
}

/// A trade in about the middle of the symbol: leaving it out changes candles.
market::FoldItem trade_item(const storage::TapeReader& tape, const Place& place,
                            std::size_t from_record) {
  for (auto record = from_record; record < place.records.size(); ++record) {
    const auto offset = place.records[record].offset;
    const auto block = tape.read_symbol(place.symbol, offset, offset + 1, {}).value();
    schemas::BatchReader reader;
    REQUIRE(reader.open(block->records.front().payload));
    std::vector<market::Event> events(place.records[record].event_count);
    std::size_t count = 0;
    for (std::size_t more = 1; more > 0 && count < events.size(); count += more)
      more = reader.next(std::span(events).subspan(count));
    for (std::uint32_t i = 0; i < count; ++i) {
      if (events[i].kind == market::EventKind::execute ||
          events[i].kind == market::EventKind::trade)
        return item_at(place, record, i);
    }
  }
  FAIL("no trade");
  return {};
}

ControlRecord quarantine(const Place& place, const market::FoldItem& item, market::Offset at) {
  return {ControlRecord::Kind::quarantine, place.symbol, item, at, {"a", "b", "c"}};
}
ControlRecord release(const Place& place, const market::FoldItem& item, market::Offset at) {
  return {ControlRecord::Kind::release, place.symbol, item, at, {}};
}

}  // namespace

TEST_CASE("a quarantined event is refused by every fold, and the state is suspect since",
          "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=3,symbols=4,messages=8000", 64, 64});
  const auto place = place_of(tape, tape.symbols().value().front());
  const auto item = trade_item(tape, place, place.records.size() / 2);
  const std::vector records{quarantine(place, item, place.end)};
  const replay::FoldRules rules(kSettings, records);

  const auto state = state_at(tape, nullptr, rules, place, replay::AtEnd{});
  const auto plain = state_at(tape, nullptr, kSettings, place, replay::AtEnd{});
  CHECK(state.view().trust == market::Trust::suspect);
  CHECK(state.view().trust_since == item.position);
  CHECK(state.counts().refused == plain.counts().refused + 1);
  CHECK(state.counts().read == plain.counts().read);
  CHECK(state.digest() != plain.digest());
  const auto before = replay::AtOffset{{}, item.position.offset - 1, {}};
  CHECK(state_at(tape, nullptr, rules, place, before).digest() ==
        state_at(tape, nullptr, kSettings, place, before).digest());

  int dead_letters = 0;
  for (const auto& [key, output] : told(tape, rules)) {
    const auto* refusal = std::get_if<market::Refusal>(&output.body);
    if (refusal == nullptr || refusal->rule != market::Refused::quarantined) continue;
    ++dead_letters;
    CHECK(output.position == item.position);
    CHECK(key.first == place.symbol);
    CHECK(static_cast<std::uint8_t>(refusal->event.kind) < market::kEventKinds);
  }
  CHECK(dead_letters == 1);
}

TEST_CASE("quarantine and release give the same states and outputs from any snapshot and cut",
          "[quarantine]") {
  const auto seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 11u;
  INFO("seed " << seed);
  std::mt19937 random(seed);
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=5,symbols=3,messages=9000", 64, 64});
  storage::MemoryTape other;  // the same session, cut and marked otherwise, on one poll's records
  tests::record_session(other, {"seed=5,symbols=3,messages=9000", 64, 64});
  const auto place = place_of(tape, tape.symbols().value().front());
  for (int round = 0; round < 12; ++round) {
    std::vector<ControlRecord> records;
    const auto items = 1 + random() % 3;
    for (std::size_t i = 0; i < items; ++i) {
      const auto record = random() % (place.records.size() - 4);
      const auto item =
          round % 2 == 0
              ? trade_item(tape, place, record)
              : item_at(place, record,
                        static_cast<std::uint32_t>(random()) % place.records[record].event_count);
      const auto later = item.position.offset + 1 + random() % (place.end - item.position.offset);
      records.push_back(quarantine(place, item, later));
      if (random() % 3 != 0)
        records.push_back(release(place, item, later + random() % (place.end - later + 1)));
    }
    const replay::FoldRules rules(kSettings, records);
    // One fold over everything that stores a snapshot now and then ...
    storage::MemoryStateStore state;
    market::Outputs outputs;
    replay::SymbolFold fold(place.symbol, place.partition, rules);
    tests::OutputMap expected;
    std::map<market::Offset, market::Digest> digests;
    while (fold.next() < place.end) {
      const auto to = std::min<market::Offset>(place.end, fold.next() + 1 + random() % 40);
      REQUIRE(replay::catch_up(fold, tape, to, replay::Marks::merged, outputs));
      digests[to] = fold.state().digest();
      if (fold.may_store() && random() % 2 == 0)
        REQUIRE(state.write({{fold.take_snapshot()}, {}, {}, {}, {}}));
    }
    if (fold.next_turn() <= place.end)
      REQUIRE(replay::meet_turn(fold, tape, nullptr, place.end, outputs));
    for (const auto& output : outputs)
      expected.insert_or_assign({place.symbol, market::identity(output)}, output);
    // ... is what a plain refold, time travel from those snapshots and verification find.
    tests::OutputMap found;
    for (auto& [key, output] : told(tape, rules))
      if (key.first == place.symbol) found.emplace(key, output);
    tests::check_same_outputs(found, expected, true);
    CHECK(state_at(tape, &state, rules, place, replay::AtEnd{}).digest() == fold.state().digest());
    for (const auto& [to, digest] : digests) {
      if (to <= place.records.front().offset) continue;
      const auto at = replay::AtOffset{{}, to - 1, {}};
      INFO("up to offset " << to);
      CHECK(state_at(tape, &state, rules, place, at).digest() == digest);
      CHECK(state_at(tape, nullptr, rules, place, at).digest() == digest);
    }
    if (const auto verified = replay::verify(tape, state, rules, 1, {}); verified)
      CHECK(verified->mismatches.empty());
    CHECK(fold.state().recompute_digest() == fold.state().digest());
  }
}

TEST_CASE("after a release everything is as if nothing had been left out, candles one revision on",
          "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=3,symbols=1,messages=20000", 64, 64});
  const auto place = place_of(tape, tape.symbols().value().front());
  std::size_t revised = 0;
  for (std::size_t part = 4; part < 12; ++part) {
    const auto item = trade_item(tape, place, place.records.size() / part);
    const auto at = place.records[place.records.size() * 2 / 3].offset;
    const std::vector records{quarantine(place, item, item.position.offset + 1),
                              release(place, item, at)};
    const replay::FoldRules rules(kSettings, records);
    const auto plain_outputs = told(tape, kSettings), outputs = told(tape, rules);
    CHECK(newest_candles(outputs) == newest_candles(plain_outputs));
    for (const auto& [key, output] : outputs) {
      if (output.position != market::Position{place.partition, at, 0}) continue;
      const auto* candle = std::get_if<market::Candle>(&output.body);
      if (candle == nullptr || key.first != place.symbol) continue;
      revised += candle->revision > 0 ? 1 : 0;
    }
    const auto state = state_at(tape, nullptr, rules, place, replay::AtEnd{});
    const auto plain = state_at(tape, nullptr, kSettings, place, replay::AtEnd{});
    CHECK(state.view().trust == plain.view().trust);
    CHECK(state.counts() == plain.counts());
    CHECK(state.book(0).bids == plain.book(0).bids);
    CHECK(state.book(0).asks == plain.book(0).asks);
    // While it was left out, it stays left out for whoever asks about that time.
    const auto between = replay::AtOffset{{}, at - 1, {}};
    CHECK(state_at(tape, nullptr, rules, place, between).view().trust == market::Trust::suspect);
  }
  CHECK(revised > 0);
}

TEST_CASE("a due item that is left out is not told, whatever brings the time to it",
          "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=3,symbols=2,messages=6000", 64, 64});
  const auto place = place_of(tape, tape.symbols().value().front());
  const market::Output* candle = nullptr;
  const auto plain = told(tape, kSettings);
  for (const auto& [key, output] : plain) {
    const auto* body = std::get_if<market::Candle>(&output.body);
    if (body == nullptr || key.first != place.symbol || body->revision != 0) continue;
    if (output.time != body->open_time + body->width + kSettings.idle_after) continue;
    candle = &output;
  }
  market::FoldItem item;
  const auto* window = &*std::ranges::find_if(plain, [&](const auto& entry) {
    return entry.first.first == place.symbol && entry.second.kind() == market::OutputKind::metrics;
  });
  const auto& what = candle != nullptr ? *candle : window->second;
  const auto width = candle != nullptr ? std::get<market::Candle>(what.body).width
                                       : std::get<market::MetricsRow>(what.body).width;
  item = {what.position, market::DueItem{what.source, what.kind(), width, what.time}};
  const std::vector records{quarantine(place, item, place.end)};
  const replay::FoldRules rules(kSettings, records);
  const auto outputs = told(tape, rules);
  CHECK_FALSE(outputs.contains({place.symbol, market::identity(what)}));
  int letters = 0;
  for (const auto& [key, output] : outputs) {
    const auto* refusal = std::get_if<market::Refusal>(&output.body);
    if (refusal == nullptr || refusal->rule != market::Refused::quarantined_due) continue;
    ++letters;
    CHECK(refusal->event.time == what.time);
    CHECK(refusal->event.code == static_cast<std::uint8_t>(what.kind()));
  }
  CHECK(letters == 1);
  CHECK(state_at(tape, nullptr, rules, place, replay::AtEnd{}).view().trust ==
        market::Trust::suspect);
}
