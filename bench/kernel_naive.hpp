// bench/kernel_naive.hpp -- the yardstick: std::map levels, an std::unordered_map of orders,
// std::map candles. It keeps quantity per level (no queues), checks nothing and has no digest,
// metrics or corrections.
#pragma once

#include <algorithm>
#include <map>
#include <unordered_map>

#include "market/event.hpp"

namespace tapedeck::bench {

class NaiveSymbol {
public:
  void apply(const market::Event& e) {
    using market::EventKind;
    switch (e.kind) {
      case EventKind::add:
        orders_[e.id] = {e.side, e.price, e.size};
        levels(e.side)[e.price] += e.size;
        break;
      case EventKind::execute:
      case EventKind::execute_price: take(e, e.size, true); break;
      case EventKind::reduce: take(e, e.size, false); break;
      case EventKind::remove: take(e, market::kMaxSize, false); break;
      case EventKind::replace: {
        const auto at = orders_.find(e.id);
        if (at == orders_.end()) break;
        const market::Side side = at->second.side;
        take(e, market::kMaxSize, false);
        orders_[e.other] = {side, e.price, e.size};
        levels(side)[e.price] += e.size;
        break;
      }
      case EventKind::trade: trade(e.time, e.price, e.size); break;
      default: break;
    }
  }
  [[nodiscard]] std::size_t level_count() const { return bids_.size() + asks_.size(); }
  [[nodiscard]] std::size_t order_count() const { return orders_.size(); }

private:
  struct Order {
    market::Side side;
    market::Price price;
    market::Size size;
  };
  struct Bar {
    market::Price open = 0, high = 0, low = 0, close = 0;
    market::Size volume = 0;
  };
  using Levels = std::map<market::Price, market::Size>;

  Levels& levels(market::Side side) { return side == market::Side::bid ? bids_ : asks_; }

  void take(const market::Event& e, market::Size size, bool traded) {
    const auto at = orders_.find(e.id);
    if (at == orders_.end()) return;
    Order& order = at->second;
    const market::Size taken = std::min(size, order.size);
    if (traded) trade(e.time, order.price, taken);
    Levels& side = levels(order.side);
    const auto level = side.find(order.price);
    if ((level->second -= taken) == 0) side.erase(level);
    if ((order.size -= taken) == 0) orders_.erase(at);
  }
  void trade(market::TimeNs time, market::Price price, market::Size size) {
    for (const int width : {0, 1, 2}) {
      const market::TimeNs seconds = width == 0 ? 1 : width == 1 ? 10 : 60;
      const auto [at, fresh] = bars_[width].try_emplace(time / (seconds * market::kSecond));
      Bar& bar = at->second;
      if (fresh) bar.open = bar.high = bar.low = price;
      bar.high = std::max(bar.high, price);
      bar.low = std::min(bar.low, price);
      bar.close = price;
      bar.volume += size;
    }
  }

  Levels bids_, asks_;
  std::unordered_map<market::OrderId, Order> orders_;
  std::map<market::TimeNs, Bar> bars_[3];
};

}  // namespace tapedeck::bench
