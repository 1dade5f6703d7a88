// market/book.hpp -- one order book for L3 (orders in queues), L2 and L1 (levels without orders).
#pragma once

#include <cstdint>
#include <vector>

#include "market/ladder.hpp"
#include "market/mixing.hpp"
#include "market/order_table.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// `orders` 0: a level without orders. Freed levels are chained by `head`.
struct Level {
  std::int64_t key;  ///< Ladder::key of its price
  Size size;         ///< total
  std::uint32_t head, tail;
  std::uint32_t orders;
  Side side;

  [[nodiscard]] Price price() const noexcept { return Ladder::price(side, key); }
};

/// Keeps, beside the book itself, the volume of the best N levels a side and the sum of the
/// digest's terms. Callers check what the fold's rules ask (ids unknown, sizes positive, totals at
/// most kMaxSize) before they change it.
class Book {
public:
  using Found = OrderTable::Found;

  explicit Book(std::uint32_t top_levels) noexcept
      : ladders_{Ladder(top_levels), Ladder(top_levels)}, top_levels_(top_levels) {}

  // -- reading
  [[nodiscard]] const Ladder& ladder(Side side) const noexcept { return ladders_[index(side)]; }
  [[nodiscard]] const Level& level(std::uint32_t index) const noexcept { return levels_[index]; }
  [[nodiscard]] const Order& order(std::uint32_t slot) const noexcept { return orders_[slot]; }
  [[nodiscard]] std::uint32_t order_count() const noexcept { return orders_.size(); }
  [[nodiscard]] std::uint64_t top_volume(Side side) const noexcept { return volume_[index(side)]; }
  [[nodiscard]] UInt128 sum() const noexcept { return sum_; }
  [[nodiscard]] const Level* best(Side side) const noexcept {
    const Ladder& levels = ladder(side);
    return levels.empty() ? nullptr : &levels_[levels.at_rank(0)];
  }

  [[gnu::always_inline]] [[nodiscard]] inline Found find(OrderId id) const noexcept {
    return orders_.find(id);
  }
  /// find() where the hash is known already.
  [[gnu::always_inline]] [[nodiscard]] inline Found find(OrderId id,
                                                         std::uint32_t hash) const noexcept {
    return orders_.find(id, hash);
  }
  [[gnu::always_inline]] inline void prefetch_entry(std::uint32_t hash) const noexcept {
    orders_.prefetch_entry(hash);
  }
  [[gnu::always_inline]] [[nodiscard]] inline Ladder::Place find_level(Side side,
                                                                       Price price) const noexcept {
    return ladders_[index(side)].find(Ladder::key(side, price));
  }
  /// Total of orders at a level, 0 where there is none (or it has no orders).
  [[gnu::always_inline]] [[nodiscard]] inline Size resting(Side side,
                                                           Ladder::Place place) const noexcept {
    if (!place.exists) return 0;
    const Level& level = levels_[ladders_[index(side)].at(place.index)];
    return level.orders == 0 ? 0 : level.size;
  }

  // -- orders
  [[gnu::always_inline]] inline void reserve_order() { orders_.reserve_one(); }

  /// A new order at the back of its queue. It takes the place of a level without orders.
  [[gnu::always_inline]] inline void add(OrderId id, Side side, Price price, Size size,
                                         std::uint64_t joined, Found where, Ladder::Place place) {
    const std::uint32_t slot = orders_.insert(where);
    Ladder& ladder = ladders_[index(side)];
    const std::int64_t key = Ladder::key(side, price);
    std::uint32_t at;
    if (place.exists) {
      at = ladder.at(place.index);
      Level& level = levels_[at];
      if (level.orders == 0) [[unlikely]] {
        sum_ -= mixing::level_term(key, level.size, word(side));
        change_size(level, -level.size);
        level.tail = kNoOrder;
      }
      change_size(level, size);
    } else {
      at = new_level(side, key, size);
      insert_level(side, place, key, at);
    }
    Level& level = levels_[at];
    Order& order = orders_[slot];
    order = {id, size, joined, level.tail, kNoOrder, at, 0};
    orders_[level.tail].next = slot;
    level.head = level.orders == 0 ? slot : level.head;
    level.tail = slot;
    ++level.orders;
    sum_ += mixing::order_term(id, size, mixing::place_factor(key, joined, word(side)));
  }

