// apps/trade_fold.hpp -- a trades CSV straight into the fold, without a tape between: whole states,
// or the candles alone.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/trade_rows.hpp"
#include "market/candles.hpp"
#include "market/symbol_state.hpp"

namespace tapedeck::apps {

/// What a symbol said, as it says it.
using SaidListener = std::function<void(std::string_view symbol, const market::Outputs&)>;

/// A sink of TradeRows: SymbolState::apply in batches of a symbol. States, digests and outputs are
/// those of the same file recorded and replayed.
class WholeFold {
public:
  /// `settings` must outlive it. `source` names the source of the session events.
  WholeFold(const market::FoldSettings& settings, std::string source, SaidListener said)
      : settings_(&settings),
        source_name_(std::move(source)),
        source_(market::source_id(source_name_)),
        said_(std::move(said)) {}

  void add_symbol(std::string_view name);
  std::string_view take(market::SymbolIndex symbol, const schemas::TradeLine& trade,
                        market::TimeNs feed_time, std::uint64_t row) {
    Waiting& waiting = *waiting_[symbol];
    if (waiting.count == Waiting::kEvents) fold(symbol);
    if (!waiting.begun) [[unlikely]]
      begin(waiting, trade, feed_time, row);
    market::Event& event = waiting.events[waiting.count++];
    event.time = trade.time;
    event.feed_time = feed_time;
    event.sequence = row;
    event.price = trade.price;
    event.size = trade.size;
    event.kind = market::EventKind::trade;
    event.side = trade.side;
    return {};
  }
  /// Folds what waits and closes what is due at the source's last feed time.
  void finish(market::TimeNs feed_time);

  /// In the order of first appearance. Refusals are among the outputs.
  [[nodiscard]] const std::vector<market::SymbolState>& states() const noexcept { return states_; }

private:
  /// Events of one symbol that wait for being folded together. But for the first ones they are
  /// trades: what no trade has stays zero.
  struct Waiting {
    static constexpr std::size_t kEvents = 16;
    std::uint32_t count = 0;
    bool begun = false;
    std::array<market::Event, kEvents> events;
  };

  void begin(Waiting& waiting, const schemas::TradeLine& first, market::TimeNs feed_time,
             std::uint64_t row) const;
  void fold(market::SymbolIndex symbol);

  const market::FoldSettings* settings_;
  std::string source_name_;
  market::SourceId source_;
  SaidListener said_;
  std::vector<std::unique_ptr<Waiting>> waiting_;
  std::vector<market::SymbolState> states_;
  market::Outputs outputs_;
};

/// A sink of TradeRows: market::Candles alone, the same candles and late trades as WholeFold says.
/// For settings whose widths are all times.
/// Runs of trades within one interval of every width are summed first and added at once.
class CandleFold {
public:
  /// `settings` must outlive it; trades of this format are never broken: none are kept.
  CandleFold(const market::FoldSettings& settings, const std::string& source, SaidListener said);

  void add_symbol(std::string_view name);
  std::string_view take(market::SymbolIndex symbol, const schemas::TradeLine& trade,
                        market::TimeNs feed_time, std::uint64_t row) {
    const bool allowed =
        static_cast<std::uint64_t>(trade.size) - 1 < static_cast<std::uint64_t>(market::kMaxSize) &&
        static_cast<std::uint64_t>(trade.price) <= static_cast<std::uint64_t>(market::kMaxPrice) &&
        trade.time <= feed_time;
    Lane& lane = lanes_[symbol];
    // Idle closing comes by feed time, any other change by the event's own time.
    if (allowed && feed_time < lane.idle_due && trade.time < lane.event_due &&
        static_cast<std::uint64_t>(trade.time) - static_cast<std::uint64_t>(lane.begin) <
            static_cast<std::uint64_t>(lane.span)) [[likely]] {
      lane.run.add(trade.time, trade.price, trade.size, trade.side);
      return {};
    }
    return take_apart(symbol, trade, feed_time, row);
  }
  /// Closes what is due at the source's last feed time.
  void finish(market::TimeNs feed_time);

private:
  struct Lane {
    market::TimeNs begin = 0, span = 0;  ///< Candles::newest_interval
    market::TimeNs idle_due = market::kNever, event_due = market::kNever;
    market::TimeNs event_time = market::kNoTime;
    bool begun = false;    ///< a trade of it was taken or refused
    market::TradeRun run;  ///< not yet in the candles
  };

  [[gnu::noinline]] std::string_view take_apart(market::SymbolIndex symbol,
                                                const schemas::TradeLine& trade,
                                                market::TimeNs feed_time, std::uint64_t row);
  void flush(market::SymbolIndex symbol);
  void close_idle(market::SymbolIndex symbol, market::TimeNs feed_time);
  void refresh(market::SymbolIndex symbol);
  void tell(market::SymbolIndex symbol);

  market::FoldSettings settings_;
  market::Emitter emitter_;
  SaidListener said_;
  std::vector<std::string> names_;
  std::vector<Lane> lanes_;
  std::vector<std::unique_ptr<market::Candles>> candles_;
  market::Outputs outputs_;
};

}  // namespace tapedeck::apps
