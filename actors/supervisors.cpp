// The inner nodes of the tree: one partition's supervisor, and the root.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/restart_history.hpp"
#include "actors/shells.hpp"

namespace tapedeck::actors {

namespace {

// ---- partition supervisor: one for one over its symbols; its ingress takes the whole partition
// with it -----------

class PartitionShell {
public:
  const char* name = "partition supervisor";

  ~PartitionShell() {
    if (ingress_) caf::anon_send_exit(ingress_, caf::exit_reason::user_shutdown);
  }

  void begin(PartitionActor::pointer self, Shared& shared, Partition partition, RootActor root,
             CheckpointerActor checkpointer, SinkActor sink, std::optional<Offset> standby) {
    self_ = self, shared_ = &shared, partition_ = partition, root_ = std::move(root);
    const auto waking = std::make_shared<std::atomic<bool>>(false);
    ingress_ = spawn_ingress(self->system(), shared, partition, self, std::move(checkpointer),
                             std::move(sink), waking, standby);
    shared.directory.set(partition, ingress_, waking);
    self->monitor(ingress_);
    shared.board.child(fmt::format("ingress {}", partition), "running");
  }

  void watch(const Watch& watch) {
    children_[watch.actor.id()] = {watch.entry, watch.incarnation, watch.symbol};
    self_->monitor(watch.actor);
  }

  void down(const caf::down_msg& message) {
    const auto error = self_->system().render(message.reason);
    if (message.source == ingress_.address()) {
      shared_->board.child(fmt::format("ingress {}", partition_), "stopped", error);
      self_->quit(message.reason);
      return;
    }
    const auto found = children_.find(message.source.id());
    if (found == children_.end()) return;
    const Child child = std::move(found->second);
    children_.erase(found);
    if (message.reason) symbol_down(child, error);  // else it retired
  }

  void drain(const Drain& message) { self_->send(ingress_, message); }
  void refund(const Refund& message) {
    histories_.erase(message.entry);
    const auto& policy = shared_->options.supervision.symbol;
    if (policy.strategy == Strategy::one_for_all || policy.budget < kPoisonAttempts)
      self_->send(root_, message);
  }
  void drained() { self_->send(root_, PartitionDrained{partition_}); }
  void take(const NewCheckpointer& message) { self_->send(ingress_, message); }
  void take(const NewSink& message) { self_->send(ingress_, message); }
  void promote() { self_->send(ingress_, Promote{}); }

private:
  struct Child {
    EntryIndex entry = 0;
    std::uint32_t incarnation = 0;
    std::string symbol;
  };

  void symbol_down(const Child& child, const std::string& error) {
    self_->send(ingress_, SymbolDown{child.entry, child.incarnation, error});
    const auto label = "symbol " + child.symbol;
    const auto& policy = shared_->options.supervision.symbol;
    auto& metrics = shared_->metrics.of(telemetry::Node::symbol);
    ++metrics.failures;
    auto& history = histories_.try_emplace(child.entry, policy, child.entry + 1).first->second;
    const auto delay = history.failed(self_->system().clock().now());
    if (history.spent()) {
      ++metrics.budgets_spent;
      spdlog::error("symbol {} keeps failing ({}): its restart budget is spent", child.symbol,
                    error);
    }
    const bool drained_in_vain = history.spent() && shared_->board.draining();
    if (!delay || drained_in_vain || policy.strategy == Strategy::one_for_all) {
      shared_->board.child(label, "stopped", error);
      give_up(fmt::format("symbol {}: {}", child.symbol, error));
      return;
    }
    spdlog::warn("symbol {} failed ({}); starts again in {} ms", child.symbol, error,
                 delay->count());
    shared_->board.child_waits(label, "recovering", error, *delay, history.left());
    if (delay->count() == 0) {
      self_->send(ingress_, Revive{child.entry});
    } else {
      self_->delayed_send(ingress_, *delay, Revive{child.entry});
    }
  }

  /// The ingress stores what is delivered and ends; then this partition does.
  void give_up(const std::string& why) {
    if (std::exchange(ending_, true)) return;
    self_->send(ingress_, LastWords{caf::make_error(caf::sec::runtime_error, why)});
  }

