// market/kept_trades.hpp -- the trades that a break can still take out of their candles.
#pragma once

#include <optional>
#include <vector>

#include "market/snapshot.hpp"

namespace tapedeck::market {

/// The last `kept_trades` trades, oldest first, with the sum of their digest terms.
class KeptTrades {
public:
  explicit KeptTrades(std::uint32_t capacity) noexcept : capacity_(capacity) {}

  void push(const TradeSnapshot& trade);
  /// Newest trade with this id, taken out; none if id is 0 or unknown.
  [[nodiscard]] std::optional<TradeSnapshot> take(std::uint64_t id);
  [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }
  /// By age, 0 the oldest.
  [[nodiscard]] const TradeSnapshot& operator[](std::size_t age) const noexcept {
    const std::size_t i = oldest_ + age;
    return ring_[i < ring_.size() ? i : i - ring_.size()];
  }
  [[nodiscard]] UInt128 sum() const noexcept { return sum_; }
  [[nodiscard]] UInt128 recompute_sum() const noexcept;
  [[nodiscard]] Int128 price_sum() const noexcept { return price_sum_; }
  void clear() noexcept;

private:
  std::vector<TradeSnapshot> ring_;
  std::size_t oldest_ = 0;
  UInt128 sum_ = 0;
  Int128 price_sum_ = 0;
  std::uint32_t capacity_;
};

}  // namespace tapedeck::market
