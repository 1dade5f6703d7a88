// apps/snapshot_sharing.hpp -- an engine's checkpoints, published for a partition's next owner and
// taken over from its last one; and what was said before them, folded for beside the engine.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "actors/engine.hpp"
#include "apps/history.hpp"
#include "config/config.hpp"
#include "replay/fold_rules.hpp"
#include "sinks/kafka_group.hpp"
#include "sinks/kafka_snapshots.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::apps {

class SnapshotSharing {
public:
  struct Parts {
    sinks::KafkaGroup& group;
    std::unique_ptr<sinks::KafkaSnapshots> topic;
    storage::TapeReader& tape;
    storage::StateStore& state;
    const storage::ControlStore& control;
    History& history;
    telemetry::Metrics& metrics;
    market::TimeNs interval = 0;     ///< between two sets of a partition
    std::uint64_t adopt_events = 0;  ///< a set that is so far ahead of the own state is taken
  };
  explicit SnapshotSharing(Parts parts) : parts_(std::move(parts)) {}
  ~SnapshotSharing() { stop(); }
  SnapshotSharing(const SnapshotSharing&) = delete;
  SnapshotSharing& operator=(const SnapshotSharing&) = delete;

  /// Before the partition is opened: takes the newest set over if it is worth it. What is wrong
  /// with a set is logged, and the partition folded from the engine's own state.
  void gain(market::Partition partition);
  /// The same for one that is followed: nothing of it is published.
  void adopt_newest(market::Partition partition);
  /// It has been followed here: its own state is as new as any set.
  void take_over(market::Partition partition);
  void let_go(market::Partition partition);

  /// Publishes and fills gaps from now on, until stop().
  void start(actors::Engine& engine);
  void stop();

private:
  struct Published {
    market::Offset next = 0;
    storage::SetEntries entries;  ///< what the topic holds
    std::chrono::steady_clock::time_point at{};
  };
  Published take_newest(market::Partition partition);
  [[nodiscard]] Result<replay::FoldRules> rules_now() const;
  [[nodiscard]] Result<bool> worth_it(const storage::SnapshotSet& set,
                                      market::Offset committed) const;
  [[nodiscard]] Result<bool> quarantined_since(const storage::SnapshotSet& set) const;
  Result<void> adopt(storage::SnapshotSet& set);
  void publish_due(std::stop_token stop);
  Result<void> publish(market::Partition partition, const storage::Checkpoint& checkpoint);
  [[nodiscard]] Result<storage::SetEntries> entries_at(const storage::Checkpoint& checkpoint) const;
  void fill_gaps(std::stop_token stop);
  void tell_gap(market::Partition partition);
  Result<void> fill(market::Partition partition, HistoryGap gap, const std::stop_token& stop);
  [[nodiscard]] bool owned(market::Partition partition) const;
  [[nodiscard]] bool here(market::Partition partition) const;

  Parts parts_;
  actors::Engine* engine_ = nullptr;
  mutable std::mutex mutex_;
  std::map<market::Partition, Published> owned_;
  std::jthread publisher_, filler_;
};

}  // namespace tapedeck::apps
