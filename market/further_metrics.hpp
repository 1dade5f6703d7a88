// market/further_metrics.hpp -- what metric rows hold where the settings ask for it. Integers only;
// nothing is divided but where it says so.
//
//   weighted_imbalance  (B - A) / (B + A) in millionths, truncated, of the volumes of the best N
//                       levels, level k (1 = best) weighted N + 1 - k
//   vtob                (b + a) / (B + A) in millionths, truncated: volume at the touch over that
//   of
//                       the best N levels of both sides
//   microprice          (p_b * a + p_a * b) / (a + b) in 10^-4 price units, truncated: the touch
//                       prices weighted by the other side's size (Stoikov, "The micro-price", 2018,
//                       calls it the weighted mid)
//   bid_depth, ask_depth  B and A: volumes of the best N levels
//   buys, sells         sizes of the trades with this aggressor. Trade-flow imbalance is
//                       (sum of buys - sum of sells) / (both): Chordia, Roll, Subrahmanyam, "Order
//                       imbalance, liquidity, and market returns" (2002)
//   mid                 p_b + p_a: twice the mid
//   mid_moves           differences d of `mid` from sample to sample of a window where they are not
//                       0; min, max and last are of d, the sum is of d * d. The realised variance
//                       of the mid is sum / 4 (Andersen, Bollerslev, "Answering the skeptics",
//                       1998, with absolute instead of relative moves)
//
// p_b, b, p_a, a: best price and its size on either side. All but depth, buys and sells want both;
// an empty book is no sample.
// A value beyond 63 bits is the largest of 63 bits; sums wrap at 128.
#pragma once

#include <cstdint>
#include <vector>

#include "market/book.hpp"
#include "market/book_metrics.hpp"
#include "market/output.hpp"
#include "market/settings.hpp"

namespace tapedeck::market {

/// The series of a metric window that the settings ask for, ascending.
[[nodiscard]] std::vector<MetricSummary> further_series(std::uint32_t further_metrics);

/// Of the metric window that is open; empty while none is.
class FurtherMetrics {
public:
  FurtherMetrics(std::uint32_t further_metrics, std::uint32_t levels);

  /// Nothing is asked for: nothing else need be called.
  [[nodiscard]] bool off() const noexcept { return series_.empty(); }
  [[nodiscard]] bool wants_trades() const noexcept { return wants_trades_; }
  /// With each sample of the window.
  void sample(const Book& book, const Touch& bid, const Touch& ask);
  void trade(Size size, Side aggressor);

  [[nodiscard]] const std::vector<MetricSummary>& series() const noexcept { return series_; }
  void reset() noexcept;
  /// False where these are not the series that the settings ask for.
  [[nodiscard]] bool restore(const std::vector<MetricSummary>& series);

private:
  std::vector<MetricSummary> series_;
  std::uint32_t levels_;
  bool wants_trades_ = false;
};

}  // namespace tapedeck::market
