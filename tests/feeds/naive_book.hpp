// tests/feeds/naive_book.hpp -- a book of std::maps, written to be obviously right: the oracle of
// the feed tests.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "market/event.hpp"

namespace tapedeck::test {

class NaiveBook {
public:
  using Levels = std::vector<std::pair<market::Price, market::Size>>;

  void apply(const market::Event& event) {
    using market::EventKind;
    ++events;
    switch (event.kind) {
      case EventKind::add: add(event.id, event.side, event.price, event.size); break;
      case EventKind::execute:
      case EventKind::execute_price:
        ++executions;
        take(event.id, event.size);
        break;
      case EventKind::reduce: take(event.id, event.size); break;
      case EventKind::remove:
        if (const auto it = find(event.id); it != orders.end()) take(event.id, it->second.size);
        break;
      case EventKind::replace:
        if (const auto it = find(event.id); it != orders.end()) {
          const market::Side side = it->second.side;
          take(event.id, it->second.size);
          add(event.other, side, event.price, event.size);
        }
        break;
      case EventKind::trade: ++trades; break;
      default: break;
    }
    if ((event.flags & market::kMore) == 0 && !bids.empty() && !asks.empty() &&
        bids.begin()->first >= asks.begin()->first) {
      ++crossed;
    }
  }

  /// Best first.
  [[nodiscard]] Levels top(market::Side side, std::size_t depth) const {
    Levels levels;
    const auto copy = [&](const auto& from) {
      for (auto it = from.begin(); it != from.end() && levels.size() < depth; ++it)
        levels.push_back(*it);
    };
    side == market::Side::bid ? copy(bids) : copy(asks);
    return levels;
  }

  struct Order {
    market::Side side;
    market::Price price;
    market::Size size;
  };
  std::map<market::OrderId, Order> orders;
  std::map<market::Price, market::Size, std::greater<>> bids;
  std::map<market::Price, market::Size> asks;
  std::uint64_t events = 0, executions = 0, trades = 0;
  std::uint64_t crossed = 0;  // crossed or locked after a message
  std::uint64_t unknown = 0, duplicates = 0, oversized = 0, bad_sizes = 0;

private:
  std::map<market::OrderId, Order>::iterator find(market::OrderId id) {
    const auto it = orders.find(id);
    if (it == orders.end()) ++unknown;
    return it;
  }
  void add(market::OrderId id, market::Side side, market::Price price, market::Size size) {
    if (size <= 0) ++bad_sizes;
    if (!orders.emplace(id, Order{side, price, size}).second) {
      ++duplicates;
      return;
    }
    (side == market::Side::bid ? bids[price] : asks[price]) += size;
  }
  void take(market::OrderId id, market::Size size) {
    const auto it = find(id);
    if (it == orders.end()) return;
    Order& order = it->second;
    if (size <= 0) ++bad_sizes;
    if (size > order.size) ++oversized, size = order.size;
    const auto reduce = [&](auto& levels) {
      auto level = levels.find(order.price);
      level->second -= size;
      if (level->second == 0) levels.erase(level);
    };
    order.side == market::Side::bid ? reduce(bids) : reduce(asks);
    order.size -= size;
    if (order.size == 0) orders.erase(it);
  }
};

}  // namespace tapedeck::test
