// bench/yardstick.hpp -- the book as one writes it in an afternoon: std::map levels,
// std::unordered_map orders, no queues, no digest. What our figures are compared with, in the same
// run on the same machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <unordered_map>

#include "market/event.hpp"

namespace tapedeck::bench {

class Yardstick {
public:
  void apply(const market::Event& event) {
    using market::EventKind;
    switch (event.kind) {
      case EventKind::add: add(event.id, event.side, event.price, event.size); break;
      case EventKind::execute:
      case EventKind::execute_price:
      case EventKind::reduce: reduce(event.id, event.size); break;
      case EventKind::remove: reduce(event.id, market::kMaxSize); break;
      case EventKind::replace: {
        const auto found = orders_.find(event.id);
        if (found == orders_.end()) break;
        const auto side = found->second.side;
        reduce(event.id, market::kMaxSize);
        add(event.other, side, event.price, event.size);
        break;
      }
      case EventKind::trade: volume_ += event.size; break;
      default: break;
    }
  }
  [[nodiscard]] std::size_t levels() const { return bids_.size() + asks_.size(); }
  [[nodiscard]] std::int64_t volume() const { return volume_; }

private:
  struct Order {
    market::Side side;
    market::Price price;
    market::Size size;
  };
  std::map<market::Price, market::Size>& levels_of(market::Side side) {
    return side == market::Side::bid ? bids_ : asks_;
  }
  void add(market::OrderId id, market::Side side, market::Price price, market::Size size) {
    orders_[id] = {side, price, size};
    levels_of(side)[price] += size;
  }
  void reduce(market::OrderId id, market::Size size) {
    const auto found = orders_.find(id);
    if (found == orders_.end()) return;
    auto& order = found->second;
    const auto taken = std::min(size, order.size);
    auto& levels = levels_of(order.side);
    const auto level = levels.find(order.price);
    if ((level->second -= taken) == 0) levels.erase(level);
    if ((order.size -= taken) == 0) orders_.erase(found);
  }

  std::map<market::Price, market::Size> bids_, asks_;
  std::unordered_map<market::OrderId, Order> orders_;
  std::int64_t volume_ = 0;
};

}  // namespace tapedeck::bench
