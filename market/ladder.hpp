// market/ladder.hpp -- the price levels of one side, sorted, the best at the end.
#pragma once

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>

#include "market/event.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// Prices as keys of which the highest is the best: a bid's price, an ask's negative price. In front of them stand
/// `padding` lowest keys, so that looking at the last N needs no test of how many there are.
class Ladder {
public:
  static constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  static constexpr std::uint32_t kBlock = 8;

  struct Place {
    std::uint32_t index = 0;  ///< among levels, worst first: of the key, or where it would be inserted
    bool exists = false;
  };

  explicit Ladder(std::uint32_t top_levels) noexcept
      : top_(top_levels), padding_((std::max(top_levels, kBlock) + kBlock) / kBlock * kBlock) {}

  [[nodiscard]] static constexpr std::int64_t key(Side side, Price price) noexcept {
    const std::int64_t mask = -static_cast<std::int64_t>(side == Side::ask);
    return (price ^ mask) - mask;
  }

  [[nodiscard]] static constexpr Price price(Side side, std::int64_t key_of_it) noexcept {
    return key(side, key_of_it);
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// Index into the level pool; rank 0 is the best.
  [[nodiscard]] std::uint32_t at_rank(std::uint32_t rank) const noexcept {
    return levels_[size_ - 1 - rank];
  }
  [[nodiscard]] std::uint32_t at(std::uint32_t index) const noexcept { return levels_[index]; }


  /// Is a key as good as this among the best N levels? The ladder must not be empty.
  [[gnu::always_inline]] [[nodiscard]] inline bool in_top(std::int64_t key) const noexcept {
    return key >= keys_[padding_ + size_ - top_];
  }
  /// Is it as good as the best one? The ladder must not be empty.
  [[gnu::always_inline]] [[nodiscard]] inline bool is_best(std::int64_t key) const noexcept {
    return key >= keys_[padding_ + size_ - 1];
  }

  /// Counts better keys block by block without a branch a key; beyond four blocks it halves.
  [[gnu::always_inline]] [[nodiscard]] inline Place find(std::int64_t key) const noexcept {
    const std::int64_t* const begin = keys_.get();
    const std::uint32_t end = padding_ + size_;
    if (size_ == 0) [[unlikely]] return {};
    const std::uint32_t better = count_better(begin + end - kBlock, key);
    if (better < kBlock) [[likely]] return place(end - better, key);
    return find_deep(end - kBlock, key);
  }

  [[gnu::always_inline]] inline void insert(Place place, std::int64_t key, std::uint32_t level) {
    if (padding_ + size_ + kBlock >= capacity_) [[unlikely]] grow();
    std::int64_t* const keys = keys_.get() + padding_ + place.index;
    std::uint32_t* const levels = levels_.get() + place.index;
    shift(keys + 1, keys, size_ - place.index);
    shift(levels + 1, levels, size_ - place.index);
    *keys = key;
    *levels = level;
    ++size_;
  }
  [[gnu::always_inline]] inline void erase(std::uint32_t index) noexcept {
    std::int64_t* const keys = keys_.get() + padding_ + index;
    std::uint32_t* const levels = levels_.get() + index;
    --size_;
    shift(keys, keys + 1, size_ - index);
    shift(levels, levels + 1, size_ - index);
  }
  void clear() noexcept {
    keys_.reset();
    levels_.reset();
    size_ = capacity_ = 0;
  }

private:
  /// Moves `count` values by one place. Near the best end a whole block moves, whatever is in it: that costs no branch
  /// that nobody can foresee. Behind the last level there is always room for a block.
  template <class T>
  [[gnu::always_inline]] static inline void shift(T* to, const T* from, std::uint32_t count) noexcept {
    if (count <= kBlock) [[likely]] {
#ifdef __AVX2__
      constexpr std::size_t lanes = kBlock * sizeof(T) / sizeof(__m256i);
      __m256i block[lanes];
      for (std::size_t i = 0; i < lanes; ++i) {
        block[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + i);
      }
      for (std::size_t i = 0; i < lanes; ++i) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + i, block[i]);
      }
#else
      T block[kBlock];
      std::memcpy(block, from, sizeof block);
      std::memcpy(to, block, sizeof block);
#endif
    } else {
      std::memmove(to, from, count * sizeof(T));
    }
  }

  /// How many of a block's keys are better.
  [[gnu::always_inline]] [[nodiscard]] static inline std::uint32_t count_better(
      const std::int64_t* from, std::int64_t key) noexcept {
#ifdef __AVX2__
    const __m256i wanted = _mm256_set1_epi64x(key);
    const auto* lanes = reinterpret_cast<const __m256i*>(from);
    const __m256i low = _mm256_cmpgt_epi64(_mm256_loadu_si256(lanes), wanted);
    const __m256i high = _mm256_cmpgt_epi64(_mm256_loadu_si256(lanes + 1), wanted);
    const int mask = _mm256_movemask_pd(_mm256_castsi256_pd(low)) |
                     _mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4;
    return static_cast<std::uint32_t>(__builtin_popcount(static_cast<unsigned>(mask)));
#else
    std::uint32_t better = 0;
    for (std::uint32_t i = 0; i < kBlock; ++i) better += from[i] > key ? 1U : 0U;
    return better;
#endif
  }

  /// `after`: how many keys, padding included, are not better than `key`.
  [[gnu::always_inline]] [[nodiscard]] inline Place place(std::uint32_t after,
                                                          std::int64_t key) const noexcept {
    const bool exists = keys_[after - 1] == key;
    return {after - padding_ - (exists ? 1U : 0U), exists};
  }

  /// All keys from `end` on are better.
  [[gnu::noinline]] [[nodiscard]] Place find_deep(std::uint32_t end, std::int64_t key) const noexcept {
    const std::int64_t* const begin = keys_.get();
    for (int block = 0; block < 3 && end > padding_; ++block) {
      const std::uint32_t better = count_better(begin + end - kBlock, key);
      if (better < kBlock) return place(end - better, key);
      end -= kBlock;
    }
    if (end <= padding_) return place(padding_, key);
    const std::int64_t* const found = std::upper_bound(begin + padding_, begin + end, key);
    return place(static_cast<std::uint32_t>(found - begin), key);
  }

  [[gnu::noinline]] void grow() {
    const std::uint32_t capacity = padding_ + std::max(kBlock, 2 * size_) + 2 * kBlock;
    auto keys = std::make_unique<std::int64_t[]>(capacity);
    auto levels = std::make_unique<std::uint32_t[]>(capacity - padding_);
    std::fill_n(keys.get(), padding_, kLowest);
    if (size_ != 0) {
      std::copy_n(keys_.get() + padding_, size_, keys.get() + padding_);
      std::copy_n(levels_.get(), size_, levels.get());
    }
    keys_ = std::move(keys);
    levels_ = std::move(levels);
    capacity_ = capacity;
  }

  std::unique_ptr<std::int64_t[]> keys_;     ///< padding, then a key a level
  std::unique_ptr<std::uint32_t[]> levels_;  ///< index in the level pool
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;  ///< of keys_
  std::uint32_t top_;
  std::uint32_t padding_;
};

}  // namespace tapedeck::market
