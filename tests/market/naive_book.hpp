// tests/market/naive_book.hpp -- the oracle: a book of std::map, written to be obviously right and
// slow.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <vector>

#include "market/event.hpp"
#include "market/output.hpp"
#include "market/view.hpp"

namespace tapedeck::market {

class NaiveBook {
public:
  struct NaiveOrder {
    OrderId id;
    Size size;
  };
  struct NaiveLevel {
    std::list<NaiveOrder> queue;
    Size plain = 0;  ///< of a level without orders
    [[nodiscard]] Size total() const {
      Size sum = plain;
      for (const NaiveOrder& order : queue) sum += order.size;
      return sum;
    }
  };
  using Levels = std::map<Price, NaiveLevel>;
  struct Touched {
    Price price;
    Size size;
    friend bool operator==(const Touched&, const Touched&) = default;
  };

  explicit NaiveBook(std::size_t levels) : levels_(levels) {}

  /// Applies an event that passed the rules on its fields; a rule of the book may still refuse it.
  std::optional<Refused> apply(const Event& e) {
    switch (e.kind) {
      case EventKind::add:
        if (find(e.id) != nullptr) return Refused::duplicate_order;
        start_depth();
        if (total_of_orders(e.side, e.price) > kMaxSize - e.size) return Refused::size_too_large;
        add(e.id, e.side, e.price, e.size);
        break;
      case EventKind::execute:
      case EventKind::execute_price:
      case EventKind::reduce: take(e); break;
      case EventKind::remove:
        if (!drop(e.id)) unknown();
        break;
      case EventKind::replace: return replace(e);
      case EventKind::level:
        start_depth();
        set(e.side, e.price, e.size);
        break;
      case EventKind::quote:
        if (depth_seen_) break;
        while (!side(e.side).empty()) {
          if (side(e.side).size() == 1 && side(e.side).begin()->first == e.price) break;
          set(e.side, best_price(e.side), 0);
        }
        set(e.side, e.price, e.size);
        break;
      case EventKind::clear:
        if (!bids.empty() || !asks.empty()) touched = true;
        bids.clear(), asks.clear(), where_.clear();
        break;
      default: break;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::vector<LevelView> view(Side which) const {
    std::vector<LevelView> result;
    const auto put = [&](const Price price, const NaiveLevel& level) {
      LevelView row{price, level.total(), std::nullopt};
      if (!level.queue.empty()) row.orders = static_cast<std::uint32_t>(level.queue.size());
      result.push_back(row);
    };
    if (which == Side::bid) {
      for (auto at = bids.rbegin(); at != bids.rend(); ++at) put(at->first, at->second);
    } else {
      for (const auto& [price, level] : asks) put(price, level);
    }
    return result;
  }
  [[nodiscard]] std::vector<Touched> top(Side which) const {
    std::vector<Touched> result;
    for (const LevelView& level : view(which)) {
      if (result.size() < levels_) result.push_back({level.price, level.size});
    }
    return result;
  }
  /// Ids by side, then price from the best, then queue.
  [[nodiscard]] std::vector<OrderId> queue_order() const {
    std::vector<OrderId> ids;
    const auto put = [&](const NaiveLevel& level) {
      for (const NaiveOrder& order : level.queue) ids.push_back(order.id);
    };
    for (auto at = bids.rbegin(); at != bids.rend(); ++at) put(at->second);
    for (const auto& [price, level] : asks) put(level);
    return ids;
  }

  Levels bids, asks;
  bool touched = false;  ///< some step changed the best levels
  std::uint64_t unknown_orders = 0, oversized = 0;
  std::optional<Price> traded_at;  ///< the order's price, by the last execute
  Side resting = Side::none;

private:
  struct Where {
    Side side;
    Price price;
  };

  Levels& side(Side which) { return which == Side::bid ? bids : asks; }
  [[nodiscard]] Price best_price(Side which) const {
    return which == Side::bid ? bids.rbegin()->first : asks.begin()->first;
  }
  NaiveOrder* find(OrderId id) {
    const auto at = where_.find(id);
    if (at == where_.end()) return nullptr;
    for (NaiveOrder& order : side(at->second.side).at(at->second.price).queue) {
      if (order.id == id) return &order;
    }
    return nullptr;
  }
  Size total_of_orders(Side which, Price price) {
    const auto at = side(which).find(price);
    return at == side(which).end() || at->second.queue.empty() ? 0 : at->second.total();
  }
  void start_depth() {
    if (depth_seen_) return;
    depth_seen_ = true;
    if (!bids.empty() || !asks.empty()) touched = true;
    bids.clear(), asks.clear();
  }
  template <class Step>
  void watched(Step step) {
    const auto bids_before = top(Side::bid), asks_before = top(Side::ask);
    step();
    touched |= bids_before != top(Side::bid) || asks_before != top(Side::ask);
  }
  void add(OrderId id, Side which, Price price, Size size) {
    watched([&] {
      NaiveLevel& level = side(which)[price];
      if (level.plain != 0) touched |= in_top(which, price);
      level.plain = 0;
      level.queue.push_back({id, size});
      where_[id] = {which, price};
    });
  }
  bool in_top(Side which, Price price) const {
    for (const Touched& level : top(which)) {
      if (level.price == price) return true;
    }
    return false;
  }
  bool drop(OrderId id) {
    if (find(id) == nullptr) return false;
    watched([&] {
      const Where at = where_.at(id);
      NaiveLevel& level = side(at.side).at(at.price);
      level.queue.remove_if([&](const NaiveOrder& order) { return order.id == id; });
      if (level.queue.empty()) side(at.side).erase(at.price);
      where_.erase(id);
    });
    return true;
  }
  void take(const Event& e) {
    traded_at.reset();
    resting = Side::none;
    NaiveOrder* order = find(e.id);
    if (order == nullptr) return unknown();
    traded_at = where_.at(e.id).price;
    resting = where_.at(e.id).side;
    if (e.size < order->size) return watched([&] { order->size -= e.size; });
    if (e.size > order->size) ++oversized;
    drop(e.id);
  }
  std::optional<Refused> replace(const Event& e) {
    const NaiveOrder* order = find(e.id);
    if (order == nullptr) {
      unknown();
      return std::nullopt;
    }
    if (e.other != e.id && find(e.other) != nullptr) return Refused::duplicate_order;
    const Where at = where_.at(e.id);
    const Size leaves = at.price == e.price ? order->size : 0;
    if (total_of_orders(at.side, e.price) - leaves > kMaxSize - e.size)
      return Refused::size_too_large;
    drop(e.id);
    add(e.other, at.side, e.price, e.size);
    return std::nullopt;
  }
  void set(Side which, Price price, Size size) {
    watched([&] {
      NaiveLevel& level = side(which)[price];
      for (const NaiveOrder& order : level.queue) where_.erase(order.id);
      level.queue.clear();
      level.plain = size;
      if (size == 0) side(which).erase(price);
    });
  }
  void unknown() { ++unknown_orders; }

  std::size_t levels_;
  std::map<OrderId, Where> where_;
  bool depth_seen_ = false;
};

}  // namespace tapedeck::market
