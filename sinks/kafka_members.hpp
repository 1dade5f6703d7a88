// sinks/kafka_members.hpp -- a consumer group as the brokers see it: who is in it, and whose
// partitions are whose. Joins nothing.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "market/result.hpp"
#include "market/units.hpp"
#include "storage/kafka_tape.hpp"

namespace tapedeck::sinks {

struct GroupMember {
  std::string node;  ///< its name in the group
  std::string id;    ///< what the brokers know it by: the name, and what they put behind it
  std::string host;
  std::vector<market::Partition> partitions;  ///< of the tape, ascending
};
struct GroupMembers {
  /// As Kafka calls it: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead.
  std::string state;
  std::vector<GroupMember> members;  ///< by name
};
/// Partitions whose owner is another than `node` and that `node` would be given, or be among the
/// next `copies` to be given, if that owner died. As librdkafka's cooperative-sticky assignor does
/// it: a dead member's partitions, descending, each to the member that has the fewest then, of
/// several to the one of the lowest id.
[[nodiscard]] std::set<market::Partition> next_owner_of(const std::vector<GroupMember>& members,
                                                        const std::string& node,
                                                        std::uint32_t copies);

/// A group that nobody has joined is Dead.
[[nodiscard]] Result<GroupMembers> describe_group(const storage::KafkaOptions& options,
                                                  const std::string& group);

}  // namespace tapedeck::sinks
