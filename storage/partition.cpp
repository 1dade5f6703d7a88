#include "storage/partition.hpp"

#include <cstddef>

#include "storage/tape.hpp"

namespace tapedeck::storage {

std::uint32_t murmur2(std::string_view key) noexcept {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  const auto byte = [&](std::size_t i) {
    return std::uint32_t{static_cast<unsigned char>(key[i])};
  };
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(key.size());
  const std::size_t whole = key.size() & ~std::size_t{3};
  for (std::size_t i = 0; i < whole; i += 4) {
    std::uint32_t k = byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24;
    k *= kMultiplier;
    k ^= k >> 24;
    k *= kMultiplier;
    hash = (hash * kMultiplier) ^ k;
  }
  if (whole < key.size()) {
    for (std::size_t i = key.size(); i-- > whole;) hash ^= byte(i) << (8 * (i - whole));
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  return hash ^ (hash >> 15);
}

Partition partition_of(std::string_view symbol, std::uint32_t partitions) noexcept {
  return partitions == 0 ? 0 : (murmur2(symbol) & 0x7fffffffu) % partitions;
}

}  // namespace tapedeck::storage
