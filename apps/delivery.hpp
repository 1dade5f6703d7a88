// apps/delivery.hpp -- an engine on Kafka: its place in the consumer group, and the sink that its
// outputs leave by.
#pragma once

#include <memory>

#include "actors/engine.hpp"
#include "api/peers.hpp"
#include "apps/cli.hpp"
#include "apps/snapshot_sharing.hpp"
#include "apps/standby.hpp"
#include "config/config.hpp"
#include "sinks/kafka_group.hpp"
#include "sinks/kafka_nodes.hpp"
#include "sinks/kafka_sink.hpp"

namespace tapedeck::apps {

/// Whose a symbol is.
class GroupPeers final : public api::Peers {
public:
  GroupPeers(const sinks::KafkaNodes& nodes, std::uint32_t partitions)
      : nodes_(nodes), partitions_(partitions) {}
  [[nodiscard]] std::optional<std::string> owner(std::string_view symbol) const override {
    return nodes_.owner(storage::partition_of(symbol, partitions_));
  }

private:
  const sinks::KafkaNodes& nodes_;
  std::uint32_t partitions_;
};

class Delivery {
public:
  Delivery(std::unique_ptr<sinks::KafkaGroup> group, std::unique_ptr<sinks::OutputSink> sink)
      : group_(std::move(group)), sink_(std::move(sink)) {}
  ~Delivery() { leave(); }
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  [[nodiscard]] sinks::OutputSink& sink() { return *sink_; }
  [[nodiscard]] sinks::KafkaGroup& group() { return *group_; }
  /// Before join(), as the next.
  void tell_others(std::unique_ptr<sinks::KafkaNodes> nodes, std::uint32_t partitions) {
    nodes_ = std::move(nodes);
    peers_ = std::make_unique<GroupPeers>(*nodes_, partitions);
  }
  /// Null: questions are not forwarded.
  [[nodiscard]] const api::Peers* peers() const { return peers_.get(); }
  /// Where this engine answers, for the others.
  void announce(std::string address) {
    if (nodes_) nodes_->announce(std::move(address));
  }
  void share_snapshots(std::unique_ptr<SnapshotSharing> sharing) { sharing_ = std::move(sharing); }
  /// Keeps this many warm copies of each partition in the group. After the two above.
  void stand_by(std::uint32_t copies) {
    standby_ =
        std::make_unique<Standby>(Standby::Parts{*group_, sharing_.get(), nodes_.get(), copies});
  }
  /// Opens and closes the engine's partitions as the group says, until leave().
  Result<void> join(actors::Engine& engine);
  void leave();

private:
  void gain(actors::Engine& engine, const std::vector<sinks::Partition>& partitions);
  void close(actors::Engine& engine, const std::vector<sinks::Partition>& partitions,
             bool in_order);

  std::unique_ptr<sinks::KafkaGroup> group_;
  std::unique_ptr<sinks::OutputSink> sink_;
  std::unique_ptr<SnapshotSharing> sharing_;  ///< null: none are published
  std::unique_ptr<sinks::KafkaNodes> nodes_;  ///< null: this engine says nothing of itself
  std::unique_ptr<GroupPeers> peers_;
  std::unique_ptr<Standby> standby_;  ///< null: no copies
};

/// kafka.group, or tapedeck.TOPIC.
[[nodiscard]] std::string group_name(const config::Config& config,
                                     const storage::KafkaOptions& kafka);

/// Null where the tape is a folder, or outputs.delivery is "none". Makes the topics that are
/// missing.
[[nodiscard]] Result<std::unique_ptr<Delivery>> open_delivery(const TapeOptions& tape,
                                                              const config::Config& config);

}  // namespace tapedeck::apps
