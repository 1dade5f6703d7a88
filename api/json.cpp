#include "api/json.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "api/json_writer.hpp"
#include "api/metrics_json.hpp"

namespace tapedeck::api {
namespace {

using market::Instrument;

constexpr int kRatioDigits = 9;
constexpr int kVwapExtraDigits = 4;
constexpr std::size_t kLevelBytes =
    64;  // a first guess of what one level, or one candle's field, takes

int decimals(int exponent) { return std::max(0, -exponent); }

/// Bytes of the UTF-8 sequence that starts `text`, 0 if it is not one.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (length < 3) return length;
  const unsigned second = byte(1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool beyond = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return overlong || beyond ? 0 : length;
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  if (c == '"' || c == '\\') {
    out.push_back('\\');
    out.push_back(c);
  } else if (c == '\n') {
    out.append("\\n");
  } else if (c == '\t') {
    out.append("\\t");
  } else if (byte < 0x20 || byte == 0x7F) {
    out.append("\\u00").push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  } else {
    out.push_back(c);
  }
}

void write(JsonWriter& out, const market::Position& position) {
  out.open('{');
  out.key("partition").integer(position.partition);
  out.key("offset").integer(position.offset);
  out.key("index").integer(position.index);
  out.close('}');
}

void write(JsonWriter& out, const market::Digest& digest) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::array<char, 34> text;
  text.front() = text.back() = '"';
  for (int i = 0; i < 16; ++i) {
    text[static_cast<std::size_t>(16 - i)] = kHex[digest.high >> (4 * i) & 15];
    text[static_cast<std::size_t>(32 - i)] = kHex[digest.low >> (4 * i) & 15];
  }
  out.raw({text.data(), text.size()});
}

void write_trust(JsonWriter& out, market::Trust trust,
                 const std::optional<market::Position>& since) {
  out.key("trust").string(market::name(trust));
  out.key("trust_since");
  since ? write(out, *since) : out.null();
}

void write(JsonWriter& out, const market::LevelView& level, const Instrument& instrument) {
  out.open('{');
  out.key("price").decimal(level.price, instrument.price_exponent);
  out.key("size").decimal(level.size, instrument.size_exponent);
  out.key("orders");
  level.orders ? out.integer(*level.orders) : out.null();
  out.close('}');
}

void write(JsonWriter& out, const std::optional<market::LevelView>& level,
           const Instrument& instrument) {
  level ? write(out, *level, instrument) : out.null();
}

void write(JsonWriter& out, const std::vector<market::LevelView>& levels,
           const Instrument& instrument) {
  out.open('[');
  for (const auto& level : levels) write(out, level, instrument);
  out.close(']');
}

void write(JsonWriter& out, const market::BookView& book) {
  out.open('{');
  out.key("symbol").string(book.symbol);
  out.key("position"), write(out, book.position);
  out.key("event_time").time(book.event_time);
  write_trust(out, book.trust, book.trust_since);
  out.key("digest"), write(out, book.digest);
  out.key("bids"), write(out, book.bids, book.instrument);
  out.key("asks"), write(out, book.asks, book.instrument);
  out.close('}');
}

void write(JsonWriter& out, const market::CandleView& view) {
  const auto& candle = view.candle;
  const int price = view.instrument.price_exponent;
  const int size = view.instrument.size_exponent;
  out.open('{');
  out.key("symbol").string(view.symbol);
  out.key("width").string(format_width(candle.width));
  if (market::by_activity(candle.width)) out.key("number").integer(candle.number);
  out.key("open_time").time(candle.open_time);
  out.key("close_time").time(market::close_time(candle));
  out.key("open").decimal(candle.open, price);
  out.key("high").decimal(candle.high, price);
  out.key("low").decimal(candle.low, price);
  out.key("close").decimal(candle.close, price);
  out.key("volume").decimal(candle.volume, size);
  out.key("buy_volume").decimal(candle.buy_volume, size);
  out.key("sell_volume").decimal(candle.sell_volume, size);
  out.key("notional").decimal(candle.notional, price + size);
  out.key("vwap");
  candle.volume == 0 ? out.null() : out.string(vwap(candle, view.instrument));
  out.key("trades").integer(candle.trades);
  out.key("revision").integer(candle.revision);
  out.key("state").string(candle.closed ? "closed" : "open");
  out.key("ohlc_exact").boolean(candle.ohlc_exact);
  out.key("trust").string(market::name(view.trust));
  out.key("position"), write(out, view.position);
  out.close('}');
}

void write_ratio(JsonWriter& out, const market::Rational& ratio, int exponent, int digits) {
  if (ratio.denominator == 0) return out.null();
  out.string(decimal_ratio(ratio.numerator, ratio.denominator, exponent, digits));
}

void write(JsonWriter& out, const market::MetricsView& metrics) {
  const int price = metrics.instrument.price_exponent;
  out.open('{');
  out.key("symbol").string(metrics.symbol);
  out.key("position"), write(out, metrics.position);
  out.key("event_time").time(metrics.event_time);
  write_trust(out, metrics.trust, metrics.trust_since);
  out.key("levels").integer(metrics.levels);
  out.key("imbalance"), write_ratio(out, metrics.imbalance, 0, kRatioDigits);
  out.key("weighted_imbalance"), write_ratio(out, metrics.weighted_imbalance, 0, kRatioDigits);
  out.key("spread");
  metrics.spread ? out.decimal(*metrics.spread, price) : out.null();
  out.key("spread_bps"), write_ratio(out, metrics.spread_bps, 0, kRatioDigits);
  out.key("vtob"), write_ratio(out, metrics.vtob, 0, kRatioDigits);
  out.key("microprice"),
      write_ratio(out, metrics.microprice, price, std::max(kRatioDigits, decimals(price)));
  out.key("order_flow_imbalance")
      .decimal(metrics.order_flow_imbalance, metrics.instrument.size_exponent);
  out.key("bid_depth").decimal(metrics.bid_depth, metrics.instrument.size_exponent);
  out.key("ask_depth").decimal(metrics.ask_depth, metrics.instrument.size_exponent);
  if (!metrics.further.empty()) {
    out.key("window"), out.open('{');
    write_further(out, metrics.further, price, metrics.instrument.size_exponent);
    out.close('}');
  }
  out.close('}');
}

constexpr int kMillionths = -6, kNanoseconds = -9;

/// Exponents of an alert's value and threshold.
std::pair<int, int> units_of(market::AlertRule rule, const Instrument& instrument) {
  using market::AlertRule;
  switch (rule) {
    case AlertRule::extreme_imbalance:
    case AlertRule::imbalance_flip: return {kMillionths, kMillionths};
    case AlertRule::spread_widening:
    case AlertRule::outlier: return {instrument.price_exponent, kMillionths};
    case AlertRule::silence:
    case AlertRule::pattern: return {kNanoseconds, kNanoseconds};
    case AlertRule::crossed_book:
    case AlertRule::locked_book: return {instrument.price_exponent, instrument.price_exponent};
    case AlertRule::gap: break;
  }
  return {0, 0};
}

void write(JsonWriter& out, const market::AlertView& view) {
  const auto& alert = view.alert;
  const int price = view.instrument.price_exponent;
  const auto [value, threshold] = units_of(alert.rule, view.instrument);
  out.open('{');
  out.key("symbol").string(view.symbol);
  out.key("rule").string(market::name(alert.rule));
  out.key("level");
  alert.level == market::AlertLevel::none ? out.null() : out.string(market::name(alert.level));
  out.key("side");
  alert.side == market::Side::none ? out.null()
                                   : out.string(alert.side == market::Side::bid ? "bid" : "ask");
  out.key("time").time(view.time);
  out.key("value").decimal(alert.value, value);
  out.key("threshold").decimal(alert.threshold, threshold);
  out.key("mean");
  write_ratio(out, {alert.mean_sum, static_cast<market::Int128>(alert.mean_count)}, price,
              decimals(price) + kVwapExtraDigits);
  out.key("pattern");
  alert.pattern.empty() ? out.null() : out.string(alert.pattern);
  out.key("trust").string(market::name(view.trust));
  out.key("position"), write(out, view.position);
  out.close('}');
}

void write(JsonWriter& out, const market::EventCounts& events) {
  out.open('{');
  out.key("read").integer(events.read);
  out.key("folded").integer(events.folded);
  out.key("duplicates").integer(events.duplicates);
  out.key("refused").integer(events.refused);
  out.key("filtered").integer(events.filtered);
  out.close('}');
}

void write(JsonWriter& out, const market::IntegrityCounts& integrity) {
  out.open('{');
  out.key("gaps").integer(integrity.gaps);
  out.key("crossed").integer(integrity.crossed);
  out.key("locked").integer(integrity.locked);
  out.key("unknown_orders").integer(integrity.unknown_orders);
  out.key("oversized_reductions").integer(integrity.oversized_reductions);
  out.key("late_trades").integer(integrity.late_trades);
  out.key("late_breaks").integer(integrity.late_breaks);
  out.close('}');
}

void write(JsonWriter& out, const Instrument& instrument) {
  out.open('{');
  out.key("price_exponent").integer(instrument.price_exponent);
  out.key("size_exponent").integer(instrument.size_exponent);
  out.key("round_lot").integer(instrument.round_lot);
  out.close('}');
}

void write(JsonWriter& out, const market::SymbolView& symbol) {
  out.open('{');
  out.key("symbol").string(symbol.symbol);
  out.key("position"), write(out, symbol.position);
  out.key("event_time").time(symbol.event_time);
  out.key("feed_time").time(symbol.feed_time);
  write_trust(out, symbol.trust, symbol.trust_since);
  out.key("digest"), write(out, symbol.digest);
  out.key("events"), write(out, symbol.events);
  out.key("integrity"), write(out, symbol.integrity);
  out.key("instrument"), write(out, symbol.instrument);
  out.key("trading_state");
  symbol.trading_state.empty() ? out.null() : out.string(symbol.trading_state);
  out.key("best_bid"), write(out, symbol.best_bid, symbol.instrument);
  out.key("best_ask"), write(out, symbol.best_ask, symbol.instrument);
  out.key("last_trade");
  symbol.last_trade ? out.decimal(*symbol.last_trade, symbol.instrument.price_exponent)
                    : out.null();
  out.key("trades").integer(symbol.trades);
  out.close('}');
}

void write(JsonWriter& out, const market::QualityView& view) {
  const auto& quality = view.quality;
  const auto time = [&](market::TimeNs at) {
    at == market::kNoTime || at == market::kNever ? out.null() : out.time(at);
  };
  out.open('{');
  out.key("symbol").string(view.symbol);
  out.key("position"), write(out, view.position);
  write_trust(out, view.trust, view.trust_since);
  out.key("watched").boolean(view.watched);
  out.key("events").integer(quality.events);
  out.key("trades").integer(quality.trades);
  out.key("quotes").integer(quality.quotes);
  out.key("first_time"), time(quality.first_time);
  out.key("last_time"), time(quality.last_time);
  out.key("findings"), out.open('{');
  for (std::size_t i = 0; i < market::kFindings; ++i)
    out.key(market::name(static_cast<market::Finding>(i))).integer(quality.findings[i]);
  out.close('}');
  out.key("gaps"), out.open('[');
  for (std::size_t i = 0; view.watched && i < market::kGapScales; ++i) {
    out.open('{');
    out.key("longer_than_ns").integer(view.gap_scales[i]);
    out.key("count").integer(quality.gaps[i]);
    out.close('}');
  }
  out.close(']');
  out.key("longest_gap_ns").integer(quality.longest_gap);
  out.key("counts"), write(out, quality.counts);
  out.key("integrity"), write(out, quality.integrity);
  out.close('}');
}

void write(JsonWriter& out, const PartitionPosition& position) {
  out.open('{');
  out.key("partition").integer(position.partition);
  out.key("next").integer(position.next);
  out.key("end").integer(position.end);
  out.key("frontier").integer(position.frontier);
  out.key("cursor").integer(position.cursor);
  out.key("checkpoint").integer(position.checkpoint);
  out.key("committed").integer(position.committed);
  out.key("standby").boolean(position.standby);
  out.key("feed_time").time(position.feed_time);
  out.key("stopped");
  position.stopped.empty() ? out.null() : out.string(position.stopped);
  out.key("events"), write(out, position.events);
  out.close('}');
}

/// In the units of its instrument, which a refused event may have come without.
void write(JsonWriter& out, const market::Event& event) {
  out.open('{');
  out.key("kind").integer(static_cast<unsigned>(event.kind));
  out.key("side").integer(static_cast<unsigned>(event.side));
  out.key("time").time(event.time);
  out.key("feed_time").time(event.feed_time);
  out.key("sequence").integer(event.sequence);
  out.key("id").integer(event.id);
  out.key("price_units").integer(event.price);
  out.key("size_units").integer(event.size);
  out.key("other").integer(event.other);
  out.key("flags").integer(static_cast<unsigned>(event.flags));
  out.key("code").integer(static_cast<unsigned>(event.code));
  out.close('}');
}

template <class T>
void write_or_null(JsonWriter& out, const std::optional<T>& value) {
  value ? write(out, *value) : out.null();
}

std::string hexadecimal(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    text.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
    text.push_back(kHex[static_cast<unsigned char>(c) & 15]);
  }
  return text;
}

