// tests/api/sample_views.hpp -- one answer of each kind, for golden texts and the fake engine.
#pragma once

#include <string>

#include "api/backend.hpp"
#include "market/view.hpp"

namespace tapedeck::test {

inline market::BookView sample_book(std::string symbol, std::size_t depth = 2) {
  market::BookView book;
  book.symbol = std::move(symbol);
  book.position = {2, 17, 3};
  book.event_time = 1'340'285'400'004'241'176;
  book.digest = {0x0123456789abcdefULL, 0x00000000000000ffULL};
  book.instrument = {-4, 0, 100};
  for (std::size_t i = 0; i < depth; ++i) {
    const auto step = static_cast<std::int64_t>(i) * 100;
    book.bids.push_back({5'859'400 - step, 200 + step, 2});
    book.asks.push_back({5'862'300 + step, 18, std::nullopt});
  }
  return book;
}

inline market::CandleView sample_candle(std::string symbol,
                                        market::TimeNs width = market::kSecond) {
  market::CandleView view;
  view.symbol = std::move(symbol);
  view.instrument = {-2, -5, 0};
  view.position = {0, 9, 0};
  view.candle.width = width;
  view.candle.open_time = 1'340'285'400 * market::kSecond;
  view.candle.open = 5'000'100, view.candle.high = 5'000'200;
  view.candle.low = 4'999'900, view.candle.close = 5'000'000;
  view.candle.volume = 300'000, view.candle.buy_volume = 100'000, view.candle.sell_volume = 200'000;
  view.candle.notional = market::Int128{5'000'100} * 100'000 + market::Int128{5'000'000} * 200'000;
  view.candle.trades = 2;
  view.candle.revision = 1;
  view.candle.closed = true;
  return view;
}

inline market::AlertView sample_alert(std::string symbol) {
  market::AlertView view;
  view.symbol = std::move(symbol);
  view.time = 1'340'285'400 * market::kSecond;
  view.instrument = {-2, -5, 0};
  view.position = {0, 9, 0};
  view.alert.rule = market::AlertRule::spread_widening;
  view.alert.value = 312, view.alert.threshold = 2'000'000;
  view.alert.mean_sum = 15'000, view.alert.mean_count = 100;
  return view;
}

inline market::MetricsView sample_metrics(std::string symbol) {
  market::MetricsView metrics;
  metrics.symbol = std::move(symbol);
  metrics.position = {1, 2, 3};
  metrics.instrument = {-4, 0, 0};
  metrics.trust = market::Trust::gapped;
  metrics.trust_since = market::Position{1, 1, 0};
  metrics.levels = 10;
  metrics.imbalance = {-1, 3};
  metrics.weighted_imbalance = {1, 2};
  metrics.spread = 2'900;
  metrics.spread_bps = {29'000'000, 5'860'850};
  metrics.vtob = {0, 0};
  metrics.microprice = {11'721'700, 2};
  metrics.order_flow_imbalance = -42;
  return metrics;
}

inline market::QualityView sample_quality(std::string symbol) {
  market::QualityView view;
  view.symbol = std::move(symbol);
  view.position = {1, 2, 3};
  view.watched = true;
  view.quality.events = 9, view.quality.trades = 2;
  view.quality.first_time = 0;
  view.quality.findings[static_cast<std::size_t>(market::Finding::outlier)] = 1;
  view.gap_scales = {market::kSecond, 0, 0, 0, 0};
  view.quality.gaps[0] = 4, view.quality.longest_gap = 5;
  return view;
}

inline market::SymbolView sample_symbol(std::string symbol) {
  market::SymbolView view;
  view.symbol = std::move(symbol);
  view.position = {0, 5, 1};
  view.event_time = 1'000'000'001;
  view.feed_time = 2 * market::kSecond;
  view.digest = {1, 2};
  view.events = {10, 7, 1, 1, 1};
  view.integrity.gaps = 3;
  view.instrument = {-4, 0, 100};
  view.trading_state = "T";
  view.best_bid = market::LevelView{10'000, 5, 1};
  view.last_trade = 10'100;
  view.trades = 4;
  return view;
}

}  // namespace tapedeck::test
