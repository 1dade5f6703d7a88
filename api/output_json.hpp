// api/output_json.hpp -- outputs of the fold as JSON, as sinks and streams send them.
//
//   candle, alert   as api/json.hpp says
//   metrics    {symbol, width, open_time, close_time, samples, imbalance: {min, mean, max, last},
//               spread: {min, mean, max, last}, spread_samples, order_flow_imbalance, trust,
//               position}
//   late_trade {symbol, width, kind, time, price, size, side, id, sequence, trust, position}
//   refusal    {symbol, rule, source, event: {kind, side, time, feed_time, receive_time, sequence,
//               index, id, price_units, size_units, other, flags, code}, trust, position}
//
// Summaries are null without samples; means have 9 decimals (spreads 4 more than prices),
// half-even. A refused event is told in the integers that it came with: it may have been refused
// for them.
#pragma once

#include <string>
#include <string_view>

#include "market/output.hpp"

namespace tapedeck::api {

[[nodiscard]] std::string to_json(std::string_view symbol, const market::Output& output);

}  // namespace tapedeck::api
