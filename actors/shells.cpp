// The leaves of the tree: symbol, ingress, checkpointer, gateway.
#include "actors/shells.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace tapedeck::actors {

Directory::Directory(std::uint32_t partitions) : places_(partitions) {}

void Directory::set(Partition partition, IngressActor ingress, Waking waking) {
  const std::scoped_lock lock(mutex_);
  places_.at(partition) = {std::move(ingress), std::move(waking)};
}

IngressActor Directory::ingress(Partition partition) const {
  const std::scoped_lock lock(mutex_);
  return places_.at(partition).ingress;
}

void Directory::set_gateway(GatewayActor gateway) {
  const std::scoped_lock lock(mutex_);
  gateway_ = std::move(gateway);
}

GatewayActor Directory::gateway() const {
  const std::scoped_lock lock(mutex_);
  return gateway_;
}

void Directory::wake_all() {
  for (Partition p = 0; p < partitions(); ++p) {
    Place place;
    {
      const std::scoped_lock lock(mutex_);
      place = places_[p];
    }
    if (place.ingress && !place.waking->exchange(true)) caf::anon_send(place.ingress, Wake{});
  }
}

caf::error exit_reason_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return caf::make_error(caf::sec::runtime_error, std::string(error.what()));
  } catch (...) {
    return caf::make_error(caf::sec::runtime_error, std::string("an exception of unknown type"));
  }
}

// ---- symbol

namespace {

struct SymbolShell {
  const char* name = "symbol";
  std::optional<SymbolWorker> worker;
};

SymbolActor::behavior_type symbol_actor(SymbolActor::stateful_pointer<SymbolShell> self,
                                        SymbolContext context, EntryIndex entry,
                                        std::uint32_t incarnation, const std::string& symbol,
                                        IngressActor ingress) {
  self->set_exception_handler([](std::exception_ptr& thrown) { return exit_reason_of(thrown); });
  self->state.worker.emplace(std::move(context), entry, incarnation, symbol);
  return {
      [=](const FoldBatch& batch) { self->send(ingress, self->state.worker->on(batch)); },
      [=](const TellMarks& tell) { self->send(ingress, self->state.worker->on(tell)); },
      [=](const Restore& restore) { self->send(ingress, self->state.worker->on(restore)); },
      [=](const Barrier& barrier) { self->send(ingress, self->state.worker->on(barrier)); },
      [=](const Ask& ask) { self->state.worker->on(ask); },
      [=](const ApplyRules& apply) { self->send(ingress, self->state.worker->on(apply)); },
      [=](const Retire&) { self->quit(); },
  };
}

}  // namespace

SymbolActor spawn_symbol(caf::actor_system& system, Shared& shared, Partition partition,
                         EntryIndex entry, std::uint32_t incarnation, const std::string& symbol,
                         Offset silent_below, IngressActor ingress) {
  SymbolContext context{partition,
                        &shared.tape,
                        &shared.state,
                        shared.rules.rules(),
                        &shared.options,
                        shared.metrics.partitions[partition].get(),
                        shared.faults,
                        silent_below,
                        shared.attempts.get(),
                        shared.sink != nullptr};
  return system.spawn(symbol_actor, std::move(context), entry, incarnation, symbol,
                      std::move(ingress));
}

// ---- ingress

namespace {

class IngressShell : public IngressPort {
public:
  const char* name = "ingress";

  ~IngressShell() override {
    for (const auto& actor : symbols_)
      if (actor) caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
  }

  void begin(IngressActor::pointer self, Shared& shared, Partition partition,
             PartitionActor supervisor, CheckpointerActor checkpointer, SinkActor sink,
             Directory::Waking waking, std::optional<Offset> standby) {
    self_ = self, shared_ = &shared, partition_ = partition, waking_ = std::move(waking);
    standby_ = standby;
    supervisor_ = std::move(supervisor), checkpointer_ = std::move(checkpointer);
    sink_ = std::move(sink), opening_ = ++shared.openings;
    ingress_.emplace(IngressContext{partition, &shared.tape, &shared.state, &shared.options,
                                    shared.metrics.partitions[partition].get(), &shared.board,
                                    &shared.rules, shared.attempts.get(), shared.sink != nullptr},
                     *this);
    // Whatever an ingress before this one asked to be stored is stored first; then the state can be
    // read.
    auto first = std::make_shared<StoreRequest>();
    first->partition = partition;
    store(std::move(first));
  }

