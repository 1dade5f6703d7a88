// Delivery by a sink that fails, in engines that die and hand partitions to each other: every
// output is out once, each symbol's in the order of emission.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "../replay/sessions.hpp"
#include "actors/engine.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;

namespace {

const market::FoldSettings kSettings;

struct OutRow {
  std::string identity;
  market::Output output;
};
/// By symbol, in the order in which they came.
using Rows = std::map<std::string, std::vector<OutRow>>;

/// The brokers: rows and offsets change together, by the partition's owner only.
class MemoryTopics {
public:
  explicit MemoryTopics(std::uint32_t seed) : random_(seed) {}
  void own(market::Partition partition, int owner) {
    const std::scoped_lock lock(mutex_);
    owners_[partition] = owner;
  }
  /// Every so many deliveries fail: half of them before anything is done, half after all is.
  void fail_one_in(unsigned n) { fail_one_in_ = n; }

  std::vector<market::Offset> committed(std::span<const market::Partition> partitions) {
    const std::scoped_lock lock(mutex_);
    std::vector<market::Offset> offsets;
    for (const auto partition : partitions) offsets.push_back(committed_[partition]);
    return offsets;
  }
  Result<void> deliver(int who, std::span<const sinks::Delivery> deliveries) {
    const std::scoped_lock lock(mutex_);
    for (const auto& delivery : deliveries) {
      const auto owner = owners_.find(delivery.partition);
      if (owner != owners_.end() && owner->second != who)
        return fail(ErrorCode::environment, "fenced");
    }
    const bool fails = fail_one_in_ != 0 && random_() % fail_one_in_ == 0;
    if (fails && random_() % 2 == 0) return fail(ErrorCode::environment, "it did not arrive");
    for (const auto& delivery : deliveries) take(delivery);
    ++deliveries_;
    return fails ? fail(ErrorCode::environment, "the answer did not arrive") : Result<void>{};
  }
  Rows rows() {
    const std::scoped_lock lock(mutex_);
    return rows_;
  }
  market::Offset committed_of(market::Partition partition) {
    return committed(std::span(&partition, 1)).front();
  }
  std::size_t deliveries() {
    const std::scoped_lock lock(mutex_);
    return deliveries_;
  }
  bool strict = true;  ///< of exactly the outputs in [committed, upto)

private:
  void take(const sinks::Delivery& delivery) {
    auto& committed = committed_[delivery.partition];
    if (delivery.upto < committed) strict = false;
    for (const auto& row : delivery.rows) {
      const auto at = row.output->position.offset;
      if (at < committed || at >= delivery.upto) strict = false;
      rows_[std::string(row.symbol)].push_back({market::identity(*row.output), *row.output});
    }
    committed = delivery.upto;
  }

