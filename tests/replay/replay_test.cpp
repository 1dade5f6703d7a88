#include <algorithm>
#include <array>
#include <random>

#include "replay/candles.hpp"
#include "replay/output_diff.hpp"
#include "replay/recovery.hpp"
#include "replay/time_travel.hpp"
#include "replay/verify.hpp"
#include "sessions.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;
using tests::record_session;

namespace {

const market::FoldSettings kSettings;

/// Snapshots of every symbol after each record that the policy picks, as an engine would leave
/// them.
void store_snapshots(const storage::TapeReader& tape, storage::StateStore& state,
                     replay::SnapshotPolicy policy) {
  std::vector<storage::StoredSnapshot> snapshots;
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    const auto partition = storage::partition_of(symbol, tape.partitions());
    replay::SymbolFold fold(symbol, partition, kSettings);
    market::Outputs outputs;
    const auto block = tape.read_symbol(symbol, 0, tape.end(partition).value(), {}).value();
    for (const auto& record : block->records) {
      REQUIRE(fold.apply(record, outputs));
      if (fold.wants_snapshot(policy)) snapshots.push_back(fold.take_snapshot());
    }
  }
  REQUIRE(snapshots.size() > 10);
  REQUIRE(state.write({snapshots, {}, {}, {}}));
}

std::uint32_t seed_of_run() {
  const std::uint32_t seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 20260105;
  return seed;
}

}  // namespace

TEST_CASE("a control record that the state has not met makes what it outdates unusable",
          "[replay]") {
  using Kind = schemas::ControlRecord::Kind;
  const storage::MemoryTape tape(1);
  storage::MemoryStateStore state;
  const replay::FoldRules before(kSettings);
  const auto store = [&](const replay::FoldRules& rules, market::Offset next) {
    storage::StateStore::Batch batch;
    for (const auto* symbol : {"A", "B"}) {
      replay::SymbolFold fold(symbol, 0, rules);
      fold.enter(next);
      fold.pass(next);
      batch.snapshots.push_back(fold.take_snapshot());
    }
    batch.checkpoint = storage::Checkpoint{0, next, {}, {}, 0};
    batch.cursor = {0, next};
    REQUIRE(state.write(batch));
  };
  for (const market::Offset next : {10, 20, 30}) store(before, next);
  const market::FoldItem item{{0, 15, 2}, {}};
  std::vector<schemas::ControlRecord> records{{Kind::quarantine, "A", item, 18, {}}};
  const auto newest = [&](const replay::FoldRules& rules, const char* symbol) {
    return replay::newest_good(tape, &state, symbol, 0, 30, rules).value().fold.next();
  };
  const auto resumes = [&](const replay::FoldRules& rules) {
    return replay::plan_resume(tape, state, rules, 0).value().checkpoint.next;
  };
  const auto meet = [&](const replay::FoldRules& rules) {
    auto batch = replay::forget_outdated(tape, state, rules, 0).value();
    REQUIRE(batch.rules_met == std::pair(market::Partition{0}, std::uint64_t{records.size()}));
    REQUIRE(state.write(batch));
  };
  CHECK(newest(before, "A") == 30);
  CHECK(resumes(before) == 30);
  const replay::FoldRules quarantined(kSettings, records);
  CHECK(newest(quarantined, "A") == 10);  // 20 and 30 hold the item
  CHECK(newest(quarantined, "B") == 30);
  CHECK(resumes(quarantined) == 10);
  meet(quarantined);
  CHECK(state.snapshots("A", 0).value().size() == 1);
  CHECK(state.checkpoints(0).value().size() == 1);
  store(quarantined, 20);
  store(quarantined, 30);
  CHECK(newest(quarantined, "A") == 30);
  CHECK(resumes(quarantined) == 30);

  records.push_back({Kind::release, "A", item, 25, {}});
  records.push_back({Kind::quarantine, "A", item, 28, {}});  // it still kills the fold
  const replay::FoldRules again(kSettings, records);
  CHECK(newest(again, "A") == 20);  // up to 25 it was folded without the item all the time
  CHECK(resumes(again) == 20);
  meet(again);
  CHECK(replay::forget_outdated(tape, state, again, 0).value().forget.empty());
  CHECK_FALSE(replay::forget_outdated(tape, state, quarantined, 0));  // more are met than there are
}

