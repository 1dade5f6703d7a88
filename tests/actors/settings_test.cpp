// New fold settings on a running engine: wherever they come, whatever restarts, every later fold
// agrees.
#include <algorithm>
#include <catch2/catch.hpp>
#include <future>
#include <random>
#include <thread>

#include "actors/engine.hpp"
#include "storage/memory_tape.hpp"
#include "tests/actors/agreement.hpp"

using namespace tapedeck;
using market::kSecond;

namespace {

const market::FoldSettings kSettings;

std::vector<market::FoldSettings> others() {
  std::vector<market::FoldSettings> all(4);
  all[0].candle_widths = {kSecond, 5 * kSecond,
                          market::candle_width(market::CandleMeasure::ticks, 7)};
  all[1].idle_after = 0;
  all[1].further_metrics = 63;
  all[2].alerts = market::no_alerts();
  all[2].metrics_levels = 3;
  all[2].kept_trades = 16;
  all[3].candle_origin = kSecond / 2;
  all[3].lateness = kSecond;
  return all;
}

Result<market::Offset> change(actors::Engine& engine, market::Partition partition,
                              const market::FoldSettings& settings) {
  std::promise<Result<market::Offset>> promise;
  engine.change_settings(partition, settings,
                         [&](Result<market::Offset> at) { promise.set_value(std::move(at)); });
  return promise.get_future().get();
}

/// Symbols that fail once at a few of their records.
std::vector<actors::FaultPoint> faults(const storage::TapeReader& tape, std::mt19937& random) {
  std::vector<actors::FaultPoint> points;
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    const auto partition = storage::partition_of(symbol, tape.partitions());
    const auto index = tape.index(symbol, 0, tape.end(partition).value()).value();
    for (int i = 0; i < 3; ++i)
      points.push_back({symbol, {partition, index[random() % index.size()].offset, 0}, 1});
  }
  return points;
}

}  // namespace

TEST_CASE("settings change on a running engine while symbols restart, and every later fold agrees",
          "[settings]") {
  const auto seed = Catch::rngSeed() != 0 ? Catch::rngSeed() : 23u;
  INFO("seed " << seed);
  std::mt19937 random(seed);
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=12,messages=40000", 128, 128});
  storage::MemoryStateStore state;
  storage::MemoryControlStore control;
  const auto settings = others();
  std::size_t changes = 0;
  {
    auto options = tests::small_engine(control);
    options.faults = faults(tape, random);
    options.supervision.symbol.budget = 1000;
    telemetry::Metrics metrics(tape.partitions());
    actors::Engine engine(tape, state, kSettings, options, metrics);
    const auto caught_up = [&] {
      return std::ranges::all_of(engine.board().partitions(), &actors::PartitionStatus::caught_up);
    };
    constexpr std::size_t kMostChanges = 100;
    do {
      std::this_thread::yield();
      if (changes == kMostChanges) continue;  // each costs every symbol a snapshot and a restore
      const auto partition = static_cast<market::Partition>(random() % tape.partitions());
      const auto at = change(engine, partition, settings[random() % settings.size()]);
      if (at) ++changes;
      if (!at) CHECK(at.error().code == ErrorCode::environment);
      for (auto pause = random() % 300; pause > 0; --pause) std::this_thread::yield();
    } while (!caught_up() && !engine.failure());
    CHECK(change(engine, 0, settings[0]).value() == tape.end(0).value());
    CHECK(change(engine, 0, settings[1]).value() == tape.end(0).value());
    CHECK(change(engine, 77, settings[1]).error().code == ErrorCode::environment);
    REQUIRE(engine.run_to_end());
  }
  CHECK(control.records().value().size() == changes + 2);
  std::string where;
  const auto records = control.records().value();
  for (const auto& record : records) {
    const auto which = std::ranges::find(settings, record.settings) - settings.begin();
    where += " " + std::to_string(record.item.position.partition) + ":" +
             std::to_string(record.at) + "=" + std::to_string(which);
  }
  INFO("changes" << where);
  tests::check_agrees(tape, state, control, kSettings);

  // The tape goes on, over a restart; and from the beginning again.
  tests::record_session(tape, {"seed=5,symbols=12,messages=12000", 128, 128});
  telemetry::Metrics more(tape.partitions());
  actors::Engine engine(tape, state, kSettings, tests::small_engine(control), more);
  REQUIRE(engine.run_to_end());
  tests::check_agrees(tape, state, control, kSettings);
  storage::MemoryStateStore again;
  telemetry::Metrics afresh(tape.partitions());
  auto options = tests::small_engine(control);
  options.faults = faults(tape, random);
  options.supervision.symbol.budget = 1000;
  actors::Engine other(tape, again, kSettings, options, afresh);
  REQUIRE(other.run_to_end());
  tests::check_agrees(tape, again, control, kSettings);
}
