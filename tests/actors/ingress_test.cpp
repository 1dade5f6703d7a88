// The ingress alone, its symbols as plain workers: what goes on while one of them is down.
#include "actors/ingress.hpp"

#include <catch2/catch.hpp>
#include <deque>
#include <functional>

#include "../replay/sessions.hpp"
#include "actors/symbol_worker.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;
using actors::EntryIndex;

namespace {

const market::FoldSettings kSettings;

/// Delivers messages in the order they were sent, one at a time.
class Desk final : public actors::IngressPort {
public:
  Desk(storage::MemoryTape& tape, market::Partition partition)
      : metrics_(tape.partitions()),
        symbol_context_{
            partition, &tape, &state_, kSettings, &options_, metrics_.partitions[partition].get(),
            nullptr,   0,     nullptr, false},
        ingress_(
            {partition, &tape, &state_, &options_, metrics_.partitions[partition].get(), nullptr},
            *this) {
    options_.poll_bytes = 4 << 10;
    options_.checkpoint_events = 5'000;
  }

  void spawn(EntryIndex entry, std::uint32_t incarnation, const std::string& symbol,
             market::Offset silent_below) override {
    workers_.resize(std::max<std::size_t>(workers_.size(), entry + 1));
    batches_.resize(workers_.size());
    auto context = symbol_context_;
    context.silent_below = silent_below;
    workers_[entry] =
        std::make_unique<actors::SymbolWorker>(std::move(context), entry, incarnation, symbol);
    names_[entry] = symbol;
  }
  void send(EntryIndex entry, actors::FoldBatch message) override {
    ++batches_[entry];
    to(entry, std::move(message));
  }
  void send(EntryIndex entry, actors::TellMarks message) override { to(entry, std::move(message)); }
  void send(EntryIndex entry, actors::Restore message) override { to(entry, std::move(message)); }
  void send(EntryIndex entry, actors::Barrier message) override { to(entry, std::move(message)); }
  void send(EntryIndex, actors::Ask) override {}
  void send(EntryIndex entry, actors::ApplyRules message) override {
    to(entry, std::move(message));
  }
  void retire(EntryIndex entry) override { workers_[entry].reset(); }
  void refund(EntryIndex) override {}
  void store(std::shared_ptr<const actors::StoreRequest> request) override {
    mail_.emplace_back([this, request] {
      REQUIRE(state_.write(request->batch));
      ingress_.on(actors::Stored{request->id, request->batch.checkpoint.has_value()});
    });
  }
  void deliver(std::vector<actors::SaidPtr>, market::Offset) override {}
  void wake_self() override { awake_ = true; }
  void drained() override { drained_ = true; }
  [[nodiscard]] std::chrono::steady_clock::time_point now() const override { return now_; }

  void kill(EntryIndex entry) {
    workers_[entry].reset();
    ingress_.on(actors::SymbolDown{entry, incarnation_, "killed"});
  }
  void revive(EntryIndex entry) {
    ++incarnation_;
    ingress_.on(actors::Revive{entry});
  }
  /// Delivers all mail; false once there is nothing more to read.
  bool turn() {
    deliver();
    if (!std::exchange(awake_, false)) return false;
    ingress_.wake();
    deliver();
    return true;
  }
  void drain() {
    ingress_.on(actors::Drain{true});
    while (turn()) {
    }
  }

  actors::Ingress& ingress() { return ingress_; }
  storage::MemoryStateStore& state() { return state_; }
  telemetry::PartitionMetrics& metrics() { return *symbol_context_.metrics; }
  [[nodiscard]] std::vector<std::size_t> batches() const { return batches_; }
  [[nodiscard]] const std::string& name(EntryIndex entry) const { return names_.at(entry); }
  [[nodiscard]] bool drained_all() const { return drained_; }
  void pass(std::chrono::milliseconds time) { now_ += time; }

private:
  template <class Message>
  void to(EntryIndex entry, Message message) {
    mail_.emplace_back([this, entry, message = std::move(message)] {
      if (workers_[entry]) ingress_.on(workers_[entry]->on(message));
    });
  }
  void deliver() {
    while (!mail_.empty()) {
      const auto next = std::move(mail_.front());
      mail_.pop_front();
      next();
    }
  }

  actors::EngineOptions options_;
  storage::MemoryStateStore state_;
  telemetry::Metrics metrics_;
  actors::SymbolContext symbol_context_;
  std::vector<std::unique_ptr<actors::SymbolWorker>> workers_;
  std::vector<std::size_t> batches_;
  std::map<EntryIndex, std::string> names_;
  std::deque<std::function<void()>> mail_;
  std::chrono::steady_clock::time_point now_{};
  std::uint32_t incarnation_ = 0;
  bool awake_ = false, drained_ = false;
  actors::Ingress ingress_;
};

}  // namespace

TEST_CASE("while a symbol is down the others get every batch, and nobody waits for it",
          "[ingress]") {
  constexpr EntryIndex kVictim = 1;
  storage::MemoryTape tape;
  tests::record_session(tape, {"seed=9,symbols=12,messages=20000", 128, 128});
  const auto expected = tests::plain_refold(tape, kSettings);
  const auto partition = storage::partition_of(tape.symbols().value().front(), tape.partitions());
  const auto end = tape.end(partition).value();

  Desk undisturbed(tape, partition);
  undisturbed.ingress().start();
  while (undisturbed.turn()) {
  }

  for (const int turns_before : {1, 4}) {
    Desk desk(tape, partition);
    desk.ingress().start();
    for (int turn = 0; turn < turns_before; ++turn) REQUIRE(desk.turn());
    const auto before = desk.batches();
    REQUIRE(before.size() > kVictim);
    desk.kill(kVictim);
    const auto missing_from = desk.metrics().next_offset.load();
    while (desk.turn()) {
    }

    // Read to the end, with every batch that an undisturbed run hands out but the victim's.
    CHECK(desk.metrics().next_offset == static_cast<std::int64_t>(end));
    auto batches = undisturbed.batches();
    batches[kVictim] = before[kVictim];
    CHECK(desk.batches() == batches);
    CHECK(desk.metrics().inflight_bytes == 0);
    CHECK(desk.metrics().credit_waits == 0);
    CHECK(desk.metrics().symbols_down == 1);
    // What it would have said is still awaited.
    desk.pass(std::chrono::seconds(1));
    desk.ingress().tick();
    CHECK_FALSE(desk.turn());
    CHECK(desk.state().cursor(partition).value() <= static_cast<market::Offset>(missing_from));

    desk.pass(std::chrono::milliseconds(30));
    desk.revive(kVictim);
    desk.drain();
    CHECK(desk.drained_all());
    CHECK(desk.metrics().restart_ns.sum() == 1'030'000'000);
    CHECK(desk.state().cursor(partition).value() == end);
    for (EntryIndex entry = 0; entry < batches.size(); ++entry) {
      const auto& symbol = desk.name(entry);
      INFO(symbol);
      const auto newest = desk.state().newest_snapshot(symbol, partition, end).value();
      REQUIRE(newest);
      CHECK(std::pair(newest->events, newest->digest) == expected.digests.at(symbol));
      tests::OutputMap found, awaited;
      REQUIRE(desk.state().outputs(symbol, "", "", [&](const market::Output& output) {
        found.emplace(std::pair(symbol, market::identity(output)), output);
        return true;
      }));
      for (const auto& [key, output] : expected.outputs)
        if (key.first == symbol) awaited.emplace(key, output);
      tests::check_same_outputs(found, awaited, true);
    }
  }
}