  void stored(const Stored& message) {
    if (started_) {
      ingress_->on(message);
    } else if (standby_) {
      started_ = true;
      ingress_->stand_by(*standby_);
    } else if (shared_->sink != nullptr) {
      if (!opening_asked_) ask_opening();  // a second time, what it has taken would be forgotten
    } else {
      start(std::nullopt);
    }
  }
  void start(std::optional<Offset> committed) {
    if (started_) return;
    if (shared_->sink != nullptr) {  // another engine may have had the partition
      if (auto fresh = shared_->rules.refresh(); !fresh) return open_later(fresh.error());
    }
    started_ = true;
    shared_->board.child(fmt::format("ingress {}", partition_), "running");
    ingress_->start(committed);
  }
  void opened(const SinkOpened& message) {
    if (message.opening != opening_ || !std::exchange(opening_asked_, false)) return;
    if (!started_) {
      start(message.committed);
    } else if (ingress_->standby()) {
      ingress_->promote(message.committed);
    } else {
      ingress_->sink_renewed(message.committed);
    }
  }
  /// One that has not begun yet will begin as the owner.
  void promote() {
    standby_.reset();
    if (started_) ask_opening();
  }
  void take(const NewSink& message) {
    sink_ = message.sink;
    opening_ = ++shared_->openings;
    if (standby_) return;
    if (started_ && !ingress_->standby()) ingress_->sink_lost();
    if (started_ || opening_asked_) ask_opening();
  }
  void end(const LastWords& message) {
    if (started_) ingress_->store_delivered();
    self_->quit(message.reason);
  }
  /// It is another engine's, or waits for the group's committed offset: that may take long.
  [[nodiscard]] bool not_ours_yet() const {
    return (!started_ && shared_->sink != nullptr) || ingress_->standby();
  }
  void wake() {
    *waking_ = false;
    if (started_) ingress_->wake();
  }
  void tick() {
    if (started_) ingress_->tick();
    self_->delayed_send(self_, shared_->options.store_interval, Tick{});
  }
  void take(const NewCheckpointer& message) {
    checkpointer_ = message.checkpointer;
    if (started_) {
      ingress_->resend_unstored();
    } else {
      auto first = std::make_shared<StoreRequest>();
      first->partition = partition_;
      store(std::move(first));
    }
  }
  void release(const Release& message) {
    if (started_) return ingress_->on(message);
    message.reply(fail(ErrorCode::environment, "the engine is starting: try again"));
  }
  void change(const ChangeSettings& message) {
    if (started_) return ingress_->on(message);
    message.reply(fail(ErrorCode::environment, "the engine is starting: try again"));
  }
  Ingress& ingress() { return *ingress_; }
  [[nodiscard]] bool started() const { return started_; }

  void spawn(EntryIndex entry, std::uint32_t incarnation, const std::string& symbol,
             Offset silent_below) override {
    if (symbols_.size() <= entry) symbols_.resize(entry + 1);
    symbols_[entry] = spawn_symbol(self_->system(), *shared_, partition_, entry, incarnation,
                                   symbol, silent_below, self_);
    self_->send(supervisor_, Watch{entry, incarnation, symbol, symbols_[entry]});
  }
  void send(EntryIndex entry, FoldBatch message) override {
    self_->send(symbols_[entry], std::move(message));
  }
  void send(EntryIndex entry, TellMarks message) override {
    self_->send(symbols_[entry], std::move(message));
  }
  void send(EntryIndex entry, Restore message) override {
    self_->send(symbols_[entry], std::move(message));
  }
  void send(EntryIndex entry, Barrier message) override { self_->send(symbols_[entry], message); }
  void send(EntryIndex entry, Ask message) override {
    self_->send(symbols_[entry], std::move(message));
  }
  void send(EntryIndex entry, ApplyRules message) override {
    self_->send(symbols_[entry], std::move(message));
  }
  void retire(EntryIndex entry) override {
    self_->send(std::exchange(symbols_[entry], SymbolActor()), Retire{});
  }
  void refund(EntryIndex entry) override { self_->send(supervisor_, Refund{entry, partition_}); }
  void store(std::shared_ptr<const StoreRequest> request) override {
    self_->send(checkpointer_, Store{std::move(request), self_});
  }
  void deliver(std::vector<SaidPtr> said, Offset frontier) override {
    self_->send(sink_, SinkTake{partition_, opening_, std::move(said), frontier});
  }
  void wake_self() override {
    if (!waking_->exchange(true)) self_->send(self_, Wake{});
  }
  void drained() override { self_->send(supervisor_, Drained{}); }
  [[nodiscard]] std::chrono::steady_clock::time_point now() const override {
    return self_->system().clock().now();
  }

private:
  /// A partition may be gained while the brokers are away: it is asked for again.
  void open_later(const Error& error) {
    if (error.code != ErrorCode::environment || shared_->board.draining())
      throw EngineFailure(error);
    spdlog::warn("partition {} is not opened yet: {}; trying again", partition_, error.message);
    shared_->board.child(fmt::format("ingress {}", partition_), "restarting", error.message);
    opening_asked_ = true;
    self_->delayed_send(sink_, shared_->options.delivery_backoff,
                        SinkOpen{partition_, opening_, self_});
  }
  void ask_opening() {
    opening_asked_ = true;
    self_->send(sink_, SinkOpen{partition_, opening_, self_});
  }

