// Answers about a symbol.
#include "market/fold.hpp"

namespace tapedeck::market {
namespace {

[[nodiscard]] LevelView view_of(const Level& level) {
  LevelView view{level.price(), level.size, std::nullopt};
  if (level.orders != 0) view.orders = level.orders;
  return view;
}

[[nodiscard]] std::vector<LevelView> levels_of(const Book& book, Side side, std::size_t depth) {
  const Ladder& ladder = book.ladder(side);
  const std::size_t count =
      depth == 0 ? ladder.size() : std::min<std::size_t>(depth, ladder.size());
  std::vector<LevelView> levels;
  levels.reserve(count);
  for (std::uint32_t rank = 0; rank < count; ++rank) {
    levels.push_back(view_of(book.level(ladder.at_rank(rank))));
  }
  return levels;
}

template <class View>
void fill_head(const Fold& fold, View& view) {
  view.symbol = fold.symbol_;
  view.position = fold.position_;
  view.event_time = fold.event_time_ == kNoTime ? 0 : fold.event_time_;
  view.trust = fold.emitter_.trust;
  if (view.trust != Trust::clean) view.trust_since = fold.trust_since_;
  view.instrument = fold.emitter_.instrument;
}

}  // namespace

BookView SymbolState::book(std::size_t depth) const {
  BookView view;
  fill_head(*impl_, view);
  view.digest = impl_->digest();
  view.events = impl_->counts_.folded;
  view.bids = levels_of(impl_->book_, Side::bid, depth);
  view.asks = levels_of(impl_->book_, Side::ask, depth);
  return view;
}

MetricsView SymbolState::metrics() const {
  MetricsView view;
  fill_head(*impl_, view);
  fill_metrics(impl_->book_, impl_->settings_->metrics_levels, view);
  view.order_flow_imbalance = impl_->window_.order_flow();
  view.further = impl_->further_.series();
  return view;
}

SymbolView SymbolState::view() const {
  SymbolView view;
  fill_head(*impl_, view);
  view.feed_time = impl_->feed_time_ == kNoTime ? 0 : impl_->feed_time_;
  view.digest = impl_->digest();
  view.events = impl_->counts_;
  view.integrity = impl_->integrity_;
  const StatusSnapshot& trading =
      impl_->statuses_[static_cast<std::size_t>(StatusKind::trading_state)];
  if (trading.told) view.trading_state.assign(1, static_cast<char>(trading.other & 0xff));
  if (const Level* level = impl_->book_.best(Side::bid)) view.best_bid = view_of(*level);
  if (const Level* level = impl_->book_.best(Side::ask)) view.best_ask = view_of(*level);
  if (impl_->session_trades_ != 0) view.last_trade = impl_->last_trade_;
  view.trades = impl_->session_trades_;
  return view;
}

std::vector<Candle> SymbolState::candles(CandleWidth width) const {
  std::vector<Candle> result;
  const auto take = [&](const Candle& candle, TimeNs end) {
    const bool correctable = impl_->feed_time_ <= later(end, impl_->settings_->correction_horizon);
    if (!candle.closed || correctable) result.push_back(candle);
  };
  for (const CandleSeries& series : impl_->candles_.series()) {
    if (series.width != width) continue;
    for (std::size_t i = series.first; i < series.items.size(); ++i)
      take(series.items[i].candle, series.end_of(i));
  }
  for (const ActivitySeries& series : impl_->candles_.by_activity().series()) {
    if (series.width != width) continue;
    for (const CandleSnapshot& item : series.items) take(item.candle, item.candle.end_time);
  }
  return result;
}

}  // namespace tapedeck::market
