// market/activity_candles.hpp -- candles by ticks, volume, notional, imbalance: each trade in the
// order of the tape goes into the open one, until that holds its amount.
#pragma once

#include <deque>
#include <vector>

#include "market/candle_width.hpp"
#include "market/emitter.hpp"
#include "market/kept_trades.hpp"
#include "market/quarantine.hpp"
#include "market/settings.hpp"
#include "market/snapshot.hpp"
#include "market/trade_cause.hpp"

namespace tapedeck::market {

/// Candles of one width by number: those that are closed and may still be corrected, then at most
/// one open one. The next one's number is where a candle's trades end.
struct ActivitySeries {
  CandleWidth width = 0;
  std::uint16_t bit = 0;  ///< in TradeSnapshot::in_candles
  Int128 amount = 0;      ///< in the instrument's units: at or beyond it a candle is full
  std::deque<CandleSnapshot> items;

  [[nodiscard]] bool has_open() const noexcept {
    return !items.empty() && !items.back().candle.closed;
  }
};

/// A trade, however late, goes into the open candle; open and close are the first and the last
/// trade of the tape's order. The trade that fills a candle belongs to it whole, and closes it. A
/// candle that is not full is closed by the next session. A break takes a trade out of its candle
/// and moves no boundary: the open candle then takes more until it is full, a closed one gets a
/// revision while feed time is within the correction horizon of its end.
class ActivityCandles {
public:
  explicit ActivityCandles(const FoldSettings& settings);

  /// None of the settings' widths is by activity: nothing else need be called.
  [[nodiscard]] bool off() const noexcept { return series_.empty(); }
  /// After every change of the instrument.
  void set_instrument(const Instrument& instrument) noexcept;

  /// `kept` without this trade; sets its bits.
  void add(TradeSnapshot& trade, const TradeCause& cause, const KeptTrades& kept,
           const Emitter& emitter);
  /// True if it came too late for one of them. `trade` null: it is not kept.
  bool take_out(const TradeSnapshot* trade, const TradeCause& cause, const KeptTrades& kept,
                const Emitter& emitter);
  /// The source ends: what is open is said, each at its own end. clear() follows.
  void end_session(const Emitter& emitter);
  void set_revision(const CandleRevision& revision);
  void clear() noexcept;

  [[nodiscard]] const std::vector<ActivitySeries>& series() const noexcept { return series_; }
  [[nodiscard]] UInt128 closed_sum() const noexcept { return closed_sum_; }
  [[nodiscard]] UInt128 recompute_closed_sum() const noexcept;
  /// One candle of a snapshot, in their order; false where it contradicts itself, the settings or
  /// the one before.
  [[nodiscard]] bool restore(const CandleSnapshot& item);

private:
  void open(ActivitySeries& series, const TradeSnapshot& trade, std::uint64_t number,
            const TradeCause& cause, const KeptTrades& kept);
  bool take_out_of(ActivitySeries& series, const TradeSnapshot& trade, const TradeCause& cause,
                   const KeptTrades& kept, const Emitter& emitter);
  void close(CandleSnapshot& item, TimeNs due, const Emitter& emitter);

  const FoldSettings* settings_;
  std::vector<ActivitySeries> series_;
  UInt128 closed_sum_ = 0;
};

}  // namespace tapedeck::market