TEST_CASE("the same session gives the same digests and outputs however it was recorded",
          "[replay]") {
  storage::MemoryTape reference;
  record_session(reference, {});
  const auto expected = tests::plain_refold(reference, kSettings);
  CHECK(expected.outputs.size() > 1000);
  const tests::SessionOptions variants[] = {{"seed=1,symbols=12,messages=30000", 1, 1},
                                            {"seed=1,symbols=12,messages=30000", 64, 64},
                                            {"seed=1,symbols=12,messages=30000", 1, 1u << 30},
                                            {"seed=1,symbols=12,messages=30000", 524'288, 524'288}};
  for (const auto& variant : variants) {
    INFO("linger " << variant.linger_events << " events, a mark every " << variant.mark_events);
    storage::MemoryTape tape(variant.linger_events == 64 ? 3 : 4);
    record_session(tape, variant);
    const auto found = tests::plain_refold(tape, kSettings);
    CHECK(found.digests == expected.digests);
    CHECK(found.counts == expected.counts);
    tests::check_same_outputs(found.outputs, expected.outputs, false);
  }
}

TEST_CASE("state at any position or instant equals a naive replay from the beginning", "[replay]") {
  storage::MemoryTape tape;
  record_session(tape, {});
  storage::MemoryStateStore state;
  store_snapshots(tape, state, {500, 8});
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto symbols = tape.symbols().value();
  for (int i = 0; i < 300; ++i) {
    const auto& symbol = symbols[random() % symbols.size()];
    const auto partition = storage::partition_of(symbol, tape.partitions());
    const auto end = tape.end(partition).value();
    const auto index = tape.index(symbol, 0, end).value();
    replay::Moment moment = replay::AtOffset{{}, random() % end, {}};
    if (i % 3 == 0) {
      const auto& entry = index[random() % index.size()];
      moment = replay::AtOffset{partition, entry.offset,
                                static_cast<std::uint32_t>(random() % entry.event_count)};
    } else if (i % 3 == 1) {
      const auto first = index.front().max_event_time, last = index.back().max_event_time;
      moment =
          replay::AtInstant{first + static_cast<market::TimeNs>(
                                        random() % static_cast<std::uint64_t>(last - first + 1))};
    }
    const auto quick = replay::state_at(tape, &state, symbol, moment, kSettings);
    const auto naive = replay::state_at(tape, nullptr, symbol, moment, kSettings);
    if (!naive) {  // before the symbol's first event
      CHECK(naive.error().code == ErrorCode::out_of_range);
      REQUIRE_FALSE(quick);
      CHECK(quick.error().message == naive.error().message);
      continue;
    }
    REQUIRE(quick);
    CHECK(quick->fold.state().digest() == naive->fold.state().digest());
    CHECK(quick->fold.state().book(0).bids == naive->fold.state().book(0).bids);
    CHECK(quick->fold.state().book(0).asks == naive->fold.state().book(0).asks);
    CHECK(quick->refolded_events <= naive->refolded_events);
  }
}

TEST_CASE("an instant is the state just before the symbol's first later event", "[replay]") {
  storage::MemoryTape tape;
  record_session(tape, {"seed=3,symbols=3,messages=3000", 64, 64});
  const auto symbol = tape.symbols().value().front();
  const auto partition = storage::partition_of(symbol, tape.partitions());
  std::vector<market::Event> events;
  const auto block = tape.read_symbol(symbol, 0, tape.end(partition).value(), {}).value();
  for (const auto& record : block->records) {
    schemas::BatchReader reader;
    REQUIRE(reader.open(record.payload));
    std::vector<market::Event> batch(reader.size());
    REQUIRE(reader.next(batch) == batch.size());
    events.insert(events.end(), batch.begin(), batch.end());
  }
  for (std::size_t i = 0; i + 1 < events.size(); i += 17) {
    const auto time = events[i].time;
    const auto before =
        std::ranges::find_if(events, [time](const auto& e) { return e.time > time; });
    const auto at = replay::state_at(tape, nullptr, symbol, replay::AtInstant{time}, kSettings);
    REQUIRE(at);
    CHECK(at->fold.state().counts().read == static_cast<std::uint64_t>(before - events.begin()));
  }
}