  IngressActor::pointer self_ = nullptr;
  Shared* shared_ = nullptr;
  Partition partition_ = 0;
  PartitionActor supervisor_;
  CheckpointerActor checkpointer_;
  SinkActor sink_;
  std::uint64_t opening_ = 0;
  std::vector<SymbolActor> symbols_;
  std::optional<Ingress> ingress_;
  Directory::Waking waking_;
  std::optional<Offset> standby_;
  bool started_ = false, opening_asked_ = false;
};

IngressActor::behavior_type ingress_actor(IngressActor::stateful_pointer<IngressShell> self,
                                          Shared* shared, Partition partition,
                                          PartitionActor supervisor, CheckpointerActor checkpointer,
                                          SinkActor sink, Directory::Waking waking,
                                          std::optional<Offset> standby) {
  self->set_exception_handler([shared](std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const EngineFailure& failure) {
      shared->board.fail(failure.error);
    } catch (...) {
    }
    return exit_reason_of(thrown);
  });
  auto& shell = self->state;
  shell.begin(self, *shared, partition, std::move(supervisor), std::move(checkpointer),
              std::move(sink), std::move(waking), standby);
  self->delayed_send(self, shared->options.store_interval, Tick{});
  // Before its start an ingress does not know what is on the tape: what needs to know waits.
  const auto later = [self, &shell](const auto& message) {
    if (shell.started()) {
      shell.ingress().on(message);
    } else {
      self->delayed_send(self, std::chrono::milliseconds(10), message);
    }
  };
  return {
      [&shell](const FoldAck& ack) { shell.ingress().on(ack); },
      [&shell](const BarrierAck& ack) { shell.ingress().on(ack); },
      [&shell](const Wake&) { shell.wake(); },
      [&shell](const Tick&) { shell.tick(); },
      [&shell](const SymbolDown& down) { shell.ingress().on(down); },
      [&shell](const Revive& revive) { shell.ingress().on(revive); },
      [&shell](const Stored& stored) { shell.stored(stored); },
      [later](const Drain& drain) { later(drain); },
      [later, &shell](const Ask& ask) {
        if (shell.not_ours_yet()) {
          ask.question->answer({Answer::State::elsewhere, nullptr, 0, {}});
        } else {
          later(ask);
        }
      },
      [later, &shell](const AskPartition& ask) {
        if (!shell.not_ours_yet()) later(ask);  // else it has nothing to answer
      },
      [&shell](const NewCheckpointer& message) { shell.take(message); },
      [&shell](const SinkOpened& opened) { shell.opened(opened); },
      [&shell](const Delivered& delivered) { shell.ingress().on(delivered); },
      [&shell](const Release& release) { shell.release(release); },
      [&shell](const NewSink& message) { shell.take(message); },
      [&shell](const LastWords& message) { shell.end(message); },
      [&shell](const Guide& guide) { shell.ingress().on(guide); },
      [&shell](const Promote&) { shell.promote(); },
      [&shell](const ChangeSettings& change) { shell.change(change); },
  };
}

}  // namespace

IngressActor spawn_ingress(caf::actor_system& system, Shared& shared, Partition partition,
                           PartitionActor supervisor, CheckpointerActor checkpointer,
                           SinkActor sink, Directory::Waking waking,
                           std::optional<Offset> standby) {
  return system.spawn(ingress_actor, &shared, partition, std::move(supervisor),
                      std::move(checkpointer), std::move(sink), std::move(waking), standby);
}

// ---- checkpointer

