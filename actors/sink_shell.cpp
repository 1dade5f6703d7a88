// The actor around the sink: retries, and tells ingresses what is out.
#include <spdlog/spdlog.h>

#include "actors/shells.hpp"
#include "actors/sink_worker.hpp"

namespace tapedeck::actors {

namespace {

/// An engine that ends does not wait for brokers that are away: it says so.
constexpr unsigned kDrainTries = 3;

class SinkShell {
public:
  const char* name = "sink";

  void begin(SinkActor::pointer self, Shared& shared) {
    self_ = self, shared_ = &shared;
    worker_.emplace(*shared.sink, shared.options, shared.metrics);
  }

  void open(const SinkOpen& message) {
    const auto committed = worker_->open(message.partition, message.opening);
    if (!committed) {
      trouble(committed.error());
      if (committed.error().code == ErrorCode::conflict || shared_->board.draining())
        shared_->board.fail(committed.error());
      self_->delayed_send(self_, shared_->options.delivery_backoff, message);
      return;
    }
    no_trouble();
    if (!*committed) return;
    replies_[message.partition] = message.reply_to;
    self_->send(message.reply_to, SinkOpened{**committed, message.opening});
  }

  void forget(Partition partition) {
    worker_->forget(partition);
    replies_.erase(partition);
  }

  void take(const SinkTake& message) {
    worker_->take(message);
    pump_soon(std::chrono::milliseconds(0));
  }

  /// Behind everything that came meanwhile: it leaves together.
  void pump() {
    pumping_ = false;
    const auto reports = worker_->pump();
    if (!reports) {
      trouble(reports.error());
      if (++failures_ >= kDrainTries && shared_->board.draining())
        shared_->board.fail(reports.error());
      pump_soon(shared_->options.delivery_backoff);
      return;
    }
    no_trouble();
    failures_ = 0;
    for (const auto& report : *reports)
      self_->send(replies_.at(report.partition), report.delivered);
    if (!reports->empty()) pump_soon(std::chrono::milliseconds(0));
  }

private:
  void pump_soon(std::chrono::milliseconds wait) {
    if (std::exchange(pumping_, true)) return;
    if (wait.count() == 0) {
      self_->send(self_, SinkPump{});
    } else {
      self_->delayed_send(self_, wait, SinkPump{});
    }
  }

  void trouble(const Error& error) {
    if (shared_->board.sink_trouble().empty())
      spdlog::warn("outputs do not leave: {}; trying again", error.message);
    shared_->board.sink_trouble(error.message);
  }
  void no_trouble() {
    if (!shared_->board.sink_trouble().empty()) shared_->board.sink_trouble({});
  }

  SinkActor::pointer self_ = nullptr;
  Shared* shared_ = nullptr;
  std::optional<SinkWorker> worker_;
  std::map<Partition, IngressActor> replies_;
  unsigned failures_ = 0;  ///< in a row
  bool pumping_ = false;
};

SinkActor::behavior_type sink_actor(SinkActor::stateful_pointer<SinkShell> self, Shared* shared) {
  self->set_exception_handler([](std::exception_ptr& thrown) { return exit_reason_of(thrown); });
  auto& shell = self->state;
  shell.begin(self, *shared);
  return {
      [&shell](const SinkOpen& message) { shell.open(message); },
      [&shell](const SinkTake& message) { shell.take(message); },
      [&shell](const SinkForget& message) { shell.forget(message.partition); },
      [&shell](const SinkPump&) { shell.pump(); },
  };
}

}  // namespace

SinkActor spawn_sink(caf::actor_system& system, Shared& shared) {
  if (!shared.options.own_threads) return system.spawn(sink_actor, &shared);
  return system.spawn<caf::detached>(sink_actor, &shared);
}

}  // namespace tapedeck::actors
