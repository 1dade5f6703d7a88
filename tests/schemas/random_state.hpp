// tests/schemas/random_state.hpp -- seeded snapshots, outputs, settings and marks in which every
// field may be anything.
#pragma once

#include <string>

#include "schemas/state_codec.hpp"
#include "tests/schemas/random_events.hpp"

namespace tapedeck::schemas::test {

/// Never 0, so that a field that the codec forgot is seen.
template <class Number>
Number any(Random& random) {
  for (;;) {
    const auto value = static_cast<Number>(weird(random));
    if (value != Number{}) return value;
  }
}
inline market::Int128 any_wide(Random& random) {
  return static_cast<market::Int128>(market::UInt128{any<std::uint64_t>(random)} << 64 |
                                     any<std::uint64_t>(random));
}
inline market::Side any_side(Random& random) {
  return static_cast<market::Side>(1 + below(random, 2));
}
inline std::string any_text(Random& random) {
  std::string text(1 + below(random, 40), 'x');
  for (char& letter : text) letter = static_cast<char>(random());
  return text;
}
inline market::Position any_position(Random& random) {
  return {any<std::uint32_t>(random), any<std::uint64_t>(random), any<std::uint32_t>(random)};
}
inline market::Candle any_candle(Random& random) {
  using I = std::int64_t;
  return {any<I>(random),
          any<I>(random),
          any<I>(random),
          any<I>(random),
          any<I>(random),
          any<I>(random),
          any_wide(random),
          any_wide(random),
          any_wide(random),
          any_wide(random),
          any<std::uint64_t>(random),
          any<std::uint32_t>(random),
          true,
          false,
          below(random, 2) == 0 ? 0 : any<std::uint64_t>(random),
          below(random, 2) == 0 ? 0 : any<I>(random)};
}
inline market::Summary any_summary(Random& random) {
  return {any<std::int64_t>(random), any<std::int64_t>(random), any<std::int64_t>(random),
          any_wide(random)};
}
inline std::vector<market::MetricSummary> any_further(Random& random) {
  std::vector<market::MetricSummary> some(below(random, 2) * below(random, 10));
  for (auto& one : some) {
    one = {static_cast<market::MetricSummary::Series>(below(random, market::kMetricSeries)),
           any<std::uint64_t>(random), any_summary(random)};
  }
  return some;
}
inline market::MetricsRow any_metrics(Random& random) {
  return {any<std::int64_t>(random), any<std::int64_t>(random), any<std::uint64_t>(random),
          any_summary(random),       any_summary(random),       any<std::uint64_t>(random),
          any_wide(random),          any_further(random)};
}
inline market::Digest any_digest(Random& random) {
  return {any<std::uint64_t>(random), any<std::uint64_t>(random)};
}

inline void fill_book(market::SymbolSnapshot& to, Random& random, std::size_t rows) {
  using U = std::uint64_t;
  using I = std::int64_t;
  for (std::size_t i = 0; i < rows; ++i) {
    market::OrderSnapshot order{any<U>(random), any<I>(random), any<I>(random), any<U>(random),
                                any_side(random)};
    if (i > 0 && below(random, 2) == 0)  // another one of the same queue
      order.price = to.orders.back().price, order.side = to.orders.back().side;
    to.orders.push_back(order);
    to.levels.push_back({any<I>(random), any<I>(random), any_side(random)});
    market::Event event = any_event(random);
    to.kept_updates.push_back({event, any<std::uint32_t>(random)});
    to.candles.push_back({any_candle(random), any<I>(random), any<I>(random)});
    to.candles.back().candle.closed = below(random, 2) == 0;
    to.kept_trades.push_back({any<U>(random), any<U>(random), any<I>(random), any<I>(random),
                              any<I>(random), any_side(random), any<std::uint16_t>(random)});
  }
}

inline market::AlertSnapshot any_alerts(Random& random) {
  using I = std::int64_t;
  market::AlertSnapshot to{any<I>(random),
                           static_cast<std::int8_t>(1 + below(random, 100)),
                           std::int8_t{-1},
                           true,
                           any_wide(random),
                           any<std::uint64_t>(random),
                           {},
                           {}};
  for (auto i = below(random, 20); i > 0; --i) {
    to.told.push_back({static_cast<market::AlertRule>(below(random, market::kAlertRules)),
                       static_cast<market::AlertLevel>(below(random, market::kAlertLevels)),
                       any<I>(random)});
  }
  to.patterns.resize(below(random, 17));
  for (auto& pattern : to.patterns) {
    pattern.told = any<I>(random);
    pattern.starts.resize(below(random, 16));
    for (auto& start : pattern.starts) start = any<I>(random);
  }
  return to;
}

/// Every field differs from a new snapshot's.
inline market::SymbolSnapshot any_snapshot(Random& random, std::size_t rows) {
  using U = std::uint64_t;
  using I = std::int64_t;
  market::SymbolSnapshot to;
  to.symbol = any_text(random), to.source = any<U>(random), to.source_name = any_text(random);
  for (std::size_t i = 0; i < rows; ++i) to.earlier_sources.push_back(any<U>(random));
  to.sequencing = market::Sequencing::per_symbol;
  to.position = any_position(random), to.trust_since = any_position(random);
  to.trust = static_cast<market::Trust>(1 + below(random, 3));
  to.event_time = any<I>(random), to.max_event_time = any<I>(random), to.feed_time = any<I>(random);
  to.counts = {any<U>(random), any<U>(random), any<U>(random), any<U>(random), any<U>(random)};
  to.integrity = {any<U>(random), any<U>(random), any<U>(random), any<U>(random),
                  any<U>(random), any<U>(random), any<U>(random)};
  to.instrument = {any<std::int32_t>(random), any<std::int32_t>(random), any<U>(random)};
  for (auto& status : to.statuses)
    status = {true, any<I>(random), any<I>(random), any<I>(random), any<U>(random)};
  if (rows > 1) to.statuses[below(random, market::kStatusKinds)] = {};
  for (auto& stream : to.streams) stream = {any<U>(random), any<U>(random)};
  fill_book(to, random, rows);
  for (auto& quote : to.quotes) quote = {any<I>(random), any<I>(random)};
  to.depth_seen = to.in_snapshot = to.window_open = to.marked = true;
  to.crossing = static_cast<std::uint8_t>(1 + below(random, 2));
  to.trades = any<U>(random), to.session_trades = any<U>(random), to.last_trade = any<I>(random);
  to.beyond_band = true, to.price_beyond = any<I>(random);
  to.beyond_sequence = any<U>(random);
  to.window = any_metrics(random);
  for (std::size_t i = 0; i < below(random, 4); ++i)
    to.width_starts.push_back({any<I>(random), any<I>(random)});
  to.alerts = any_alerts(random);
  to.chain = any_digest(random), to.digest = any_digest(random);
  return to;
}

inline market::Output any_output(Random& random, std::size_t kind) {
  market::Output output;
  output.time = any<std::int64_t>(random), output.source = any<std::uint64_t>(random);
  output.trust = static_cast<market::Trust>(1 + below(random, 3));
  output.position = any_position(random);
  switch (kind % 5) {
    case 0: output.body = any_candle(random); break;
    case 1: output.body = any_metrics(random); break;
    case 2:
      output.body = market::LateTrade{any<std::int64_t>(random), any_event(random),
                                      any<std::uint32_t>(random)};
      break;
    case 3:
      output.body = market::Alert{
          market::AlertRule::pattern, market::AlertLevel::high,  any_side(random),
          any<std::int64_t>(random),  any<std::int64_t>(random), any_wide(random),
          any<std::uint64_t>(random), market::Alert::kByCount,   any<std::uint64_t>(random),
          any<std::uint32_t>(random), any_text(random)};
      break;
    default:
      output.body = market::Refusal{static_cast<market::Refused>(1 + below(random, 9)),
                                    any_event(random), any<std::uint32_t>(random)};
  }
  return output;
}

inline market::AlertSettings any_alert_settings(Random& random) {
  using U = std::uint32_t;
  using I = std::int64_t;
  market::AlertSettings to{any<I>(random), any<I>(random), any<I>(random),
                           any<I>(random), any<I>(random), any<U>(random),
                           any<I>(random), any<U>(random), {},
                           true,           true,           {}};
  to.silence.resize(below(random, 4));
  for (auto& silence : to.silence) silence = any<I>(random);
  for (auto& cooldown : to.cooldown) cooldown = any<I>(random);
  return to;
}

inline market::FoldSettings any_settings(Random& random) {
  using U = std::uint32_t;
  using I = std::int64_t;
  market::FoldSettings settings{{},
                                any<I>(random),
                                any<I>(random),
                                any<I>(random),
                                any<U>(random),
                                any<U>(random),
                                any<I>(random),
                                any<std::uint64_t>(random),
                                any<U>(random),
                                true,
                                any_alert_settings(random),
                                {},
                                {},
                                any<I>(random),
                                any<U>(random),
                                {any<I>(random), true, true, any<I>(random), any_text(random)}};
  settings.symbol_alerts.resize(below(random, 5));
  for (auto& own : settings.symbol_alerts) own = {any_text(random), any_alert_settings(random)};
  settings.patterns.resize(below(random, 17));
  for (auto& pattern : settings.patterns) {
    pattern = {any_text(random), {}, any<I>(random), any<I>(random)};
    pattern.steps.resize(2 + below(random, 15));
    for (auto& step : pattern.steps)
      step = static_cast<market::AlertRule>(below(random, market::kAlertRules - 1));
  }
  settings.candle_widths.resize(below(random, 17));
  for (auto& width : settings.candle_widths) width = any<I>(random);
  return settings;
}

inline MarkPayload any_mark(Random& random) {
  return {any<std::uint64_t>(random), any_text(random),           any<std::int64_t>(random),
          any<std::uint64_t>(random), any<std::uint64_t>(random), true};
}

/// A symbol in the middle of a day: `orders` orders on some hundred levels.
inline market::SymbolSnapshot plausible_snapshot(Random& random, std::size_t orders) {
  market::SymbolSnapshot snapshot;
  snapshot.symbol = "GOOG";
  std::uint64_t id = 900'000'000, joined = 5000;
  for (std::size_t i = 0; i < orders; ++i) {
    const bool ask = i >= orders / 2;
    const auto level = static_cast<std::int64_t>(i % (orders / 2) / 8);
    id = 900'000'000 + below(random, 100'000'000);
    joined = below(random, 2'000'000);
    snapshot.orders.push_back({id, 5'857'500 + (ask ? 100 + level * 100 : -level * 100),
                               static_cast<std::int64_t>(1 + below(random, 500)), joined,
                               ask ? market::Side::ask : market::Side::bid});
  }
  return snapshot;
}

}  // namespace tapedeck::schemas::test
