// feeds/lobster_book.hpp -- what a LOBSTER row means for a book of orders, and what it leaves
// unsaid.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "market/event.hpp"

namespace tapedeck::feeds {

/// A row of a message file. Prices in 10^-4 dollars.
struct LobsterRow {
  std::int64_t time_of_day = 0;  ///< ns since midnight
  std::int64_t id = 0;
  std::int64_t size = 0;
  std::int64_t price = 0;
  std::int32_t type = 0;       ///< 1 to 7
  std::int32_t direction = 0;  ///< of the resting order: 1 buy, -1 sell
};

/// First id of orders that LOBSTER does not name.
constexpr market::OrderId kSyntheticId = market::OrderId{1} << 63;

/// The book that a consumer of the events holds. Events leave with kind, id, side, price, size,
/// other and code set.
class LobsterBook {
public:
  /// The row's own effect.
  void step(const LobsterRow& row, std::vector<market::Event>& events);
  /// Makes the first N levels those of an orderbook row: ask price, ask size, bid price, bid size,
  /// N times.
  void reconcile(std::span<const std::int64_t> row, std::vector<market::Event>& events);

private:
  struct Order {
    market::Side side = market::Side::none;
    market::Price price = 0;
    market::Size size = 0;
  };
  struct Level {
    std::deque<market::OrderId> queue;
    market::Size total = 0;
  };
  using Levels = std::map<market::Price, Level>;
  using Events = std::vector<market::Event>;

  Levels& levels(market::Side side) { return levels_[side == market::Side::ask ? 1 : 0]; }
  void add(market::OrderId id, market::Side side, market::Price price, market::Size size,
           Events& events);
  void remove(market::OrderId id, Events& events);
  void reduce(market::OrderId id, market::Size size, Events& events);
  void execute(market::OrderId id, market::Size size, Events& events);
  void shrink(market::OrderId id, market::Size size);
  void execute_row(const LobsterRow& row, market::Side side, Events& events);
  void cancel_row(const LobsterRow& row, market::Side side, Events& events);
  [[nodiscard]] market::OrderId unnamed(market::Side side, market::Price price,
                                        market::Size at_least);
  void drop_strangers(market::Side side,
                      std::span<const std::pair<market::Price, market::Size>> window, bool whole,
                      Events& events);
  void match_level(market::Side side, market::Price price, market::Size size, Events& events);

  std::unordered_map<market::OrderId, Order> orders_;  // looked up, never walked
  Levels levels_[2];                                   // bids, asks
  market::OrderId next_synthetic_ = kSyntheticId;
};

}  // namespace tapedeck::feeds
