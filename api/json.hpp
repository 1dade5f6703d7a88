// api/json.hpp -- answers as JSON, the same from the command line and HTTP.
//
// Shapes, by their keys; start here:
//
//   position {partition, offset, index}
//   level    {price, size, orders: null where the feed has no orders}
//   book     {symbol, position, event_time, trust, trust_since, digest,
//             bids: [level, ...], asks: [level, ...]}
//   candle   {symbol, width, open_time, close_time, open, high, low, close, volume, buy_volume,
//             sell_volume, notional, vwap, trades, revision, state, ohlc_exact, trust, position}
//   metrics  {symbol, position, event_time, trust, trust_since, levels, imbalance,
//             weighted_imbalance, spread, spread_bps, vtob, microprice, order_flow_imbalance}
//   symbol   {symbol, position, event_time, feed_time, trust, trust_since, digest, events,
//             integrity, instrument, trading_state, best_bid, best_ask, last_trade, trades}
//   alert    {symbol, rule, level, side, time, value, threshold, mean, pattern, trust, position}
//   letter   {id, kind, symbol, position, reason, state, released_at, errors, event, source,
//             byte_offset, bytes: hexadecimal}
//   events   {read, folded, duplicates, refused, filtered}
//   error    {error: {code, message, field}}
//
// Prices and sizes are decimal strings with all digits of the instrument; times RFC 3339 in UTC
// with nanoseconds; metrics that are ratios have 9 decimals (the microprice more where prices have
// more), half-even, and are null where undefined. Lists are JSON arrays.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/backend.hpp"
#include "market/result.hpp"
#include "market/view.hpp"

namespace tapedeck::api {

[[nodiscard]] std::string to_json(const market::Position& position);
[[nodiscard]] std::string to_json(const market::BookView& book);
[[nodiscard]] std::string to_json(const market::CandleView& candle);
[[nodiscard]] std::string to_json(const std::vector<market::CandleView>& candles);
[[nodiscard]] std::string to_json(const market::MetricsView& metrics);
[[nodiscard]] std::string to_json(const market::QualityView& quality);
/// Values by the rule: imbalances and ratios with 6 decimals, prices in the instrument's, silences
/// and a pattern's times in seconds. level, side, mean and pattern are null where there is none.
[[nodiscard]] std::string to_json(const market::AlertView& alert);
[[nodiscard]] std::string to_json(const std::vector<market::AlertView>& alerts);
[[nodiscard]] std::string to_json(const market::SymbolView& symbol);
[[nodiscard]] std::string to_json(const std::vector<market::SymbolView>& symbols);
[[nodiscard]] std::string to_json(const PartitionPosition& position);
[[nodiscard]] std::string to_json(const std::vector<PartitionPosition>& positions);
[[nodiscard]] std::string to_json(const DeadLetter& letter);
[[nodiscard]] std::string to_json(const std::vector<DeadLetter>& letters);
[[nodiscard]] std::string to_json(const SupervisionNode& node);
/// {"live","ready","reason"}; reason is null when ready.
[[nodiscard]] std::string to_json(const Health& health);

[[nodiscard]] std::string to_json(const Error& error);
/// For errors that have no ErrorCode, such as HTTP's own.
[[nodiscard]] std::string error_json(std::string_view code, std::string_view message,
                                     std::string_view field);
/// invalid, not_found, out_of_range, corrupt, environment, conflict, exhausted.
[[nodiscard]] std::string_view name(ErrorCode code) noexcept;

/// Of a candle: notional / volume, half-even, 4 digits more than prices; "" without volume.
[[nodiscard]] std::string vwap(const market::Candle& candle, const market::Instrument& instrument);

}  // namespace tapedeck::api
