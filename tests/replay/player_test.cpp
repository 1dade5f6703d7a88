#include "replay/player.hpp"

#include <algorithm>
#include <random>

#include "replay/verify.hpp"
#include "sessions.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;
using replay::ClockNs;
using replay::MergePlace;
using replay::Player;
using replay::PlayState;
using replay::Speed;
using replay::StepUnit;
using replay::Told;
using tests::record_session;

namespace {

const market::FoldSettings kSettings;
constexpr Speed kMax{0};
constexpr std::size_t kAll = 1'000'000'000;

std::uint32_t seed_of_run() { return Catch::rngSeed() != 0 ? Catch::rngSeed() : 20260105; }

Player open(const storage::TapeReader& tape, replay::PlayerOptions options = {},
            const storage::StateReader* state = nullptr) {
  auto player = Player::open(tape, state, kSettings, std::move(options));
  INFO((player ? "" : player.error().message));
  REQUIRE(player);
  return std::move(*player);
}

/// One thing told, as text: all of it that a listener gets to know.
std::string line(const Told& told) {
  std::string text = told.fold.state().symbol() + " " + std::to_string(told.place.time) +
                     (told.place.mark ? " mark " : " event ") +
                     replay::place(told.place.position.partition, told.place.position.offset) +
                     ":" + std::to_string(told.place.position.index) + " " +
                     std::to_string(told.events.size()) + " " + told.fold.state().digest().hex();
  for (const auto& output : told.outputs) {
    text += " " + market::identity(output) + "@" +
            replay::place(output.position.partition, output.position.offset) + ":" +
            std::to_string(output.position.index);
  }
  return text;
}

/// Plays to the end at full speed.
std::vector<std::string> play_out(Player& player, std::vector<MergePlace>* places = nullptr) {
  std::vector<std::string> lines;
  player.set_speed(0, kMax);
  player.play(0);
  while (player.state() == PlayState::playing) {
    REQUIRE(player.tell_due(0, kAll, [&](const Told& told) {
      lines.push_back(line(told));
      if (places != nullptr) places->push_back(told.place);
    }));
  }
  return lines;
}

/// What an engine's barriers leave: every symbol's state as of an offset, told of all marks before.
void store_barriers(const storage::TapeReader& tape, storage::StateStore& state,
                    std::uint64_t records) {
  std::vector<storage::StoredSnapshot> snapshots;
  for (replay::Partition p = 0; p < tape.partitions(); ++p) {
    std::map<std::string, replay::SymbolFold> folds;
    const auto block = tape.read(p, 0, {}).value();
    market::Outputs outputs;
    for (const auto& record : block->records) {
      if (record.kind == storage::RecordKind::mark) {
        const auto mark = replay::time_mark(record).value();
        for (auto& [symbol, fold] : folds) fold.advance(mark, outputs);
      } else {
        const std::string symbol(record.symbol);
        auto& fold = folds.try_emplace(symbol, symbol, p, kSettings).first->second;
        REQUIRE(fold.apply(record, outputs));
      }
      if (record.offset % records != records - 1) continue;
      for (auto& [symbol, fold] : folds) {
        fold.pass(record.offset + 1);
        snapshots.push_back(fold.take_snapshot());
      }
    }
  }
  REQUIRE(snapshots.size() > 10);
  REQUIRE(state.write({snapshots, {}, {}, {}}));
}

/// A tape of two sources with the same day: the second one goes back in time.
void record_two(storage::TapeWriter& writer) {
  record_session(writer, {"seed=1,symbols=6,messages=6000", 256, 512});
  record_session(writer, {"seed=2,symbols=9,messages=6000", 64, 64});
}

}  // namespace