void write(JsonWriter& out, const DeadLetter& letter) {
  const bool recorders = !letter.position;
  out.open('{');
  out.key("id").string(letter.id);
  out.key("kind").string(letter.kind);
  out.key("symbol");
  letter.symbol.empty() ? out.null() : out.string(letter.symbol);
  out.key("position"), write_or_null(out, letter.position);
  out.key("reason").string(letter.reason);
  out.key("state").string(letter.state);
  out.key("released_at"), write_or_null(out, letter.released_at);
  out.key("errors").open('[');
  for (const auto& error : letter.errors) out.string(error);
  out.close(']');
  out.key("event"), write_or_null(out, letter.event);
  out.key("source");
  recorders ? out.string(letter.source) : out.null();
  out.key("byte_offset");
  recorders ? out.integer(letter.byte_offset) : out.null();
  out.key("bytes");
  recorders ? out.string(hexadecimal(letter.bytes)) : out.null();
  out.close('}');
}

void write(JsonWriter& out, const SupervisionNode& node) {
  out.open('{');
  out.key("name").string(node.name);
  out.key("state").string(node.state);
  out.key("restarts").integer(node.restarts);
  out.key("last_error");
  node.last_error.empty() ? out.null() : out.string(node.last_error);
  out.key("since").time(node.since);
  out.key("restarting");
  if (node.restarting) {
    out.open('{');
    out.key("strategy").string(node.restarting->strategy);
    out.key("budget").integer(node.restarting->budget);
    out.key("budget_left").integer(node.restarting->budget_left);
    out.key("budget_window_ms").integer(node.restarting->budget_window_ms);
    out.key("backoff_left_ms").integer(node.restarting->backoff_left_ms);
    out.key("escalation").string(node.restarting->escalation);
    out.close('}');
  } else {
    out.null();
  }
  out.key("children_running").integer(node.children_running);
  out.key("children").open('[');
  for (const auto& child : node.children) write(out, child);
  out.close(']');
  out.close('}');
}

