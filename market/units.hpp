// market/units.hpp -- the integers everything is counted in. No floating point anywhere in market/.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace tapedeck::market {

/// Nanoseconds since 1970-01-01T00:00:00Z. Always the venue's or the recorder's, never read from a
/// clock here.
using TimeNs = std::int64_t;
/// In units of 10^price_exponent of the instrument (ITCH: 10^-4). May be negative where the
/// settings allow it.
using Price = std::int64_t;
/// In units of 10^size_exponent of the instrument. At most kMaxSize.
using Size = std::int64_t;
using OrderId = std::uint64_t;
/// The venue's sequence number, or the message's number in its source. Starts at 1; 0 is "none".
using Sequence = std::uint64_t;
/// XXH3-64 of a source's name. 0 is "no source yet".
using SourceId = std::uint64_t;

__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

constexpr TimeNs kNever = std::numeric_limits<TimeNs>::max();
constexpr TimeNs kNoTime = std::numeric_limits<TimeNs>::min();
constexpr TimeNs kSecond = 1'000'000'000;

/// Largest size of one order, trade or price level; 64 levels of it still add up within 63 bits.
constexpr Size kMaxSize = Size{1} << 57;
/// Largest absolute price, so that price differences and price * size stay in range.
constexpr Price kMaxPrice = Price{1} << 61;

using Partition = std::uint32_t;
using Offset = std::uint64_t;

/// Where an event is on the tape: the record and the event's index in it.
struct Position {
  Partition partition = 0;
  Offset offset = 0;
  std::uint32_t index = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): of a defaulted comparison it means the 0 that it makes
  friend auto operator<=>(const Position&, const Position&) = default;
};

/// 128-bit digest of a symbol's state; see docs/formats/digest.md.
struct Digest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const Digest&, const Digest&) = default;
  /// 32 lower-case hexadecimal digits.
  [[nodiscard]] std::string hex() const;
};

/// The id by which records, marks and states refer to a source: XXH3-64 of its name, never 0.
[[nodiscard]] SourceId source_id(std::string_view name);

/// Asks for `count` elements' memory ahead of use.
template <class T>
void prefetch_lines(const T* first, std::size_t count) noexcept {
  constexpr std::size_t kLine = 64;
  const char* const begin = reinterpret_cast<const char*>(first);
  for (std::size_t at = 0; at < count * sizeof(T); at += kLine) __builtin_prefetch(begin + at, 1);
}

}  // namespace tapedeck::market