TEST_CASE("a player says what a refold says, with the same positions, in the order of event time",
          "[player]") {
  const tests::SessionOptions variants[] = {{"seed=1,symbols=12,messages=20000", 1, 1},
                                            {"seed=1,symbols=12,messages=20000", 64, 64},
                                            {"seed=2,symbols=12,messages=20000", 4096, 512},
                                            {"", 0, 0}};
  for (const auto& variant : variants) {
    storage::MemoryTape tape(3);
    variant.linger_events == 0 ? record_two(tape) : record_session(tape, variant);
    const auto expected = tests::plain_refold(tape, kSettings);
    auto player = open(tape);
    player.set_speed(0, kMax);
    player.play(0);
    tests::OutputMap outputs;
    std::optional<MergePlace> last;
    bool ordered = true;
    REQUIRE(player.tell_due(0, kAll, [&](const Told& told) {
      ordered = ordered && (!last || *last <= told.place);
      last = told.place;
      for (const auto& output : told.outputs) {
        const auto fresh = outputs.emplace(
            std::pair(told.fold.state().symbol(), market::identity(output)), output);
        CHECK(fresh.second);
      }
    }));
    CHECK(player.state() == PlayState::ended);
    CHECK(ordered);
    CHECK(player.events_told() == expected.counts.read);
    tests::check_same_outputs(outputs, expected.outputs, true);
    for (std::uint32_t i = 0; i < player.symbols().size(); ++i) {
      const auto& state = player.fold(i).value()->state();
      CHECK(expected.digests.at(state.symbol()) ==
            std::pair(state.counts().folded, state.digest()));
    }
  }
}

TEST_CASE("what is told behind a seek is what a replay from the beginning tells there",
          "[player]") {
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (const bool two : {false, true}) {
    storage::MemoryTape tape(3);
    two ? record_two(tape) : record_session(tape, {"seed=5,symbols=7,messages=9000", 128, 200});
    storage::MemoryStateStore state;
    store_barriers(tape, state, 37);
    auto whole = open(tape);
    std::vector<MergePlace> places;
    const auto lines = play_out(whole, &places);
    for (int i = 0; i < 40; ++i) {
      const auto& target = places[random() % places.size()];
      const auto* with = i % 4 == 3 ? nullptr : static_cast<storage::StateReader*>(&state);
      auto player = open(tape, {}, with);
      std::size_t behind = 0;
      if (i % 2 == 0) {
        const auto time = target.time + static_cast<market::TimeNs>(random() % 3) - 1;
        INFO("instant " << time);
        if (time > places.back().time) continue;  // past the last mark
        REQUIRE(player.seek(0, replay::AtInstant{time}));
        while (behind < places.size() && places[behind].time <= time) ++behind;
      } else {
        if (target.mark) continue;
        INFO("position " << replay::place(target.position.partition, target.position.offset));
        REQUIRE(player.seek(0, replay::AtOffset{target.position.partition, target.position.offset,
                                                target.position.index}));
        while (behind < places.size() && places[behind] <= target) ++behind;
      }
      if (i % 3 == 0)
        while (player.restore_one().value()) continue;
      const auto told = play_out(player);
      REQUIRE(told.size() == lines.size() - behind);
      CHECK(std::equal(told.begin(), told.end(), lines.begin() + static_cast<long>(behind)));
      CHECK(player.bad_snapshots().empty());
    }
  }
}

