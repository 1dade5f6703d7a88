#include "actors/engine.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "../replay/sessions.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;

namespace {

const market::FoldSettings kSettings;

actors::EngineOptions small_engine() {
  actors::EngineOptions options;
  options.threads = 2;
  options.poll_bytes = 32 << 10;
  options.max_inflight_bytes = 128 << 10;
  options.checkpoint_events = 3'000;
  options.snapshots = {1'000, 16};
  options.supervision.symbol.backoff_min = std::chrono::milliseconds(1);
  options.store_interval = std::chrono::milliseconds(5);
  return options;
}

/// Everything that an engine left behind.
struct Found {
  tests::OutputMap outputs;
  tests::DigestMap digests;
};

Found stored(const storage::TapeReader& tape, const storage::StateReader& state) {
  Found found;
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    REQUIRE(state.outputs(symbol, "", "", [&](const market::Output& output) {
      found.outputs.emplace(std::pair(symbol, market::identity(output)), output);
      return true;
    }));
    const auto partition = storage::partition_of(symbol, tape.partitions());
    const auto newest =
        state.newest_snapshot(symbol, partition, tape.end(partition).value()).value();
    REQUIRE(newest);
    found.digests[symbol] = {newest->events, newest->digest};
  }
  return found;
}

void check_left_behind(const storage::TapeReader& tape, const storage::StateReader& state,
                       const tests::Expected& expected, bool positions = true) {
  const auto found = stored(tape, state);
  CHECK(found.digests == expected.digests);
  tests::check_same_outputs(found.outputs, expected.outputs, positions);
  for (storage::Partition p = 0; p < tape.partitions(); ++p)
    CHECK(state.cursor(p).value() == tape.end(p).value());
}

market::EventCounts counts_of(const actors::Engine& engine) {
  market::EventCounts counts;
  for (const auto& partition : engine.board().partitions()) counts += partition.events;
  return counts;
}

bool caught_up(const actors::Engine& engine) {
  const auto partitions = engine.board().partitions();
  return std::ranges::all_of(partitions, &actors::PartitionStatus::caught_up);
}

/// Stops hard, as a crash would, once the engine has read `records` records.
void crash_after(storage::MemoryTape& tape, storage::StateStore& state,
                 actors::EngineOptions options, std::uint64_t records) {
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, options, metrics);
  const auto read = [&] {
    std::uint64_t sum = 0;
    for (const auto& partition : metrics.partitions) sum += partition->records;
    return sum;
  };
  while (read() < records && !engine.failure() && !caught_up(engine)) std::this_thread::yield();
}

}  // namespace

TEST_CASE("the engine leaves what a plain refold gives, for any threads and polls", "[engine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {});
  const auto expected = tests::plain_refold(tape, kSettings);
  for (const std::uint32_t threads : {1u, 2u, 4u}) {
    for (const std::size_t records : {1u, 64u, 4096u}) {
      INFO(threads << " threads, " << records << " records a poll");
      storage::MemoryStateStore state;
      telemetry::Metrics metrics(tape.partitions());
      auto options = small_engine();
      options.threads = threads;
      options.poll_records = records;
      actors::Engine engine(tape, state, kSettings, options, metrics);
      REQUIRE(engine.run_to_end());
      check_left_behind(tape, state, expected);
      const auto counts = counts_of(engine);
      CHECK(counts == expected.counts);
      CHECK(counts.read == counts.folded + counts.duplicates + counts.refused + counts.filtered);
    }
  }
}

TEST_CASE("killed at any moment and started again, nothing is lost and nothing repeated",
          "[engine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=2,symbols=12,messages=30000", 256, 256});
  const auto expected = tests::plain_refold(tape, kSettings);
  const auto seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 7u;
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 6; ++round) {
    storage::MemoryStateStore state;
    for (int crash = 0; crash < 4; ++crash)
      crash_after(tape, state, small_engine(), random() % 400);
    telemetry::Metrics metrics(tape.partitions());
    actors::Engine engine(tape, state, kSettings, small_engine(), metrics);
    REQUIRE(engine.run_to_end());
    check_left_behind(tape, state, expected);
    CHECK(counts_of(engine) == expected.counts);
  }
}

