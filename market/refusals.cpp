// What the settings refuse beside what no fold could take.
#include <algorithm>

#include "market/fold.hpp"

namespace tapedeck::market {

bool is_known(std::string_view patterns, std::string_view symbol) noexcept {
  for (;;) {
    const auto comma = patterns.find(',');
    const auto pattern = patterns.substr(0, comma);
    const bool known = pattern.ends_with('*')
                           ? symbol.starts_with(pattern.substr(0, pattern.size() - 1))
                           : symbol == pattern;
    if (known) return true;
    if (comma == patterns.npos) return false;
    patterns.remove_prefix(comma + 1);
  }
}

std::size_t Fold::forbidden(std::size_t begin) {
  beyond_now_ = false;
  const std::span<const Event> events = batch_->events;
  std::size_t end = begin + 1;
  while ((events[end - 1].flags & kMore) != 0 && end < events.size()) ++end;
  std::size_t from = begin;
  while (from < end &&
         (events[from].kind == EventKind::session || events[from].kind == EventKind::instrument)) {
    ++from;
  }
  if (from == end) return events.size();
  const auto rule = forbidding_rule(events.subspan(from, end - from));
  if (!rule) return events.size();
  refused_rule_ = *rule;
  return from;
}

std::optional<Refused> Fold::forbidding_rule(std::span<const Event> message) const {
  const auto any = [&](auto&& breaks) { return std::ranges::any_of(message, breaks); };
  if (!known_) return Refused::unknown_symbol;
  if (any([this](const Event& event) { return is_ahead(event); })) return Refused::future_time;
  const auto empty_trade = [](const Event& event) {
    return event.kind == EventKind::trade && event.size == 0;
  };
  if (settings_->refusals.zero_size && any(empty_trade)) return Refused::zero_size;
  if (settings_->refusals.crossed_quotes && crosses_quotes(message)) return Refused::crossed_quote;
  return std::nullopt;
}

bool Fold::crosses_quotes(std::span<const Event> message) const {
  auto quotes = quotes_;
  bool quoted = false;
  for (const Event& event : message) {
    if (event.kind != EventKind::quote || broken_rule(event)) continue;
    quoted = true;
    quotes[static_cast<std::size_t>(event.side) - 1] = {event.price, event.size};
  }
  const auto& [bid, ask] = quotes;
  return quoted && bid.size != 0 && ask.size != 0 && bid.price >= ask.price;
}

/// Takes note of it: the next one near it is believed.
bool Fold::beyond_band(const Event& event) {
  const std::int64_t band = settings_->refusals.price_band;
  if (band == 0 || event.size == 0) return false;
  const auto near = [&](Price price) {
    const Int128 off = Int128{event.price} - price, whole = price;
    return (off < 0 ? -off : off) * 1'000'000 <= (whole < 0 ? -whole : whole) * band;
  };
  // A refused message keeps its number: the same one may come again, and is judged as it was,
  // though an order may have traded near it since.
  const bool another =
      !beyond_band_ || message_sequence_ == 0 || message_sequence_ > beyond_sequence_;
  if (!another && !beyond_now_) return true;
  if (session_trades_ == 0 || near(last_trade_) ||
      (beyond_band_ && another && near(price_beyond_))) {
    forget_beyond();
    return false;
  }
  if (!another) return true;
  freeze();  // a refused event leaves the digest as it is
  beyond_band_ = beyond_now_ = true, price_beyond_ = event.price,
  beyond_sequence_ = message_sequence_;
  return true;
}

}  // namespace tapedeck::market
