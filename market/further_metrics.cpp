#include "market/further_metrics.hpp"

#include <algorithm>
#include <limits>

namespace tapedeck::market {
namespace {

using Series = MetricSummary::Series;

constexpr Int128 kParts = 1'000'000;
constexpr Int128 kMicropriceUnits = 10'000;

[[nodiscard]] std::int64_t clamped(Int128 value) noexcept {
  constexpr Int128 low = std::numeric_limits<std::int64_t>::min();
  constexpr Int128 high = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(value, low, high));
}

void put(MetricSummary& summary, Int128 value, Int128 addend) noexcept {
  const std::int64_t one = clamped(value);
  Summary& values = summary.values;
  if (summary.count++ == 0) values.min = values.max = one;
  values.min = std::min(values.min, one);
  values.max = std::max(values.max, one);
  values.last = one;
  values.sum = static_cast<Int128>(static_cast<UInt128>(values.sum) + static_cast<UInt128>(addend));
}
void put(MetricSummary& summary, Int128 value) noexcept { put(summary, value, clamped(value)); }

}  // namespace

std::vector<MetricSummary> further_series(std::uint32_t further_metrics) {
  std::vector<MetricSummary> series;
  const auto add = [&](FurtherMetric metric, std::initializer_list<Series> some) {
    if ((further_metrics >> static_cast<unsigned>(metric) & 1) == 0) return;
    for (const Series one : some) series.push_back({one, 0, {}});
  };
  add(FurtherMetric::weighted_imbalance, {Series::weighted_imbalance});
  add(FurtherMetric::vtob, {Series::vtob});
  add(FurtherMetric::microprice, {Series::microprice});
  add(FurtherMetric::depth, {Series::bid_depth, Series::ask_depth});
  add(FurtherMetric::trade_flow, {Series::buys, Series::sells});
  add(FurtherMetric::variance, {Series::mid, Series::mid_moves});
  return series;
}

FurtherMetrics::FurtherMetrics(std::uint32_t further_metrics, std::uint32_t levels)
    : series_(further_series(further_metrics)),
      levels_(levels),
      wants_trades_((further_metrics >> static_cast<unsigned>(FurtherMetric::trade_flow) & 1) !=
                    0) {}

void FurtherMetrics::sample(const Book& book, const Touch& bid, const Touch& ask) {
  if (bid.size == 0 && ask.size == 0) return;
  const Int128 bids = book.top_volume(Side::bid), asks = book.top_volume(Side::ask);
  const bool both = bid.size != 0 && ask.size != 0;
  const Int128 bid_price = bid.key, ask_price = -Int128{ask.key};  // an ask's key is its negative
  for (std::size_t i = 0; i < series_.size(); ++i) {
    MetricSummary& summary = series_[i];
    if (summary.series == Series::bid_depth) put(summary, bids);
    if (summary.series == Series::ask_depth) put(summary, asks);
    if (!both) continue;
    switch (summary.series) {
      case Series::weighted_imbalance: {
        const Int128 b = weighted_volume(book, Side::bid, levels_);
        const Int128 a = weighted_volume(book, Side::ask, levels_);
        put(summary, (b - a) * kParts / (b + a));
        break;
      }
      case Series::vtob:
        put(summary, (Int128{bid.size} + ask.size) * kParts / (bids + asks));
        break;
      case Series::microprice: {
        const Int128 sizes = Int128{bid.size} + ask.size;
        const Int128 weighted = bid_price * ask.size + ask_price * bid.size;
        // Whole units first: the product may need all of 127 bits.
        put(summary,
            weighted / sizes * kMicropriceUnits + weighted % sizes * kMicropriceUnits / sizes);
        break;
      }
      case Series::mid: {
        const Int128 mid = bid_price + ask_price;
        const Int128 move = summary.count == 0 ? 0 : mid - summary.values.last;
        put(summary, mid);
        if (move != 0) put(series_[i + 1], move, move * move);
        break;
      }
      case Series::bid_depth:
      case Series::ask_depth:
      case Series::buys:
      case Series::sells:
      case Series::mid_moves: break;
    }
  }
}

void FurtherMetrics::trade(Size size, Side aggressor) {
  for (MetricSummary& summary : series_) {
    if (summary.series == Series::buys && aggressor == Side::bid) put(summary, size);
    if (summary.series == Series::sells && aggressor == Side::ask) put(summary, size);
  }
}

void FurtherMetrics::reset() noexcept {
  for (MetricSummary& summary : series_) summary = {summary.series, 0, {}};
}

bool FurtherMetrics::restore(const std::vector<MetricSummary>& series) {
  if (!std::ranges::equal(series, series_, {}, &MetricSummary::series, &MetricSummary::series))
    return false;
  series_ = series;
  return true;
}

}  // namespace tapedeck::market
