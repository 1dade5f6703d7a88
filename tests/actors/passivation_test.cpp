// Idle symbols go, and come back as if they had never gone.
#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "../replay/sessions.hpp"
#include "actors/engine.hpp"
#include "schemas/batch_codec.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;

namespace {

const market::FoldSettings kSettings;

actors::EngineOptions small_engine(market::TimeNs idle) {
  actors::EngineOptions options;
  options.poll_bytes = 16 << 10;
  options.max_inflight_bytes = 64 << 10;
  options.checkpoint_events = 500;
  options.checkpoint_interval = std::chrono::milliseconds(10);
  options.snapshots = {1'000, 16};
  options.store_interval = std::chrono::milliseconds(2);
  options.supervision.symbol.backoff_min = std::chrono::milliseconds(1);
  options.idle_passivate = idle;
  return options;
}

template <class Condition>
bool until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return condition();
}

std::uint64_t passivated(const telemetry::Metrics& metrics) {
  std::uint64_t sum = 0;
  for (const auto& partition : metrics.partitions) sum += partition->passivated;
  return sum;
}
std::uint64_t woken(const telemetry::Metrics& metrics) {
  std::uint64_t sum = 0;
  for (const auto& partition : metrics.partitions) {
    for (std::size_t i = 0; i < telemetry::Histogram::kBuckets; ++i)
      sum += partition->wake_ns.count(i);
  }
  return sum;
}
std::int64_t passive(const telemetry::Metrics& metrics) {
  std::int64_t sum = 0;
  for (const auto& partition : metrics.partitions) sum += partition->passive;
  return sum;
}

void check_left_behind(const storage::TapeReader& tape, const storage::StateReader& state,
                       const tests::Expected& expected) {
  tests::OutputMap outputs;
  tests::DigestMap digests;
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    REQUIRE(state.outputs(symbol, "", "", [&](const market::Output& output) {
      outputs.emplace(std::pair(symbol, market::identity(output)), output);
      return true;
    }));
    const auto partition = storage::partition_of(symbol, tape.partitions());
    const auto newest = state.newest_snapshot(symbol, partition, ~0ull).value();
    REQUIRE(newest);
    digests[symbol] = {newest->events, newest->digest};
  }
  CHECK(digests == expected.digests);
  tests::check_same_outputs(outputs, expected.outputs, true);
  for (storage::Partition p = 0; p < tape.partitions(); ++p)
    CHECK(state.cursor(p).value() == tape.end(p).value());
}

/// A session in which symbols are quiet for long: each part of it has only a few of them.
void record_bursts(storage::TapeWriter& tape, int parts) {
  for (int part = 0; part < parts; ++part) {
    const auto open = 34'200 + part * 600;
    tests::record_session(tape, {"seed=" + std::to_string(part % 3 + 1) +
                                     ",symbols=4,messages=1500,open=" + std::to_string(open) +
                                     ",close=" + std::to_string(open + 500),
                                 64, 64});
  }
}

/// At the tape's end nothing new makes a checkpoint: marks an hour later do, until symbols go.
void leave_idle(storage::MemoryTape& tape, actors::Engine& engine,
                const telemetry::Metrics& metrics) {
  const auto settled = [&] {
    const auto partitions = engine.board().partitions();
    for (storage::Partition p = 0; p < tape.partitions(); ++p) {
      if (partitions[p].checkpoint != tape.end(p).value()) return false;
    }
    return true;
  };
  const auto sources = tape.sources().value();
  for (int hour = 1; hour <= 40; ++hour) {
    REQUIRE(until(settled));
    if (passive(metrics) > 0) return;
    std::vector<storage::NewMark> marks;
    for (const auto& source : sources) {
      for (storage::Partition p = 0; p < tape.partitions(); ++p) {
        auto mark = *source.marks[p];
        mark.feed_time += hour * 3600 * market::kSecond;
        marks.push_back({p, mark});
      }
    }
    REQUIRE(tape.append({}, marks));
  }
  REQUIRE(until([&] { return passive(metrics) > 0; }));
}

}  // namespace