TEST_CASE("a player leaves out what is in quarantine, lets in what was released, changes settings",
          "[player]") {
  using schemas::ControlRecord;
  storage::MemoryTape tape(2);
  record_session(tape, {"seed=5,symbols=4,messages=6000", 64, 100});
  storage::MemoryStateStore state;
  store_barriers(tape, state, 37);
  std::vector<ControlRecord> records;
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    const auto partition = storage::partition_of(symbol, tape.partitions());
    const auto end = tape.end(partition).value();
    const auto index = tape.index(symbol, 0, end).value();
    for (const auto part : {3, 5}) {
      const auto at = index.size() * static_cast<std::size_t>(part) / 10;
      const market::FoldItem item{{partition, index[at].offset, 1}, {}};
      records.push_back({ControlRecord::Kind::quarantine, symbol, item, end, {"a", "b", "c"}});
      const auto released = part == 3 ? index[index.size() * 7 / 10].offset - 1 : end;
      records.push_back({ControlRecord::Kind::release, symbol, item, released, {}});
    }
  }
  records.pop_back();  // one stays
  market::FoldSettings later;
  later.candle_widths = {market::kSecond, market::candle_width(market::CandleMeasure::ticks, 7)};
  later.lateness = market::kSecond;
  for (replay::Partition p = 0; p < tape.partitions(); ++p) {
    const auto end = tape.end(p).value();
    records.push_back(tests::change_at(tape, p, end / 2, later));
    records.push_back(tests::change_at(tape, p, end, kSettings));
  }
  const replay::FoldRules rules(kSettings, records);
  tests::OutputMap expected, outputs;  // a release says some again: the last counts
  const auto keep = [](tests::OutputMap& map, const replay::SymbolFold& fold,
                       const market::Outputs& said) {
    for (const auto& output : said)
      map.insert_or_assign({fold.state().symbol(), market::identity(output)}, output);
  };
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& said) {
    keep(expected, fold, said);
  };
  const auto refolded = replay::refold(tape, rules, {}, listener);
  REQUIRE(refolded);
  auto player = Player::open(tape, nullptr, rules, {}).value();
  player.set_speed(0, kMax);
  player.play(0);
  std::vector<std::string> lines;
  std::vector<MergePlace> places;
  REQUIRE(player.tell_due(0, kAll, [&](const Told& told) {
    lines.push_back(line(told)), places.push_back(told.place);
    keep(outputs, told.fold, told.outputs);
  }));
  tests::check_same_outputs(outputs, expected, true);
  for (std::uint32_t i = 0; i < player.symbols().size(); ++i) {
    const auto& fold = player.fold(i).value()->state();
    CHECK(refolded->symbols.find(fold.symbol())->second.state().digest() == fold.digest());
  }
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20; ++i) {
    // Those stored before the quarantine know nothing of it: an engine drops them.
    auto sought = Player::open(tape, nullptr, rules, {}).value();
    const auto time = places[random() % places.size()].time;
    if (!sought.seek(0, replay::AtInstant{time})) continue;
    const auto behind = std::ranges::find_if(places, [&](const auto& p) { return p.time > time; });
    const auto told = play_out(sought);
    REQUIRE(told.size() == static_cast<std::size_t>(places.end() - behind));
    CHECK(std::equal(told.begin(), told.end(), lines.begin() + (behind - places.begin())));
  }
}

TEST_CASE("a state at an instant is the one that time travel gives", "[player]") {
  storage::MemoryTape tape(3);
  record_two(tape);
  storage::MemoryStateStore state;
  store_barriers(tape, state, 50);
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  auto player = open(tape, {}, &state);
  std::vector<MergePlace> places;
  play_out(player, &places);
  for (int i = 0; i < 60; ++i) {
    const auto time = places[random() % places.size()].time;
    REQUIRE(player.seek(0, replay::AtInstant{time}));
    CHECK(player.time() == time);
    for (std::uint32_t s = 0; s < player.symbols().size(); ++s) {
      const auto there =
          replay::state_at(tape, nullptr, player.symbols()[s], replay::AtInstant{time}, kSettings);
      const auto& fold = *player.fold(s).value();
      if (!there) {
        CHECK(fold.state().counts().read == 0);
        continue;
      }
      CHECK(fold.state().digest() == there->fold.state().digest());
      CHECK(fold.state().counts() == there->fold.state().counts());
    }
  }
}

TEST_CASE("everything is told when it is due, and nothing before", "[player]") {
  storage::MemoryTape tape(2);
  record_session(tape, {"seed=3,symbols=4,messages=3000", 64, 64});
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (const std::uint32_t thousandths : {100u, 1000u, 2500u, 1'000'000u}) {
    auto player = open(tape);
    player.set_speed(0, {thousandths});
    ClockNs now = 1'000'000'000'000;
    const ClockNs start = now;
    player.play(now);
    std::optional<market::TimeNs> first;
    std::size_t told = 0;
    while (player.state() == PlayState::playing) {
      REQUIRE(player.next_due() != replay::kNeverDue);
      // Sometimes a little too early, sometimes late.
      if (const auto due = player.next_due(); due != replay::kDueAtOnce)
        now = std::max(now, due + static_cast<ClockNs>(random() % 2000) - 200);
      REQUIRE(player.tell_due(now, 1 + random() % 50, [&](const Told& item) {
        if (!first) first = item.place.time;
        const auto due =
            start +
            (market::Int128{item.place.time - *first} * 1000 + thousandths - 1) / thousandths;
        CHECK(static_cast<ClockNs>(due) <= now);
        CHECK((item.due == replay::kDueAtOnce || item.due == static_cast<ClockNs>(due)));
        ++told;
      }));
    }
    CHECK(told >= 3000);
  }
}

