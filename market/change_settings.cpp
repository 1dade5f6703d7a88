// A state goes over to other settings: by way of its snapshot, which holds all there is of it.
#include <algorithm>
#include <stdexcept>

#include "market/fold.hpp"

namespace tapedeck::market {
namespace {

[[nodiscard]] bool keeps(const FoldSettings& from, const FoldSettings& to, CandleWidth width) {
  return std::ranges::find(from.candle_widths, width) != from.candle_widths.end() &&
         (by_activity(width) || from.candle_origin == to.candle_origin);
}

void carry_candles(SymbolSnapshot& s, const FoldSettings& from, const FoldSettings& to) {
  const auto goes = [&](CandleWidth width) {
    return std::ranges::find(to.candle_widths, width) == to.candle_widths.end() ||
           !keeps(from, to, width);
  };
  std::erase_if(s.candles, [&](const CandleSnapshot& item) { return goes(item.candle.width); });
  std::vector<SymbolSnapshot::WidthStart> starts;
  for (const CandleWidth width : to.candle_widths) {
    if (by_activity(width)) continue;
    const auto before =
        std::ranges::find(s.width_starts, width, &SymbolSnapshot::WidthStart::width);
    if (keeps(from, to, width)) {
      if (before != s.width_starts.end()) starts.push_back(*before);
    } else if (s.event_time != kNoTime) {
      starts.push_back({width, s.event_time});
    }
  }
  s.width_starts = std::move(starts);
}

void carry_trades(SymbolSnapshot& s, const FoldSettings& from, const FoldSettings& to) {
  if (s.kept_trades.size() > to.kept_trades) {
    const auto gone = s.kept_trades.size() - to.kept_trades;
    s.kept_trades.erase(s.kept_trades.begin(),
                        s.kept_trades.begin() + static_cast<std::ptrdiff_t>(gone));
  }
  for (TradeSnapshot& trade : s.kept_trades) {
    unsigned bits = 0;
    for (std::size_t i = 0; i < to.candle_widths.size(); ++i) {
      const CandleWidth width = to.candle_widths[i];
      if (!keeps(from, to, width)) continue;
      const auto before = std::ranges::find(from.candle_widths, width) - from.candle_widths.begin();
      bits |= (unsigned{trade.in_candles} >> before & 1U) << i;
    }
    trade.in_candles = static_cast<std::uint16_t>(bits);
  }
}

void carry_window(SymbolSnapshot& s, const FoldSettings& from, const FoldSettings& to) {
  if (from.metrics_window == to.metrics_window && from.metrics_levels == to.metrics_levels &&
      from.further_metrics == to.further_metrics) {
    return;
  }
  s.window_open = false;
  s.window = {};
}

[[nodiscard]] const AlertSettings& alerts_of(const FoldSettings& settings,
                                             const std::string& symbol) {
  const auto own = std::ranges::find(settings.symbol_alerts, symbol, &SymbolAlerts::symbol);
  return own == settings.symbol_alerts.end() ? settings.alerts : own->settings;
}

/// Times of what was told go on, levels of what is judged otherwise now begin anew.
void carry_alerts(SymbolSnapshot& s, const FoldSettings& from, const FoldSettings& to) {
  const bool was_on = Alerts(from, s.symbol).on();
  if (!Alerts(to, s.symbol).on()) {
    s.alerts = {};
    return;
  }
  if (!was_on) s.alerts.silent_since = s.feed_time;
  const AlertSettings& before = alerts_of(from, s.symbol);
  const AlertSettings& now = alerts_of(to, s.symbol);
  const bool other_book = from.metrics_levels != to.metrics_levels;
  if (other_book || before.imbalance_high != now.imbalance_high ||
      before.imbalance_medium != now.imbalance_medium) {
    s.alerts.imbalance_level = 0;
  }
  if (other_book || before.flip != now.flip) s.alerts.flip_side = 0;
  if (before.spread_factor != now.spread_factor) {
    s.alerts.spread_is_wide = false;
    s.alerts.spread_sum = 0;
    s.alerts.spread_count = 0;
  }
  std::vector<AlertSnapshot::Pattern> patterns;
  for (const AlertPattern& pattern : to.patterns) {
    const auto same = [&](const AlertPattern& one) {
      return one.name == pattern.name && one.steps == pattern.steps;
    };
    const auto at = std::ranges::find_if(from.patterns, same);
    if (was_on && at != from.patterns.end()) {
      patterns.push_back(s.alerts.patterns[static_cast<std::size_t>(at - from.patterns.begin())]);
    } else {
      patterns.push_back({kNoTime, std::vector<TimeNs>(pattern.steps.size() - 1, kNoTime)});
    }
  }
  s.alerts.patterns = std::move(patterns);
}

}  // namespace

void Fold::close_overdue(const Position& at, Outputs& outputs) {
  emitter_.outputs = &outputs;
  emitter_.position = at;
  marked_ = false;
  close_due(feed_time_, By::event);
  for (;;) {
    const Candles::Due due = candles_.next_by_event();
    if (due.series == nullptr || due.time > event_time_) break;
    candles_.close(due, feed_time_, emitter_);
  }
  refresh_due();
}

void SymbolState::change_settings(const FoldSettings& next, std::span<const TimeMark> marks,
                                  const Position& at, Outputs& outputs) {
  for (const TimeMark& mark : marks) impl_->advance(mark, outputs);
  const FoldSettings& before = *impl_->settings_;
  SymbolSnapshot s = snapshot();
  carry_candles(s, before, next);
  carry_trades(s, before, next);
  carry_window(s, before, next);
  carry_alerts(s, before, next);
  if (before.refusals.price_band != next.refusals.price_band)
    s.beyond_band = false, s.price_beyond = 0, s.beyond_sequence = 0;
  s.marked = true;  // its digest is that of the earlier settings
  auto changed = std::make_unique<Impl>(s.symbol, next);
  if (const auto wrong = changed->restore_from(s, Fold::Overdue::allowed); !wrong.empty())
    throw std::logic_error(s.symbol + ": a change of settings: " + wrong);
  changed->due_rules_ = std::move(impl_->due_rules_);
  impl_ = std::move(changed);
  impl_->close_overdue(at, outputs);
}

}  // namespace tapedeck::market
