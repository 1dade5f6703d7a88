// market/mixing.hpp -- the keyed multiplications of which the digest's sums and chain are made.
// Stored digests depend on every constant here: see docs/formats/digest.md.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "market/event.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// Wrapping sum: hostile input must not overflow a signed integer.
[[nodiscard]] constexpr Int128 wrapping_add(Int128 a, Int128 b) noexcept {
  return static_cast<Int128>(static_cast<UInt128>(a) + static_cast<UInt128>(b));
}
[[nodiscard]] constexpr Int128 wrapping_sub(Int128 a, Int128 b) noexcept {
  return static_cast<Int128>(static_cast<UInt128>(a) - static_cast<UInt128>(b));
}

namespace mixing {

// Fractional bits of pi, 64 at a time.
constexpr std::uint64_t kKeys[16] = {
    0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89,
    0x452821e638d01377, 0xbe5466cf34e90c6c, 0xc0ac29b7c97c50dd, 0x3f84d5b5b5470917,
    0x9216d5d98979fb1b, 0xd1310ba698dfb5ac, 0x2ffd72dbd01adfb7, 0xb8e1afed6a267e96,
    0xba7c9045f12c7f99, 0x24a19947b3916cf7, 0x0801f2e2858efc16, 0x636920d871574e69};

constexpr UInt128 kChainMultiplier =
    (static_cast<UInt128>(0x2360ed051fc65da4) << 64) | 0x4385df649fccf645;  // PCG's, odd

[[nodiscard]] constexpr UInt128 product(std::uint64_t a, std::uint64_t b) noexcept {
  return static_cast<UInt128>(a) * b;
}
[[nodiscard]] constexpr std::uint64_t folded(std::uint64_t a, std::uint64_t b) noexcept {
  const UInt128 p = product(a, b);
  return static_cast<std::uint64_t>(p) ^ static_cast<std::uint64_t>(p >> 64);
}
[[nodiscard]] constexpr std::uint64_t word(std::int64_t value) noexcept {
  return static_cast<std::uint64_t>(value);
}

/// Of all of an event but its receive time.
[[nodiscard]] inline UInt128 event_hash(const Event& e) noexcept {
  static_assert(std::endian::native == std::endian::little);
  std::uint32_t tail;  // kind, side, flags, code
  static_assert(offsetof(Event, kind) + 3 == offsetof(Event, code));
  __builtin_memcpy(&tail, &e.kind, sizeof tail);
  return product(word(e.time) ^ kKeys[0], word(e.price) ^ kKeys[1]) +
         product(word(e.feed_time) ^ kKeys[2], word(e.size) ^ kKeys[3]) +
         product(e.sequence ^ kKeys[4], e.id ^ kKeys[5]) +
         product(e.other ^ kKeys[6], tail ^ kKeys[7]);
}

/// chain' of one more folded event.
[[nodiscard]] constexpr UInt128 chained(UInt128 chain, UInt128 hash) noexcept {
  return chain * kChainMultiplier + hash;
}

[[nodiscard]] constexpr UInt128 joined_term(std::uint64_t a, std::uint64_t b) noexcept {
  return product(a ^ kKeys[12], b ^ kKeys[13]) + ((static_cast<UInt128>(a) << 64) | b);
}
/// The factor of an order's term that its size does not change: where it stands. `key`: Ladder::key
/// of its price.
[[nodiscard]] constexpr std::uint64_t place_factor(std::int64_t key, std::uint64_t joined,
                                                   std::uint64_t side) noexcept {
  return word(key) * kKeys[9] + (joined << 2 | side) + kKeys[11];
}
/// Term of a live order in the book's sum: what it is, times where it stands.
[[nodiscard]] constexpr UInt128 order_term(OrderId id, Size size, std::uint64_t place) noexcept {
  return product(id * kKeys[8] + word(size) + kKeys[10], place);
}
/// Term of a level without orders: no order joins with stamp 0.
[[nodiscard]] constexpr UInt128 level_term(std::int64_t key, Size size,
                                           std::uint64_t side) noexcept {
  return order_term(0, size, place_factor(key, 0, side));
}
/// Term of a kept trade: six words.
[[nodiscard]] constexpr UInt128 trade_term(std::uint64_t ordinal, std::uint64_t id, TimeNs time,
                                           Price price, Size size, std::uint64_t tail) noexcept {
  const std::uint64_t a = folded(ordinal ^ kKeys[14], id ^ kKeys[15]);
  const std::uint64_t b = folded(word(time) ^ kKeys[0], word(price) ^ kKeys[2]);
  const std::uint64_t c = folded(word(size) ^ kKeys[4], tail ^ kKeys[6]);
  return joined_term(a, folded(b ^ kKeys[8], c ^ kKeys[10]));
}

/// Term of a record of an even number of words: each pair is folded and goes on into the next.
template <std::size_t count>
[[nodiscard]] constexpr UInt128 words_term(const std::uint64_t (&words)[count]) noexcept {
  static_assert(count % 2 == 0);
  UInt128 sum = 0;
  std::uint64_t carried = 0;
  for (std::size_t i = 0; i < count; i += 2) {
    const UInt128 p =
        product(words[i] ^ kKeys[i % 16], words[i + 1] ^ kKeys[(i + 1) % 16] ^ (i / 16));
    carried = (carried << 7 | carried >> 57) ^ static_cast<std::uint64_t>(p) ^
              static_cast<std::uint64_t>(p >> 64);
    sum += p;
  }
  return joined_term(carried,
                     static_cast<std::uint64_t>(sum) ^ static_cast<std::uint64_t>(sum >> 64));
}

}  // namespace mixing
}  // namespace tapedeck::market
