#include "sinks/kafka_members.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <tuple>

#include "storage/kafka_client.hpp"

namespace tapedeck::sinks {

using storage::EventHandle;
using storage::QueueHandle;

namespace {

constexpr auto kAskAgain = std::chrono::milliseconds(100);

std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : text; }

GroupMember member_of(const rd_kafka_MemberDescription_t& found, const std::string& topic) {
  GroupMember member;
  member.node = text_or_empty(rd_kafka_MemberDescription_group_instance_id(&found));
  member.id = text_or_empty(rd_kafka_MemberDescription_consumer_id(&found));
  member.host = text_or_empty(rd_kafka_MemberDescription_host(&found));
  if (member.node.empty()) member.node = member.id;
  while (member.host.starts_with('/')) member.host.erase(0, 1);
  const auto* list =
      rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(&found));
  for (int i = 0; list != nullptr && i < list->cnt; ++i) {
    if (topic == list->elems[i].topic)
      member.partitions.push_back(static_cast<market::Partition>(list->elems[i].partition));
  }
  std::ranges::sort(member.partitions);
  return member;
}

Result<GroupMembers> ask(const storage::KafkaClient& client, const std::string& topic,
                         const std::string& group, int wait_ms) {
  const std::string doing = "asking for group " + group;
  const QueueHandle queue(rd_kafka_queue_new(client.get()));
  const char* name = group.c_str();
  rd_kafka_DescribeConsumerGroups(client.get(), &name, 1, nullptr, queue.get());
  const EventHandle event(rd_kafka_queue_poll(queue.get(), wait_ms));
  if (!event) return tl::unexpected(client.error(RD_KAFKA_RESP_ERR__TIMED_OUT, doing));
  if (const auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(client.error(code, doing));
  std::size_t count = 0;
  const auto** groups = rd_kafka_DescribeConsumerGroups_result_groups(
      rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
  if (count != 1) return tl::unexpected(client.error(RD_KAFKA_RESP_ERR__BAD_MSG, doing));
  const auto* refused = rd_kafka_ConsumerGroupDescription_error(groups[0]);
  const auto code = refused == nullptr ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(refused);
  GroupMembers found;
  found.state = "Dead";
  if (code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) return found;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(client.error(code, doing));
  found.state =
      rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(groups[0]));
  const auto members = rd_kafka_ConsumerGroupDescription_member_count(groups[0]);
  for (std::size_t i = 0; i < members; ++i) {
    found.members.push_back(
        member_of(*rd_kafka_ConsumerGroupDescription_member(groups[0], i), topic));
  }
  std::ranges::sort(found.members, {}, &GroupMember::node);
  return found;
}

}  // namespace

std::set<market::Partition> next_owner_of(const std::vector<GroupMember>& members,
                                          const std::string& node, std::uint32_t copies) {
  std::set<market::Partition> found;
  for (const auto& owner : members) {
    if (owner.node == node) continue;
    // By how much they have then.
    std::set<std::tuple<std::size_t, std::string, std::string>> heirs;
    for (const auto& member : members) {
      if (member.node != owner.node)
        heirs.emplace(member.partitions.size(), member.id, member.node);
    }
    for (auto partition = owner.partitions.rbegin(); partition != owner.partitions.rend();
         ++partition) {
      std::uint32_t rank = 0;
      for (auto heir = heirs.begin(); heir != heirs.end() && rank < copies; ++heir, ++rank) {
        if (std::get<2>(*heir) == node) found.insert(*partition);
      }
      if (heirs.empty()) continue;
      auto first = heirs.extract(heirs.begin());
      ++std::get<0>(first.value());
      heirs.insert(std::move(first));
    }
  }
  return found;
}

/// A broker that has just started is asked again.
Result<GroupMembers> describe_group(const storage::KafkaOptions& options,
                                    const std::string& group) {
  const auto client = storage::KafkaClient::make(RD_KAFKA_PRODUCER, options, {});
  if (!client) return tl::unexpected(client.error());
  const storage::Deadline deadline(storage::kFirstAnswerMs);
  while (true) {
    auto found = ask(**client, options.topic, group, deadline.left());
    if (found || found.error().field != storage::kTransientField || deadline.passed()) return found;
    std::this_thread::sleep_for(kAskAgain);
  }
}

}  // namespace tapedeck::sinks