  std::mutex mutex_;
  std::mt19937 random_;
  unsigned fail_one_in_ = 0;
  std::map<market::Partition, int> owners_;
  std::map<market::Partition, market::Offset> committed_;
  Rows rows_;
  std::size_t deliveries_ = 0;
};

/// One engine's way to them.
class MemorySink final : public sinks::OutputSink {
public:
  MemorySink(MemoryTopics& topics, int who) : topics_(topics), who_(who) {}
  Result<std::vector<market::Offset>> committed(
      std::span<const market::Partition> partitions) override {
    return topics_.committed(partitions);
  }
  Result<void> deliver(std::span<const sinks::Delivery> deliveries) override {
    return topics_.deliver(who_, deliveries);
  }

private:
  MemoryTopics& topics_;
  int who_;
};

actors::EngineOptions small_engine() {
  actors::EngineOptions options;
  options.threads = 2;
  options.poll_bytes = 16 << 10;
  options.max_inflight_bytes = 64 << 10;
  options.checkpoint_events = 2'000;
  options.snapshots = {1'000, 16};
  for (auto* policy : options.supervision.policies()) {
    policy->backoff_min = std::chrono::milliseconds(1);
    policy->budget = 100;
  }
  options.store_interval = std::chrono::milliseconds(2);
  options.delivery_backoff = std::chrono::milliseconds(1);
  options.max_delivery_rows = 100;
  return options;
}

Rows in_order_of_emission(const storage::TapeReader& tape) {
  Rows rows;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
    for (const auto& output : outputs)
      rows[fold.state().symbol()].push_back({market::identity(output), output});
  };
  REQUIRE(replay::refold(tape, kSettings, {}, listener));
  return rows;
}

std::string shown(const market::Output& output) {
  const auto head = market::identity_head(output);
  return std::string(market::name(output.kind())) + " of " + std::to_string(head.width) + " at " +
         std::to_string(head.time) + " due " + std::to_string(output.time) + " emitted at " +
         std::to_string(output.position.offset) + "." + std::to_string(output.position.index);
}

void check_rows(MemoryTopics& topics, const Rows& expected) {
  CHECK(topics.strict);
  const auto found = topics.rows();
  CHECK(found.size() == expected.size());
  std::size_t count = 0;
  for (const auto& [symbol, wanted] : expected) {
    INFO(symbol);
    REQUIRE(found.contains(symbol));
    const auto& rows = found.at(symbol);
    for (std::size_t i = 0; i < std::min(rows.size(), wanted.size()); ++i) {
      INFO("row " << i << " of " << wanted.size() << ": " << shown(rows[i].output) << ", expected "
                  << shown(wanted[i].output));
      REQUIRE((rows[i].identity == wanted[i].identity));
      REQUIRE(rows[i].output.same_content(wanted[i].output));
      REQUIRE(rows[i].output.position == wanted[i].output.position);
      REQUIRE(rows[i].output.scale == wanted[i].output.scale);
    }
    CHECK(rows.size() == wanted.size());
    count += rows.size();
  }
  CHECK(count > 300);
}

bool all_out(const storage::TapeReader& tape, MemoryTopics& topics) {
  for (storage::Partition p = 0; p < tape.partitions(); ++p)
    if (topics.committed_of(p) < tape.end(p).value()) return false;
  return true;
}

/// One engine of a group.
struct Node {
  storage::MemoryStateStore state;
  telemetry::Metrics metrics;
  MemorySink sink;
  actors::Engine engine;
  Node(storage::MemoryTape& tape, MemoryTopics& all, int who, const actors::EngineOptions& how)
      : metrics(tape.partitions()),
        sink(all, who),
        engine(tape, state, kSettings, how, metrics, &sink) {}
};

void close(actors::Engine& engine, storage::Partition partition, bool in_order) {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  engine.close(partition, in_order, [&] {
    const std::scoped_lock lock(mutex);
    done = true;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  REQUIRE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return done; }));
}

unsigned seed_of_run() { return Catch::rngSeed() != 0 ? Catch::rngSeed() : 7u; }

}  // namespace

TEST_CASE("a sink gets every output once, whatever dies or fails when", "[sink]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=3,symbols=12,messages=30000", 128, 256});
  const auto expected = in_order_of_emission(tape);
  const auto symbols = tape.symbols().value();
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 6; ++round) {
    auto state = std::make_unique<storage::MemoryStateStore>();
    MemoryTopics topics(static_cast<std::uint32_t>(random()));
    topics.fail_one_in(round % 2 == 0 ? 0 : 4);
    auto options = small_engine();
    for (int fault = 0; fault < 4; ++fault) {
      const auto& symbol = symbols[random() % symbols.size()];
      const auto partition = storage::partition_of(symbol, tape.partitions());
      const auto index = tape.index(symbol, 0, ~0ull).value();
      const auto& record = index[random() % index.size()];
      options.faults.push_back({symbol, {partition, record.offset, record.event_count / 2}, 2});
    }
    for (int crash = 0; crash < 4; ++crash) {
      telemetry::Metrics metrics(tape.partitions());
      MemorySink sink(topics, 0);
      actors::Engine engine(tape, *state, kSettings, options, metrics, &sink);
      const auto upto = topics.deliveries() + random() % 12;
      while (topics.deliveries() < upto && !engine.failure() && !all_out(tape, topics))
        std::this_thread::yield();
    }
    if (round == 5) state = std::make_unique<storage::MemoryStateStore>();  // it was lost
    topics.fail_one_in(0);
    telemetry::Metrics metrics(tape.partitions());
    MemorySink sink(topics, 0);
    actors::Engine engine(tape, *state, kSettings, small_engine(), metrics, &sink);
    REQUIRE(engine.run_to_end());
    check_rows(topics, expected);
    for (storage::Partition p = 0; p < tape.partitions(); ++p)
      CHECK(topics.committed_of(p) == tape.end(p).value());
  }
}

