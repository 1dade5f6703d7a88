// market/digest.hpp -- words in a fixed order, hashed by XXH3-128. See docs/formats/digest.md.
#pragma once

#include <cstdint>
#include <vector>

#include "market/units.hpp"

namespace tapedeck::market {

/// Every number becomes one 64-bit little-endian word, a 128-bit one two (low first).
class DigestWriter {
public:
  DigestWriter() { words_.reserve(256); }
  void put(std::uint64_t value) { words_.push_back(value); }
  void put(std::int64_t value) { words_.push_back(static_cast<std::uint64_t>(value)); }
  void put(std::uint32_t value) { words_.push_back(value); }
  void put(std::int32_t value) { put(static_cast<std::int64_t>(value)); }
  void put(bool value) { put(static_cast<std::uint64_t>(value)); }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void put(Enum value) { put(static_cast<std::uint64_t>(value)); }
  void put(UInt128 value) {
    put(static_cast<std::uint64_t>(value));
    put(static_cast<std::uint64_t>(value >> 64));
  }
  void put(Int128 value) { put(static_cast<UInt128>(value)); }

  [[nodiscard]] Digest digest() const;

private:
  std::vector<std::uint64_t> words_;
};

struct CandleSnapshot;
struct MetricsRow;
void put(DigestWriter& writer, const CandleSnapshot& item);
void put(DigestWriter& writer, const MetricsRow& row);

}  // namespace tapedeck::market
