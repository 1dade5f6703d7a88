// actors/shells.hpp -- the CAF actors: each holds one plain object and translates messages.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "actors/board.hpp"
#include "actors/ingress.hpp"
#include "actors/messages.hpp"
#include "actors/options.hpp"
#include "actors/rule_book.hpp"
#include "actors/symbol_worker.hpp"
#include "sinks/sink.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::actors {

/// Where the ingresses are now; they change when a partition is restarted. Thread safe.
class Directory {
public:
  /// True from a wake until the ingress took notice of it: wakes are never queued twice. Each
  /// ingress has its own: one that dies with a wake in its mailbox must not keep the next asleep.
  using Waking = std::shared_ptr<std::atomic<bool>>;

  explicit Directory(std::uint32_t partitions);
  void set(Partition partition, IngressActor ingress, Waking waking = nullptr);
  [[nodiscard]] IngressActor ingress(Partition partition) const;
  /// Null while it starts (again).
  void set_gateway(GatewayActor gateway);
  [[nodiscard]] GatewayActor gateway() const;
  [[nodiscard]] std::uint32_t partitions() const noexcept {
    return static_cast<std::uint32_t>(places_.size());
  }
  /// Wakes every ingress that is not being woken already.
  void wake_all();

private:
  struct Place {
    IngressActor ingress;
    Waking waking;
  };
  mutable std::mutex mutex_;
  std::vector<Place> places_;
  GatewayActor gateway_;
};

/// What every actor of an engine shares. Outlives them.
struct Shared {
  const storage::TapeReader& tape;
  storage::StateStore& state;
  const market::FoldSettings& settings;
  EngineOptions options;
  telemetry::Metrics& metrics;
  Board board;
  Directory directory;
  std::shared_ptr<FaultPlan> faults;
  RuleBook rules;
  std::shared_ptr<Attempts> attempts;
  sinks::OutputSink* sink = nullptr;  ///< null: outputs are stored only
  std::atomic<std::uint64_t> openings = 0;
};

SymbolActor spawn_symbol(caf::actor_system& system, Shared& shared, Partition partition,
                         EntryIndex entry, std::uint32_t incarnation, const std::string& symbol,
                         Offset silent_below, IngressActor ingress);
/// With `standby` it follows the partition's owner, who has committed so far.
IngressActor spawn_ingress(caf::actor_system& system, Shared& shared, Partition partition,
                           PartitionActor supervisor, CheckpointerActor checkpointer,
                           SinkActor sink, Directory::Waking waking, std::optional<Offset> standby);
/// Has a thread of its own: RocksDB blocks.
CheckpointerActor spawn_checkpointer(caf::actor_system& system, Shared& shared);
/// The same: sinks wait for others.
SinkActor spawn_sink(caf::actor_system& system, Shared& shared);
GatewayActor spawn_gateway(caf::actor_system& system, Shared& shared);
RootActor spawn_root(caf::actor_system& system, Shared& shared);

/// Turns what a handler threw into the actor's exit reason, without CAF's own line on stderr.
[[nodiscard]] caf::error exit_reason_of(const std::exception_ptr& thrown);

}  // namespace tapedeck::actors