  /// Takes `size` off an order that has more than that.
  [[gnu::always_inline]] inline void reduce(Found found, Size size) noexcept {
    Order& order = orders_[found.slot];
    Level& level = levels_[order.level];
    const std::uint64_t place = mixing::place_factor(level.key, order.joined, word(level.side));
    sum_ += mixing::order_term(order.id, order.size - size, place) -
            mixing::order_term(order.id, order.size, place);
    order.size -= size;
    change_size(level, -size);
  }

  [[gnu::always_inline]] inline void remove(Found found) noexcept {
    const Order& order = orders_[found.slot];
    const std::uint32_t at = order.level;
    Level& level = levels_[at];
    sum_ -= term(order, level);
    if (level.orders == 1) {
      erase_level(at);
    } else {
      // Neighbours that are not there are slot 0, which is nobody's.
      level.head = level.head == found.slot ? order.next : level.head;
      level.tail = level.tail == found.slot ? order.prev : level.tail;
      orders_[order.prev].next = order.next;
      orders_[order.next].prev = order.prev;
      --level.orders;
      change_size(level, -order.size);
    }
    orders_.erase(found);
  }

  // -- levels without orders
  /// Sets a level's total, 0 takes it away; orders that stood there are gone.
  void set_level(Side side, Price price, Size size) {
    const Ladder::Place place = find_level(side, price);
    const std::int64_t key = Ladder::key(side, price);
    if (!place.exists) {
      if (size == 0) return;
      insert_level(side, place, key, new_level(side, key, size));
      sum_ += mixing::level_term(key, size, word(side));
      return;
    }
    const std::uint32_t at = ladders_[index(side)].at(place.index);
    if (levels_[at].orders != 0) {
      drop_orders(at);
    } else {
      sum_ -= mixing::level_term(key, levels_[at].size, word(side));
    }
    if (size == 0) return erase_level(at);
    if (size != levels_[at].size) change_size(levels_[at], size - levels_[at].size);
    sum_ += mixing::level_term(key, size, word(side));
  }

  /// The whole side becomes this one level (none if size is 0).
  void set_quote(Side side, Price price, Size size) {
    const Ladder& ladder = ladders_[index(side)];
    while (!ladder.empty()) {
      const Level& best_level = levels_[ladder.at_rank(0)];
      if (ladder.size() == 1 && best_level.price() == price) break;
      set_level(side, best_level.price(), 0);
    }
    set_level(side, price, size);
  }

  void clear() noexcept {
    if (!ladders_[0].empty() || !ladders_[1].empty()) touched_ = kTouchedBest;
    orders_.clear();
    levels_ = {};
    free_level_ = kNone;
    for (Ladder& ladder : ladders_) ladder.clear();
    volume_[0] = volume_[1] = 0;
    sum_ = 0;
  }

  /// Which of the best N levels changed since this was last asked: 0, or bits of these.
  static constexpr std::uint8_t kTouchedTop = 1;   ///< one of them
  static constexpr std::uint8_t kTouchedBest = 3;  ///< the best of a side
  [[gnu::always_inline]] [[nodiscard]] inline std::uint8_t take_touched() noexcept {
    const std::uint8_t touched = touched_;
    touched_ = 0;
    return touched;
  }
  void touch() noexcept { touched_ = kTouchedBest; }

  /// The sum from scratch.
  [[nodiscard]] UInt128 recompute_sum() const noexcept {
    UInt128 sum = 0;
    for (const Ladder& ladder : ladders_) {
      for (std::uint32_t i = 0; i < ladder.size(); ++i) {
        const Level& level = levels_[ladder.at(i)];
        if (level.orders == 0) sum += mixing::level_term(level.key, level.size, word(level.side));
        for (std::uint32_t slot = level.orders == 0 ? kNoOrder : level.head; slot != kNoOrder;
             slot = orders_[slot].next) {
          const Order& order = orders_[slot];
          sum += term(order, level);
        }
      }
    }
    return sum;
  }