TEST_CASE("a pause stops event time, and another speed goes on from where it was", "[player]") {
  storage::MemoryTape tape(2);
  record_session(tape, {"seed=3,symbols=4,messages=3000", 64, 64});
  auto player = open(tape);
  const auto ignore = [](const Told&) {};
  CHECK(player.next_due() == replay::kNeverDue);
  player.play(0);
  REQUIRE(player.tell_due(50 * market::kSecond, kAll, ignore));
  const auto due = player.next_due();
  REQUIRE(due > 50 * market::kSecond);
  player.pause(50 * market::kSecond);
  CHECK(player.state() == PlayState::paused);
  CHECK(player.next_due() == replay::kNeverDue);
  CHECK(player.tell_due(kAll, kAll, ignore).value() == 0);
  player.play(1000 * market::kSecond);
  CHECK(player.next_due() == due + 950 * market::kSecond);
  player.set_speed(1000 * market::kSecond, {2000});
  const auto left = player.next_due() - 1000 * market::kSecond;
  CHECK(left == (due - 50 * market::kSecond + 1) / 2);
  const auto time = player.time();
  REQUIRE(player.seek(2000 * market::kSecond, replay::AtInstant{time + 60 * market::kSecond}));
  CHECK(player.state() == PlayState::playing);
  const auto there = player.next_due();
  player.pause(2000 * market::kSecond);
  REQUIRE(player.step(0, StepUnit::event, 1, [&](const Told& told) {
    const auto gap = told.place.time - time - 60 * market::kSecond;
    CHECK(gap > 0);
    if (!told.place.mark) CHECK(there <= 2000 * market::kSecond + (gap + 1) / 2);
  }));
}

TEST_CASE("a step tells one message, the rest of a record, or a second", "[player]") {
  storage::MemoryTape tape(2);
  record_session(tape, {"seed=4,symbols=3,messages=4000", 64, 64});
  auto player = open(tape);
  std::vector<std::string> lines;
  const auto keep = [&](const Told& told) { lines.push_back(line(told)); };
  auto whole = open(tape);
  const auto all = play_out(whole);

  std::size_t messages = 0;
  const auto count = [&](const Told& told) {
    messages += told.place.mark ? 0 : 1;
    keep(told);
  };
  CHECK(player.step(0, StepUnit::event, 5, count).value() == 5);
  CHECK(messages == 5);
  std::optional<MergePlace> last;
  const auto records = player.records_told();
  CHECK(player
            .step(0, StepUnit::record, 1,
                  [&](const Told& told) {
                    last = told.place;
                    keep(told);
                  })
            .value() == 1);
  CHECK(player.records_told() > records);
  const auto before = player.time();
  CHECK(player
            .step(0, StepUnit::second, 2,
                  [&](const Told& told) {
                    CHECK(told.place.time <= before + 2 * market::kSecond);
                    keep(told);
                  })
            .value() == 2);
  CHECK(player.time() == before + 2 * market::kSecond);
  CHECK(player.state() == PlayState::paused);
  REQUIRE(player.step(0, StepUnit::event, kAll, keep));
  CHECK(player.state() == PlayState::ended);
  CHECK(player.step(0, StepUnit::event, 1, keep).value() == 0);
  CHECK(lines == all);
}

TEST_CASE("a player that loops begins anew, with the same outputs", "[player]") {
  storage::MemoryTape tape(2);
  record_session(tape, {"seed=4,symbols=3,messages=2000", 64, 64});
  auto reference = open(tape);
  std::vector<MergePlace> places;
  play_out(reference, &places);
  const auto from = replay::AtInstant{places[places.size() / 2].time};
  replay::PlayerOptions options{{}, from, kMax, true};
  auto player = open(tape, options);
  player.play(0);
  std::vector<std::string> rounds[2];
  while (player.loops() < 2) {
    REQUIRE(player.tell_due(0, 100, [&](const Told& told) {
      if (player.loops() < 2) rounds[player.loops()].push_back(line(told));
    }));
  }
  CHECK(player.state() == PlayState::playing);
  CHECK(rounds[0].size() > 100);
  CHECK(rounds[0] == rounds[1]);
}

