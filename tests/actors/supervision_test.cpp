// Nodes of the tree that fail: what goes on meanwhile, and what is stored before the process ends.
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "../replay/sessions.hpp"
#include "actors/engine.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;

namespace {

const market::FoldSettings kSettings;
using std::chrono::milliseconds;

actors::EngineOptions small_engine() {
  actors::EngineOptions options;
  options.poll_bytes = 16 << 10;
  options.max_inflight_bytes = 64 << 10;
  options.checkpoint_events = 2'000;
  options.snapshots = {1'000, 16};
  options.store_interval = milliseconds(2);
  options.delivery_backoff = milliseconds(1);
  for (auto* policy : options.supervision.policies()) {
    policy->backoff_min = milliseconds(1);
    policy->backoff_max = milliseconds(2);
    policy->budget = 3;
  }
  return options;
}

/// Throws instead of writing, as often as is left.
class ThrowingState final : public storage::MemoryStateStore {
public:
  explicit ThrowingState(int times) : left_(times) {}
  Result<void> write(const Batch& batch) override {
    if (left_.fetch_sub(1) > 0) throw std::runtime_error("the store broke");
    return MemoryStateStore::write(batch);
  }

private:
  std::atomic<int> left_;
};

/// Takes rows, or throws before or after it took them.
class ThrowingSink final : public sinks::OutputSink {
public:
  explicit ThrowingSink(int times) : left_(times) {}
  Result<std::vector<market::Offset>> committed(
      std::span<const market::Partition> partitions) override {
    const std::scoped_lock lock(mutex_);
    std::vector<market::Offset> offsets;
    for (const auto partition : partitions) offsets.push_back(committed_[partition]);
    return offsets;
  }
  Result<void> deliver(std::span<const sinks::Delivery> deliveries) override {
    const std::scoped_lock lock(mutex_);
    const bool breaks = calls_++ % 3 == 1 && left_ > 0;
    if (breaks) --left_;
    if (breaks && left_ % 2 == 0) throw std::runtime_error("the sink broke before");
    for (const auto& delivery : deliveries) {
      for (const auto& row : delivery.rows)
        ++rows_[{std::string(row.symbol), market::identity(*row.output)}];
      committed_[delivery.partition] = delivery.upto;
    }
    if (breaks) throw std::runtime_error("the sink broke after");
    return {};
  }
  std::map<std::pair<std::string, std::string>, int> rows() {
    const std::scoped_lock lock(mutex_);
    return rows_;
  }
  int left() {
    const std::scoped_lock lock(mutex_);
    return left_;
  }

private:
  std::mutex mutex_;
  int left_, calls_ = 0;
  std::map<market::Partition, market::Offset> committed_;
  std::map<std::pair<std::string, std::string>, int> rows_;
};

}  // namespace

TEST_CASE(
    "a checkpointer that breaks beyond its budget stops no fold, and all is stored in the end",
    "[supervision]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=6,messages=20000", 128, 128});
  const auto expected = tests::plain_refold(tape, kSettings);
  ThrowingState state(9);
  telemetry::Metrics metrics(tape.partitions());
  actors::Engine engine(tape, state, kSettings, small_engine(), metrics);
  // While the engine drains a spent budget would end it: the breaks come first.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (metrics.checkpointer_restarts < 9 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(milliseconds(1));
  CHECK(metrics.checkpointer_restarts == 9);
  CHECK(metrics.of(telemetry::Node::checkpointer).failures == 9);
  CHECK(metrics.of(telemetry::Node::checkpointer).budgets_spent == 6);
  REQUIRE(engine.run_to_end());
  for (storage::Partition p = 0; p < tape.partitions(); ++p) {
    CHECK(state.cursor(p).value() == tape.end(p).value());
    CHECK(metrics.partitions[p]->ingress_restarts == 0);
    CHECK(metrics.partitions[p]->symbol_restarts == 0);
  }
  tests::OutputMap outputs;
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    REQUIRE(state.outputs(symbol, "", "", [&](const market::Output& output) {
      outputs.emplace(std::pair(symbol, market::identity(output)), output);
      return true;
    }));
  }
  tests::check_same_outputs(outputs, expected.outputs, true);
}

TEST_CASE("a checkpointer that never stores ends the engine that drains", "[supervision]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=3,messages=2000", 128, 128});
  ThrowingState state(1'000'000);
  telemetry::Metrics metrics(tape.partitions());
  auto options = small_engine();
  options.supervision.flush_within = milliseconds(50);
  actors::Engine engine(tape, state, kSettings, options, metrics);
  const auto ended = engine.run_to_end();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == ErrorCode::exhausted);
  CHECK(ended.error().message.find("the store broke") != std::string::npos);
}

TEST_CASE("a sink that breaks beyond its budget stops no fold, and each output is out once",
          "[supervision]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=6,messages=20000", 128, 128});
  const auto expected = tests::plain_refold(tape, kSettings);
  storage::MemoryStateStore state;
  ThrowingSink sink(8);
  telemetry::Metrics metrics(tape.partitions());
  auto options = small_engine();
  options.max_delivery_rows = 50;
  actors::Engine engine(tape, state, kSettings, options, metrics, &sink);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (metrics.sink_restarts < 8 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(milliseconds(1));
  REQUIRE(sink.left() == 0);
  REQUIRE(engine.run_to_end());
  CHECK(metrics.sink_restarts == 8);
  for (const auto& partition : metrics.partitions) {
    CHECK(partition->ingress_restarts == 0);
    CHECK(partition->undelivered == 0);
  }
  const auto rows = sink.rows();
  CHECK(rows.size() == expected.outputs.size());
  for (const auto& [row, times] : rows) {
    CHECK(times == 1);
    CHECK(expected.outputs.contains(row));
  }
}

