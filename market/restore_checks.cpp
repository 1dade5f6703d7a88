#include "market/restore_checks.hpp"

#include <algorithm>

#include "market/emitter.hpp"
#include "market/fold.hpp"

namespace tapedeck::market {
namespace {

[[nodiscard]] bool is_side(Side side) noexcept { return side == Side::bid || side == Side::ask; }
[[nodiscard]] bool is_size(Size size) noexcept { return size > 0 && size <= kMaxSize; }
[[nodiscard]] bool is_price(Price price) noexcept {
  return price >= -kMaxPrice && price <= kMaxPrice;
}
[[nodiscard]] bool is_time(TimeNs time) noexcept {
  return time >= kEarliestTime && time <= kLatestTime;
}
[[nodiscard]] bool is_aligned(TimeNs time, TimeNs width) noexcept {
  return interval_start(time, width) == time;
}

[[nodiscard]] std::string check_kept_updates(const SymbolSnapshot& s,
                                             const FoldSettings& settings) {
  if (s.kept_updates.size() > settings.max_kept_updates) return "more kept updates than allowed";
  if (!s.kept_updates.empty() && s.trust != Trust::resyncing) return "kept updates, not resyncing";
  Fold rules("", settings);
  for (const KeptUpdate& update : s.kept_updates) {
    const EventKind kind = update.event.kind;
    const bool waits =
        (kind >= EventKind::add && kind <= EventKind::level) || kind == EventKind::gap;
    if (!waits || rules.broken_rule(update.event).has_value() || !is_time(update.event.time)) {
      return "a kept update that no fold would keep";
    }
  }
  return {};
}

[[nodiscard]] std::string check_window(const SymbolSnapshot& s, const FoldSettings& settings) {
  if (!s.window_open) return s.window == MetricsRow{} ? "" : "values of a window that is not open";
  if (s.window.width != settings.metrics_window || !is_time(s.window.open_time) ||
      !is_aligned(s.window.open_time, s.window.width)) {
    return "metric window does not fit the settings";
  }
  if (s.window.imbalance_ppm.sum != static_cast<std::int64_t>(s.window.imbalance_ppm.sum)) {
    return "metric window's sum is impossible";
  }
  return {};
}

}  // namespace

std::string check_fields(const SymbolSnapshot& s, const FoldSettings& settings) {
  const EventCounts& c = s.counts;
  if (c.read != c.folded + c.duplicates + c.refused + c.filtered) return "counts do not add up";
  if (s.trust > Trust::suspect) return "unknown trust";
  if (s.trust == Trust::suspect && !s.suspect) return "suspect of nothing";
  if (s.suspect && s.trust < Trust::resyncing) return "suspect, but trusted";
  if (s.beyond_band && settings.refusals.price_band == 0) return "a price band that is not set";
  if (!s.beyond_band && (s.price_beyond != 0 || s.beyond_sequence != 0))
    return "a price beyond no band";
  if (s.sequencing > Sequencing::per_symbol) return "unknown sequencing";
  if (s.crossing > 2) return "unknown crossing";
  if (s.in_snapshot && s.trust != Trust::resyncing) return "in a depth snapshot, not resyncing";
  for (const TimeNs time : {s.event_time, s.max_event_time, s.feed_time}) {
    if (time != kNoTime && time < kEarliestTime) return "time out of range";
  }
  if (s.event_time > kLatestTime || s.max_event_time < s.event_time) return "time out of range";
  for (const QuoteSnapshot& quote : s.quotes) {
    if (quote.size < 0 || quote.size > kMaxSize || !is_price(quote.price)) return "bad quote";
  }
  const auto in_range = [](std::int32_t exponent) { return exponent >= -18 && exponent <= 18; };
  if (!in_range(s.instrument.price_exponent) || !in_range(s.instrument.size_exponent)) {
    return "exponent out of range";
  }
  if (s.session_trades > s.trades) return "more trades of the source than of the symbol";
  if (std::string wrong = check_kept_updates(s, settings); !wrong.empty()) return wrong;
  return check_window(s, settings);
}

namespace {

[[nodiscard]] std::string check_activity(const Candle& candle) {
  if (!is_activity_width(candle.width) || candle.number == 0 || !is_time(candle.open_time))
    return "a candle by activity is out of place";
  if (candle.end_time <= candle.open_time || candle.end_time > kLatestTime + 1)
    return "a candle by activity ends before it begins";
  if (candle.low > candle.high || candle.volume < 0) return "a candle's values are impossible";
  return {};
}

}  // namespace

std::string check_candles(const SymbolSnapshot& s, const FoldSettings& settings, bool overdue) {
  for (const CandleSnapshot& item : s.candles) {
    const Candle& candle = item.candle;
    if (by_activity(candle.width)) {
      if (std::string wrong = check_activity(candle); !wrong.empty()) return wrong;
      continue;
    }
    if (candle.width <= 0 || !is_time(candle.open_time) ||
        !is_aligned(candle.open_time - settings.candle_origin, candle.width)) {
      return "a candle's interval is out of place";
    }
    const TimeNs end = candle.open_time + candle.width;
    const bool over = s.event_time >= later(end, settings.lateness) ||
                      s.feed_time >= later(end, settings.idle_after);
    // Settings before these may have closed one that is not over yet.
    if (over && !candle.closed && !overdue) return "a candle is open that should be closed";
    if (candle.low > candle.high || candle.volume < 0) return "a candle's values are impossible";
  }
  if (s.kept_trades.size() > settings.kept_trades) return "more kept trades than allowed";
  std::uint64_t ordinal = 0;
  for (const TradeSnapshot& trade : s.kept_trades) {
    const bool good = is_size(trade.size) && is_price(trade.price) && is_time(trade.time) &&
                      trade.aggressor <= Side::ask && trade.ordinal > ordinal &&
                      trade.ordinal <= s.trades;
    if (!good) return "a kept trade is impossible";
    ordinal = trade.ordinal;
  }
  return {};
}

std::string restore_book(const SymbolSnapshot& s, const FoldSettings& settings, Book& book) {
  const Price lowest = settings.allow_negative_prices ? -kMaxPrice : 0;
  const OrderSnapshot* before = nullptr;
  for (const OrderSnapshot& order : s.orders) {
    if (!is_side(order.side) || !is_size(order.size) || !is_price(order.price) ||
        order.price < lowest || order.joined == 0) {
      return "an order is impossible";
    }
    if (before != nullptr) {
      const std::int64_t key = Ladder::key(order.side, order.price);
      const std::int64_t key_before = Ladder::key(before->side, before->price);
      if (order.side < before->side) return "orders out of order";
      if (order.side == before->side && key > key_before) return "orders out of order";
      const bool same_queue = order.side == before->side && key == key_before;
      if (same_queue && order.joined <= before->joined) return "a queue is out of order";
    }
    book.reserve_order();
    const Book::Found where = book.find(order.id);
    if (where.slot != kNone) return "an order id stands twice";
    const Ladder::Place place = book.find_level(order.side, order.price);
    if (book.resting(order.side, place) > kMaxSize - order.size) return "a level is too large";
    book.add(order.id, order.side, order.price, order.size, order.joined, where, place);
    before = &order;
  }
  const LevelSnapshot* level_before = nullptr;
  for (const LevelSnapshot& level : s.levels) {
    if (!is_side(level.side) || !is_size(level.size) || !is_price(level.price) ||
        level.price < lowest) {
      return "a level is impossible";
    }
    if (level_before != nullptr &&
        (level.side < level_before->side ||
         (level.side == level_before->side &&
          Ladder::key(level.side, level.price) >= Ladder::key(level.side, level_before->price)))) {
      return "levels out of order";
    }
    if (book.find_level(level.side, level.price).exists) return "a price stands twice";
    book.set_level(level.side, level.price, level.size);
    level_before = &level;
  }
  (void)book.take_touched();
  return {};
}

}  // namespace tapedeck::market
