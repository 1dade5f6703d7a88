// sinks/kafka_members.hpp -- a consumer group as the brokers see it: who is in it, and whose
// partitions are whose. Joins nothing.
#pragma once

#include <string>
#include <vector>

#include "market/result.hpp"
#include "market/units.hpp"
#include "storage/kafka_tape.hpp"

namespace tapedeck::sinks {

struct GroupMember {
  std::string node;  ///< its name in the group
  std::string host;
  std::vector<market::Partition> partitions;  ///< of the tape, ascending
};
struct GroupMembers {
  /// As Kafka calls it: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead.
  std::string state;
  std::vector<GroupMember> members;  ///< by name
};
/// A group that nobody has joined is Dead.
[[nodiscard]] Result<GroupMembers> describe_group(const storage::KafkaOptions& options,
                                                  const std::string& group);

}  // namespace tapedeck::sinks