TEST_CASE("what idle symbols said and are is as if they had never gone, silences too",
          "[passivation]") {
  storage::MemoryTape tape;
  storage::MemoryStateStore state;
  telemetry::Metrics metrics(tape.partitions());
  {
    actors::Engine engine(tape, state, kSettings, small_engine(60 * market::kSecond), metrics);
    for (int part = 0; part < 4; ++part) {
      const auto open = 34'200 + part * 600;
      tests::record_session(tape, {"seed=" + std::to_string(part % 2 + 1) +
                                       ",symbols=6,messages=2000,open=" + std::to_string(open) +
                                       ",close=" + std::to_string(open + 500),
                                   64, 64});
      leave_idle(tape, engine, metrics);
    }
    const auto ended = engine.run_to_end();
    if (!ended) FAIL(ended.error().message);
    CHECK(engine.board().children().count("symbol " + tape.symbols().value().front()) == 0);
  }
  CHECK(passivated(metrics) > 0);
  CHECK(woken(metrics) > 0);
  const auto expected = tests::plain_refold(tape, kSettings);
  CHECK(std::ranges::any_of(expected.outputs, [](const auto& said) {
    const auto* alert = std::get_if<market::Alert>(&said.second.body);
    return alert != nullptr && alert->rule == market::AlertRule::silence;
  }));
  check_left_behind(tape, state, expected);
}

TEST_CASE("killed while symbols are idle or come back, nothing is lost and nothing repeated",
          "[passivation]") {
  storage::MemoryTape tape;
  record_bursts(tape, 9);
  const auto expected = tests::plain_refold(tape, kSettings);
  const auto symbols = tape.symbols().value();
  const auto seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 7u;
  INFO("seed " << seed);
  std::mt19937 random(seed);
  storage::MemoryStateStore state;
  for (int life = 0; life < 8; ++life) {
    telemetry::Metrics metrics(tape.partitions());
    auto options = small_engine(market::TimeNs{1});
    const auto& symbol = symbols[random() % symbols.size()];
    const auto index = tape.index(symbol, 0, ~0ull).value();
    const auto& record = index[random() % index.size()];
    options.faults = {
        {symbol, {storage::partition_of(symbol, tape.partitions()), record.offset, 0}, 2}};
    actors::Engine engine(tape, state, kSettings, options, metrics);
    const auto stop_at = random() % 200;
    const auto read = [&] {
      std::uint64_t sum = 0;
      for (const auto& partition : metrics.partitions) sum += partition->records;
      return sum;
    };
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    while (read() < stop_at && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
  }
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, small_engine(market::TimeNs{1}), metrics);
  REQUIRE(engine.run_to_end());
  check_left_behind(tape, state, expected);
}

TEST_CASE("a question brings an idle symbol back, with the digest that it had", "[passivation]") {
  storage::MemoryTape tape;
  record_bursts(tape, 3);
  const auto expected = tests::plain_refold(tape, kSettings);
  storage::MemoryStateStore state;
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, small_engine(market::TimeNs{1}), metrics);
  const auto symbols = tape.symbols().value();
  leave_idle(tape, engine, metrics);
  for (const auto& symbol : symbols) {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<std::pair<actors::SymbolAnswer::State, market::Digest>> found;
    engine.ask(symbol, false, [&](const actors::SymbolAnswer& answer) {
      const std::scoped_lock lock(mutex);
      found.emplace(answer.state,
                    answer.fold == nullptr ? market::Digest{} : answer.fold->state().digest());
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return found.has_value(); }));
    INFO(symbol);
    CHECK(found->first == actors::SymbolAnswer::State::live);
    CHECK(found->second == expected.digests.at(symbol).second);
  }
  CHECK(woken(metrics) > 0);
}
