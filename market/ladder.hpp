// market/ladder.hpp -- the price levels of one side, sorted, the best at the end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>

#include "market/event.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// Prices as keys of which the highest is the best: a bid's price, an ask's negative price. In
/// front of them stands a padding of lowest keys, so that looking at the last N needs no test of
/// how many there are.
class Ladder {
public:
  static constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  static constexpr std::uint32_t kNear = 16;  ///< levels looked at one by one

  struct Place {
    std::uint32_t index =
        0;  ///< among levels, worst first: of the key, or where it would be inserted
    bool exists = false;
  };

  explicit Ladder(std::uint32_t top_levels) noexcept
      : top_(top_levels), padding_(std::max(top_levels, kNear)) {}

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

  /// Looks from the best; halves what is left once it is deep, so that a stale or deep book stays
  /// fast.
  [[gnu::always_inline]] [[nodiscard]] inline Place find(std::int64_t key) const noexcept {
    if (size_ == 0) [[unlikely]]
      return {};
    const std::int64_t* const keys = keys_.get();
    const std::uint32_t end = padding_ + size_;
    std::uint32_t better = 0;
    while (better < kNear && keys[end - 1 - better] > key) ++better;
    if (better < kNear) [[likely]]
      return place(end - better, key);
    return find_deep(end - kNear, key);
  }

  [[gnu::always_inline]] inline void insert(Place place, std::int64_t key, std::uint32_t level) {
    if (padding_ + size_ >= capacity_) [[unlikely]]
      grow();
    std::int64_t* const keys = keys_.get() + padding_;
    std::uint32_t* const levels = levels_.get();
    std::uint32_t i = size_++;
    for (; i > place.index; --i) {
      keys[i] = keys[i - 1];
      levels[i] = levels[i - 1];
    }
    keys[i] = key;
    levels[i] = level;
  }
  [[gnu::always_inline]] inline void erase(std::uint32_t index) noexcept {
    std::int64_t* const keys = keys_.get() + padding_;
    std::uint32_t* const levels = levels_.get();
    --size_;
    for (std::uint32_t i = index; i < size_; ++i) {
      keys[i] = keys[i + 1];
      levels[i] = levels[i + 1];
    }
  }
  void clear() noexcept {
    keys_.reset();
    levels_.reset();
    size_ = capacity_ = 0;
  }

  void prefetch_best() const noexcept {
    if (size_ == 0) return;
    const std::uint32_t count = std::min(size_, kNear);
    prefetch_lines(keys_.get() + padding_ + size_ - count, count);
    prefetch_lines(levels_.get() + size_ - count, count);
  }

private:
  /// `after`: how many keys, padding included, are not better than `key`.
  [[gnu::always_inline]] [[nodiscard]] inline Place place(std::uint32_t after,
                                                          std::int64_t key) const noexcept {
    const bool exists = keys_[after - 1] == key;
    return {after - padding_ - (exists ? 1U : 0U), exists};
  }

  /// All keys from `end` on are better.
  [[gnu::noinline]] [[nodiscard]] Place find_deep(std::uint32_t end,
                                                  std::int64_t key) const noexcept {
    const std::int64_t* const keys = keys_.get();
    const std::int64_t* const found = std::upper_bound(keys + padding_, keys + end, key);
    return place(static_cast<std::uint32_t>(found - keys), key);
  }

  [[gnu::noinline]] void grow() {
    const std::uint32_t capacity = padding_ + std::max(kNear, 2 * size_);
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