  PartitionActor::pointer self_ = nullptr;
  Shared* shared_ = nullptr;
  Partition partition_ = 0;
  bool ending_ = false;
  RootActor root_;
  IngressActor ingress_;
  std::map<caf::actor_id, Child> children_;
  std::map<EntryIndex, RestartHistory> histories_;
};

PartitionActor::behavior_type partition_actor(PartitionActor::stateful_pointer<PartitionShell> self,
                                              Shared* shared, Partition partition, RootActor root,
                                              CheckpointerActor checkpointer, SinkActor sink,
                                              std::optional<Offset> standby) {
  self->set_exception_handler([](std::exception_ptr& thrown) { return exit_reason_of(thrown); });
  self->set_down_handler([self](caf::down_msg& message) { self->state.down(message); });
  auto& shell = self->state;
  shell.begin(self, *shared, partition, std::move(root), std::move(checkpointer), std::move(sink),
              standby);
  return {
      [&shell](const Watch& message) { shell.watch(message); },
      [&shell](const Drained&) { shell.drained(); },
      [&shell](const Drain& message) { shell.drain(message); },
      [&shell](const NewCheckpointer& message) { shell.take(message); },
      [&shell](const NewSink& message) { shell.take(message); },
      [&shell](const Refund& message) { shell.refund(message); },
      [&shell](const Promote&) { shell.promote(); },
  };
}

// ---- root: over partitions, checkpointer, sink and gateway, and in the end the process

class RootShell {
public:
  const char* name = "root supervisor";

  ~RootShell() {
    for (auto& partition : partitions_) {
      if (partition.actor) caf::anon_send_exit(partition.actor, caf::exit_reason::user_shutdown);
    }
    if (checkpointer_.actor)
      caf::anon_send_exit(checkpointer_.actor, caf::exit_reason::user_shutdown);
    if (sink_.actor) caf::anon_send_exit(sink_.actor, caf::exit_reason::user_shutdown);
    if (gateway_.actor) caf::anon_send_exit(gateway_.actor, caf::exit_reason::user_shutdown);
    if (shared_ != nullptr) shared_->directory.set_gateway(GatewayActor());
  }

