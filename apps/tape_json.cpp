#include "apps/tape_json.hpp"

#include <fmt/format.h>

#include <iterator>

#include "api/decimal.hpp"
#include "api/time_format.hpp"
#include "schemas/batch_codec.hpp"

namespace tapedeck::apps {

using market::Event;
using market::EventKind;

namespace {

constexpr std::string_view kStatusNames[market::kStatusKinds] = {
    "trading_state",  "short_sale",  "market_event",   "breaker_levels",
    "breaker_status", "ipo_quoting", "auction_collar", "operational_halt"};

auto into(std::string& out) { return std::back_inserter(out); }

void append_position(std::string& out, const storage::Record& record, std::uint32_t index) {
  fmt::format_to(into(out), R"({{"position":{{"partition":{},"offset":{},"index":{}}})",
                 record.partition, record.offset, index);
}

void append_flags(std::string& out, std::uint8_t flags) {
  if (flags == 0) return;
  constexpr std::pair<std::uint8_t, std::string_view> names[] = {
      {market::kMore, "more"},
      {market::kPrintable, "printable"},
      {market::kInSnapshot, "in_snapshot"},
      {market::kLastOfPacket, "last_of_packet"}};
  out += R"(,"flags":[)";
  for (const auto& [bit, name] : names)
    if (flags & bit) fmt::format_to(into(out), R"("{}",)", name);
  out.back() = ']';
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      fmt::format_to(into(out), "\\u{:04x}",
                     byte);  // symbols are ASCII; other bytes are shown as Latin-1
    } else {
      out += c;
    }
  }
  out += '"';
}

/// The instrument stands in the symbol's first record of its source; the first record on the tape
/// is a good guess for a reader that starts in the middle, and a later instrument event corrects
/// it. On a trimmed tape its base knows.
TapeJson::Exponents& TapeJson::exponents_of(std::string_view symbol) {
  if (auto found = exponents_.find(symbol); found != exponents_.end()) return found->second;
  Exponents& exponents = exponents_[std::string(symbol)];
  if (const auto base = tape_.base_of(symbol); base && *base) {
    const auto bytes = std::as_bytes(std::span((*base)->snapshot.bytes));
    if (const auto snapshot = schemas::decode_snapshot(bytes)) {
      const auto& unit = snapshot->instrument;
      exponents = {true, unit.price_exponent, unit.size_exponent};
      return exponents;
    }
  }
  auto block = tape_.read_symbol(symbol, 0, ~market::Offset{0}, {1, 1});
  if (!block || (*block)->records.empty()) return exponents;
  schemas::BatchReader batch;
  if (!batch.open((*block)->records.front().payload)) return exponents;
  Event first[8];
  const std::size_t count = batch.next(first);
  for (std::size_t i = 0; i < count; ++i)
    if (first[i].kind == EventKind::instrument) exponents = {true, first[i].price, first[i].size};
  return exponents;
}

