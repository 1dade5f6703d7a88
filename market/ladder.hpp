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
  static constexpr std::uint32_t kNear = 16;  ///< levels that are looked at all at once
  static constexpr std::uint32_t kMoved = 8;  ///< ... that are moved all at once

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
    return key >= end()[-static_cast<std::ptrdiff_t>(top_)];
  }
  /// Is it as good as the best one? The ladder must not be empty.
  [[gnu::always_inline]] [[nodiscard]] inline bool is_best(std::int64_t key) const noexcept {
    return key >= end()[-1];
  }

  /// Counts the better ones among the best few, without a branch for each: how deep a price lies
  /// cannot be foreseen. Halves what is left beyond these, so that a deep book stays fast.
  [[gnu::always_inline]] [[nodiscard]] inline Place find(std::int64_t key) const noexcept {
    if (size_ == 0) [[unlikely]]
      return {};
    const std::int64_t* const near = end() - kNear;
    std::int64_t better = 0;
    for (std::uint32_t i = 0; i < kNear; ++i) better += near[i] > key ? 1 : 0;
    if (better < kNear) [[likely]]
      return place(size_ - static_cast<std::uint32_t>(better), key);
    return find_deep(size_ - kNear, key);
  }

  [[gnu::always_inline]] inline void insert(Place place, std::int64_t key, std::uint32_t level) {
    if (size_ >= capacity_) [[unlikely]]
      grow();
    std::int64_t* const keys = first_ + place.index;
    std::uint32_t* const levels = levels_.get() + place.index;
    const std::uint32_t better = size_++ - place.index;
    if (better <= kMoved) [[likely]] {
      move_near(keys + 1, keys);
      move_near(levels + 1, levels);
    } else {
      std::copy_backward(keys, keys + better, keys + better + 1);
      std::copy_backward(levels, levels + better, levels + better + 1);
    }
    *keys = key;
    *levels = level;
  }
  [[gnu::always_inline]] inline void erase(std::uint32_t index) noexcept {
    std::int64_t* const keys = first_ + index;
    std::uint32_t* const levels = levels_.get() + index;
    const std::uint32_t better = --size_ - index;
    if (better <= kMoved) [[likely]] {
      move_near(keys, keys + 1);
      move_near(levels, levels + 1);
    } else {
      std::copy(keys + 1, keys + 1 + better, keys);
      std::copy(levels + 1, levels + 1 + better, levels);
    }
  }
  void clear() noexcept {
    keys_.reset();
    levels_.reset();
    first_ = nullptr;
    size_ = capacity_ = 0;
  }

  void prefetch_best() const noexcept {
    const std::uint32_t count = std::min(size_, kNear);
    prefetch_lines(first_ + size_ - count, count);
    prefetch_lines(levels_.get() + size_ - count, count);
  }

private:
  [[nodiscard]] const std::int64_t* end() const noexcept { return first_ + size_; }

  /// So many elements whatever their number: what lies behind the last one is nobody's.
  template <class T>
  [[gnu::always_inline]] static void move_near(T* to, const T* from) noexcept {
    // All is read before any is written; as vectors, since arrays would go through memory.
    using Lane [[gnu::vector_size(32), gnu::aligned(alignof(T)), gnu::may_alias]] = T;
    constexpr std::size_t lanes = kMoved * sizeof(T) / sizeof(Lane);
    const auto* const source = reinterpret_cast<const Lane*>(from);
    auto* const target = reinterpret_cast<Lane*>(to);
    if constexpr (lanes == 1) {
      *target = *source;
    } else {
      static_assert(lanes == 2);
      const Lane first = source[0], second = source[1];
      target[0] = first, target[1] = second;
    }
  }

  /// `after`: how many levels are not better than `key`.
  [[gnu::always_inline]] [[nodiscard]] inline Place place(std::uint32_t after,
                                                          std::int64_t key) const noexcept {
    const bool exists = first_[static_cast<std::ptrdiff_t>(after) - 1] == key;
    return {after - (exists ? 1U : 0U), exists};
  }

  /// All levels from `end` on are better.
  [[gnu::noinline]] [[nodiscard]] Place find_deep(std::uint32_t end,
                                                  std::int64_t key) const noexcept {
    const std::int64_t* const found = std::upper_bound(first_, first_ + end, key);
    return place(static_cast<std::uint32_t>(found - first_), key);
  }

  [[gnu::noinline]] void grow() {
    const std::uint32_t capacity = std::max(kNear, 2 * size_);
    auto keys = std::make_unique<std::int64_t[]>(padding_ + capacity + kSlack);
    auto levels = std::make_unique<std::uint32_t[]>(capacity + kSlack);
    std::fill_n(keys.get(), padding_, kLowest);
    if (size_ != 0) {
      std::copy_n(first_, size_, keys.get() + padding_);
      std::copy_n(levels_.get(), size_, levels.get());
    }
    keys_ = std::move(keys);
    levels_ = std::move(levels);
    first_ = keys_.get() + padding_;
    capacity_ = capacity;
  }

  static constexpr std::uint32_t kSlack = kMoved + 1;  ///< that move_near() reaches behind the last

  std::unique_ptr<std::int64_t[]> keys_;     ///< padding, a key a level, slack
  std::unique_ptr<std::uint32_t[]> levels_;  ///< index in the level pool; slack
  std::int64_t* first_ = nullptr;            ///< behind the padding
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;  ///< in levels
  std::uint32_t top_;
  std::uint32_t padding_;
};

}  // namespace tapedeck::market
