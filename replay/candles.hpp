// replay/candles.hpp -- candles of a range: what the output store holds, and what is newer than it.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "market/view.hpp"
#include "replay/symbol_fold.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::replay {

struct CandleRange {
  market::CandleWidth width = 0;
  TimeNs from = market::kNoTime;  ///< by open time, inclusive
  TimeNs to = market::kNever;     ///< exclusive
  bool fill_previous = false;     ///< empty intervals between two candles of a source
                                  ///< repeat the last close; by activity there are none
};

/// What a fold holds itself: its candles of one width that are open or still correctable.
struct LiveCandles {
  market::SourceId source = 0;
  market::Instrument instrument;
  std::vector<market::CandleView> views;
};
[[nodiscard]] LiveCandles live_candles(const market::SymbolState& state, market::CandleWidth width);

/// Newest revision of each candle with an open time in the range, ascending by open time, then in
/// the order of their sources' ids, then by number. `newer` are outputs that are not in the store
/// yet. `state` may be null. `widths`: those that are or were kept; error `invalid` (field "width")
/// where the range's is none of them.
[[nodiscard]] Result<std::vector<market::CandleView>> candles(
    const storage::StateReader* state, std::span<const market::CandleWidth> widths,
    std::string_view symbol, const CandleRange& range, const market::Outputs& newer,
    const LiveCandles& live);

}  // namespace tapedeck::replay
