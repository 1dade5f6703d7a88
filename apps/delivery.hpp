// apps/delivery.hpp -- an engine on Kafka: its place in the consumer group, and the sink that its
// outputs leave by.
#pragma once

#include <memory>

#include "actors/engine.hpp"
#include "apps/cli.hpp"
#include "config/config.hpp"
#include "sinks/kafka_group.hpp"
#include "sinks/kafka_sink.hpp"

namespace tapedeck::apps {

class Delivery {
public:
  Delivery(std::unique_ptr<sinks::KafkaGroup> group, std::unique_ptr<sinks::OutputSink> sink)
      : group_(std::move(group)), sink_(std::move(sink)) {}
  ~Delivery() { leave(); }
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  [[nodiscard]] sinks::OutputSink& sink() { return *sink_; }
  /// Opens and closes the engine's partitions as the group says, until leave().
  Result<void> join(actors::Engine& engine);
  void leave() { group_->stop(); }

private:
  void close(actors::Engine& engine, const std::vector<sinks::Partition>& partitions,
             bool in_order);

  std::unique_ptr<sinks::KafkaGroup> group_;
  std::unique_ptr<sinks::OutputSink> sink_;
};

/// kafka.group, or tapedeck.TOPIC.
[[nodiscard]] std::string group_name(const config::Config& config,
                                     const storage::KafkaOptions& kafka);

/// Null where the tape is a folder, or outputs.delivery is "none". Makes the topics that are
/// missing.
[[nodiscard]] Result<std::unique_ptr<Delivery>> open_delivery(const TapeOptions& tape,
                                                              const config::Config& config);

}  // namespace tapedeck::apps