TEST_CASE("a refold that ends at a moment leaves the state that is asked for there", "[replay]") {
  storage::MemoryTape tape;
  record_session(tape, {});
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto symbols = tape.symbols().value();
  for (int i = 0; i < 40; ++i) {
    const auto& symbol = symbols[random() % symbols.size()];
    const auto partition = storage::partition_of(symbol, tape.partitions());
    const auto index = tape.index(symbol, 0, tape.end(partition).value()).value();
    const auto& entry = index[random() % index.size()];
    replay::RefoldOptions options;
    replay::Moment moment;
    if (i % 2 == 0) {
      const auto event = static_cast<std::uint32_t>(random() % entry.event_count);
      moment = replay::AtOffset{partition, entry.offset, event};
      for (market::Partition p = 0; p < tape.partitions(); ++p) {
        options.to.push_back(p == partition ? entry.offset + 1 : tape.end(p).value());
        options.last_events.push_back(p == partition ? event + 1
                                                     : replay::SymbolFold::kWholeRecord);
      }
    } else {
      options.instant = entry.max_event_time - static_cast<market::TimeNs>(random() % 2);
      moment = replay::AtInstant{options.instant};
    }
    const auto asked = replay::state_at(tape, nullptr, symbol, moment, kSettings);
    const auto refolded = replay::refold(tape, kSettings, options);
    REQUIRE(asked);
    REQUIRE(refolded);
    const auto& fold = refolded->symbols.at(symbol);
    CHECK(fold.state().counts().read == asked->fold.state().counts().read);
    CHECK(fold.state().digest() == asked->fold.state().digest());
  }
}

TEST_CASE("a moment past the tape is refused and named", "[replay]") {
  storage::MemoryTape tape;
  record_session(tape, {"seed=3,symbols=3,messages=3000", 64, 64});
  const auto symbol = tape.symbols().value().front();
  const auto late =
      replay::state_at(tape, nullptr, symbol, replay::AtInstant{market::kNever - 1}, kSettings);
  REQUIRE_FALSE(late);
  CHECK(late.error().code == ErrorCode::out_of_range);
  CHECK(late.error().message.find("last time mark") != std::string::npos);
  const auto beyond =
      replay::state_at(tape, nullptr, symbol, replay::AtOffset{{}, 1'000'000, {}}, kSettings);
  REQUIRE_FALSE(beyond);
  CHECK(beyond.error().code == ErrorCode::out_of_range);
  const auto early = replay::state_at(tape, nullptr, symbol, replay::AtInstant{1}, kSettings);
  REQUIRE_FALSE(early);
  CHECK(early.error().code == ErrorCode::out_of_range);
  CHECK(early.error().message.find("no event yet") != std::string::npos);
  const auto unknown = replay::state_at(tape, nullptr, "NOSUCH", replay::AtEnd{}, kSettings);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == ErrorCode::not_found);
}

TEST_CASE("verify compares every recorded digest, and names the one that differs", "[replay]") {
  storage::MemoryTape tape;
  record_session(tape, {});
  storage::MemoryStateStore state;
  CHECK(replay::verify(tape, state, kSettings, 1, {}).error().code == ErrorCode::not_found);
  store_snapshots(tape, state, {500, 8});
  const auto good = replay::verify(tape, state, kSettings, 2, {});
  REQUIRE(good);
  CHECK(good->digests > 10);
  CHECK(good->snapshots == good->digests);
  CHECK(good->mismatches.empty());
  CHECK(good->bad_snapshots.empty());

  const auto symbol = tape.symbols().value().front();
  const auto partition = storage::partition_of(symbol, tape.partitions());
  auto stored =
      state.newest_snapshot(symbol, partition, tape.end(partition).value()).value().value();
  stored.digest.low ^= 1;
  REQUIRE(state.write({{stored}, {}, {}, {}}));
  const auto bad = replay::verify(tape, state, kSettings, 1, {});
  REQUIRE(bad);
  REQUIRE(bad->mismatches.size() == 1);
  CHECK(bad->mismatches[0].key.symbol == symbol);
  CHECK(bad->bad_snapshots.size() == 1);
}

