#include <catch2/catch.hpp>
#include <map>

#include "sinks/kafka_members.hpp"

using namespace tapedeck;
using sinks::GroupMember;
using Partitions = std::set<market::Partition>;

TEST_CASE("a dead engine's partitions go to those that have the fewest, by name", "[standby]") {
  const std::vector<GroupMember> members = {
      {"a", "", {0, 1, 2, 3}}, {"b", "", {4, 5, 6, 7}}, {"c", "", {8, 9, 10, 11}}};
  CHECK(sinks::next_owner_of(members, "a", 1) == Partitions{4, 6, 8, 10});
  CHECK(sinks::next_owner_of(members, "b", 1) == Partitions{0, 2, 9, 11});
  CHECK(sinks::next_owner_of(members, "c", 1) == Partitions{1, 3, 5, 7});
  const std::vector<GroupMember> uneven = {{"a", "", {0, 1, 2}}, {"b", "", {3}}, {"c", "", {4, 5}}};
  CHECK(sinks::next_owner_of(uneven, "b", 1) == Partitions{0, 1, 4, 5});
  CHECK(sinks::next_owner_of(uneven, "c", 1) == Partitions{2, 3});
}

TEST_CASE("each partition has as many copies as wanted, none with its owner", "[standby]") {
  for (std::uint32_t engines = 1; engines <= 5; ++engines) {
    std::vector<GroupMember> members;
    for (std::uint32_t e = 0; e < engines; ++e)
      members.push_back({std::string(1, char('a' + e)), "", {}});
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
  CHECK(sinks::next_owner_of({{"a", "", {0, 1}}}, "a", 2).empty());
}
