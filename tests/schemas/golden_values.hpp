// tests/schemas/golden_values.hpp -- what the files in tests/schemas/golden hold. Numbers count up,
// so that each field differs from the next. Never changed: a new version of a format gets new
// values and new files.
#pragma once

#include <string>
#include <vector>

#include "schemas/state_codec.hpp"

namespace tapedeck::schemas::golden {

using market::Event;
using market::EventKind;
using market::Side;

struct Counter {
  std::int64_t last = 0;
  template <class Number>
  operator Number() {  // NOLINT: converts to whatever field it stands for
    ++last;
    return static_cast<Number>(last % 7 == 0 ? -last : last);
  }
};

/// One event of each kind, times of a session, one far order and price.
inline std::vector<Event> batch_v1() {
  const std::int64_t start = 1'340'285'400'000'000'000;
  std::vector<Event> events;
  const auto add = [&](EventKind kind, Side side, std::uint64_t id, std::int64_t price,
                       std::int64_t size, std::uint64_t other, std::uint8_t flags = 0,
                       std::uint8_t code = 0) {
    const auto number = static_cast<std::int64_t>(events.size());
    const std::int64_t time = start + number * number * 1000;
    events.push_back({time, time, 0, 100u + static_cast<std::uint64_t>(number) * 3, id, price, size,
                      other, kind, side, flags, code});
  };
  add(EventKind::session, Side::none, 0, 0, 0, 0xfedcba9876543210);
  add(EventKind::instrument, Side::none, 0, -4, 0, 100);
  add(EventKind::status, Side::none, 0, 0, 0, 'T', 0, 0);
  add(EventKind::add, Side::bid, 5001, 5'857'500, 100, 0);
  add(EventKind::add, Side::ask, 5003, 5'857'600, 250, 0);
  add(EventKind::execute, Side::none, 5001, 0, 40, 71);
  add(EventKind::execute_price, Side::none, 5001, 5'857'550, 10, 72, market::kPrintable);
  add(EventKind::reduce, Side::none, 5003, 0, 50, 0);
  add(EventKind::replace, Side::ask, 5003, 5'857'700, 200, 5009);
  add(EventKind::remove, Side::none, 5009, 0, 0, 0);
  add(EventKind::level, Side::bid, 0, 5'857'400, 900, 0, market::kMore | market::kInSnapshot);
  add(EventKind::quote, Side::ask, 0, 1'999'999'900, 1, 0, market::kLastOfPacket);
  add(EventKind::trade, Side::bid, 73, 5'857'500, 300, 0);
  add(EventKind::trade_break, Side::none, 71, 0, 0, 0);
  add(EventKind::snapshot_begin, Side::none, 0, 0, 0, 0);
  add(EventKind::snapshot_end, Side::none, 0, 0, 0, 4711);
  add(EventKind::clear, Side::none, 0, 0, 0, 0);
  add(EventKind::gap, Side::none, 0, 0, 0, 12);
  for (int i = 0; i < 40; ++i)
    add(EventKind::add, Side::bid, 5010u + static_cast<unsigned>(i) * 2, 5'857'500 - i * 100, 100,
        0);
  add(EventKind::remove, Side::none, 3, 0, 0, 0);
  events[20].receive_time = events[20].time + 1'500'000;
  events[21].feed_time += 250;
  return events;
}

/// Fields that the kinds have no use for.
inline std::vector<Event> full_v1() {
  std::vector<Event> events(3);
  Counter n;
  for (Event& event : events) {
    event = {n, n, n, n, n, n, n, n, EventKind::remove, Side::ask, market::kInSnapshot, 9};
  }
  return events;
}

inline market::Candle candle(Counter& n) {
  return {n, n, n,    n,    n, n, market::Int128{n} << 70, n, n, market::Int128{n} << 90,
          n, n, true, false};
}
inline market::MetricsRow metrics(Counter& n) {
  return {n, n, n, {n, n, n, market::Int128{n} << 66}, {n, n, n, n}, n, n, {}};
}
inline Event event(Counter& n) {
  return {n, n, n, n, n, n, n, n, EventKind::trade, Side::bid, market::kInSnapshot, 1};
}

inline market::SymbolSnapshot snapshot_v1() {
  Counter n;
  market::SymbolSnapshot to;
  to.symbol = "GOOG", to.source = n, to.source_name = "itch 2012-06-21 0123";
  to.earlier_sources = {n, n};
  to.sequencing = market::Sequencing::per_symbol;
  to.position = {n, n, n}, to.trust = market::Trust::suspect, to.trust_since = {n, n, n};
  to.event_time = n, to.max_event_time = n, to.feed_time = n;
  to.counts = {n, n, n, n, n}, to.integrity = {n, n, n, n, n, n, n}, to.instrument = {-4, 2, n};
  to.statuses[0] = {true, n, n, n, n}, to.statuses[7] = {true, n, n, n, n};
  for (auto& stream : to.streams) stream = {n, n};
  to.orders = {{n, 100, n, n, Side::bid}, {n, 100, n, n, Side::bid}, {n, 101, n, n, Side::ask}};
  to.levels = {{n, n, Side::bid}, {n, n, Side::ask}};
  for (auto& quote : to.quotes) quote = {n, n};
  to.depth_seen = to.in_snapshot = true, to.crossing = 2;
  to.kept_updates = {{event(n), n}, {event(n), n}};
  to.candles = {{candle(n), n, n}, {candle(n), n, n}};
  to.kept_trades = {{n, n, n, n, n, Side::ask, 5}, {n, n, n, n, n, Side::none, 0xffff}};
  to.trades = n, to.session_trades = n, to.last_trade = n;
  to.window_open = to.marked = true, to.window = metrics(n);
  to.chain = {n, n}, to.digest = {n, n};
  return to;
}

inline std::vector<market::Output> outputs_v1() {
  Counter n;
  using market::Trust;
  return {
      {n, n, Trust::clean, {n, n, n}, candle(n)},
      {n, n, Trust::gapped, {n, n, n}, metrics(n)},
      {n, n, Trust::resyncing, {n, n, n}, market::LateTrade{n, event(n), n}},
      {n, n, Trust::suspect, {n, n, n}, market::Refusal{market::Refused::bad_side, event(n), n}}};
}

inline market::MetricsRow further_metrics(Counter& n) {
  using S = market::MetricSummary::Series;
  market::MetricsRow row = metrics(n);
  row.further = {{S::vtob, n, {n, n, n, n}},
                 {S::mid, n, {n, n, n, market::Int128{n} << 80}},
                 {S::mid_moves, n, {n, n, n, n}}};
  return row;
}
inline market::Candle activity_candle(Counter& n) {
  market::Candle to = candle(n);
  to.width = market::candle_width(market::CandleMeasure::volume, n);
  to.number = n, to.end_time = n;
  return to;
}
inline market::SymbolSnapshot snapshot_further_v1() {
  Counter n;
  market::SymbolSnapshot to = snapshot_v1();
  to.candles = {{candle(n), n, n}, {activity_candle(n), 0, 0}, {activity_candle(n), 0, 0}};
  to.width_starts = {{n, n}, {n, n}};
  to.window = further_metrics(n);
  return to;
}
inline std::vector<market::Output> outputs_v2() {
  Counter n;
  using market::Trust;
  return {{n, n, Trust::clean, {n, n, n}, activity_candle(n)},
          {n, n, Trust::clean, {n, n, n}, candle(n)},
          {n, n, Trust::gapped, {n, n, n}, further_metrics(n)}};
}
inline market::FoldSettings settings_further_v1() {
  Counter n;
  market::FoldSettings to;
  to.candle_widths = {n, market::candle_width(market::CandleMeasure::ticks, n)};
  to.candle_origin = n, to.further_metrics = n;
  return to;
}
inline ControlRecord control_settings_v1() {
  Counter n;
  ControlRecord to{ControlRecord::Kind::settings, "", {{n, 0, 0}, {}}, n};
  to.settings = settings_further_v1();
  to.feed_times = {{n, n}, {n, n}};
  return to;
}

inline market::FoldSettings settings_v1() {
  Counter n;
  return {{n, n, n}, n, n, n, n, n, n, n, n, true, market::no_alerts(), {}, {}};
}

inline market::Output alert_v1() {
  Counter n;
  using namespace market;
  return {n,
          n,
          Trust::gapped,
          {n, n, n},
          Alert{AlertRule::pattern, AlertLevel::high, Side::ask, n, n, Int128{n} << 80, n, 2, n, n,
                "storm"}};
}

inline market::AlertSettings alert_settings(Counter& n) {
  return {n, n, n, n, n, n, n, n, {n, n, n}, true, false, {n, n, n, n, n, n, n, n}};
}
/// As version 1, with alerts.
inline market::FoldSettings settings_alerts_v1() {
  Counter n;
  market::FoldSettings settings = settings_v1();
  settings.alerts = alert_settings(n);
  settings.symbol_alerts = {{"GOOG", alert_settings(n)}};
  settings.patterns = {
      {"storm", {market::AlertRule::imbalance_flip, market::AlertRule::gap}, n, n}};
  return settings;
}
inline market::SymbolSnapshot snapshot_alerts_v1() {
  Counter n;
  market::SymbolSnapshot snapshot = snapshot_v1();
  snapshot.alerts = {n, std::int8_t{-2}, std::int8_t{1}, true, market::Int128{n} << 70, n, {}, {}};
  snapshot.alerts.told = {{market::AlertRule::silence, market::AlertLevel::low, n},
                          {market::AlertRule::gap, market::AlertLevel::none, n}};
  snapshot.alerts.patterns = {{n, {n}}, {market::kNoTime, {n, market::kNoTime}}};
  return snapshot;
}

inline MarkPayload mark_v1() {
  Counter n;
  return {n, "itch 2012-06-21 0123", n, n, n, true};
}

}  // namespace tapedeck::schemas::golden
