// tests/market/naive_candles.hpp -- the oracle: keeps every trade for ever and recomputes a candle
// whenever it speaks.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "market/output.hpp"
#include "market/settings.hpp"

namespace tapedeck::market {

class NaiveCandles {
public:
  struct Trade {
    TimeNs time;
    Price price;
    Size size;
    Side side;
    std::uint64_t id;
    std::size_t ordinal;
    bool broken = false;
    std::vector<bool> counted = {};  ///< by width
  };
  struct Interval {
    bool closed = false;
    std::uint32_t revision = 0;
    bool exact = true;
    Price open = 0, high = 0, low = 0, close = 0;
    TimeNs first = 0, last = 0;
  };
  struct Closing {
    TimeNs due;
    std::size_t width;
    TimeNs open_time;
    bool operator<(const Closing& o) const {
      return std::tie(due, width) < std::tie(o.due, o.width);
    }
  };
  using Say = std::function<void(TimeNs, Candle)>;
  using SayLate = std::function<void(TimeNs width)>;

  explicit NaiveCandles(const FoldSettings& settings) : settings_(settings) {
    for (const CandleWidth one : settings.candle_widths) {
      if (!by_activity(one)) widths_.push_back(one);
    }
    intervals_.resize(widths_.size());
  }

  [[nodiscard]] std::vector<Closing> due(TimeNs now, TimeNs after) const {
    std::vector<Closing> result;
    for (std::size_t w = 0; w < intervals_.size(); ++w) {
      for (const auto& [open_time, interval] : intervals_[w]) {
        const TimeNs time = open_time + width(w) + after;
        if (!interval.closed && time <= now) result.push_back({time, w, open_time});
      }
    }
    std::stable_sort(result.begin(), result.end());
    return result;
  }

  void close(const Closing& closing, const Say& say) {
    Interval& interval = intervals_[closing.width].at(closing.open_time);
    if (members(closing.width, closing.open_time).empty()) {
      intervals_[closing.width].erase(closing.open_time);
      return;
    }
    interval.closed = true;
    say(closing.due, candle(closing.width, closing.open_time));
  }

  /// True if late for some width.
  bool trade(Trade trade, TimeNs due_time, TimeNs event_time, TimeNs feed_time, const Say& say,
             const SayLate& say_late) {
    trade.ordinal = trades_.size();
    trade.counted.assign(intervals_.size(), false);
    trades_.push_back(trade);
    bool late = false;
    for (std::size_t w = 0; w < intervals_.size(); ++w) {
      const TimeNs open_time = start(trade.time, width(w));
      const TimeNs end = open_time + width(w);
      const bool over =
          event_time >= end + settings_.lateness || feed_time >= end + settings_.idle_after;
      if (over && feed_time > end + settings_.correction_horizon) {
        say_late(width(w));
        late = true;
        continue;
      }
      const bool existed = intervals_[w].contains(open_time);
      Interval& interval = intervals_[w][open_time];
      interval.closed = over;
      if (over && existed) ++interval.revision;
      trades_.back().counted[w] = true;
      update(w, open_time, interval, trade);
      if (over) say(due_time, candle(w, open_time));
    }
    kept_.push_back(trades_.size() - 1);
    if (kept_.size() > settings_.kept_trades) kept_.pop_front();
    return late;
  }

