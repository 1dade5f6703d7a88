// market/candles.hpp -- folds trades into candles of every width, corrects closed ones, keeps
// trades for breaks. Those by activity are in activity_candles.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "market/activity_candles.hpp"
#include "market/candle_sums.hpp"
#include "market/emitter.hpp"
#include "market/kept_trades.hpp"
#include "market/mixing.hpp"
#include "market/quarantine.hpp"
#include "market/settings.hpp"
#include "market/snapshot.hpp"
#include "market/trade_cause.hpp"
#include "market/trade_run.hpp"

namespace tapedeck::market {

/// Digest term of a closed candle.
[[nodiscard]] UInt128 candle_term(const CandleSnapshot& item) noexcept;

/// Candles of one time width by open time: a prefix that is closed (and still correctable), then
/// the open ones.
struct CandleSeries {
  TimeNs width = 0;
  std::uint16_t bit = 0;       ///< in TradeSnapshot::in_candles
  std::size_t first = 0;       ///< items before it are pruned
  std::size_t first_open = 0;  ///< index in items
  TimeNs open_end = kNever;    ///< end of the oldest open candle; kNever: none is open
  TimeNs newest = kNever;      ///< open time of the newest candle if it is open
  TimeNs after = kNoTime;      ///< the first interval begins after this
  std::vector<CandleSnapshot> items;

  [[nodiscard]] bool has_open() const noexcept { return open_end != kNever; }
  /// After every change of which candles are there or open.
  void refresh() noexcept {
    const bool some = first_open < items.size();
    open_end = some ? end_of(first_open) : kNever;
    newest = some ? items.back().candle.open_time : kNever;
  }
  [[nodiscard]] TimeNs end_of(std::size_t index) const noexcept {
    return items[index].candle.open_time + width;
  }
};

/// All candles of a symbol. Closing: by the symbol's event time (lateness) or by feed time (idle);
/// both go through the caller, which knows the order of everything that is due.
class Candles {
public:
  using Cause = TradeCause;

  explicit Candles(const FoldSettings& settings);

  /// Adds the trade to its candle of each width and keeps it. True if it came too late for one of
  /// them.
  [[gnu::always_inline]] inline bool add(TradeSnapshot trade, const Cause& cause,
                                         const Emitter& emitter) {
    bool late = false;
    for (CandleSeries& series : series_) {
      if (static_cast<std::uint64_t>(trade.time) - static_cast<std::uint64_t>(series.newest) <
          static_cast<std::uint64_t>(series.width)) [[likely]] {
        trade.in_candles |= series.bit;
        accumulate(series.items.back(), trade);
        continue;
      }
      late |= add_elsewhere(series, trade, cause, emitter);
    }
    if (!activity_.off()) [[unlikely]]
      activity_.add(trade, cause, kept_, emitter);
    kept_.push(trade);
    return late;
  }

  /// The times whose trades only add to the newest candle of every width, all of which are open:
  /// [begin, begin + span); span 0 where there are none, or where a trade may close a candle by
  /// activity.
  struct Interval {
    TimeNs begin = 0;
    TimeNs span = 0;
  };
  [[nodiscard]] Interval newest_interval() const noexcept;
  /// Equal to add() of each trade of the run, where nothing is due, every trade is within
  /// newest_interval(), and no trades are kept for breaks.
  void add(const TradeRun& run) noexcept {
    for (CandleSeries& series : series_) {
      CandleSnapshot& item = series.items.back();
      run.add_to(item.candle, item.first_time, item.last_time);
    }
  }

  /// Takes a trade out of its candles. True if it came too late for one of them (or the trade is
  /// not kept).
  bool take_out(std::uint64_t trade_id, const Cause& cause, const Emitter& emitter);