namespace {

/// Stores requests in order; one that cannot be stored (full disk) is tried again, nothing behind
/// it passes it. While the engine drains, it ends the engine.
class CheckpointerShell {
public:
  const char* name = "checkpointer";
  Shared* shared = nullptr;

  /// False: try again later.
  bool work(CheckpointerActor::pointer self) {
    for (; !queue_.empty(); queue_.pop_front()) {
      const auto& [request, reply_to] = queue_.front();
      if (auto written = shared->state.write(request->batch); !written) {
        if (shared->board.store_trouble() != written.error().message) {
          spdlog::error("nothing is stored: {}; trying again", written.error().message);
        }
        shared->board.store_trouble(written.error().message);
        if (shared->board.draining()) shared->board.fail(written.error());
        return false;
      }
      if (!shared->board.store_trouble().empty()) shared->board.store_trouble({});
      if (request->batch.checkpoint) after_checkpoint(*request, self->system().clock().now());
      self->send(reply_to, Stored{request->id, request->batch.checkpoint.has_value()});
    }
    return true;
  }
  void push(const Store& store) { queue_.push_back(store); }
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }

private:
  void after_checkpoint(const StoreRequest& request, std::chrono::steady_clock::time_point now) {
    using namespace std::chrono;
    auto& metrics = *shared->metrics.partitions[request.partition];
    ++metrics.checkpoints;
    metrics.checkpoint_ns.record(static_cast<std::uint64_t>((now - request.barrier_at).count()));
    metrics.checkpoint_wall_ns =
        duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
    if (request.feed_time == market::kNoTime) return;
    const auto thinned =
        shared->state.thin(request.partition, request.feed_time - shared->options.thin_after,
                           shared->options.kept_checkpoints, request.committed);
    if (!thinned)
      spdlog::warn("old snapshots of partition {} stay: {}", request.partition,
                   thinned.error().message);
  }

  std::deque<Store> queue_;
};

CheckpointerActor::behavior_type checkpointer_actor(
    CheckpointerActor::stateful_pointer<CheckpointerShell> self, Shared* shared) {
  self->set_exception_handler([](std::exception_ptr& thrown) { return exit_reason_of(thrown); });
  self->state.shared = shared;
  const auto work = [self] {
    if (!self->state.work(self)) self->delayed_send(self, std::chrono::seconds(1), Retry{});
  };
  return {
      [self, work](const Store& store) {
        self->state.push(store);
        if (self->state.waiting() == 1) work();
      },
      [work](const Retry&) { work(); },
  };
}

}  // namespace

CheckpointerActor spawn_checkpointer(caf::actor_system& system, Shared& shared) {
  if (!shared.options.own_threads) return system.spawn(checkpointer_actor, &shared);
  return system.spawn<caf::detached>(checkpointer_actor, &shared);
}

// ---- gateway

GatewayActor spawn_gateway(caf::actor_system& system, Shared& shared) {
  const auto behavior = [](GatewayActor::pointer self, Shared* all) -> GatewayActor::behavior_type {
    self->set_exception_handler([](std::exception_ptr& thrown) { return exit_reason_of(thrown); });
    return {
        [=](const Ask& ask) {
          const auto partition = storage::partition_of(ask.symbol, all->directory.partitions());
          if (const auto ingress = all->directory.ingress(partition)) {
            self->send(ingress, ask);
          } else {
            ask.question->answer({Answer::State::elsewhere, nullptr, 0, {}});
          }
        },
        [=](const Release& release) {
          const auto partition = storage::partition_of(release.symbol, all->directory.partitions());
          if (const auto ingress = all->directory.ingress(partition)) {
            self->send(ingress, release);
          } else {
            release.reply(fail(ErrorCode::environment, "its partition restarts: try again"));
          }
        },
        [=](const ChangeSettings& change) {
          const auto ingress = change.partition < all->directory.partitions()
                                   ? all->directory.ingress(change.partition)
                                   : IngressActor();
          if (ingress) {
            self->send(ingress, change);
          } else {
            change.reply(fail(ErrorCode::environment,
                              "partition " + std::to_string(change.partition) +
                                  " is not this engine's now: ask its owner, or try again"));
          }
        },
        [=](const AskAll& ask) {
          for (Partition p = 0; p < all->directory.partitions(); ++p) {
            if (const auto ingress = all->directory.ingress(p))
              self->send(ingress, AskPartition{ask.heads[p], ask.reply});
          }
        },
    };
  };
  return system.spawn(behavior, &shared);
}

}  // namespace tapedeck::actors
