// market/settings.hpp -- the fold settings: all that changes a fold beside its events. Kept with
// the tape.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "market/candle_width.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// What an alert is about. Stored: numbers never change meaning.
enum class AlertRule : std::uint8_t {
  extreme_imbalance = 0,  ///< medium, high
  imbalance_flip = 1,
  spread_widening = 2,
  outlier = 3,
  silence = 4,  ///< low, medium, high
  crossed_book = 5,
  locked_book = 6,
  gap = 7,
  pattern = 8,
};
constexpr std::uint8_t kAlertRules = 9;

/// When a symbol gives an alert. Ratios are in millionths. market/alerts.hpp has the definitions.
struct AlertSettings {
  std::int64_t imbalance_high = 700'000;    ///< of the top N levels' volumes; 0: never
  std::int64_t imbalance_medium = 500'000;  ///< 0: never
  std::int64_t imbalance_hysteresis = 50'000;
  std::int64_t flip = 500'000;             ///< 0: never
  std::int64_t spread_factor = 2'000'000;  ///< of the spread's rolling mean; 0: never
  std::uint32_t spread_samples = 100;      ///< that the mean needs at least
  std::int64_t outlier = 100'000;          ///< of the mean of the kept trades' prices; 0: never
  std::uint32_t outlier_trades = 20;       ///< that the mean needs at least
  std::vector<TimeNs> silence = {kSecond / 2, 5 * kSecond,
                                 30 * kSecond};  ///< low, medium, high; ascending, at most 3
  bool crossed = true;                           ///< crossed and locked books
  bool gap = true;                               ///< trust becomes gapped
  /// By rule: after one was said, those of the same rule and level due earlier than this are not.
  std::array<TimeNs, kAlertRules - 1> cooldown = {10 * kSecond, 10 * kSecond, 10 * kSecond,
                                                  10 * kSecond, 60 * kSecond, 10 * kSecond,
                                                  10 * kSecond, 10 * kSecond};
  friend bool operator==(const AlertSettings&, const AlertSettings&) = default;
};
/// No alert at all.
[[nodiscard]] inline AlertSettings no_alerts() {
  return {0, 0, 0, 0, 0, 0, 0, 0, {}, false, false, {}};
}

/// Alerts in this order, each not earlier than the one before, the last at most `within` after the
/// first: an alert of its own. Goes by the alerts that were said.
struct AlertPattern {
  std::string name;              ///< 1 to 64 letters, digits, '_', '-'; distinct
  std::vector<AlertRule> steps;  ///< 2 to 16, none of them `pattern`
  TimeNs within = 0;
  TimeNs cooldown = 0;
  friend bool operator==(const AlertPattern&, const AlertPattern&) = default;
};

/// One symbol's own thresholds.
struct SymbolAlerts {
  std::string symbol;
  AlertSettings settings;
  friend bool operator==(const SymbolAlerts&, const SymbolAlerts&) = default;
};

/// What metric rows may hold beside imbalance, spread and order-flow imbalance. Stored: numbers
/// never change meaning.
enum class FurtherMetric : std::uint8_t {
  weighted_imbalance = 0,
  vtob = 1,
  microprice = 2,
  depth = 3,
  trade_flow = 4,
  variance = 5,
};
constexpr std::uint8_t kFurtherMetrics = 6;

struct FoldSettings {
  /// Ascending, distinct, at most 16: times from 1 ms to 1 day, then those by activity.
  std::vector<CandleWidth> candle_widths = {1 * kSecond, 10 * kSecond, 60 * kSecond};
  TimeNs lateness = 0;              ///< how far event time must pass a candle's end to close it
  TimeNs idle_after = 2 * kSecond;  ///< ... or feed time, where the symbol itself is silent
  TimeNs correction_horizon = 60 * kSecond;  ///< how long after its end a candle is still corrected
  std::uint32_t kept_trades = 256;           ///< trades kept for breaks, at most 65,536
  std::uint32_t metrics_levels = 10;         ///< N of the book metrics, 1 to 64
  TimeNs metrics_window = 60 * kSecond;      ///< tumbling window of the metric rows
  std::uint64_t max_sequence_jump = 1'000'000;
  std::uint32_t max_kept_updates = 65'536;  ///< updates kept while resyncing
  bool allow_negative_prices = false;
  AlertSettings alerts;
  std::vector<SymbolAlerts> symbol_alerts;  ///< ascending by symbol, at most 65,536
  std::vector<AlertPattern> patterns;       ///< at most 16
  /// Intervals of time candles begin at this time of the day (UTC) and every width from there, so
  /// that of 1970-01-01 is a boundary of each; in [0, 1 day).
  TimeNs candle_origin = 0;
  std::uint32_t further_metrics = 0;  ///< bit n: FurtherMetric n is in the metric rows
  friend bool operator==(const FoldSettings&, const FoldSettings&) = default;
};

}  // namespace tapedeck::market