TEST_CASE("partitions move between engines in order or not, and nothing is lost or said twice",
          "[sink]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=5,symbols=12,messages=30000", 128, 256});
  const auto expected = in_order_of_emission(tape);
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  MemoryTopics topics(seed);
  auto options = small_engine();
  options.partitions_on_demand = true;
  std::vector<std::unique_ptr<Node>> nodes;
  for (int who = 0; who < 2; ++who)
    nodes.push_back(std::make_unique<Node>(tape, topics, who, options));
  std::vector<int> owners(tape.partitions());
  for (storage::Partition p = 0; p < tape.partitions(); ++p) {
    topics.own(p, owners[p] = static_cast<int>(p % 2));
    nodes[p % 2]->engine.open(p);
  }
  for (int move = 0; move < 24; ++move) {
    const auto upto = topics.deliveries() + random() % 3;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
    while (topics.deliveries() < upto && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    const auto p = static_cast<storage::Partition>(random() % owners.size());
    const int from = owners[p], to = 1 - from;
    const bool in_order = random() % 2 == 0;
    if (!in_order) topics.own(p, to);  // a zombie: it is told later than the brokers know
    close(nodes[static_cast<std::size_t>(from)]->engine, p, in_order);
    topics.own(p, owners[p] = to);
    nodes[static_cast<std::size_t>(to)]->engine.open(p);
  }
  for (auto& node : nodes) {
    const auto ended = node->engine.run_to_end();
    if (!ended) FAIL(ended.error().message);
  }
  check_rows(topics, expected);
}

TEST_CASE("a partition that is gained while the brokers are away is opened when they are back",
          "[sink]") {
  struct AwayAtFirst final : storage::ControlStore {
    storage::MemoryControlStore inner;
    mutable std::atomic<int> away = 5;
    [[nodiscard]] Result<std::optional<market::FoldSettings>> settings() const override {
      return inner.settings();
    }
    Result<market::FoldSettings> settle(const market::FoldSettings& settings) override {
      return inner.settle(settings);
    }
    [[nodiscard]] Result<std::vector<schemas::ControlRecord>> records() const override {
      if (--away >= 0) return fail(ErrorCode::environment, "the brokers do not answer");
      return inner.records();
    }
    Result<void> append(const schemas::ControlRecord& record) override {
      return inner.append(record);
    }
  } control;
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=5,symbols=12,messages=30000", 128, 256});
  storage::MemoryStateStore state;
  MemoryTopics topics(1);
  MemorySink sink(topics, 0);
  telemetry::Metrics metrics(tape.partitions());
  auto options = small_engine();
  options.control = &control;
  actors::Engine engine(tape, state, kSettings, options, metrics, &sink);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!all_out(tape, topics) && !engine.failure() && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  REQUIRE(engine.run_to_end());
  CHECK(control.away < 0);
  check_rows(topics, in_order_of_emission(tape));
}