  void prefetch_all() const noexcept {
    for (const Ladder& ladder : ladders_) ladder.prefetch_best();
    prefetch_lines(levels_.data(), levels_.size());
    orders_.prefetch_all();
  }

private:
  [[nodiscard]] static constexpr std::size_t index(Side side) noexcept {
    return static_cast<std::size_t>(side) - 1;
  }
  [[nodiscard]] static constexpr std::uint64_t word(Side side) noexcept {
    return static_cast<std::uint64_t>(side);
  }
  [[nodiscard]] static UInt128 term(const Order& order, const Level& level) noexcept {
    return mixing::order_term(order.id, order.size,
                              mixing::place_factor(level.key, order.joined, word(level.side)));
  }

  [[gnu::always_inline]] inline void change_size(Level& level, Size change) noexcept {
    level.size += change;
    const std::size_t side = index(level.side);
    const bool top = ladders_[side].in_top(level.key);
    const bool best_of_side = ladders_[side].is_best(level.key);
    volume_[side] += top ? static_cast<std::uint64_t>(change) : 0;
    touched_ |=
        static_cast<std::uint8_t>((top ? kTouchedTop : 0) | (best_of_side ? kTouchedBest : 0));
  }

  [[gnu::always_inline]] inline std::uint32_t new_level(Side side, std::int64_t key, Size size) {
    std::uint32_t at = free_level_;
    if (at != kNone) {
      free_level_ = levels_[at].head;
    } else {
      at = static_cast<std::uint32_t>(levels_.size());
      levels_.emplace_back();
    }
    levels_[at] = {key, size, kNoOrder, kNoOrder, 0, side};
    return at;
  }

  [[gnu::always_inline]] inline void insert_level(Side side, Ladder::Place place, std::int64_t key,
                                                  std::uint32_t at) {
    Ladder& ladder = ladders_[index(side)];
    ladder.insert(place, key, at);
    const std::uint32_t rank = ladder.size() - 1 - place.index;
    if (rank >= top_levels_) return;
    touched_ |= rank == 0 ? kTouchedBest : kTouchedTop;
    std::uint64_t volume = volume_[index(side)] + static_cast<std::uint64_t>(levels_[at].size);
    if (ladder.size() > top_levels_) {
      volume -= static_cast<std::uint64_t>(levels_[ladder.at_rank(top_levels_)].size);
    }
    volume_[index(side)] = volume;
  }

  [[gnu::always_inline]] inline void erase_level(std::uint32_t at) noexcept {
    Level& level = levels_[at];
    const std::size_t side = index(level.side);
    Ladder& ladder = ladders_[side];
    const Ladder::Place place = ladder.find(level.key);
    const std::uint32_t rank = ladder.size() - 1 - place.index;
    ladder.erase(place.index);
    if (rank < top_levels_) {
      touched_ |= rank == 0 ? kTouchedBest : kTouchedTop;
      std::uint64_t volume = volume_[side] - static_cast<std::uint64_t>(level.size);
      if (ladder.size() >= top_levels_) {
        volume += static_cast<std::uint64_t>(levels_[ladder.at_rank(top_levels_ - 1)].size);
      }
      volume_[side] = volume;
    }
    level.head = free_level_;
    free_level_ = at;
  }

  void drop_orders(std::uint32_t at) noexcept {
    Level& level = levels_[at];
    for (std::uint32_t slot = level.head; slot != kNoOrder;) {
      const Order order = orders_[slot];
      sum_ -= term(order, level);
      orders_.erase(orders_.find(order.id));
      slot = order.next;
    }
    level.head = level.tail = kNoOrder;
    level.orders = 0;
  }

  Ladder ladders_[2];
  std::vector<Level> levels_;
  OrderTable orders_;
  UInt128 sum_ = 0;
  std::uint64_t volume_[2] = {0, 0};
  std::uint32_t top_levels_;
  std::uint32_t free_level_ = kNone;
  std::uint8_t touched_ = 0;
};

}  // namespace tapedeck::market
