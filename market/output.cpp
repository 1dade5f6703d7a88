#include "market/output.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tapedeck::market {
namespace {

void put_be(std::string& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

/// Order-preserving: the sign bit flipped.
void put_time(std::string& out, TimeNs time) {
  put_be(out, static_cast<std::uint64_t>(time) ^ (std::uint64_t{1} << 63), 8);
}

void put_head(std::string& out, const IdentityHead& head, SourceId source) {
  out.push_back(static_cast<char>(head.kind));
  put_be(out, static_cast<std::uint64_t>(head.width), 8);
  put_time(out, head.time);
  put_be(out, source, 8);
}

void put_cause(std::string& out, const Event& event, std::uint32_t message_index) {
  out.push_back(static_cast<char>(stream_of(event.kind)));
  put_be(out, event.sequence, 8);
  put_be(out, message_index, 4);
}

}  // namespace

bool Output::same_content(const Output& other) const {
  return time == other.time && source == other.source && trust == other.trust && body == other.body;
}

IdentityHead identity_head(const Output& output) noexcept {
  const OutputKind kind = output.kind();
  if (const auto* candle = std::get_if<Candle>(&output.body))
    return {kind, candle->width, candle->open_time};
  if (const auto* row = std::get_if<MetricsRow>(&output.body))
    return {kind, row->width, row->open_time};
  if (const auto* late = std::get_if<LateTrade>(&output.body))
    return {kind, late->width, late->event.time};
  if (const auto* refusal = std::get_if<Refusal>(&output.body))
    return {kind, 0, refusal->event.time};
  return {kind, 0, output.time};
}

std::string identity(const Output& output) {
  std::string key;
  key.reserve(40);
  put_head(key, identity_head(output), output.source);
  if (const auto* candle = std::get_if<Candle>(&output.body)) {
    if (by_activity(candle->width)) put_be(key, candle->number, 8);
    put_be(key, candle->revision, 4);
  } else if (std::holds_alternative<MetricsRow>(output.body)) {
    put_be(key, 0, 4);
  } else if (const auto* late = std::get_if<LateTrade>(&output.body)) {
    put_cause(key, late->event, late->message_index);
  } else if (const auto* refusal = std::get_if<Refusal>(&output.body)) {
    put_cause(key, refusal->event, refusal->message_index);
  } else if (const auto* alert = std::get_if<Alert>(&output.body)) {
    put_be(key, static_cast<std::uint64_t>(alert->rule), 1);
    put_be(key, static_cast<std::uint64_t>(alert->level), 1);
    put_be(key, alert->stream, 1);
    put_be(key, alert->sequence, 8);
    put_be(key, alert->message_index, 4);
    key += alert->pattern;
  }
  return key;
}

std::string_view name(Refused rule) noexcept {
  constexpr std::string_view names[] = {
      "time_ahead",      "size_not_positive", "size_too_large", "price_not_allowed",
      "duplicate_order", "sequence_jump",     "bad_side",       "unknown_source",
      "resync_overflow", "bad_value",         "quarantined",    "quarantined_due"};
  const auto index = static_cast<std::size_t>(rule);
  return index < std::size(names) ? names[index] : "unknown";
}

std::string_view name(AlertRule rule) noexcept {
  constexpr std::string_view names[] = {"extreme_imbalance",
                                        "imbalance_flip",
                                        "spread_widening",
                                        "outlier",
                                        "silence",
                                        "crossed_book",
                                        "locked_book",
                                        "gap",
                                        "pattern"};
  const auto index = static_cast<std::size_t>(rule);
  return index < std::size(names) ? names[index] : "unknown";
}

std::string_view name(AlertLevel level) noexcept {
  constexpr std::string_view names[] = {"none", "low", "medium", "high"};
  const auto index = static_cast<std::size_t>(level);
  return index < std::size(names) ? names[index] : "unknown";
}

std::string_view name(EventKind kind) noexcept {
  constexpr std::string_view names[kEventKinds] = {"session",
                                                   "instrument",
                                                   "add",
                                                   "execute",
                                                   "execute_price",
                                                   "reduce",
                                                   "remove",
                                                   "replace",
                                                   "level",
                                                   "quote",
                                                   "trade",
                                                   "trade_break",
                                                   "snapshot_begin",
                                                   "snapshot_end",
                                                   "clear",
                                                   "status",
                                                   "gap"};
  const auto index = static_cast<std::size_t>(kind);
  return index < std::size(names) ? names[index] : "unknown";
}

std::string_view name(OutputKind kind) noexcept {
  switch (kind) {
    case OutputKind::candle: return "candle";
    case OutputKind::metrics: return "metrics";
    case OutputKind::late_trade: return "late_trade";
    case OutputKind::refusal: return "refusal";
    case OutputKind::alert: return "alert";
  }
  return "unknown";
}

std::string Digest::hex() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string text(32, '0');
  for (unsigned i = 0; i < 16; ++i) {
    text[15 - i] = digits[high >> (4 * i) & 15];
    text[31 - i] = digits[low >> (4 * i) & 15];
  }
  return text;
}

SourceId source_id(std::string_view name) {
  const std::uint64_t hash = XXH3_64bits(name.data(), name.size());
  return hash == 0 ? 1 : hash;
}

}  // namespace tapedeck::market