TEST_CASE("a bad snapshot falls back to the one before", "[replay]") {
  storage::MemoryTape tape;
  record_session(tape, {});
  storage::MemoryStateStore state;
  store_snapshots(tape, state, {500, 8});
  const auto symbol = tape.symbols().value().front();
  const auto partition = storage::partition_of(symbol, tape.partitions());
  const auto end = tape.end(partition).value();
  const auto rows = state.snapshots(symbol, partition).value();
  REQUIRE(rows.size() > 1);
  auto stored = state.newest_snapshot(symbol, partition, end).value().value();
  stored.bytes.resize(stored.bytes.size() / 2);
  REQUIRE(state.write({{stored}, {}, {}, {}}));
  const auto at = replay::state_at(tape, &state, symbol, replay::AtEnd{}, kSettings);
  REQUIRE(at);
  CHECK(at->bad_snapshots.size() == 1);
  CHECK(at->fold.state().digest() ==
        replay::state_at(tape, nullptr, symbol, replay::AtEnd{}, kSettings)->fold.state().digest());
}

TEST_CASE("diff names the first event at which two tapes differ", "[replay]") {
  storage::MemoryTape left, same(2), other;
  record_session(left, {"seed=5,symbols=4,messages=5000", 64, 64});
  record_session(same, {"seed=5,symbols=4,messages=5000", 500, 5000});
  record_session(other, {"seed=5,symbols=4,messages=5200", 64, 64});
  CHECK(replay::diff(left, same, kSettings, kSettings).value().empty());
  const auto differences = replay::diff(left, other, kSettings, kSettings).value();
  REQUIRE_FALSE(differences.empty());
  CHECK((differences[0].left || differences[0].right));
}

TEST_CASE("a symbol filter counts what it leaves out", "[replay]") {
  storage::MemoryTape tape;
  record_session(tape, {});
  const auto symbol = tape.symbols().value().front();
  replay::RefoldOptions options;
  options.symbols = {symbol};
  const auto some = replay::refold(tape, kSettings, options).value();
  const auto all = replay::refold(tape, kSettings, {}).value();
  CHECK(some.symbols.size() == 1);
  CHECK(some.counts.read == all.counts.read);
  CHECK(some.counts.read ==
        some.counts.folded + some.counts.duplicates + some.counts.refused + some.counts.filtered);
  CHECK(some.symbols.at(symbol).state().digest() == all.symbols.at(symbol).state().digest());
}

TEST_CASE("a tape folded with other settings differs first where a fold of all says so",
          "[replay]") {
  storage::MemoryTape tape;
  record_session(tape, {"seed=9,symbols=5,messages=9000", 256, 256});
  CHECK(replay::diff_outputs(tape, kSettings, kSettings, {})->empty());
  auto changed = kSettings;
  changed.alerts.imbalance_high = 900'000;
  changed.metrics_levels = 3;
  const auto left = tests::plain_refold(tape, kSettings);
  const auto right = tests::plain_refold(tape, changed);
  std::map<std::string, std::array<std::uint64_t, 3>> expected;  // only left, only right, changed
  std::map<std::string, market::Position> first;
  const auto note = [&](const auto& key, const market::Output& output, std::size_t kind) {
    ++expected[key.first][kind];
    const auto [at, fresh] = first.try_emplace(key.first, output.position);
    if (!fresh) at->second = std::min(at->second, output.position);
  };
  for (const auto& [key, output] : left.outputs) {
    const auto other = right.outputs.find(key);
    const bool there = other != right.outputs.end() && other->second.position == output.position;
    if (!there) note(key, output, 0);
    if (there && !other->second.same_content(output)) note(key, output, 2);
  }
  for (const auto& [key, output] : right.outputs) {
    const auto other = left.outputs.find(key);
    if (other == left.outputs.end() || other->second.position != output.position)
      note(key, output, 1);
  }
  const auto differences = replay::diff_outputs(tape, kSettings, changed, {});
  REQUIRE(differences);
  REQUIRE(differences->size() == expected.size());
  REQUIRE(expected.size() > 2);
  for (const auto& one : *differences) {
    const auto& counts = expected.at(one.symbol);
    CHECK(std::array{one.only_left, one.only_right, one.changed} == counts);
    CHECK(one.position == first.at(one.symbol));
    CHECK((one.left || one.right));
  }
  CHECK(replay::diff_outputs(tape, kSettings, changed, {"NOBODY"}).error().field == "symbols");
}
