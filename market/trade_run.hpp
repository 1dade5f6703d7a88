// market/trade_run.hpp -- the sum of some trades in tape order, to be added to a candle at once.
#pragma once

#include <cstdint>

#include "market/event.hpp"
#include "market/mixing.hpp"
#include "market/output.hpp"

namespace tapedeck::market {

/// Law: adding a run to a candle equals adding its trades one after the other.
struct TradeRun {
  Price open = 0, high = 0, low = 0, close = 0;
  TimeNs first_time = 0, last_time = 0;
  Int128 volume = 0, buy_volume = 0, sell_volume = 0, notional = 0;
  std::uint64_t trades = 0;

  [[gnu::always_inline]] void add(TimeNs time, Price price, Size size, Side aggressor) noexcept {
    if (trades++ == 0) [[unlikely]] {
      *this = {price, price, price, price, time, time, 0, 0, 0, 0, 1};
    } else {
      if (time < first_time) [[unlikely]]
        open = price, first_time = time;
      if (time >= last_time) [[likely]]
        close = price, last_time = time;
      high = price > high ? price : high;
      low = price < low ? price : low;
    }
    volume = wrapping_add(volume, size);
    buy_volume = wrapping_add(buy_volume, size & -static_cast<Size>(aggressor == Side::bid));
    sell_volume = wrapping_add(sell_volume, size & -static_cast<Size>(aggressor == Side::ask));
    notional = wrapping_add(notional, Int128{price} * size);
  }
  /// As if the run's trades came after those of `candle`, whose first and last trade were at
  /// these times.
  void add_to(Candle& candle, TimeNs& candle_first, TimeNs& candle_last) const noexcept {
    if (candle.trades == 0) {
      candle.open = open, candle.high = high, candle.low = low, candle.close = close;
      candle_first = first_time, candle_last = last_time;
      candle.ohlc_exact = true;
    } else {
      if (first_time < candle_first) candle.open = open, candle_first = first_time;
      if (last_time >= candle_last) candle.close = close, candle_last = last_time;
      candle.high = high > candle.high ? high : candle.high;
      candle.low = low < candle.low ? low : candle.low;
    }
    candle.trades += trades;
    candle.volume = wrapping_add(candle.volume, volume);
    candle.buy_volume = wrapping_add(candle.buy_volume, buy_volume);
    candle.sell_volume = wrapping_add(candle.sell_volume, sell_volume);
    candle.notional = wrapping_add(candle.notional, notional);
  }
};

}  // namespace tapedeck::market
