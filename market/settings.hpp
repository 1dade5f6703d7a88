// market/settings.hpp -- the fold settings: all that changes a fold beside its events. Kept with
// the tape.
#pragma once

#include <cstdint>
#include <vector>

#include "market/units.hpp"

namespace tapedeck::market {

struct FoldSettings {
  /// Candle widths, ascending, distinct, at least 1 ms, at most 1 day; at most 16 of them.
  std::vector<TimeNs> candle_widths = {1 * kSecond, 10 * kSecond, 60 * kSecond};
  TimeNs lateness = 0;              ///< how far event time must pass a candle's end to close it
  TimeNs idle_after = 2 * kSecond;  ///< ... or feed time, where the symbol itself is silent
  TimeNs correction_horizon = 60 * kSecond;  ///< how long after its end a candle is still corrected
  std::uint32_t kept_trades = 256;           ///< trades kept for breaks, at most 65,536
  std::uint32_t metrics_levels = 10;         ///< N of the book metrics, 1 to 64
  TimeNs metrics_window = 60 * kSecond;      ///< tumbling window of the metric rows
  std::uint64_t max_sequence_jump = 1'000'000;
  std::uint32_t max_kept_updates = 65'536;  ///< updates kept while resyncing
  bool allow_negative_prices = false;
  friend bool operator==(const FoldSettings&, const FoldSettings&) = default;
};

}  // namespace tapedeck::market