void TapeJson::append_event(std::string& out, const storage::Record& record, const Event& event,
                            std::uint32_t index, market::SourceId source,
                            std::string_view source_name, Exponents& exponents) {
  append_position(out, record, index);
  out += R"(,"symbol":)";
  append_json_string(out, record.symbol);
  fmt::format_to(into(out), R"(,"source":"{:016x}","kind":"{}","time":")", source,
                 market::name(event.kind));
  api::append_time(out, event.time);
  out += '"';
  auto time = [&](std::string_view name, market::TimeNs value) {
    fmt::format_to(into(out), R"(,"{}":")", name);
    api::append_time(out, value);
    out += '"';
  };
  if (event.feed_time != event.time) time("feed_time", event.feed_time);
  if (event.receive_time != 0) time("receive_time", event.receive_time);
  fmt::format_to(into(out), R"(,"sequence":{})", event.sequence);
  append_flags(out, event.flags);
  if (event.id != 0) fmt::format_to(into(out), R"(,"id":{})", event.id);
  if (event.side != market::Side::none)
    fmt::format_to(into(out), R"(,"side":"{}")", event.side == market::Side::bid ? "bid" : "ask");
  if (event.kind == EventKind::instrument) {
    exponents = {true, event.price, event.size};
    fmt::format_to(into(out), R"(,"price_exponent":{},"size_exponent":{})", event.price,
                   event.size);
  } else {
    auto amount = [&](std::string_view name, std::int64_t units, std::int64_t exponent) {
      if (units == 0) return;
      if (!exponents.known || event.kind == EventKind::status || exponent < -18 || exponent > 18) {
        fmt::format_to(into(out), R"(,"{}_units":{})", name, units);
        return;
      }
      fmt::format_to(into(out), R"(,"{}":")", name);
      api::append_decimal(out, units, static_cast<int>(exponent));
      out += '"';
    };
    amount("price", event.price, exponents.price);
    amount("size", event.size, exponents.size);
  }
  if (event.kind == EventKind::status && event.code < market::kStatusKinds)
    fmt::format_to(into(out), R"(,"status":"{}")", kStatusNames[event.code]);
  else if (event.code != 0)
    fmt::format_to(into(out), R"(,"code":{})", event.code);
  if (event.other != 0) fmt::format_to(into(out), R"(,"other":{})", event.other);
  if (event.kind == EventKind::session && !source_name.empty()) {
    out += R"(,"source_name":)";
    append_json_string(out, source_name);
  }
  out += "}\n";
  ++lines_;
}

Result<void> TapeJson::append_mark(std::string& out, const storage::Record& record) {
  auto mark = schemas::decode_mark(record.payload);
  if (!mark) return tl::unexpected(mark.error());
  if (!wanted(mark->feed_time)) return {};
  append_position(out, record, 0);
  fmt::format_to(into(out), R"(,"kind":"mark","source":"{:016x}","source_name":)", mark->source);
  append_json_string(out, mark->source_name);
  out += R"(,"feed_time":")";
  api::append_time(out, mark->feed_time);
  fmt::format_to(into(out), R"(","cursor_messages":{},"cursor_bytes":{},"complete":{}}})",
                 mark->cursor_messages, mark->cursor_bytes, mark->complete);
  out += '\n';
  ++lines_;
  return {};
}

Result<void> TapeJson::append_events(std::string& out, const storage::Record& record) {
  if (full()) return {};
  if (record.kind == storage::RecordKind::mark)
    return wanted({record.partition, record.offset, 0}) ? append_mark(out, record) : Result<void>{};
  schemas::BatchReader batch;
  if (auto done = batch.open(record.payload); !done) return done;
  Exponents& exponents = exponents_of(record.symbol);
  Event events[256];
  std::uint32_t index = 0;
  while (const std::size_t count = batch.next(events)) {
    for (std::size_t i = 0; i < count; ++i, ++index) {
      if (full()) return {};
      if (wanted(events[i].time) && wanted({record.partition, record.offset, index}))
        append_event(out, record, events[i], index, batch.source(), batch.source_name(), exponents);
      else if (events[i].kind == EventKind::instrument)
        exponents = {true, events[i].price, events[i].size};
    }
  }
  return {};
}

Result<void> TapeJson::append_record(std::string& out, const storage::Record& record) {
  if (full()) return {};
  if (record.kind == storage::RecordKind::mark) return append_events(out, record);
  if (!wanted(record.max_event_time)) return {};
  schemas::BatchReader batch;
  if (auto done = batch.open(record.payload); !done) return done;
  fmt::format_to(into(out), R"({{"position":{{"partition":{},"offset":{},"index":0}},"symbol":)",
                 record.partition, record.offset);
  append_json_string(out, record.symbol);
  fmt::format_to(
      into(out),
      R"(,"source":"{:016x}","kind":"events","events":{},"payload_bytes":{},"max_event_time":")",
      batch.source(), record.event_count, record.payload.size());
  api::append_time(out, record.max_event_time);
  out += "\"}\n";
  ++lines_;
  return {};
}

}  // namespace tapedeck::apps
