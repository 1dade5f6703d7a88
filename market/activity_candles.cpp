#include "market/activity_candles.hpp"

#include <algorithm>

#include "market/candle_sums.hpp"
#include "market/candles.hpp"
#include "market/mixing.hpp"

namespace tapedeck::market {
namespace {

constexpr Int128 kLargest = ~(Int128{1} << 127);

/// amount * 10^-6 in units of 10^exponent, rounded up: at most kLargest, at least 1.
[[nodiscard]] Int128 scaled(std::int64_t amount, int exponent) noexcept {
  Int128 result = amount;
  for (int shift = -6 - exponent; shift > 0; --shift) {
    if (result > kLargest / 10) return kLargest;
    result *= 10;
  }
  Int128 divisor = 1;
  for (int shift = -6 - exponent; shift < 0; ++shift) divisor *= 10;
  return (result + divisor - 1) / divisor;
}

[[nodiscard]] Int128 measured(CandleMeasure measure, const Candle& candle) noexcept {
  switch (measure) {
    case CandleMeasure::time: break;
    case CandleMeasure::ticks: return Int128{candle.trades};
    case CandleMeasure::volume: return candle.volume;
    case CandleMeasure::notional: return candle.notional < 0 ? -candle.notional : candle.notional;
    case CandleMeasure::imbalance: {
      const Int128 difference = wrapping_sub(candle.buy_volume, candle.sell_volume);
      return difference < 0 ? -difference : difference;
    }
  }
  return 0;
}

void put_in(CandleSnapshot& item, const TradeSnapshot& trade) noexcept {
  Candle& candle = item.candle;
  if (candle.trades == 0) {
    candle.open = candle.high = candle.low = trade.price;
    candle.ohlc_exact = true;
  }
  candle.high = std::max(candle.high, trade.price);
  candle.low = std::min(candle.low, trade.price);
  candle.close = trade.price;
  candle.end_time = std::max(candle.end_time, later(trade.time, 1));
  add_sums(candle, trade);
}

/// The item that holds trade number `number` of the source; end() if it is not kept any more.
[[nodiscard]] auto item_of(std::deque<CandleSnapshot>& items, std::uint64_t number) {
  const auto after = std::upper_bound(
      items.begin(), items.end(), number,
      [](std::uint64_t one, const CandleSnapshot& item) { return one < item.candle.number; });
  return after == items.begin() ? items.end() : after - 1;
}

}  // namespace

ActivityCandles::ActivityCandles(const FoldSettings& settings) : settings_(&settings) {
  for (std::size_t i = 0; i < settings.candle_widths.size(); ++i) {
    if (!by_activity(settings.candle_widths[i])) continue;
    ActivitySeries& series = series_.emplace_back();
    series.width = settings.candle_widths[i];
    series.bit = static_cast<std::uint16_t>(1U << i);
  }
  set_instrument({});
}

void ActivityCandles::set_instrument(const Instrument& instrument) noexcept {
  for (ActivitySeries& series : series_) {
    const std::int64_t amount = amount_of(series.width);
    const int size = instrument.size_exponent;
    switch (measure_of(series.width)) {
      case CandleMeasure::time:
      case CandleMeasure::ticks: series.amount = amount; break;
      case CandleMeasure::volume:
      case CandleMeasure::imbalance: series.amount = scaled(amount, size); break;
      case CandleMeasure::notional:
        series.amount = scaled(amount, instrument.price_exponent + size);
        break;
    }
  }
}

void ActivityCandles::clear() noexcept {
  for (ActivitySeries& series : series_) series.items.clear();
  closed_sum_ = 0;
  set_instrument({});
}

void ActivityCandles::close(CandleSnapshot& item, TimeNs due, const Emitter& emitter) {
  item.candle.closed = true;
  closed_sum_ += candle_term(item);
  emitter.say(due, item.candle);
}

/// Forgets what no break can reach, and opens a candle with this trade.
void ActivityCandles::open(ActivitySeries& series, const TradeSnapshot& trade, std::uint64_t number,
                           const TradeCause& cause, const KeptTrades& kept) {
  auto& items = series.items;
  const std::uint64_t oldest = kept.size() == 0 ? number : kept[0].ordinal - cause.earlier_trades;
  while (!items.empty()) {
    const Candle& front = items.front().candle;
    const std::uint64_t end = items.size() == 1 ? number : items[1].candle.number;
    const bool over = later(front.end_time, settings_->correction_horizon) < cause.due;
    if (!over && end > oldest) break;
    closed_sum_ -= candle_term(items.front());
    items.pop_front();
  }
  CandleSnapshot& item = items.emplace_back();
  item.candle.width = series.width;
  item.candle.open_time = trade.time;
  item.candle.number = number;
}

void ActivityCandles::add(TradeSnapshot& trade, const TradeCause& cause, const KeptTrades& kept,
                          const Emitter& emitter) {
  const std::uint64_t number = trade.ordinal - cause.earlier_trades;
  for (ActivitySeries& series : series_) {
    if (!series.has_open()) open(series, trade, number, cause, kept);
    trade.in_candles |= series.bit;
    CandleSnapshot& item = series.items.back();
    put_in(item, trade);
    if (measured(measure_of(series.width), item.candle) >= series.amount)
      close(item, cause.due, emitter);
  }
}

bool ActivityCandles::take_out(const TradeSnapshot* trade, const TradeCause& cause,
                               const KeptTrades& kept, const Emitter& emitter) {
  bool late = false;
  for (ActivitySeries& series : series_) {
    if (trade != nullptr && (trade->in_candles & series.bit) != 0 &&
        take_out_of(series, *trade, cause, kept, emitter)) {
      continue;
    }
    emitter.say(cause.event.time, LateTrade{series.width, cause.event, cause.message_index});
    late = true;
  }
  return late;
}

bool ActivityCandles::take_out_of(ActivitySeries& series, const TradeSnapshot& trade,
                                  const TradeCause& cause, const KeptTrades& kept,
                                  const Emitter& emitter) {
  const auto at = item_of(series.items, trade.ordinal - cause.earlier_trades);
  if (at == series.items.end()) return false;
  Candle& candle = at->candle;
  if (candle.closed && cause.feed_time > later(candle.end_time, settings_->correction_horizon))
    return false;
  if (candle.closed) closed_sum_ -= candle_term(*at);
  subtract_sums(candle, trade);
  const std::uint64_t end =
      at + 1 == series.items.end() ? ~std::uint64_t{0} : (at + 1)->candle.number;
  CandleSnapshot again;
  for (std::size_t age = 0; age < kept.size(); ++age) {
    const std::uint64_t number = kept[age].ordinal - cause.earlier_trades;
    const bool inside = number >= candle.number && number < end;
    if (inside && (kept[age].in_candles & series.bit) != 0) put_in(again, kept[age]);
  }
  candle.ohlc_exact = again.candle.trades == candle.trades;
  if (candle.ohlc_exact) {
    candle.open = again.candle.open, candle.high = again.candle.high;
    candle.low = again.candle.low, candle.close = again.candle.close;
  }
  if (!candle.closed) return true;
  ++candle.revision;
  closed_sum_ += candle_term(*at);
  emitter.say(cause.due, candle);
  return true;
}

void ActivityCandles::end_session(const Emitter& emitter) {
  for (ActivitySeries& series : series_) {
    if (!series.has_open() || series.items.back().candle.trades == 0) continue;
    CandleSnapshot& item = series.items.back();
    close(item, item.candle.end_time, emitter);
  }
}

void ActivityCandles::set_revision(const CandleRevision& revision) {
  const auto series = std::ranges::find(series_, revision.width, &ActivitySeries::width);
  if (series == series_.end()) return;
  const auto at = item_of(series->items, revision.number);
  if (at == series->items.end() || at->candle.number != revision.number ||
      at->candle.open_time != revision.open_time) {
    return;
  }
  if (at->candle.closed) closed_sum_ -= candle_term(*at);
  at->candle.revision = revision.revision;
  if (at->candle.closed) closed_sum_ += candle_term(*at);
}

UInt128 ActivityCandles::recompute_closed_sum() const noexcept {
  UInt128 sum = 0;
  for (const ActivitySeries& series : series_) {
    for (const CandleSnapshot& item : series.items) {
      if (item.candle.closed) sum += candle_term(item);
    }
  }
  return sum;
}

bool ActivityCandles::restore(const CandleSnapshot& item) {
  const auto at = std::ranges::find(series_, item.candle.width, &ActivitySeries::width);
  if (at == series_.end()) return false;
  for (auto later = at + 1; later != series_.end(); ++later) {
    if (!later->items.empty()) return false;
  }
  if (at->has_open() || item.first_time != 0 || item.last_time != 0) return false;
  if (!at->items.empty() && at->items.back().candle.number >= item.candle.number) return false;
  at->items.push_back(item);
  if (item.candle.closed) closed_sum_ += candle_term(item);
  return true;
}

}  // namespace tapedeck::market
