// feeds/sim_book.hpp -- the orders of one simulated symbol.
#pragma once

#include <cstdint>
#include <vector>

namespace tapedeck::feeds {

/// Orders in price-time priority. Slots name live orders and are reused.
class SimBook {
public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Order {
    std::uint64_t id = 0;
    std::int32_t price = 0;
    std::uint32_t size = 0;
    std::uint32_t previous = kNone, next = kNone;  // in its level's queue
    std::uint32_t place = 0;                       // in live()
    std::uint8_t side = 0;                         // 0 bid, 1 ask
  };
  struct Level {
    std::int32_t price = 0;
    std::uint32_t first = kNone, last = kNone;
    std::uint32_t count = 0;
  };

  std::uint32_t add(std::uint64_t id, std::uint8_t side, std::int32_t price, std::uint32_t size);
  void remove(std::uint32_t slot);
  [[nodiscard]] Order& order(std::uint32_t slot) { return orders_[slot]; }
  /// Slots of all live orders, roughly oldest first.
  [[nodiscard]] const std::vector<std::uint32_t>& live() const { return live_; }
  /// The best level is the last.
  [[nodiscard]] const std::vector<Level>& levels(std::uint8_t side) const { return levels_[side]; }
  [[nodiscard]] bool empty(std::uint8_t side) const { return levels_[side].empty(); }
  [[nodiscard]] std::int32_t best(std::uint8_t side) const { return levels_[side].back().price; }
  /// True if the order is the only one at its price.
  [[nodiscard]] bool alone(std::uint32_t slot) const {
    return orders_[slot].previous == kNone && orders_[slot].next == kNone;
  }

private:
  [[nodiscard]] std::size_t find(std::uint8_t side, std::int32_t price) const;

  std::vector<Order> orders_;
  std::vector<std::uint32_t> free_, live_;
  std::vector<Level> levels_[2];
};

}  // namespace tapedeck::feeds