TEST_CASE("stopped in order, it goes on from its last checkpoint and reads nothing twice",
          "[engine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=9,symbols=8,messages=20000", 128, 128});
  const auto expected = tests::plain_refold(tape, kSettings);
  storage::MemoryStateStore state;
  std::uint64_t records = 0, all = 0;
  for (storage::Partition p = 0; p < tape.partitions(); ++p) all += tape.end(p).value();
  for (int part = 0; part < 3; ++part) {
    telemetry::Metrics metrics(tape.partitions());
    auto options = small_engine();
    options.poll_records = 16;
    actors::Engine engine(tape, state, kSettings, options, metrics);
    REQUIRE((part < 2 ? engine.stop() : engine.run_to_end()));
    for (const auto& partition : metrics.partitions)
      records += partition->records + partition->marks;
  }
  CHECK(records == all);
  check_left_behind(tape, state, expected);
}

TEST_CASE("a symbol that throws comes back with the right state, and no other symbol notices",
          "[engine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=12,messages=30000", 128, 128});
  const auto expected = tests::plain_refold(tape, kSettings);
  const auto symbol = tape.symbols().value().front();
  const auto partition = storage::partition_of(symbol, tape.partitions());
  const auto index = tape.index(symbol, 0, tape.end(partition).value()).value();
  REQUIRE(index.size() > 20);
  for (const std::uint32_t times : {1u, 3u}) {
    for (const std::size_t record : {std::size_t{0}, index.size() / 3, index.size() - 1}) {
      INFO("throws " << times << " times at record " << index[record].offset);
      storage::MemoryStateStore state;
      telemetry::Metrics metrics(tape.partitions());
      auto options = small_engine();
      options.faults = {
          {symbol, {partition, index[record].offset, index[record].event_count / 2}, times}};
      actors::Engine engine(tape, state, kSettings, options, metrics);
      REQUIRE(engine.run_to_end());
      check_left_behind(tape, state, expected);
      CHECK(metrics.partitions[partition]->symbol_restarts == times);
      const auto children = engine.board().children();
      const auto child = children.find("symbol " + symbol);
      REQUIRE(child != children.end());
      CHECK(child->second.restarts == times);
      CHECK(child->second.state == "running");
      CHECK(child->second.last_error.find("fault point") != std::string::npos);
      CHECK(counts_of(engine) == expected.counts);
    }
  }
}

TEST_CASE("a symbol that never folds again spends its budget, and the engine says so", "[engine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=3,messages=2000", 128, 128});
  const auto symbol = tape.symbols().value().front();
  const auto partition = storage::partition_of(symbol, tape.partitions());
  storage::MemoryStateStore state;
  telemetry::Metrics metrics(tape.partitions());
  auto options = small_engine();
  options.supervision.symbol.budget = 3;
  options.supervision.symbol.backoff_max = std::chrono::milliseconds(2);
  options.faults = {
      {symbol, {partition, tape.index(symbol, 0, ~0ull).value().front().offset, 0}, 1'000'000}};
  actors::Engine engine(tape, state, kSettings, options, metrics);
  const auto ended = engine.run_to_end();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == ErrorCode::exhausted);
  CHECK(ended.error().message.find(symbol) != std::string::npos);
}

TEST_CASE("a bad record stops the engine and is named, never skipped", "[engine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=3,messages=2000", 128, 128});
  tape.damage(1, 3);
  storage::MemoryStateStore state;
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, small_engine(), metrics);
  const auto ended = engine.run_to_end();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == ErrorCode::corrupt);
  CHECK(ended.error().message.find("1:3") != std::string::npos);
}

TEST_CASE("a question is answered from the live fold, once", "[engine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=5,messages=5000", 128, 128});
  const auto expected = tests::plain_refold(tape, kSettings);
  storage::MemoryStateStore state;
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, small_engine(), metrics);
  while (!caught_up(engine)) std::this_thread::yield();

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, market::Digest> digests;
  bool done = false;
  int unknown = 0;
  engine.ask_all(
      [&](const actors::SymbolAnswer& answer) {
        digests[answer.fold->state().symbol()] = answer.fold->state().digest();
      },
      [&] {
        const std::scoped_lock lock(mutex);
        done = true;
        changed.notify_all();
      });
  engine.ask("NOSUCH", false, [&](const actors::SymbolAnswer& answer) {
    const std::scoped_lock lock(mutex);
    unknown += answer.state == actors::SymbolAnswer::State::unknown ? 1 : 100;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  REQUIRE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return done && unknown > 0; }));
  CHECK(unknown == 1);
  CHECK(digests.size() == expected.digests.size());
  for (const auto& [symbol, digest] : digests) CHECK(digest == expected.digests.at(symbol).second);
}
