#include "apps/trade_fold.hpp"

#include <algorithm>
#include <utility>

namespace tapedeck::apps {

using market::Event;
using market::EventKind;
using market::SymbolIndex;
using market::TimeNs;

namespace {

constexpr int kExponent = -8;
/// What stands before a symbol's first trade in its message: session and instrument.
constexpr std::uint32_t kBeforeFirst = 2;
/// As the fold has it: times beyond are refused.
constexpr TimeNs kLatestTime = 9'000'000'000'000'000'000;

}  // namespace

void WholeFold::add_symbol(std::string_view name) {
  states_.emplace_back(std::string(name), *settings_);
  waiting_.push_back(std::make_unique<Waiting>());
}

/// What the recorder and the feed put before a symbol's first trade, in the same message.
void WholeFold::begin(Waiting& waiting, const schemas::TradeLine& first, TimeNs feed_time,
                      std::uint64_t row) const {
  waiting.begun = true;
  Event& session = waiting.events[0];
  session.kind = EventKind::session;
  session.time = std::min(first.time, feed_time);
  session.feed_time = feed_time;
  session.sequence = row;
  session.flags = market::kMore;
  session.other = source_;
  session.code = static_cast<std::uint8_t>(market::Sequencing::message_number);
  Event& instrument = waiting.events[1];
  instrument = session;
  instrument.kind = EventKind::instrument;
  instrument.price = kExponent;
  instrument.size = kExponent;
  instrument.other = 0;
  instrument.code = 0;
  waiting.count = kBeforeFirst;
}

void WholeFold::fold(SymbolIndex symbol) {
  Waiting& waiting = *waiting_[symbol];
  market::Batch batch;
  batch.source = source_;
  batch.source_name = source_name_;
  batch.events = std::span(waiting.events).first(waiting.count);
  outputs_.clear();
  states_[symbol].apply(batch, outputs_);
  if (waiting.events[0].kind == EventKind::session) waiting.events[0] = waiting.events[1] = {};
  waiting.count = 0;
  if (said_ && !outputs_.empty()) said_(states_[symbol].symbol(), outputs_);
}

void WholeFold::finish(TimeNs feed_time) {
  for (SymbolIndex symbol = 0; symbol < states_.size(); ++symbol) {
    fold(symbol);
    outputs_.clear();
    states_[symbol].advance({source_, feed_time, {}}, outputs_);
    if (said_ && !outputs_.empty()) said_(states_[symbol].symbol(), outputs_);
  }
}

CandleFold::CandleFold(const market::FoldSettings& settings, const std::string& source,
                       SaidListener said)
    : settings_(settings), said_(std::move(said)) {
  settings_.kept_trades = 0;
  emitter_.source = market::source_id(source);
  emitter_.outputs = &outputs_;
}

void CandleFold::add_symbol(std::string_view name) {
  names_.emplace_back(name);
  lanes_.emplace_back();
  candles_.push_back(std::make_unique<market::Candles>(settings_));
}

void CandleFold::flush(SymbolIndex symbol) {
  Lane& lane = lanes_[symbol];
  if (lane.run.trades == 0) return;
  candles_[symbol]->add(lane.run);
  lane.event_time = std::max(lane.event_time, lane.run.last_time);
  lane.run.trades = 0;
}

void CandleFold::close_idle(SymbolIndex symbol, TimeNs feed_time) {
  market::Candles& candles = *candles_[symbol];
  for (;;) {
    const auto due = candles.next_idle();
    if (due.series == nullptr || due.time > feed_time) return;
    candles.close(due, due.time, emitter_);
  }
}

void CandleFold::refresh(SymbolIndex symbol) {
  Lane& lane = lanes_[symbol];
  const auto interval = candles_[symbol]->newest_interval();
  lane.begin = interval.begin;
  lane.span = interval.span;
  lane.idle_due = candles_[symbol]->idle_due();
  lane.event_due = candles_[symbol]->event_due();
}

void CandleFold::tell(SymbolIndex symbol) {
  if (said_ && !outputs_.empty()) said_(names_[symbol], outputs_);
  outputs_.clear();
}

/// The way of the fold itself: rules, what is due by feed time, what is due by event time, the
/// trade.
std::string_view CandleFold::take_apart(SymbolIndex symbol, const schemas::TradeLine& trade,
                                        TimeNs feed_time, std::uint64_t row) {
  const bool first = !std::exchange(lanes_[symbol].begun, true);
  if (trade.time > feed_time) return name(market::Refused::time_ahead);
  if (feed_time > kLatestTime || trade.time < -kLatestTime) return name(market::Refused::bad_value);
  if (trade.size < 0) return name(market::Refused::size_not_positive);
  if (trade.size > market::kMaxSize) return name(market::Refused::size_too_large);
  const market::Price lowest = settings_.allow_negative_prices ? -market::kMaxPrice : 0;
  if (trade.price < lowest || trade.price > market::kMaxPrice)
    return name(market::Refused::price_not_allowed);
  flush(symbol);
  Lane& lane = lanes_[symbol];
  market::Candles& candles = *candles_[symbol];
  if (feed_time >= candles.idle_due()) close_idle(symbol, feed_time);
  lane.event_time = std::max(lane.event_time, trade.time);
  while (trade.time >= candles.event_due()) {
    const auto due = candles.next_by_event();
    if (due.series == nullptr || due.time > lane.event_time) break;
    candles.close(due, feed_time, emitter_);
  }
  if (trade.size != 0) {
    Event event;
    event.kind = EventKind::trade;
    event.time = trade.time;
    event.feed_time = feed_time;
    event.sequence = row;
    event.price = trade.price;
    event.size = trade.size;
    event.side = trade.side;
    const market::TradeSnapshot snapshot{0, 0, trade.time, trade.price, trade.size, trade.side, 0};
    const std::uint32_t message_index = first ? kBeforeFirst : 0;
    (void)candles.add(snapshot, {event, message_index, feed_time, lane.event_time, feed_time, 0},
                      emitter_);
  }
  refresh(symbol);
  tell(symbol);
  return {};
}

void CandleFold::finish(TimeNs feed_time) {
  for (SymbolIndex symbol = 0; symbol < lanes_.size(); ++symbol) {
    flush(symbol);
    close_idle(symbol, feed_time);
    tell(symbol);
  }
}

}  // namespace tapedeck::apps
