// market/candle_sums.hpp -- what a trade adds to a candle beside its prices.
#pragma once

#include "market/mixing.hpp"
#include "market/output.hpp"
#include "market/snapshot.hpp"

namespace tapedeck::market {

[[gnu::always_inline]] inline void add_sums(Candle& candle, const TradeSnapshot& trade) noexcept {
  ++candle.trades;
  candle.volume = wrapping_add(candle.volume, trade.size);
  if (trade.aggressor == Side::bid) {
    candle.buy_volume = wrapping_add(candle.buy_volume, trade.size);
  } else if (trade.aggressor == Side::ask) {
    candle.sell_volume = wrapping_add(candle.sell_volume, trade.size);
  }
  candle.notional = wrapping_add(candle.notional, Int128{trade.price} * trade.size);
}

inline void subtract_sums(Candle& candle, const TradeSnapshot& trade) noexcept {
  --candle.trades;
  candle.volume = wrapping_sub(candle.volume, trade.size);
  if (trade.aggressor == Side::bid) candle.buy_volume = wrapping_sub(candle.buy_volume, trade.size);
  if (trade.aggressor == Side::ask) {
    candle.sell_volume = wrapping_sub(candle.sell_volume, trade.size);
  }
  candle.notional = wrapping_sub(candle.notional, Int128{trade.price} * trade.size);
}

}  // namespace tapedeck::market