TEST_CASE("a gateway that fails is restarted, and its questions are answered", "[supervision]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=3,messages=2000", 128, 128});
  storage::MemoryStateStore state;
  telemetry::Metrics metrics(tape.partitions());
  auto options = small_engine();
  options.partitions_on_demand = true;  // nobody's yet: the gateway answers by itself
  actors::Engine engine(tape, state, kSettings, options, metrics);
  const auto symbol = tape.symbols().value().front();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto before = [&] { return std::chrono::steady_clock::now() < deadline; };
  while (engine.board().children().count("gateway") == 0 && before()) std::this_thread::yield();
  for (std::uint64_t failure = 1; failure <= 5; ++failure) {
    while (engine.board().children().at("gateway").state != "running" && before())
      std::this_thread::yield();
    engine.ask(symbol, false, [](const actors::SymbolAnswer&) {
      throw std::runtime_error("an answer broke the gateway");
    });
    while (metrics.gateway_restarts < failure && before()) std::this_thread::yield();
    CHECK(metrics.gateway_restarts == failure);
  }
  CHECK(engine.board().children().at("gateway").restarts == 5);
  CHECK(engine.board().children().at("gateway").last_error.find("broke the gateway") !=
        std::string::npos);
  for (storage::Partition p = 0; p < tape.partitions(); ++p) engine.open(p);
  bool done = false;
  std::size_t live = 0;
  std::mutex mutex;
  std::condition_variable changed;
  REQUIRE(engine.run_to_end());
  engine.ask_all([&](const actors::SymbolAnswer&) { ++live; },
                 [&] {
                   const std::scoped_lock lock(mutex);
                   done = true;
                   changed.notify_all();
                 });
  std::unique_lock lock(mutex);
  REQUIRE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return done; }));
  CHECK(live == tape.symbols().value().size());
  CHECK_FALSE(engine.failure());
}

TEST_CASE("before a spent budget ends the engine, the other partitions store what was read",
          "[supervision]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=12,messages=20000", 128, 128});
  const auto symbol = tape.symbols().value().front();
  const auto partition = storage::partition_of(symbol, tape.partitions());
  storage::MemoryStateStore state;
  telemetry::Metrics metrics(tape.partitions());
  auto options = small_engine();
  options.store_interval = std::chrono::hours(1);  // but for the end nothing would be stored
  options.checkpoint_events = ~std::uint64_t{0} >> 2;
  options.supervision.partition.budget = 1;
  options.supervision.symbol.backoff_max = options.supervision.symbol.backoff_min =
      milliseconds(30);
  options.faults = {
      {symbol, {partition, tape.index(symbol, 0, ~0ull).value().front().offset, 0}, 1'000'000}};
  actors::Engine engine(tape, state, kSettings, options, metrics);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!engine.failure() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(milliseconds(1));
  REQUIRE(engine.failure());
  CHECK(engine.failure()->code == ErrorCode::exhausted);
  CHECK(engine.failure()->message.find(symbol) != std::string::npos);
  CHECK(engine.board().children().at("root").state == "stopping");
  std::size_t others = 0;
  for (storage::Partition p = 0; p < tape.partitions(); ++p) {
    if (p == partition) continue;
    const auto read = engine.board().partitions()[p].next;
    CHECK(read > 0);
    CHECK(state.cursor(p).value() == read);
    const auto checkpoints = state.checkpoints(p).value();
    REQUIRE_FALSE(checkpoints.empty());
    CHECK(checkpoints.front().next == read);
    ++others;
  }
  CHECK(others == tape.partitions() - 1);
}

TEST_CASE("one for all: a symbol that fails restarts its partition, a partition all others",
          "[supervision]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=4,symbols=12,messages=20000", 128, 128});
  const auto expected = tests::plain_refold(tape, kSettings);
  const auto symbol = tape.symbols().value().front();
  const auto partition = storage::partition_of(symbol, tape.partitions());
  storage::MemoryStateStore state;
  telemetry::Metrics metrics(tape.partitions());
  auto options = small_engine();
  options.supervision.symbol.strategy = actors::Strategy::one_for_all;
  options.supervision.partition.strategy = actors::Strategy::one_for_all;
  options.faults = {{symbol, {partition, tape.index(symbol, 0, ~0ull).value().at(5).offset, 0}, 1}};
  actors::Engine engine(tape, state, kSettings, options, metrics);
  REQUIRE(engine.run_to_end());
  for (const auto& one : metrics.partitions) {
    CHECK(one->symbol_restarts == 0);
    CHECK(one->ingress_restarts == 1);
  }
  for (const auto& [name, digest] : expected.digests) {
    const auto p = storage::partition_of(name, tape.partitions());
    const auto newest = state.newest_snapshot(name, p, tape.end(p).value()).value();
    REQUIRE(newest);
    CHECK(newest->digest == digest.second);
  }
  for (const auto& [name, child] : engine.board().children()) {
    INFO(name);
    CHECK(child.state == "running");
  }
}
