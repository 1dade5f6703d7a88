#include "market/candles.hpp"

#include <algorithm>

#include "market/digest.hpp"

namespace tapedeck::market {
namespace {

struct Words {
  std::uint64_t low, high;
  explicit Words(Int128 value) noexcept
      : low(static_cast<std::uint64_t>(value)),
        high(static_cast<std::uint64_t>(static_cast<UInt128>(value) >> 64)) {}
};

[[nodiscard]] auto at_or_after(std::vector<CandleSnapshot>& items, std::size_t first,
                               TimeNs open_time) {
  return std::lower_bound(
      items.begin() + static_cast<std::ptrdiff_t>(first), items.end(), open_time,
      [](const CandleSnapshot& item, TimeNs time) { return item.candle.open_time < time; });
}

}  // namespace

UInt128 candle_term(const CandleSnapshot& item) noexcept {
  using mixing::word;
  const Candle& c = item.candle;
  const Words volume(c.volume), buy(c.buy_volume), sell(c.sell_volume), notional(c.notional);
  const std::uint64_t tail = static_cast<std::uint64_t>(c.revision) << 2 |
                             static_cast<std::uint64_t>(c.closed) << 1 |
                             static_cast<std::uint64_t>(c.ohlc_exact);
  if (by_activity(c.width)) {
    return mixing::words_term({word(c.width), word(c.open_time), word(c.open), word(c.high),
                               word(c.low), word(c.close), volume.low, volume.high, buy.low,
                               buy.high, sell.low, sell.high, notional.low, notional.high, c.trades,
                               tail, c.number, word(c.end_time)});
  }
  return mixing::words_term({word(c.width), word(c.open_time), word(c.open), word(c.high),
                             word(c.low), word(c.close), volume.low, volume.high, buy.low, buy.high,
                             sell.low, sell.high, notional.low, notional.high, c.trades, tail,
                             word(item.first_time), word(item.last_time)});
}

Candles::Candles(const FoldSettings& settings)
    : settings_(&settings), kept_(settings.kept_trades), activity_(settings) {
  for (std::size_t i = 0; i < settings.candle_widths.size(); ++i) {
    if (tapedeck::market::by_activity(settings.candle_widths[i])) continue;
    CandleSeries& series = series_.emplace_back();
    series.width = settings.candle_widths[i];
    series.bit = static_cast<std::uint16_t>(1U << i);
  }
}

void Candles::clear() noexcept {
  for (CandleSeries& series : series_) {
    series.items = {};
    series.first = series.first_open = 0;
    series.after = kNoTime;
    series.refresh();
  }
  closed_sum_ = 0;
  idle_due_ = event_due_ = kNever;
  kept_.clear();
  activity_.clear();
}

Candles::Due Candles::next(TimeNs after) noexcept {
  Due due;
  for (CandleSeries& series : series_) {
    if (!series.has_open()) continue;
    const TimeNs time = later(series.open_end, after);
    if (due.series == nullptr || time < due.time) due = {time, &series};
  }
  return due;
}

void Candles::refresh_due() noexcept {
  TimeNs end = kNever;
  for (const CandleSeries& series : series_) end = std::min(end, series.open_end);
  idle_due_ = end == kNever ? kNever : later(end, settings_->idle_after);
  event_due_ = end == kNever ? kNever : later(end, settings_->lateness);
}

bool Candles::is_closed(TimeNs end, const Cause& cause) const noexcept {
  return cause.event_time >= later(end, settings_->lateness) ||
         cause.feed_time >= later(end, settings_->idle_after);
}

void Candles::close(const Due& due, TimeNs prune_before, const Emitter& emitter) {
  CandleSeries& series = *due.series;
  CandleSnapshot& item = series.items[series.first_open];
  if (item.candle.trades == 0) {  // all its trades were broken before anybody heard of it
    series.items.erase(series.items.begin() + static_cast<std::ptrdiff_t>(series.first_open));
  } else {
    item.candle.closed = true;
    closed_sum_ += candle_term(item);
    emitter.say(due.time, item.candle);
    ++series.first_open;
  }
  while (series.first < series.first_open &&
         later(series.end_of(series.first), settings_->correction_horizon) < prune_before) {
    closed_sum_ -= candle_term(series.items[series.first++]);
  }
  if (series.first >= 4 && 2 * series.first >= series.items.size()) {
    series.items.erase(series.items.begin(),
                       series.items.begin() + static_cast<std::ptrdiff_t>(series.first));
    series.first_open -= series.first;
    series.first = 0;
  }
  series.refresh();
  refresh_due();
}

void Candles::drop(const Due& due) {
  CandleSeries& series = *due.series;
  series.items.erase(series.items.begin() + static_cast<std::ptrdiff_t>(series.first_open));
  series.refresh();
  refresh_due();
}

void Candles::set_revision(const CandleRevision& revision) {
  activity_.set_revision(revision);
  for (CandleSeries& series : series_) {
    if (series.width != revision.width) continue;
    const auto at = at_or_after(series.items, series.first, revision.open_time);
    if (at == series.items.end() || at->candle.open_time != revision.open_time) return;
    if (at->candle.closed) closed_sum_ -= candle_term(*at);
    at->candle.revision = revision.revision;
    if (at->candle.closed) closed_sum_ += candle_term(*at);
  }
}

bool Candles::add_elsewhere(CandleSeries& series, TradeSnapshot& trade, const Cause& cause,
                            const Emitter& emitter) {
  const TimeNs open_time = start_of(trade.time, series.width);
  if (open_time <= series.after) [[unlikely]]
    return false;  // it began before the settings had this width
  const TimeNs end = open_time + series.width;
  auto at = at_or_after(series.items, series.first, open_time);
  const bool exists = at != series.items.end() && at->candle.open_time == open_time;
  // What earlier settings closed stays closed, and so is what lies before it.
  const bool behind = static_cast<std::size_t>(at - series.items.begin()) < series.first_open;
  const bool closed = behind || is_closed(end, cause);
  if (closed && cause.feed_time > later(end, settings_->correction_horizon)) {
    say_late(series, cause, emitter);
    return true;
  }
  if (!exists) {
    CandleSnapshot item;
    item.candle.width = series.width;
    item.candle.open_time = open_time;
    item.candle.closed = closed;
    at = series.items.insert(at, item);
    if (closed) ++series.first_open;
  } else if (closed) {
    closed_sum_ -= candle_term(*at);
    ++at->candle.revision;
  }
  trade.in_candles |= series.bit;
  accumulate(*at, trade);
  if (closed) {
    closed_sum_ += candle_term(*at);
    emitter.say(cause.due, at->candle);
  } else if (!exists) {
    series.refresh();
    refresh_due();
  }
  return false;
}

Candles::Interval Candles::newest_interval() const noexcept {
  TimeNs begin = kNoTime, end = kNever;
  if (!activity_.off()) return {};
  for (const CandleSeries& series : series_) {
    if (series.newest == kNever) return {};
    begin = std::max(begin, series.newest);
    end = std::min(end, series.newest + series.width);
  }
  return begin < end && end != kNever ? Interval{begin, end - begin} : Interval{};
}

bool Candles::take_out(std::uint64_t trade_id, const Cause& cause, const Emitter& emitter) {
  const std::optional<TradeSnapshot> trade = kept_.take(trade_id);
  bool late = false;
  for (CandleSeries& series : series_) {
    if (trade.has_value() && (trade->in_candles & series.bit) != 0) {
      late |= take_out_of(series, *trade, cause, emitter);
    } else if (!trade || start_of(trade->time, series.width) > series.after) {
      say_late(series, cause, emitter);
      late = true;
    }
  }
  if (!activity_.off())
    late |= activity_.take_out(trade ? &*trade : nullptr, cause, kept_, emitter);
  return late;
}

bool Candles::take_out_of(CandleSeries& series, const TradeSnapshot& trade, const Cause& cause,
                          const Emitter& emitter) {
  const TimeNs open_time = start_of(trade.time, series.width);
  const auto at = at_or_after(series.items, series.first, open_time);
  const bool exists = at != series.items.end() && at->candle.open_time == open_time;
  if (!exists || (at->candle.closed && cause.feed_time > later(open_time + series.width,
                                                               settings_->correction_horizon))) {
    say_late(series, cause, emitter);
    return true;
  }
  if (!at->candle.closed) {
    subtract(series, *at, trade);
    return false;
  }
  closed_sum_ -= candle_term(*at);
  subtract(series, *at, trade);
  ++at->candle.revision;
  closed_sum_ += candle_term(*at);
  emitter.say(cause.due, at->candle);
  return false;
}

void Candles::subtract(CandleSeries& series, CandleSnapshot& item,
                       const TradeSnapshot& trade) const {
  Candle& candle = item.candle;
  subtract_sums(candle, trade);

  CandleSnapshot again;
  for (std::size_t age = 0; age < kept_.size(); ++age) {
    const TradeSnapshot& kept = kept_[age];
    if ((kept.in_candles & series.bit) == 0 || kept.time < candle.open_time ||
        kept.time >= candle.open_time + series.width) {
      continue;
    }
    accumulate(again, kept);
  }
  candle.ohlc_exact = again.candle.trades == candle.trades;
  if (!candle.ohlc_exact) return;
  candle.open = again.candle.open;
  candle.high = again.candle.high;
  candle.low = again.candle.low;
  candle.close = again.candle.close;
  item.first_time = again.first_time;
  item.last_time = again.last_time;
}

void Candles::say_late(const CandleSeries& series, const Cause& cause,
                       const Emitter& emitter) const {
  emitter.say(cause.event.time, LateTrade{series.width, cause.event, cause.message_index});
}

UInt128 Candles::recompute_closed_sum() const {
  UInt128 sum = 0;
  for (const CandleSeries& series : series_) {
    for (std::size_t i = series.first; i < series.first_open; ++i) {
      sum += candle_term(series.items[i]);
    }
  }
  return sum + activity_.recompute_closed_sum();
}

bool Candles::restore(const std::vector<CandleSnapshot>& candles,
                      const std::vector<TradeSnapshot>& trades) {
  std::size_t width = 0;
  bool activity = false;
  for (const CandleSnapshot& item : candles) {
    if (tapedeck::market::by_activity(item.candle.width)) {
      activity = true;
      if (!activity_.restore(item)) return false;
      continue;
    }
    if (activity) return false;
    while (width < series_.size() && series_[width].width != item.candle.width) ++width;
    if (width == series_.size() || item.candle.number != 0 || item.candle.end_time != 0)
      return false;
    CandleSeries& series = series_[width];
    if (!series.items.empty()) {
      const Candle& before = series.items.back().candle;
      if (item.candle.open_time <= before.open_time) return false;
      if (item.candle.closed && !before.closed) return false;
    }
    series.items.push_back(item);
    if (item.candle.closed) ++series.first_open;
  }
  for (CandleSeries& series : series_) series.refresh();
  closed_sum_ = recompute_closed_sum() - activity_.closed_sum();
  for (const TradeSnapshot& trade : trades) kept_.push(trade);
  refresh_due();
  return true;
}

bool Candles::restore_starts(const std::vector<SymbolSnapshot::WidthStart>& starts) {
  auto series = series_.begin();
  for (const auto& [width, after] : starts) {
    while (series != series_.end() && series->width != width) ++series;
    if (series == series_.end() || after == kNoTime) return false;
    (series++)->after = after;
  }
  return true;
}

std::vector<SymbolSnapshot::WidthStart> Candles::starts() const {
  std::vector<SymbolSnapshot::WidthStart> starts;
  for (const CandleSeries& series : series_) {
    if (series.after != kNoTime) starts.push_back({series.width, series.after});
  }
  return starts;
}

}  // namespace tapedeck::market