template <class T>
std::string whole(const T& value, std::size_t reserve) {
  JsonWriter out(reserve);
  write(out, value);
  return out.take();
}

template <class T>
std::string list(const std::vector<T>& values, std::size_t each) {
  JsonWriter out(values.size() * each + 2);
  out.open('[');
  for (const auto& value : values) write(out, value);
  out.close(']');
  return out.take();
}

}  // namespace

void JsonWriter::string(std::string_view value) {
  quote();
  while (!value.empty()) {
    const auto length = utf8_length(value);
    if (length == 0) {
      text_.append("\xEF\xBF\xBD");
    } else if (length == 1) {
      append_escaped(text_, value.front());
    } else {
      text_.append(value.substr(0, length));
    }
    value.remove_prefix(std::max<std::size_t>(length, 1));
  }
  text_.push_back('"');
}

std::string to_json(const market::Position& position) { return whole(position, kLevelBytes); }
std::string to_json(const market::BookView& book) {
  return whole(book, (book.bids.size() + book.asks.size() + 6) * kLevelBytes);
}
std::string to_json(const market::CandleView& candle) { return whole(candle, 8 * kLevelBytes); }
std::string to_json(const std::vector<market::CandleView>& candles) {
  return list(candles, 8 * kLevelBytes);
}
std::string to_json(const market::MetricsView& metrics) { return whole(metrics, 8 * kLevelBytes); }
std::string to_json(const market::QualityView& quality) { return whole(quality, 14 * kLevelBytes); }
std::string to_json(const market::AlertView& alert) { return whole(alert, 5 * kLevelBytes); }
std::string to_json(const std::vector<market::AlertView>& alerts) {
  return list(alerts, 5 * kLevelBytes);
}
std::string to_json(const market::SymbolView& symbol) { return whole(symbol, 14 * kLevelBytes); }
std::string to_json(const std::vector<market::SymbolView>& symbols) {
  return list(symbols, 14 * kLevelBytes);
}
std::string to_json(const PartitionPosition& position) { return whole(position, 5 * kLevelBytes); }
std::string to_json(const std::vector<PartitionPosition>& positions) {
  return list(positions, 5 * kLevelBytes);
}
std::string to_json(const DeadLetter& letter) { return whole(letter, 8 * kLevelBytes); }
std::string to_json(const std::vector<DeadLetter>& letters) {
  return list(letters, 8 * kLevelBytes);
}
std::string to_json(const SupervisionNode& node) { return whole(node, 4 * kLevelBytes); }