TEST_CASE("a copy never passes what its owner has committed; assigned, it goes on where it is",
          "[sink][standby]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=9,symbols=12,messages=40000", 128, 256});
  const auto expected = in_order_of_emission(tape);
  const auto seed = seed_of_run();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  MemoryTopics topics(seed);
  auto options = small_engine();
  options.partitions_on_demand = true;
  std::vector<std::unique_ptr<Node>> nodes;
  for (int who = 0; who < 2; ++who)
    nodes.push_back(std::make_unique<Node>(tape, topics, who, options));
  std::vector<std::size_t> owners(tape.partitions());
  std::vector<market::Offset> guided(tape.partitions(), 0);
  const auto copy_of = [&](storage::Partition p) -> Node& { return *nodes[1 - owners[p]]; };
  for (storage::Partition p = 0; p < tape.partitions(); ++p) {
    topics.own(p, static_cast<int>(owners[p] = p % 2));
    nodes[owners[p]]->engine.open(p);
    copy_of(p).engine.stand_by(p, 0);
  }
  const auto check_copies = [&] {
    for (storage::Partition p = 0; p < tape.partitions(); ++p) {
      const auto status = copy_of(p).engine.board().partitions()[p];
      CHECK_FALSE(status.open);
      CHECK(status.next <= guided[p]);
    }
  };
  const auto guide = [&] {
    for (storage::Partition p = 0; p < tape.partitions(); ++p)
      copy_of(p).engine.guide(p, guided[p] = topics.committed_of(p));
  };
  const auto follow = [&](storage::Partition p) {  // until the copy is as far as it may be
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const auto there = [&] { return copy_of(p).engine.board().partitions()[p].frontier; };
    while (there() < guided[p] && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return there();
  };
  for (int move = 0; move < 16; ++move) {
    const auto upto = topics.deliveries() + random() % 3;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
    while (topics.deliveries() < upto && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    guide();
    check_copies();
    const auto p = static_cast<storage::Partition>(random() % owners.size());
    const bool followed = random() % 2 == 0;
    const auto reached = followed ? follow(p) : 0;
    auto& from = *nodes[owners[p]];
    const bool in_order = random() % 2 == 0;
    const auto to = 1 - owners[p];
    if (!in_order) topics.own(p, static_cast<int>(to));
    close(from.engine, p, in_order);
    topics.own(p, static_cast<int>(to));
    nodes[to]->engine.open(p);
    owners[p] = to;
    guided[p] = topics.committed_of(p);
    from.engine.stand_by(p, guided[p]);
    if (followed && reached > 0) {
      const auto opened = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      market::Offset next = 0;
      while ((next = nodes[to]->engine.board().partitions()[p].next) == 0 &&
             std::chrono::steady_clock::now() < opened)
        std::this_thread::yield();
      CHECK(next >= reached);  // it did not begin at a checkpoint
    }
  }
  for (storage::Partition p = 0; p < tape.partitions(); ++p) close(copy_of(p).engine, p, false);
  for (auto& node : nodes) {
    const auto ended = node->engine.run_to_end();
    if (!ended) FAIL(ended.error().message);
  }
  check_rows(topics, expected);
}

TEST_CASE("a copy is not asked: it answers that it is elsewhere", "[sink][standby]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=5,symbols=8,messages=4000", 128, 256});
  MemoryTopics topics(1);
  auto options = small_engine();
  options.partitions_on_demand = true;
  Node copy(tape, topics, 1, options);
  for (storage::Partition p = 0; p < tape.partitions(); ++p)
    copy.engine.stand_by(p, tape.end(p).value());
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto caught_up = [&] {
    return std::ranges::all_of(copy.engine.board().partitions(),
                               &actors::PartitionStatus::caught_up);
  };
  while (!caught_up() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  REQUIRE(caught_up());
  std::atomic<int> elsewhere = 0, answered = 0;
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    copy.engine.ask(symbol, false, [&](const actors::SymbolAnswer& answer) {
      elsewhere += answer.state == actors::SymbolAnswer::State::elsewhere;
      ++answered;
    });
  }
  std::atomic<bool> all = false;
  std::atomic<int> live = 0;
  copy.engine.ask_all([&](const actors::SymbolAnswer&) { ++live; }, [&] { all = true; });
  while ((answered < 8 || !all) && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  CHECK(elsewhere == 8);
  CHECK(live == 0);
  CHECK(all);
  CHECK(topics.rows().empty());  // and it says nothing
}

TEST_CASE("a partition that is not opened answers that it is elsewhere; opened, it is live",
          "[sink]") {
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=5,symbols=8,messages=4000", 128, 256});
  storage::MemoryStateStore state;
  MemoryTopics topics(1);
  MemorySink sink(topics, 0);
  telemetry::Metrics metrics(tape.partitions());
  auto options = small_engine();
  options.partitions_on_demand = true;
  actors::Engine engine(tape, state, kSettings, options, metrics, &sink);
  using State = actors::SymbolAnswer::State;
  const auto ask = [&](const std::string& symbol) {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<State> state_found;
    engine.ask(symbol, false, [&](const actors::SymbolAnswer& answer) {
      const std::scoped_lock lock(mutex);
      state_found = answer.state;
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    REQUIRE(
        changed.wait_for(lock, std::chrono::seconds(20), [&] { return state_found.has_value(); }));
    return *state_found;
  };
  const auto symbol = tape.symbols().value().front();
  const auto partition = storage::partition_of(symbol, tape.partitions());
  CHECK(ask(symbol) == State::elsewhere);
  engine.open(partition);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (ask(symbol) != State::live && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  CHECK(ask(symbol) == State::live);
  const auto statuses = engine.board().partitions();
  for (storage::Partition p = 0; p < tape.partitions(); ++p)
    CHECK(statuses[p].open == (p == partition));
}
