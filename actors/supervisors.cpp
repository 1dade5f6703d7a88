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
    ingress_ = spawn_ingress(self->system(), shared, partition, self, std::move(checkpointer),
                             std::move(sink), standby);
    shared.directory.set(partition, ingress_);
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
    symbol_down(child, error);
  }

  void drain(const Drain& message) { self_->send(ingress_, message); }
  void refund(const Refund& message) { histories_.erase(message.entry); }
  void drained() { self_->send(root_, PartitionDrained{partition_}); }
  void take(const NewCheckpointer& message) { self_->send(ingress_, message); }
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
    auto history =
        histories_.try_emplace(child.entry, shared_->options.restart, child.entry + 1).first;
    const auto delay = history->second.failed(self_->system().clock().now());
    if (!delay) {
      shared_->board.child(label, "stopped", error);
      spdlog::error("symbol {} keeps failing ({}): its restart budget is spent", child.symbol,
                    error);
      self_->quit(caf::make_error(caf::sec::runtime_error,
                                  fmt::format("symbol {}: {}", child.symbol, error)));
      return;
    }
    spdlog::warn("symbol {} failed ({}); starts again in {} ms", child.symbol, error,
                 delay->count());
    shared_->board.child(label, "recovering", error);
    shared_->board.child_restarted(label);
    if (delay->count() == 0) {
      self_->send(ingress_, Revive{child.entry});
    } else {
      self_->delayed_send(ingress_, *delay, Revive{child.entry});
    }
  }

  PartitionActor::pointer self_ = nullptr;
  Shared* shared_ = nullptr;
  Partition partition_ = 0;
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
      [&shell](const Refund& message) { shell.refund(message); },
      [&shell](const Promote&) { shell.promote(); },
  };
}

// ---- root: one for one over partitions, checkpointer, and in the end the process

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
  }

  void begin(RootActor::pointer self, Shared& shared) {
    self_ = self, shared_ = &shared;
    checkpointer_.history.emplace(shared.options.restart, 1'000'000);
    sink_.history.emplace(shared.options.restart, 1'000'000'000);
    start_checkpointer();
    if (shared.sink != nullptr) start_sink();
    if (!shared.options.partitions_on_demand) shared.board.settle_partitions();
    for (Partition p = 0; p < shared.directory.partitions(); ++p) {
      partitions_.emplace_back().history.emplace(shared.options.restart, 1'000'001 + p);
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
    if (checkpointer_.actor && message.source == checkpointer_.actor.address()) {
      restart(kCheckpointer, checkpointer_, "checkpointer", error);
      return;
    }
    if (sink_.actor && message.source == sink_.actor.address()) {
      restart(kSink, sink_, "sink", error);
      return;
    }
    for (Partition p = 0; p < partitions_.size(); ++p) {
      if (!partitions_[p].actor || message.source != partitions_[p].actor.address()) continue;
      restart(p, partitions_[p], fmt::format("partition {}", p), error);
    }
  }

  void restart_child(const RestartChild& message) {
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
      // What waited in the old one is gone: each partition says it again, from what is out.
      for (auto& partition : partitions_) {
        if (partition.actor) caf::anon_send_exit(partition.actor, caf::exit_reason::kill);
      }
      return;
    }
    if (!partitions_[message.child].wanted) return;  // closed meanwhile
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
  }

private:
  static constexpr std::uint64_t kCheckpointer = ~std::uint64_t{0}, kSink = kCheckpointer - 1;
  template <class Actor>
  struct Child {
    Actor actor;
    std::optional<RestartHistory> history;
    bool drained = false;
    bool wanted = false;              ///< a partition: this engine's, or followed
    std::optional<Offset> standby{};  ///< a partition that is followed: committed at its opening
    std::function<void()> closed;     ///< a partition that is being closed: whom to tell
  };

  void tell_if_drained() {
    if (!drain_) return;
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
  void start_partition(Partition p);

  template <class Actor>
  void restart(std::uint64_t id, Child<Actor>& child, const std::string& label,
               const std::string& error) {
    child.actor = nullptr;
    if (shared_->board.failure()) {
      shared_->board.child(label, "stopped", error);
      return;
    }
    const auto delay = child.history->failed(self_->system().clock().now());
    if (!delay) {
      shared_->board.child(label, "stopped", error);
      shared_->board.fail({ErrorCode::exhausted,
                           fmt::format("{}: its restart budget is spent: {}", label, error),
                           {}});
      return;
    }
    spdlog::warn("{} failed ({}); starts again in {} ms", label, error, delay->count());
    shared_->board.child(label, "restarting", error);
    shared_->board.child_restarted(label);
    self_->delayed_send(self_, *delay, RestartChild{id});
  }

  RootActor::pointer self_ = nullptr;
  Shared* shared_ = nullptr;
  Child<CheckpointerActor> checkpointer_;
  Child<SinkActor> sink_;
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
    shared->board.fail({ErrorCode::exhausted, "the root supervisor failed", {}});
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
  };
}

}  // namespace

RootActor spawn_root(caf::actor_system& system, Shared& shared) {
  return system.spawn(root_actor, &shared);
}

}  // namespace tapedeck::actors