  void begin(RootActor::pointer self, Shared& shared) {
    self_ = self, shared_ = &shared;
    const auto& policies = shared.options.supervision;
    RestartPolicy all;
    all.budget = policies.root_budget, all.budget_window = policies.root_window;
    all.reset_after = policies.root_window;
    all_.emplace(all, 0);
    checkpointer_.history.emplace(policies.checkpointer, 1'000'000);
    sink_.history.emplace(policies.sink, 1'000'000'000);
    gateway_.history.emplace(policies.gateway, 2'000'000'000);
    start_gateway();
    start_checkpointer();
    if (shared.sink != nullptr) start_sink();
    shared.board.child("root", "running");
    if (!shared.options.partitions_on_demand) shared.board.settle_partitions();
    for (Partition p = 0; p < shared.directory.partitions(); ++p) {
      partitions_.emplace_back().history.emplace(policies.partition, 1'000'001 + p);
      if (shared.options.partitions_on_demand) continue;
      partitions_[p].wanted = true;
      start_partition(p);
    }
  }

  void open(const OpenPartition& message) {
    const auto p = message.partition;
    auto& child = partitions_.at(p);
    if (!std::exchange(child.wanted, true)) {
      child.drained = false;
      child.standby = message.standby;
      start_partition(p);
    } else if (!message.standby && std::exchange(child.standby, std::nullopt)) {
      shared_->board.open(p);
      if (child.actor) self_->send(child.actor, Promote{});
    }
  }

  void close(const ClosePartition& message) {
    auto& child = partitions_.at(message.partition);
    if (!child.wanted) {
      message.done();
      return;
    }
    child.closed = message.done;
    if (child.drained || !message.in_order) {
      closed(message.partition);
    } else if (child.actor) {
      self_->send(child.actor, Drain{false});
    }
  }

  void down(const caf::down_msg& message) {
    const auto error = self_->system().render(message.reason);
    using telemetry::Node;
    if (checkpointer_.actor && message.source == checkpointer_.actor.address()) {
      restart(kCheckpointer, checkpointer_, {Node::checkpointer, "checkpointer"}, error);
      return;
    }
    if (sink_.actor && message.source == sink_.actor.address()) {
      restart(kSink, sink_, {Node::sink, "sink"}, error);
      return;
    }
    if (gateway_.actor && message.source == gateway_.actor.address()) {
      shared_->directory.set_gateway(GatewayActor());
      restart(kGateway, gateway_, {Node::gateway, "gateway"}, error);
      return;
    }
    for (Partition p = 0; p < partitions_.size(); ++p) {
      if (!partitions_[p].actor || message.source != partitions_[p].actor.address()) continue;
      restart(p, partitions_[p], {Node::partition, fmt::format("partition {}", p)}, error);
    }
  }

  void restart_child(const RestartChild& message) {
    if (message.child == kGateway) {
      ++shared_->metrics.gateway_restarts;
      start_gateway();
      return;
    }
    if (message.child == kCheckpointer) {
      ++shared_->metrics.checkpointer_restarts;
      start_checkpointer();
      for (auto& partition : partitions_) {
        if (partition.actor) self_->send(partition.actor, NewCheckpointer{checkpointer_.actor});
      }
      return;
    }
    if (message.child == kSink) {
      ++shared_->metrics.sink_restarts;
      start_sink();
      for (auto& partition : partitions_) {
        if (partition.actor) self_->send(partition.actor, NewSink{sink_.actor});
      }
      return;
    }
    if (ending_ || !partitions_[message.child].wanted) return;  // closed meanwhile
    ++shared_->metrics.partitions[message.child]->ingress_restarts;
    start_partition(static_cast<Partition>(message.child));
  }

  void drain(const Drain& message) {
    drain_ = message;
    for (auto& partition : partitions_) {
      if (partition.actor) self_->send(partition.actor, message);
    }
    tell_if_drained();
  }

  void drained(const PartitionDrained& message) {
    auto& child = partitions_.at(message.partition);
    if (!child.wanted) return;
    child.drained = true;
    if (child.closed) closed(message.partition);
    tell_if_drained();
    tell_if_flushed();
  }

  void refund(const Refund& message) {
    auto& history = *partitions_.at(message.partition).history;
    all_->forgive(history.restarts());
    history.forgive(history.restarts());
  }

  void flush_over() {
    if (!ending_) return;
    spdlog::error("not everything could be stored in time: it is folded again from the tape");
    shared_->board.fail(*ending_);
  }

private:
  static constexpr std::uint64_t kCheckpointer = ~std::uint64_t{0}, kSink = kCheckpointer - 1,
                                 kGateway = kSink - 1;
  template <class Actor>
  struct Child {
    Actor actor;
    std::optional<RestartHistory> history;
    bool drained = false;
    bool collateral = false;          ///< ended with a sibling: that is not its failure
    bool wanted = false;              ///< a partition: this engine's, or followed
    std::optional<Offset> standby{};  ///< a partition that is followed: committed at its opening
    std::function<void()> closed;     ///< a partition that is being closed: whom to tell
  };

  void tell_if_drained() {
    if (!drain_ || ending_) return;
    const auto done = [](const auto& child) { return !child.wanted || child.drained; };
    if (std::ranges::all_of(partitions_, done)) shared_->board.drained();
  }

  void closed(Partition p) {
    auto& child = partitions_[p];
    child.wanted = false;
    child.standby.reset();
    if (sink_.actor) self_->send(sink_.actor, SinkForget{p});
    shared_->directory.set(p, IngressActor());
    shared_->board.close(p);
    shared_->metrics.partitions[p]->stopped = 0;
    shared_->board.child(fmt::format("partition {}", p), "stopped");
    shared_->board.child(fmt::format("ingress {}", p), "stopped");
    if (const auto actor = std::exchange(child.actor, nullptr))
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    std::exchange(child.closed, nullptr)();
  }

  void start_sink() {
    sink_.actor = spawn_sink(self_->system(), *shared_);
    self_->monitor(sink_.actor);
    shared_->board.child("sink", "running");
  }

  void start_checkpointer() {
    checkpointer_.actor = spawn_checkpointer(self_->system(), *shared_);
    self_->monitor(checkpointer_.actor);
    shared_->board.child("checkpointer", "running");
  }
  void start_gateway() {
    gateway_.actor = spawn_gateway(self_->system(), *shared_);
    self_->monitor(gateway_.actor);
    shared_->directory.set_gateway(gateway_.actor);
    shared_->board.child("gateway", "running");
  }
  void start_partition(Partition p);

  struct Label {
    telemetry::Node node;
    std::string name;
  };
  template <class Actor>
  void restart(std::uint64_t id, Child<Actor>& child, const Label& label,
               const std::string& error) {
    child.actor = nullptr;
    auto& metrics = shared_->metrics.of(label.node);
    if (shared_->board.failure() || (ending_ && label.node == telemetry::Node::partition)) {
      shared_->board.child(label.name, "stopped", error);
      tell_if_flushed();
      return;
    }
    if (std::exchange(child.collateral, false)) {
      shared_->board.child(label.name, "restarting", error);
      self_->send(self_, RestartChild{id});
      return;
    }
    ++metrics.failures;
    auto& history = *child.history;
    const auto now = self_->system().clock().now();
    const auto delay = history.failed(now);
    if (history.spent()) ++metrics.budgets_spent;
    const bool drained_in_vain =
        history.spent() && label.node != telemetry::Node::gateway && shared_->board.draining();
    const bool too_many = !all_->failed(now);
    if (too_many) ++shared_->metrics.of(telemetry::Node::root).budgets_spent;
    if (!delay || drained_in_vain || too_many) {
      shared_->board.child(label.name, "stopped", error);
      give_up({ErrorCode::exhausted,
               fmt::format("{}: {} restart budget is spent: {}", label.name,
                           too_many ? "the root's" : "its", error),
               {}});
      return;
    }
    spdlog::warn("{} failed ({}); starts again in {} ms", label.name, error, delay->count());
    shared_->board.child_waits(label.name, "restarting", error, *delay, history.left());
    self_->delayed_send(self_, *delay, RestartChild{id});
    if (history.policy().strategy == Strategy::one_for_all &&
        label.node == telemetry::Node::partition)
      end_siblings(id);
  }

  void end_siblings(std::uint64_t id) {
    for (Partition p = 0; p < partitions_.size(); ++p) {
      if (p == id || !partitions_[p].actor) continue;
      partitions_[p].collateral = true;
      caf::anon_send_exit(partitions_[p].actor, caf::exit_reason::kill);
    }
  }

  /// The process is to end; before it, what was read is folded and stored, as far as that goes.
  void give_up(Error why) {
    if (ending_) return;
    spdlog::error("{}; the engine ends", why.message);
    shared_->board.child("root", "stopping", why.message);
    ending_ = std::move(why);
    for (auto& partition : partitions_) {
      if (partition.actor) self_->send(partition.actor, Drain{false});
    }
    self_->delayed_send(self_, shared_->options.supervision.flush_within, FlushOver{});
    tell_if_flushed();
  }

  void tell_if_flushed() {
    if (!ending_) return;
    const auto done = [](const auto& child) { return !child.actor || child.drained; };
    // Without a checkpointer nothing is stored any more.
    const bool lost = !checkpointer_.actor && checkpointer_.history->spent() &&
                      checkpointer_.history->policy().escalation == Escalation::escalate;
    if (lost || std::ranges::all_of(partitions_, done)) shared_->board.fail(*ending_);
  }

  RootActor::pointer self_ = nullptr;
  Shared* shared_ = nullptr;
  Child<CheckpointerActor> checkpointer_;
  Child<SinkActor> sink_;
  Child<GatewayActor> gateway_;
  std::optional<RestartHistory> all_;  ///< of all children together
  std::optional<Error> ending_;        ///< why; what can be stored is being stored
  std::vector<Child<PartitionActor>> partitions_;
  std::optional<Drain> drain_;
};

void RootShell::start_partition(Partition p) {
  partitions_[p].actor =
      self_->system().spawn(partition_actor, shared_, p, RootActor(self_), checkpointer_.actor,
                            sink_.actor, partitions_[p].standby);
  self_->monitor(partitions_[p].actor);
  shared_->board.child(fmt::format("partition {}", p), "running");
  partitions_[p].standby ? shared_->board.stand_by(p) : shared_->board.open(p);
  if (partitions_[p].closed) {
    self_->send(partitions_[p].actor, Drain{false});
  } else if (drain_) {
    self_->send(partitions_[p].actor, *drain_);
  }
}

RootActor::behavior_type root_actor(RootActor::stateful_pointer<RootShell> self, Shared* shared) {
  self->set_exception_handler([shared](std::exception_ptr& thrown) {
    auto reason = exit_reason_of(thrown);
    const auto what = "the root supervisor failed: " + caf::to_string(reason);
    if (shared->options.on_root_failure) shared->options.on_root_failure(what);
    shared->board.fail({ErrorCode::exhausted, what, {}});
    return reason;
  });
  self->set_down_handler([self](caf::down_msg& message) { self->state.down(message); });
  self->state.begin(self, *shared);
  return {
      [self](const Drain& message) { self->state.drain(message); },
      [self](const PartitionDrained& message) { self->state.drained(message); },
      [self](const RestartChild& message) { self->state.restart_child(message); },
      [self](const OpenPartition& message) { self->state.open(message); },
      [self](const ClosePartition& message) { self->state.close(message); },
      [self](const FlushOver&) { self->state.flush_over(); },
      [self](const Refund& message) { self->state.refund(message); },
  };
}

}  // namespace

RootActor spawn_root(caf::actor_system& system, Shared& shared) {
  return system.spawn(root_actor, &shared);
}

}  // namespace tapedeck::actors
