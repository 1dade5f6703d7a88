#include "market/kept_trades.hpp"

#include <algorithm>

#include "market/mixing.hpp"

namespace tapedeck::market {
namespace {

[[nodiscard]] UInt128 term(const TradeSnapshot& trade) noexcept {
  const std::uint64_t tail = static_cast<std::uint64_t>(trade.aggressor) |
                             static_cast<std::uint64_t>(trade.in_candles) << 8;
  return mixing::trade_term(trade.ordinal, trade.id, trade.time, trade.price, trade.size, tail);
}

}  // namespace

void KeptTrades::push(const TradeSnapshot& trade) {
  if (capacity_ == 0) return;
  sum_ += term(trade);
  price_sum_ += trade.price;
  if (ring_.size() < capacity_) {
    ring_.push_back(trade);
    return;
  }
  sum_ -= term(ring_[oldest_]);
  price_sum_ -= ring_[oldest_].price;
  ring_[oldest_] = trade;
  if (++oldest_ == ring_.size()) oldest_ = 0;
}

std::optional<TradeSnapshot> KeptTrades::take(std::uint64_t id) {
  if (id == 0) return std::nullopt;
  for (std::size_t age = ring_.size(); age-- > 0;) {
    if ((*this)[age].id != id) continue;
    const TradeSnapshot trade = (*this)[age];
    sum_ -= term(trade);
    price_sum_ -= trade.price;
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(oldest_), ring_.end());
    ring_.erase(ring_.begin() + static_cast<std::ptrdiff_t>(age));
    oldest_ = 0;
    return trade;
  }
  return std::nullopt;
}

UInt128 KeptTrades::recompute_sum() const noexcept {
  UInt128 sum = 0;
  for (const TradeSnapshot& trade : ring_) sum += term(trade);
  return sum;
}

void KeptTrades::clear() noexcept {
  ring_ = {};
  oldest_ = 0;
  sum_ = 0;
  price_sum_ = 0;
}

}  // namespace tapedeck::market
