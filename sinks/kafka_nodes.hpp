// sinks/kafka_nodes.hpp -- the engines of a group, their addresses and whose partitions are whose,
// in a compacted topic: docs/formats/kafka.md. Says where a question goes; who may write is the
// group's affair.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "market/result.hpp"
#include "sinks/kafka_group.hpp"

namespace tapedeck::storage {
class KafkaLog;
class KafkaStreams;
}  // namespace tapedeck::storage

namespace tapedeck::sinks {

struct Node {
  std::string address;  ///< host:port of its HTTP server
  std::set<Partition> partitions;
  std::map<Partition, Offset> standby;  ///< copies, folded so far when it said so
  Offset told = 0;                      ///< where in the topic it said so
};

/// Follows the topic on a thread of its own, and writes what this engine says of itself.
class KafkaNodes {
public:
  /// Makes the topic if it is missing.
  static Result<std::unique_ptr<KafkaNodes>> open(const GroupOptions& group, std::string topic);
  ~KafkaNodes();
  KafkaNodes(const KafkaNodes&) = delete;
  KafkaNodes& operator=(const KafkaNodes&) = delete;

  /// From now on others know where this engine answers.
  void announce(std::string address);
  void gained(Partition partition);
  void let_go(Partition partition);
  /// Copies that it keeps of others' partitions, and how far they are folded.
  void follows(std::map<Partition, Offset> copies);

  /// Address of the other engine that owns the partition, as far as is known: of those that say so
  /// the one that said it last.
  [[nodiscard]] std::optional<std::string> owner(Partition partition) const;
  [[nodiscard]] std::map<std::string, Node> nodes() const;

private:
  KafkaNodes(const GroupOptions& group, std::unique_ptr<storage::KafkaLog> log,
             std::unique_ptr<storage::KafkaStreams> streams);
  void run(const std::stop_token& stop);
  void say();
  Result<void> look();

  std::string node_, prefix_;
  std::unique_ptr<storage::KafkaLog> log_;
  std::unique_ptr<storage::KafkaStreams> streams_;
  Offset seen_end_ = 0, next_ = 0;  ///< of the topic, as far as it was read
  mutable std::mutex mutex_;
  std::string address_;
  std::set<Partition> own_;
  std::map<Partition, Offset> copies_;
  bool changed_ = false;
  std::map<std::string, Node> nodes_;
  std::jthread thread_;
};

/// One look at the topic, for who takes no part.
[[nodiscard]] Result<std::map<std::string, Node>> read_nodes(const storage::KafkaOptions& options,
                                                             const std::string& group,
                                                             const std::string& topic);

}  // namespace tapedeck::sinks
