#include "replay/candles.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <tuple>

namespace tapedeck::replay {

namespace {

using Key = std::tuple<TimeNs, market::SourceId, std::uint64_t>;  // open time, source, number

struct Found {
  std::map<Key, market::CandleView> newest;
  void take(const CandleRange& range, const market::CandleView& view, market::SourceId source) {
    if (view.candle.open_time < range.from || view.candle.open_time >= range.to) return;
    auto [at, fresh] =
        newest.try_emplace({view.candle.open_time, source, view.candle.number}, view);
    if (!fresh && view.candle.revision >= at->second.candle.revision) at->second = view;
  }
};

/// The smallest identity of a candle of this width that opens at `open_time`.
std::string lower_identity(market::CandleWidth width, TimeNs open_time) {
  market::Output probe;
  market::Candle candle;
  candle.width = width;
  candle.open_time = open_time;
  probe.body = candle;
  return market::identity(probe);
}

std::vector<market::CandleView> filled(std::vector<market::CandleView> views, TimeNs width) {
  std::vector<market::CandleView> all;
  for (auto& view : views) {
    while (!all.empty() && all.back().candle.open_time + width < view.candle.open_time) {
      market::CandleView empty = all.back();
      const auto close = empty.candle.close;
      empty.candle = market::Candle{};
      empty.candle.width = width;
      empty.candle.open_time = all.back().candle.open_time + width;
      empty.candle.open = empty.candle.high = empty.candle.low = empty.candle.close = close;
      empty.candle.closed = true;
      all.push_back(std::move(empty));
    }
    all.push_back(std::move(view));
  }
  return all;
}

}  // namespace

LiveCandles live_candles(const market::SymbolState& state, market::CandleWidth width) {
  const auto view = state.view();
  LiveCandles live{state.source(), view.instrument, {}};
  for (const auto& candle : state.candles(width)) {
    live.views.push_back({view.symbol, candle, view.instrument, view.trust, view.position});
  }
  return live;
}

Result<std::vector<market::CandleView>> candles(const storage::StateReader* state,
                                                std::span<const market::CandleWidth> widths,
                                                std::string_view symbol, const CandleRange& range,
                                                const market::Outputs& newer,
                                                const LiveCandles& live) {
  if (std::ranges::find(widths, range.width) == widths.end()) {
    const auto seconds = [](market::CandleWidth width) {
      if (market::by_activity(width)) return market::activity_text(width);
      return width % market::kSecond == 0 ? fmt::format("{}s", width / market::kSecond)
                                          : fmt::format("{}ns", width);
    };
    std::string kept;
    for (const auto width : widths) kept += (kept.empty() ? "" : ", ") + seconds(width);
    return fail(ErrorCode::invalid,
                fmt::format("this tape keeps no candles of {}: it keeps {}", seconds(range.width),
                            kept.empty() ? "none" : kept),
                "width");
  }
  Found found;
  const auto take = [&](const market::Output& output) {
    const auto* candle = std::get_if<market::Candle>(&output.body);
    if (candle != nullptr && candle->width == range.width) {
      found.take(range,
                 {std::string(symbol), *candle, live.instrument, output.trust, output.position},
                 output.source);
    }
    return true;
  };
  if (state != nullptr) {
    const auto lower = lower_identity(range.width, range.from);
    const auto upper = lower_identity(range.width, range.to);
    if (auto read = state->outputs(symbol, lower, upper, take); !read)
      return tl::unexpected(read.error());
  }
  for (const auto& output : newer) take(output);
  for (const auto& view : live.views) found.take(range, view, live.source);
  std::vector<market::CandleView> views;
  for (auto& [key, view] : found.newest) views.push_back(std::move(view));
  return range.fill_previous && !market::by_activity(range.width)
             ? filled(std::move(views), range.width)
             : views;
}

}  // namespace tapedeck::replay
