#include "api/stream_json.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "api/json_writer.hpp"
#include "api/output_json.hpp"

namespace tapedeck::api {
namespace {

using Levels = std::vector<market::LevelView>;

/// Both are sorted, best first.
Levels changed_levels(const Levels& before, const Levels& now) {
  Levels changed;
  for (const auto& level : now) {
    const auto same = std::ranges::find(before, level.price, &market::LevelView::price);
    if (same == before.end() || !(*same == level)) changed.push_back(level);
  }
  for (const auto& level : before) {
    const bool kept = std::ranges::find(now, level.price, &market::LevelView::price) != now.end();
    if (!kept) changed.push_back({level.price, 0, level.orders ? std::optional(0u) : std::nullopt});
  }
  return changed;
}

std::string trust_json(const market::BookView& book) {
  JsonWriter out;
  out.open('{');
  out.key("symbol").string(book.symbol);
  out.key("position").raw(to_json(book.position));
  out.key("trust").string(market::name(book.trust));
  out.key("trust_since");
  book.trust_since ? out.raw(to_json(*book.trust_since)) : out.null();
  out.close('}');
  return out.take();
}

struct Kind {
  Channel channel;
  std::string_view type;
};

Kind kind_of(const market::Output& output) {
  switch (output.kind()) {
    case market::OutputKind::candle:
      return std::get<market::Candle>(output.body).revision > 0
                 ? Kind{Channel::candles, "correction"}
                 : Kind{Channel::candles, "candle"};
    case market::OutputKind::metrics: return {Channel::metrics, "metrics"};
    case market::OutputKind::late_trade: return {Channel::candles, "late_trade"};
    case market::OutputKind::refusal: return {Channel::refusals, "refusal"};
    case market::OutputKind::alert: return {Channel::alerts, "alert"};
  }
  return {Channel::alerts, "alert"};
}

}  // namespace

std::string book_changes(const market::BookView& before, const market::BookView& now) {
  market::BookView changes = now;
  changes.bids = changed_levels(before.bids, now.bids);
  changes.asks = changed_levels(before.asks, now.asks);
  return changes.bids.empty() && changes.asks.empty() ? std::string() : to_json(changes);
}

void StreamEncoder::outputs(std::string_view symbol, const market::Outputs& outputs) {
  for (const auto& output : outputs) {
    const auto [channel, type] = kind_of(output);
    hub_.publish(channel, symbol, type, to_json(symbol, output));
  }
}

void StreamEncoder::state(const market::SymbolState& state) {
  auto now = state.book(depth_);
  const auto found = seen_.find(now.symbol);
  if (found == seen_.end()) {  // its first: everything is a change
    hub_.publish(Channel::book, now.symbol, "book_snapshot", to_json(now));
    seen_.emplace(now.symbol, std::move(now));
    return;
  }
  if (found->second.trust != now.trust)
    hub_.publish(Channel::book, now.symbol, "trust", trust_json(now));
  const auto changes = book_changes(found->second, now);
  if (!changes.empty()) hub_.publish(Channel::book, now.symbol, "book", changes);
  found->second = std::move(now);
}

void StreamEncoder::open_candles(const market::SymbolState& state,
                                 const market::FoldSettings& settings) {
  const auto view = state.view();
  for (const auto width : settings.candle_widths) {
    const auto candles = state.candles(width);
    if (candles.empty() || candles.back().closed) continue;
    hub_.publish(Channel::candles, view.symbol, "candle",
                 to_json(market::CandleView{view.symbol, candles.back(), view.instrument,
                                            view.trust, view.position}));
  }
}

std::string StreamEncoder::snapshot(const market::SymbolState& state) {
  auto book = state.book(depth_);
  auto text = to_json(book);
  seen_.insert_or_assign(book.symbol, std::move(book));
  return text;
}

}  // namespace tapedeck::api