  struct Due {
    TimeNs time = kNever;
    CandleSeries* series = nullptr;  ///< null: nothing is open
  };
  /// The open candle that closes first: by feed time (idle) or by event time.
  [[nodiscard]] Due next_idle() noexcept { return next(settings_->idle_after); }
  [[nodiscard]] Due next_by_event() noexcept { return next(settings_->lateness); }
  /// Closes the series' oldest open candle; `prune_before`: forget candles not correctable at that
  /// feed time.
  void close(const Due& due, TimeNs prune_before, const Emitter& emitter);

  /// Forgets the series' oldest open candle, as if it had never been.
  void drop(const Due& due);
  /// No effect where the candle is not kept any more.
  void set_revision(const CandleRevision& revision);

  /// Earliest due time of all open candles, kNever if none; kept up to date.
  [[nodiscard]] TimeNs idle_due() const noexcept { return idle_due_; }
  [[nodiscard]] TimeNs event_due() const noexcept { return event_due_; }

  /// The source ends; what is due was closed before.
  void end_session(const Emitter& emitter) {
    activity_.end_session(emitter);
    clear();
  }
  void set_instrument(const Instrument& instrument) noexcept {
    activity_.set_instrument(instrument);
  }
  void clear() noexcept;

  [[nodiscard]] const ActivityCandles& by_activity() const noexcept { return activity_; }
  [[nodiscard]] const std::vector<CandleSeries>& series() const noexcept { return series_; }
  [[nodiscard]] const KeptTrades& kept() const noexcept { return kept_; }
  [[nodiscard]] UInt128 closed_sum() const noexcept { return closed_sum_ + activity_.closed_sum(); }
  [[nodiscard]] UInt128 recompute_closed_sum() const;

  /// For restore(): candles by width, then open time; checked by the caller but for their order.
  /// False if it is wrong.
  [[nodiscard]] bool restore(const std::vector<CandleSnapshot>& candles,
                             const std::vector<TradeSnapshot>& trades);
  [[nodiscard]] bool restore_starts(const std::vector<SymbolSnapshot::WidthStart>& starts);
  [[nodiscard]] std::vector<SymbolSnapshot::WidthStart> starts() const;

private:
  static void accumulate(CandleSnapshot& item, const TradeSnapshot& trade) noexcept {
    Candle& candle = item.candle;
    if (candle.trades == 0) [[unlikely]] {
      candle.open = candle.high = candle.low = candle.close = trade.price;
      item.first_time = item.last_time = trade.time;
      candle.ohlc_exact = true;
    } else {
      if (trade.time < item.first_time) candle.open = trade.price, item.first_time = trade.time;
      if (trade.time >= item.last_time) candle.close = trade.price, item.last_time = trade.time;
      if (trade.price > candle.high) candle.high = trade.price;
      if (trade.price < candle.low) candle.low = trade.price;
    }
    add_sums(candle, trade);
  }

  [[nodiscard]] Due next(TimeNs after) noexcept;
  void refresh_due() noexcept;
  bool add_elsewhere(CandleSeries& series, TradeSnapshot& trade, const Cause& cause,
                     const Emitter& emitter);
  bool take_out_of(CandleSeries& series, const TradeSnapshot& trade, const Cause& cause,
                   const Emitter& emitter);
  void subtract(CandleSeries& series, CandleSnapshot& item, const TradeSnapshot& trade) const;
  /// Start of the interval of the settings' grid that holds `time`.
  [[nodiscard]] TimeNs start_of(TimeNs time, TimeNs width) const noexcept {
    return interval_start(time, width, settings_->candle_origin);
  }
  [[nodiscard]] bool is_closed(TimeNs end, const Cause& cause) const noexcept;
  void say_late(const CandleSeries& series, const Cause& cause, const Emitter& emitter) const;

  const FoldSettings* settings_;
  std::vector<CandleSeries> series_;
  TimeNs idle_due_ = kNever;
  TimeNs event_due_ = kNever;
  UInt128 closed_sum_ = 0;
  KeptTrades kept_;
  ActivityCandles activity_;
};

}  // namespace tapedeck::market