  bool trade_break(std::uint64_t id, TimeNs due_time, TimeNs feed_time, const Say& say,
                   const SayLate& say_late) {
    auto found = kept_.end();
    for (auto at = kept_.begin(); at != kept_.end(); ++at) {
      if (id != 0 && trades_[*at].id == id) found = at;
    }
    Trade none{};
    none.counted.assign(intervals_.size(), false);
    Trade& trade = found == kept_.end() ? none : trades_[*found];
    if (found != kept_.end()) kept_.erase(found);
    trade.broken = true;
    bool late = false;
    for (std::size_t w = 0; w < intervals_.size(); ++w) {
      const TimeNs open_time = start(trade.time, width(w));
      const TimeNs end = open_time + width(w);
      const auto at = intervals_[w].find(open_time);
      if (!trade.counted[w] || at == intervals_[w].end() ||
          (at->second.closed && feed_time > end + settings_.correction_horizon)) {
        say_late(width(w));
        late = true;
        continue;
      }
      recompute(w, open_time, at->second);
      if (!at->second.closed) continue;
      ++at->second.revision;
      say(due_time, candle(w, open_time));
    }
    return late;
  }

private:
  [[nodiscard]] TimeNs width(std::size_t w) const { return widths_[w]; }
  [[nodiscard]] TimeNs start(TimeNs time, TimeNs width) const {
    const TimeNs shifted = time - settings_.candle_origin;
    TimeNs open = shifted / width * width;
    if (open > shifted) open -= width;
    return open + settings_.candle_origin;
  }
  [[nodiscard]] std::vector<const Trade*> members(std::size_t w, TimeNs open_time) const {
    std::vector<const Trade*> result;
    for (const Trade& trade : trades_) {
      if (!trade.broken && trade.counted[w] && start(trade.time, width(w)) == open_time) {
        result.push_back(&trade);
      }
    }
    std::stable_sort(result.begin(), result.end(),
                     [](const Trade* a, const Trade* b) { return a->time < b->time; });
    return result;
  }
  void fill(Interval& interval, const std::vector<const Trade*>& trades) const {
    interval.exact = true;
    interval.open = interval.high = interval.low = interval.close = 0;
    interval.first = interval.last = 0;
    if (trades.empty()) return;
    interval.open = interval.high = interval.low = trades.front()->price;
    interval.close = trades.back()->price;
    interval.first = trades.front()->time;
    interval.last = trades.back()->time;
    for (const Trade* trade : trades) {
      interval.high = std::max(interval.high, trade->price);
      interval.low = std::min(interval.low, trade->price);
    }
  }
  void update(std::size_t w, TimeNs open_time, Interval& interval, const Trade& trade) {
    const auto trades = members(w, open_time);
    if (interval.exact || trades.size() == 1) return fill(interval, trades);
    if (trade.time < interval.first) interval.open = trade.price, interval.first = trade.time;
    if (trade.time >= interval.last) interval.close = trade.price, interval.last = trade.time;
    interval.high = std::max(interval.high, trade.price);
    interval.low = std::min(interval.low, trade.price);
  }
  void recompute(std::size_t w, TimeNs open_time, Interval& interval) {
    const auto trades = members(w, open_time);
    for (const Trade* trade : trades) {
      if (std::find(kept_.begin(), kept_.end(), trade->ordinal) == kept_.end()) {
        interval.exact = false;
        return;
      }
    }
    fill(interval, trades);
  }
  [[nodiscard]] Candle candle(std::size_t w, TimeNs open_time) const {
    const Interval& interval = intervals_[w].at(open_time);
    Candle candle;
    candle.width = width(w);
    candle.open_time = open_time;
    candle.open = interval.open, candle.high = interval.high;
    candle.low = interval.low, candle.close = interval.close;
    candle.revision = interval.revision;
    candle.closed = interval.closed;
    candle.ohlc_exact = interval.exact;
    for (const Trade* trade : members(w, open_time)) {
      ++candle.trades;
      candle.volume += trade->size;
      candle.notional += Int128{trade->price} * trade->size;
      if (trade->side == Side::bid) candle.buy_volume += trade->size;
      if (trade->side == Side::ask) candle.sell_volume += trade->size;
    }
    return candle;
  }

  const FoldSettings& settings_;
  std::vector<TimeNs> widths_;
  std::vector<std::map<TimeNs, Interval>> intervals_;
  std::vector<Trade> trades_;
  std::deque<std::size_t> kept_;
};

}  // namespace tapedeck::market
