// Poison in a running engine: quarantined after three attempts, released on request.
#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "../replay/sessions.hpp"
#include "actors/engine.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"
#include "tests/actors/agreement.hpp"

using namespace tapedeck;

namespace {

const market::FoldSettings kSettings;

struct Victim {
  explicit Victim(const storage::TapeReader& tape) {
    symbol = tape.symbols().value().front();
    partition = storage::partition_of(symbol, tape.partitions());
    const auto index = tape.index(symbol, 0, tape.end(partition).value()).value();
    const auto& record = index[index.size() / 2];
    item = {{partition, record.offset, record.event_count / 2}, {}};
  }
  std::string symbol;
  market::Partition partition = 0;
  market::FoldItem item;
};

}  // namespace

TEST_CASE("an event that kills the fold three times is quarantined, and every later fold agrees",
          "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=12,messages=30000", 128, 128});
  const Victim victim(tape);
  storage::MemoryStateStore state;
  storage::MemoryControlStore control;
  auto options = tests::small_engine(control);
  options.faults = {{victim.symbol, victim.item.position, 1'000'000}};
  {
    telemetry::Metrics metrics(tape.partitions());
    actors::Engine engine(tape, state, kSettings, options, metrics);
    REQUIRE(engine.run_to_end());
    const auto& counted = *metrics.partitions[victim.partition];
    CHECK(counted.quarantined == 1);
    CHECK(counted.symbol_restarts == 3);
    CHECK(engine.board().children().at("symbol " + victim.symbol).state == "running");
  }
  const auto records = control.records().value();
  REQUIRE(records.size() == 1);
  CHECK(records[0].item == victim.item);
  CHECK(records[0].symbol == victim.symbol);
  CHECK(records[0].at > victim.item.position.offset);
  CHECK(records[0].errors.size() == 3);
  CHECK(records[0].errors[0].find("fault point") != std::string::npos);
  tests::check_agrees(tape, state, control, kSettings);

  // From its beginning again, with the same event as deadly as before.
  storage::MemoryStateStore again;
  options = tests::small_engine(control);
  options.faults = {{victim.symbol, victim.item.position, 1'000'000}};
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, again, kSettings, options, metrics);
  REQUIRE(engine.run_to_end());
  CHECK(metrics.partitions[victim.partition]->symbol_restarts == 0);
  CHECK(control.records().value().size() == 1);
  tests::check_agrees(tape, again, control, kSettings);
}

TEST_CASE("poison refunds the restart budget: one event after another is quarantined",
          "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=3,messages=6000", 128, 128});
  const Victim victim(tape);
  const auto index = tape.index(victim.symbol, 0, ~0ull).value();
  storage::MemoryStateStore state;
  storage::MemoryControlStore control;
  auto options = tests::small_engine(control);
  options.supervision.symbol.budget = 3;
  options.supervision.symbol.backoff_max = std::chrono::milliseconds(2);
  for (std::size_t i = 2; i < 8; ++i)
    options.faults.push_back({victim.symbol, {victim.partition, index[i].offset, 0}, 1'000'000});
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, options, metrics);
  REQUIRE(engine.run_to_end());
  CHECK(control.records().value().size() == 6);
  tests::check_agrees(tape, state, control, kSettings);
}

TEST_CASE("poison refunds the partition's budget too, where the partition fails with its symbol",
          "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=3,messages=6000", 128, 128});
  const Victim victim(tape);
  const auto index = tape.index(victim.symbol, 0, ~0ull).value();
  storage::MemoryStateStore state;
  storage::MemoryControlStore control;
  auto options = tests::small_engine(control);
  options.supervision.symbol.strategy = actors::Strategy::one_for_all;
  options.supervision.partition.budget = 3;
  options.supervision.partition.backoff_max = std::chrono::milliseconds(2);
  for (std::size_t i = 2; i < 6; ++i)
    options.faults.push_back({victim.symbol, {victim.partition, index[i].offset, 0}, 1'000'000});
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, options, metrics);
  REQUIRE(engine.run_to_end());
  CHECK(control.records().value().size() == 4);
  tests::check_agrees(tape, state, control, kSettings);
}

