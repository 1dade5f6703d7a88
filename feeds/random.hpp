// feeds/random.hpp -- seeded random numbers, the same on every machine: integers only, no std
// distributions.
#pragma once

#include <cstdint>

#include "market/units.hpp"

namespace tapedeck::feeds {

/// xoshiro256** 1.0 (Blackman, Vigna 2018), seeded by splitmix64.
class Random {
public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  /// 0 to bound - 1; bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<market::UInt128>(next()) * bound) >> 64);
  }
  std::uint32_t below32(std::uint32_t bound) { return static_cast<std::uint32_t>(below(bound)); }
  /// True in `in` of `of` cases.
  bool chance(std::uint64_t in, std::uint64_t of) { return below(of) < in; }
  /// Bell-shaped around 0, within ±2 amplitude, variance 2/3 amplitude^2.
  std::int64_t noise(std::int64_t amplitude) {
    const auto width = static_cast<std::uint64_t>(2 * amplitude + 1);
    return static_cast<std::int64_t>(below(width) + below(width)) - 2 * amplitude;
  }

private:
  static std::uint64_t rotate(std::uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }
  std::uint64_t state_[4];
};

}  // namespace tapedeck::feeds
