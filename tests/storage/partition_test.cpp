#include "storage/partition.hpp"

#include <catch2/catch.hpp>
#include <utility>

#include "storage/tape.hpp"

namespace tapedeck::storage {

TEST_CASE("murmur2 agrees with Kafka's Java client") {
  // org.apache.kafka.common.utils.UtilsTest.testMurmur2
  const std::pair<std::string_view, std::int32_t> cases[] = {
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107},
  };
  for (const auto& [key, expected] : cases) {
    CAPTURE(key);
    CHECK(static_cast<std::int32_t>(murmur2(key)) == expected);
  }
}

TEST_CASE("a partition is the positive hash modulo the number of partitions") {
  CHECK(partition_of("abc", 4) == 479470107u % 4);
  CHECK(partition_of("21", 7) == (static_cast<std::uint32_t>(-973932308) & 0x7fffffffu) % 7);
  CHECK(partition_of("21", 1) == 0);
}

}  // namespace tapedeck::storage
