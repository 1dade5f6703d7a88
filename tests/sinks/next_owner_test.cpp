#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "sinks/kafka_members.hpp"

using namespace tapedeck;
using sinks::GroupMember;
using Partitions = std::set<market::Partition>;

namespace {

/// Engines of a group by name, the brokers' ids as they make them.
std::vector<GroupMember> group(
    const std::vector<std::pair<std::string, std::vector<market::Partition>>>& engines) {
  std::vector<GroupMember> members;
  for (const auto& [name, partitions] : engines)
    members.push_back({name, name + "-8c1f3a70", "", partitions});
  return members;
}

}  // namespace

TEST_CASE("a dead engine's partitions go where a real broker's group sent them", "[standby]") {
  // Groups of `tapedeck serve`, librdkafka 2.0.2, Apache Kafka 4.4: one engine killed, the others
  // asked for /v1/positions before and after.
  struct Case {
    std::vector<GroupMember> before;
    std::string dead;
    std::map<std::string, Partitions> gained;
  };
  const std::vector<Case> cases = {
      {group({{"a", {3, 4, 5}}, {"b", {1, 6, 7}}, {"c", {9, 10, 11}}, {"d", {0, 2, 8}}}),
       "a",
       {{"b", {5}}, {"c", {4}}, {"d", {3}}}},
      {group({{"b", {1, 5, 6, 7}}, {"c", {4, 9, 10, 11}}, {"d", {0, 2, 3, 8}}}),
       "c",
       {{"b", {9, 11}}, {"d", {4, 10}}}},
      {group({{"b", {1, 5, 6, 7, 9, 11}}, {"d", {0, 2, 3, 4, 8, 10}}}),
       "b",
       {{"d", {1, 5, 6, 7, 9, 11}}}},
      {group(
           {{"a", {1, 6, 7}}, {"b", {10, 11, 12}}, {"c", {0, 3}}, {"d", {2, 8, 9}}, {"e", {4, 5}}}),
       "d",
       {{"a", {2}}, {"c", {9}}, {"e", {8}}}},
      {group({{"a", {1, 2, 6, 7}}, {"b", {10, 11, 12}}, {"c", {0, 3, 9}}, {"e", {4, 5, 8}}}),
       "a",
       {{"b", {1, 7}}, {"c", {6}}, {"e", {2}}}}};
  for (const auto& [before, dead, gained] : cases) {
    const auto owner = std::ranges::find(before, dead, &GroupMember::node);
    REQUIRE(owner != before.end());
    for (const auto& [node, partitions] : gained) {
      INFO(dead << " dies, " << node << " gains");
      Partitions predicted;
      for (const auto p : sinks::next_owner_of(before, node, 1)) {
        if (std::ranges::find(owner->partitions, p) != owner->partitions.end()) predicted.insert(p);
      }
      CHECK(predicted == partitions);
    }
  }
}

TEST_CASE("each partition has as many copies as wanted, none with its owner", "[standby]") {
  for (std::uint32_t engines = 1; engines <= 5; ++engines) {
    std::vector<GroupMember> members;
    for (std::uint32_t e = 0; e < engines; ++e)
      members.push_back({std::string(1, char('a' + e)), std::string(1, char('a' + e)), "", {}});
    for (market::Partition p = 0; p < 13; ++p) members[p * p % engines].partitions.push_back(p);
    for (std::uint32_t copies = 0; copies <= 5; ++copies) {
      INFO(engines << " engines, " << copies << " copies");
      std::map<market::Partition, std::uint32_t> count;
      for (const auto& member : members) {
        const auto found = sinks::next_owner_of(members, member.node, copies);
        for (const auto p : member.partitions) CHECK_FALSE(found.contains(p));
        for (const auto p : found) ++count[p];
      }
      for (market::Partition p = 0; p < 13; ++p) CHECK(count[p] == std::min(copies, engines - 1));
    }
  }
}

TEST_CASE("one that is not in the group keeps nothing but what it would be given", "[standby]") {
  CHECK(sinks::next_owner_of({}, "a", 1).empty());
  CHECK(sinks::next_owner_of({{"a", "a", "", {0, 1}}}, "a", 2).empty());
}
