// replay/candles.hpp -- candles of a range: what the output store holds, and what is newer than it.
#pragma once

#include <string_view>
#include <vector>

#include "market/view.hpp"
#include "replay/symbol_fold.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::replay {

struct CandleRange {
  TimeNs width = 0;
  TimeNs from = market::kNoTime;  ///< by open time, inclusive
  TimeNs to = market::kNever;     ///< exclusive
  bool fill_previous = false;     ///< empty intervals between two candles repeat the last close
};

/// What a fold holds itself: its candles of one width that are open or still correctable.
struct LiveCandles {
  market::SourceId source = 0;
  market::Instrument instrument;
  std::vector<market::CandleView> views;
};
[[nodiscard]] LiveCandles live_candles(const market::SymbolState& state, TimeNs width);

/// Newest revision of each candle with an open time in the range, ascending by open time, then in
/// the order of their sources' ids. `newer` are outputs that are not in the store yet. `state` may
/// be null. Error `invalid` (field "width") where the fold settings have no such width.
[[nodiscard]] Result<std::vector<market::CandleView>> candles(const storage::StateReader* state,
                                                              const market::FoldSettings& settings,
                                                              std::string_view symbol,
                                                              const CandleRange& range,
                                                              const market::Outputs& newer,
                                                              const LiveCandles& live);

}  // namespace tapedeck::replay
