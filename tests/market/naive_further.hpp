// tests/market/naive_further.hpp -- the oracle of further metrics: keeps every sample and trade of
// a window and works the rows out when it closes.
#pragma once

#include <limits>
#include <map>
#include <vector>

#include "market/output.hpp"
#include "market/settings.hpp"
#include "tests/market/naive_book.hpp"

namespace tapedeck::market {

class NaiveFurther {
public:
  using Levels = std::vector<NaiveBook::Touched>;

  explicit NaiveFurther(const FoldSettings& settings) : settings_(settings) {}

  [[nodiscard]] bool wants_trades() const { return wants(FurtherMetric::trade_flow); }
  void sample(const Levels& bids, const Levels& asks) {
    if (!bids.empty() || !asks.empty()) samples_.push_back({bids, asks});
  }
  void trade(Size size, Side side) { trades_.push_back({size, side}); }

  std::vector<MetricSummary> close() {
    using Series = MetricSummary::Series;
    std::map<Series, std::vector<Int128>> values;
    for (const auto& [bids, asks] : samples_) {
      values[Series::bid_depth].push_back(volume(bids));
      values[Series::ask_depth].push_back(volume(asks));
      if (bids.empty() || asks.empty()) continue;
      const Int128 all = volume(bids) + volume(asks);
      const Int128 b = bids[0].size, a = asks[0].size, w = weighted(bids), v = weighted(asks);
      values[Series::weighted_imbalance].push_back((w - v) * 1'000'000 / (w + v));
      values[Series::vtob].push_back((a + b) * 1'000'000 / all);
      values[Series::microprice].push_back((bids[0].price * a + asks[0].price * b) * 10'000 /
                                           (a + b));
      values[Series::mid].push_back(Int128{bids[0].price} + asks[0].price);
    }
    const auto& mids = values[Series::mid];
    for (std::size_t i = 1; i < mids.size(); ++i) {
      if (mids[i] != mids[i - 1]) values[Series::mid_moves].push_back(mids[i] - mids[i - 1]);
    }
    for (const auto& [size, side] : trades_) {
      if (side == Side::bid) values[Series::buys].push_back(size);
      if (side == Side::ask) values[Series::sells].push_back(size);
    }
    std::vector<MetricSummary> result;
    const auto say = [&](FurtherMetric metric, std::vector<Series> some) {
      if (!wants(metric)) return;
      for (const Series series : some) result.push_back(summary(series, values[series]));
    };
    say(FurtherMetric::weighted_imbalance, {Series::weighted_imbalance});
    say(FurtherMetric::vtob, {Series::vtob});
    say(FurtherMetric::microprice, {Series::microprice});
    say(FurtherMetric::depth, {Series::bid_depth, Series::ask_depth});
    say(FurtherMetric::trade_flow, {Series::buys, Series::sells});
    say(FurtherMetric::variance, {Series::mid, Series::mid_moves});
    samples_.clear();
    trades_.clear();
    return result;
  }

private:
  [[nodiscard]] bool wants(FurtherMetric metric) const {
    return (settings_.further_metrics & 1U << static_cast<unsigned>(metric)) != 0;
  }
  [[nodiscard]] static Int128 volume(const Levels& levels) {
    Int128 sum = 0;
    for (const auto& level : levels) sum += level.size;
    return sum;
  }
  [[nodiscard]] Int128 weighted(const Levels& levels) const {
    Int128 sum = 0;
    for (std::size_t i = 0; i < levels.size(); ++i)
      sum += Int128{levels[i].size} * static_cast<std::int64_t>(settings_.metrics_levels - i);
    return sum;
  }
  [[nodiscard]] static MetricSummary summary(MetricSummary::Series series,
                                             const std::vector<Int128>& values) {
    MetricSummary result{series, values.size(), {}};
    if (values.empty()) return result;
    Int128 low = values[0], high = values[0], sum = 0;
    for (const Int128 value : values) {
      low = value < low ? value : low, high = value > high ? value : high;
      sum += series == MetricSummary::Series::mid_moves ? value * value : value;
    }
    const auto narrow = [](Int128 value) { return static_cast<std::int64_t>(value); };
    result.values = {narrow(low), narrow(high), narrow(values.back()), sum};
    return result;
  }

  const FoldSettings& settings_;
  std::vector<std::pair<Levels, Levels>> samples_;
  std::vector<std::pair<Size, Side>> trades_;
};

}  // namespace tapedeck::market