TEST_CASE("a due item that kills the fold three times is quarantined", "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=3,messages=20000", 128, 128});
  const Victim victim(tape);
  std::optional<market::Output> row;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
    for (const auto& output : outputs) {
      if (fold.state().symbol() == victim.symbol && !row &&
          output.kind() == market::OutputKind::metrics)
        row = output;
    }
  };
  REQUIRE(replay::refold(tape, kSettings, {}, listener));
  REQUIRE(row);
  const market::DueItem due{row->source, row->kind(), std::get<market::MetricsRow>(row->body).width,
                            row->time};
  storage::MemoryStateStore state;
  storage::MemoryControlStore control;
  auto options = tests::small_engine(control);
  options.faults = {{victim.symbol, {}, 1'000'000, actors::FaultPoint::Action::fail, due}};
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, options, metrics);
  REQUIRE(engine.run_to_end());
  const auto records = control.records().value();
  REQUIRE(records.size() == 1);
  CHECK(records[0].item.due == due);
  tests::check_agrees(tape, state, control, kSettings);
}

TEST_CASE("what is released and kills the fold again goes back into quarantine", "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=6,messages=20000", 128, 128});
  const Victim victim(tape);
  storage::MemoryStateStore state;
  storage::MemoryControlStore control;
  auto options = tests::small_engine(control);
  options.faults = {{victim.symbol, victim.item.position, 1'000'000}};
  {
    telemetry::Metrics metrics(tape.partitions());
    actors::Engine engine(tape, state, kSettings, options, metrics);
    REQUIRE(engine.run_to_end());
  }
  REQUIRE(control.records().value().size() == 1);
  REQUIRE(control.append({schemas::ControlRecord::Kind::release,
                          victim.symbol,
                          victim.item,
                          tape.end(victim.partition).value(),
                          {}}));
  options.control_records = control.records().value();
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, options, metrics);
  REQUIRE(engine.run_to_end());
  const auto records = control.records().value();
  REQUIRE(records.size() == 3);
  CHECK(records[2].kind == schemas::ControlRecord::Kind::quarantine);
  CHECK(records[2].item == victim.item);
  tests::check_agrees(tape, state, control, kSettings);
}

TEST_CASE("a release puts the event through in its place, and every later fold agrees",
          "[quarantine]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=6,messages=20000", 128, 128});
  const Victim victim(tape);
  storage::MemoryStateStore state;
  storage::MemoryControlStore control;
  telemetry::Metrics metrics(tape.partitions());
  auto options = tests::small_engine(control);
  options.faults = {{victim.symbol, victim.item.position, 3}};  // fixed from then on
  {
    actors::Engine engine(tape, state, kSettings, options, metrics);
    const auto caught_up = [&] {
      return std::ranges::all_of(engine.board().partitions(), &actors::PartitionStatus::caught_up);
    };
    while (!caught_up() && !engine.failure()) std::this_thread::yield();
    const auto released = [&](const market::FoldItem& item) {
      std::promise<Result<market::Offset>> promise;
      engine.release(victim.symbol, item,
                     [&](Result<market::Offset> at) { promise.set_value(at); });
      return promise.get_future().get();
    };
    auto wrong = victim.item;
    ++wrong.position.index;
    CHECK(released(wrong).error().code == ErrorCode::not_found);
    CHECK(released(victim.item).value() == tape.end(victim.partition).value());
    CHECK(released(victim.item).error().code == ErrorCode::not_found);
    std::promise<market::Trust> trust;
    engine.ask(victim.symbol, false, [&](const actors::SymbolAnswer& answer) {
      trust.set_value(answer.fold->state().view().trust);
    });
    CHECK(trust.get_future().get() == market::Trust::clean);
    REQUIRE(engine.stop());
  }
  CHECK(control.records().value().size() == 2);
  tests::check_agrees(tape, state, control, kSettings);
  // The tape goes on.
  tests::record_session(tape, {"seed=5,symbols=6,messages=9000", 128, 128});
  telemetry::Metrics more(tape.partitions());
  actors::Engine engine(tape, state, kSettings, tests::small_engine(control), more);
  REQUIRE(engine.run_to_end());
  tests::check_agrees(tape, state, control, kSettings);
  storage::MemoryStateStore again;
  telemetry::Metrics afresh(tape.partitions());
  actors::Engine other(tape, again, kSettings, tests::small_engine(control), afresh);
  REQUIRE(other.run_to_end());
  tests::check_agrees(tape, again, control, kSettings);
}