std::string to_json(const Health& health) {
  JsonWriter out;
  out.open('{');
  out.key("live").boolean(health.live);
  out.key("ready").boolean(health.ready);
  out.key("reason");
  health.live&& health.ready ? out.null() : out.string(health.reason);
  out.close('}');
  return out.take();
}

std::string error_json(std::string_view code, std::string_view message, std::string_view field) {
  JsonWriter out;
  out.open('{').key("error").open('{');
  out.key("code").string(code);
  out.key("message").string(message);
  out.key("field");
  field.empty() ? out.null() : out.string(field);
  out.close('}').close('}');
  return out.take();
}

std::string to_json(const Error& error) {
  return error_json(name(error.code), error.message, error.field);
}

std::string_view name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid: return "invalid";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::out_of_range: return "out_of_range";
    case ErrorCode::corrupt: return "corrupt";
    case ErrorCode::environment: return "environment";
    case ErrorCode::conflict: return "conflict";
    case ErrorCode::exhausted: return "exhausted";
  }
  return "unknown";
}

std::string vwap(const market::Candle& candle, const Instrument& instrument) {
  if (candle.volume == 0) return {};
  const int price = instrument.price_exponent;
  return decimal_ratio(candle.notional, candle.volume, price, decimals(price) + kVwapExtraDigits);
}

}  // namespace tapedeck::api
