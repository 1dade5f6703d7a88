// market/ladder.hpp -- the price levels of one side, sorted, the best at the end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

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

  [[nodiscard]] std::uint32_t size() const noexcept {
    return static_cast<std::uint32_t>(levels_.size());
  }
  [[nodiscard]] bool empty() const noexcept { return levels_.empty(); }
  /// Index into the level pool; rank 0 is the best.
  [[nodiscard]] std::uint32_t at_rank(std::uint32_t rank) const noexcept {
    return levels_[levels_.size() - 1 - rank];
  }
  [[nodiscard]] std::uint32_t at(std::uint32_t index) const noexcept { return levels_[index]; }

  /// Is a key as good as this among the best N levels (or would it be)?
  [[gnu::always_inline]] [[nodiscard]] inline bool in_top(std::int64_t key) const noexcept {
    return keys_.empty() || key >= keys_[keys_.size() - top_];
  }

  /// Counts better keys block by block without a branch a key; beyond four blocks it halves.
  [[gnu::always_inline]] [[nodiscard]] inline Place find(std::int64_t key) const noexcept {
    if (keys_.empty()) [[unlikely]] return {};
    const std::int64_t* const begin = keys_.data();
    const std::int64_t* end = begin + keys_.size();
    for (std::uint32_t block = 0; block < 4; ++block) {
      const std::int64_t* const from = end - kBlock;
      std::uint32_t better = 0;
      for (std::uint32_t i = 0; i < kBlock; ++i) better += from[i] > key ? 1U : 0U;
      if (better < kBlock) [[likely]] return place(end - begin - better, key);
      if (static_cast<std::uint64_t>(from - begin) <= padding_) return place(padding_, key);
      end = from;
    }
    const std::int64_t* const found = std::upper_bound(begin + padding_, end, key);
    return place(found - begin, key);
  }

  [[gnu::always_inline]] inline void insert(Place place, std::int64_t key, std::uint32_t level) {
    if (keys_.empty()) [[unlikely]] keys_.assign(padding_, kLowest);
    insert_at(keys_, padding_ + place.index, key);
    insert_at(levels_, place.index, level);
  }
  [[gnu::always_inline]] inline void erase(std::uint32_t index) noexcept {
    erase_at(keys_, padding_ + index);
    erase_at(levels_, index);
  }
  void clear() noexcept {
    keys_ = {};
    levels_ = {};
  }

private:
  /// `after`: how many keys, padding included, are not better than `key`.
  [[gnu::always_inline]] [[nodiscard]] inline Place place(std::ptrdiff_t after,
                                                          std::int64_t key) const noexcept {
    const auto index = static_cast<std::uint32_t>(after) - padding_;
    if (keys_[static_cast<std::size_t>(after) - 1] == key) return {index - 1, true};
    return {index, false};
  }

  template <class T>
  [[gnu::always_inline]] static inline void insert_at(std::vector<T>& values, std::size_t index,
                                                      T value) {
    values.push_back(value);
    std::size_t i = values.size() - 1;
    for (; i > index; --i) values[i] = values[i - 1];
    values[i] = value;
  }
  template <class T>
  [[gnu::always_inline]] static inline void erase_at(std::vector<T>& values, std::size_t index) {
    for (std::size_t i = index + 1; i < values.size(); ++i) values[i - 1] = values[i];
    values.pop_back();
  }

  std::vector<std::int64_t> keys_;
  std::vector<std::uint32_t> levels_;
  std::uint32_t top_;
  std::uint32_t padding_;
};

}  // namespace tapedeck::market
