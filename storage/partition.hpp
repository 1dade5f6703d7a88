// storage/partition.hpp -- the hash behind partition_of, on its own so that it can be compared with
// Kafka's vectors.
#pragma once

#include <cstdint>
#include <string_view>

namespace tapedeck::storage {

/// murmur2 with the seed of Kafka's Java client (org.apache.kafka.common.utils.Utils.murmur2).
/// Java's result is signed: cast to std::int32_t to compare.
[[nodiscard]] std::uint32_t murmur2(std::string_view key) noexcept;

}  // namespace tapedeck::storage