TEST_CASE("a player ends where a refold ends", "[player]") {
  storage::MemoryTape tape(2);
  record_session(tape, {"seed=6,symbols=5,messages=8000", 128, 128});
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto first = tape.index(tape.symbols()->front(), 0, 1000)->front().max_event_time;
  for (int i = 0; i < 20; ++i) {
    replay::RefoldOptions refold;
    replay::PlayerOptions options;
    if (i % 2 == 0) {
      refold.instant = first + static_cast<market::TimeNs>(random() % 100'000) * 1'000'000;
      options.merge.instant = refold.instant;
    } else {
      for (replay::Partition p = 0; p < tape.partitions(); ++p) {
        refold.to.push_back(1 + random() % tape.end(p).value());
        refold.last_events.push_back(1 + random() % 3);
      }
      options.merge.to = refold.to, options.merge.last_events = refold.last_events;
    }
    const auto expected = replay::refold(tape, kSettings, refold);
    REQUIRE(expected);
    auto player = open(tape, options);
    play_out(player);
    std::size_t folded = 0;
    for (std::uint32_t s = 0; s < player.symbols().size(); ++s) {
      const auto& state = player.fold(s).value()->state();
      if (state.counts().read == 0) continue;
      ++folded;
      const auto found = expected->symbols.find(state.symbol());
      REQUIRE(found != expected->symbols.end());
      CHECK(found->second.state().digest() == state.digest());
    }
    CHECK(player.events_told() == expected->counts.read);
    // At the end nothing is left to be told, also after a seek to it.
    REQUIRE(player.seek(0, replay::AtEnd{}));
    CHECK(player.state() == PlayState::ended);
    CHECK(folded <= expected->symbols.size());
  }
}

TEST_CASE("what is not on the tape is named, and nothing changes", "[player]") {
  storage::MemoryTape tape(2);
  record_session(tape, {"seed=6,symbols=5,messages=2000", 128, 128});
  replay::PlayerOptions unknown;
  unknown.merge.symbols = {"NOBODY"};
  const auto refused = Player::open(tape, nullptr, kSettings, unknown);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::not_found);
  CHECK(refused.error().field == "symbols");
  replay::PlayerOptions many;
  many.merge.max_entries = 3;
  CHECK(Player::open(tape, nullptr, kSettings, many).error().code == ErrorCode::invalid);

  auto player = open(tape);
  REQUIRE(player.step(0, StepUnit::event, 100, [](const Told&) {}));
  const auto time = player.time();
  const auto told = player.events_told();
  CHECK(player.seek(0, replay::AtInstant{market::kNever - 1}).error().code ==
        ErrorCode::out_of_range);
  CHECK(player.seek(0, replay::AtOffset{0, 1u << 30, {}}).error().code == ErrorCode::out_of_range);
  CHECK(player.time() == time);
  CHECK(player.events_told() == told);
}

TEST_CASE("a speed is max or a number from 0.1 to 1000", "[player]") {
  const std::pair<const char*, std::uint32_t> good[] = {
      {"max", 0}, {"1", 1000}, {"0.1", 100}, {"2.5", 2500}, {"1000", 1'000'000}, {"0.125", 125}};
  for (const auto& [text, thousandths] : good) {
    const auto speed = replay::parse_speed(text, "speed");
    REQUIRE(speed);
    CHECK(speed->thousandths == thousandths);
    CHECK(replay::format_speed(*speed) == text);
  }
  for (const auto* bad : {"", "0", "0.09", "1000.1", "1e3", "-1", "+1", "1.", ".5", "1.2345", "x",
                          "99999999999", " 1"}) {
    INFO(bad);
    const auto speed = replay::parse_speed(bad, "speed");
    REQUIRE_FALSE(speed);
    CHECK(speed.error().field == "speed");
  }
}
