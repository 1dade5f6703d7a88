// sinks/kafka_group.hpp -- membership in a consumer group: which partitions of the tape this engine
// owns, and up to where their outputs are out. Records are read elsewhere, by absolute offsets.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "market/result.hpp"
#include "market/units.hpp"
#include "storage/kafka_tape.hpp"

struct rd_kafka_consumer_group_metadata_s;

namespace tapedeck::sinks {

using market::Offset;
using market::Partition;

struct GroupOptions {
  storage::KafkaOptions kafka;
  std::string group;  ///< group.id
  /// Name of this engine in the group, unlike any other's: a new process of that name takes its
  /// place at once, and an older one is fenced and fails. One that has only just joined may have
  /// been fenced by an attempt of its own that reached the brokers late: it joins once more.
  std::string node;
};

/// Told on the group's thread, one at a time.
struct GroupEvents {
  std::function<void(const std::vector<Partition>&)> gained;
  /// Returns once the partition is let go of: its last checkpoint stored, its outputs out.
  std::function<void(const std::vector<Partition>&)> hand_over;
  /// The group has given them to somebody else already: nothing of them may be delivered any more.
  std::function<void(const std::vector<Partition>&)> lost;
  std::function<void(const Error&)> failed;
};

class KafkaGroup {
public:
  static Result<std::unique_ptr<KafkaGroup>> open(GroupOptions options);
  ~KafkaGroup();
  KafkaGroup(const KafkaGroup&) = delete;
  KafkaGroup& operator=(const KafkaGroup&) = delete;

  /// Joins. `events` are told until stop() returns.
  Result<void> start(GroupEvents events);
  /// Hands everything over and ends the membership's thread. A member with a name keeps its
  /// partitions until session.timeout.ms has passed, so that a restart moves nothing.
  void stop();

  /// The group's committed offset of each partition, 0 where there is none; waits for transactions
  /// that are being settled. Error `conflict` where it lies past the topic's end.
  [[nodiscard]] Result<std::vector<Offset>> committed(std::span<const Partition> partitions) const;

  /// The first offset that the brokers still keep of each partition.
  [[nodiscard]] Result<std::vector<Offset>> firsts(std::span<const Partition> partitions) const;

  using Upto = std::vector<std::pair<Partition, Offset>>;
  /// Commits without a transaction. Error where this engine is no longer the owner.
  Result<void> commit(const Upto& offsets) const;

  struct MetadataDelete {
    void operator()(rd_kafka_consumer_group_metadata_s* metadata) const noexcept;
  };
  using Metadata = std::unique_ptr<rd_kafka_consumer_group_metadata_s, MetadataDelete>;
  /// As what the brokers know this member while it owns all of these; null if it does not. A
  /// transaction with it fails once the group has given a partition away.
  [[nodiscard]] Metadata membership(const Upto& offsets) const;

  [[nodiscard]] const GroupOptions& options() const noexcept { return options_; }

private:
  using Clock = std::chrono::steady_clock;
  struct Member;

  explicit KafkaGroup(GroupOptions options);
  [[nodiscard]] Result<std::shared_ptr<Member>> make_member() const;
  Result<void> join(Member& member);
  [[nodiscard]] std::shared_ptr<Member> member() const;
  void run();
  void turn(int wait_ms);
  void fenced(const std::string& words);
  void assign(const std::vector<Partition>& partitions);
  void revoke(const std::vector<Partition>& partitions, bool lost);
  struct Edges {
    Offset first = 0, end = 0;
  };
  [[nodiscard]] Result<Edges> edges(Partition partition) const;
  [[nodiscard]] Result<void> check_ends(std::span<const Partition> partitions,
                                        const std::vector<Offset>& offsets) const;

  GroupOptions options_;
  GroupEvents events_;
  mutable std::mutex mutex_;
  std::shared_ptr<Member> member_;  ///< another one after a fence
  std::set<Partition> owned_;
  std::optional<Clock::time_point> fenced_at_;  ///< last; the group's thread alone, as the next
  Clock::time_point gained_at_;                 ///< last
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace tapedeck::sinks
