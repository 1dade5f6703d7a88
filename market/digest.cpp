#include "market/digest.hpp"

#include <bit>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "market/candles.hpp"
#include "market/snapshot.hpp"

namespace tapedeck::market {

Digest DigestWriter::digest() const {
  static_assert(std::endian::native == std::endian::little,
                "words are hashed in little-endian order");
  const XXH128_hash_t hash = XXH3_128bits(words_.data(), words_.size() * sizeof(std::uint64_t));
  return {hash.high64, hash.low64};
}

void put(DigestWriter& writer, const CandleSnapshot& item) {
  const Candle& candle = item.candle;
  writer.put(candle.width);
  writer.put(candle.open_time);
  writer.put(candle.open);
  writer.put(candle.high);
  writer.put(candle.low);
  writer.put(candle.close);
  writer.put(candle.volume);
  writer.put(candle.buy_volume);
  writer.put(candle.sell_volume);
  writer.put(candle.notional);
  writer.put(candle.trades);
  writer.put(candle.revision);
  writer.put(candle.closed);
  writer.put(candle.ohlc_exact);
  if (by_activity(candle.width)) {
    writer.put(candle.number);
    writer.put(candle.end_time);
    return;
  }
  writer.put(item.first_time);
  writer.put(item.last_time);
}

void put(DigestWriter& writer, const MetricsRow& row) {
  writer.put(row.width);
  writer.put(row.open_time);
  writer.put(row.samples);
  for (const Summary* summary : {&row.imbalance_ppm, &row.spread}) {
    writer.put(summary->min);
    writer.put(summary->max);
    writer.put(summary->last);
    writer.put(summary->sum);
  }
  writer.put(row.spread_samples);
  writer.put(row.order_flow_imbalance);
  for (const MetricSummary& one : row.further) {
    writer.put(one.series);
    writer.put(one.count);
    writer.put(one.values.min);
    writer.put(one.values.max);
    writer.put(one.values.last);
    writer.put(one.values.sum);
  }
}

}  // namespace tapedeck::market
