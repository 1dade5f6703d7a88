#include "storage/foreign_decoder.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace tapedeck::storage {
namespace {

using market::Event;
using market::EventKind;
using schemas::RowFault;

constexpr std::array<std::string_view, 3> kKinds = {"capnp", "json", "csv"};

bool parse_exponent(std::string_view text, int& exponent) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
  return error == std::errc{} && end == text.data() + text.size();
}

/// JSON objects without a mapping: all fields under their own names, but no sequence, which would
/// have to be in each.
schemas::RowFormat plain_json() {
  auto format = schemas::json_format();
  std::erase_if(format.fields,
                [](const auto& field) { return field.column == schemas::Column::sequence; });
  return format;
}

std::string_view without_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

TimeNs highest_time(const std::vector<Event>& events) {
  return std::ranges::max_element(events, {}, &Event::time)->time;
}

}  // namespace

std::string to_text(const TopicCodec& codec) {
  const TopicCodec plain;
  std::string text(kKinds[static_cast<std::size_t>(codec.kind)]);
  if (!codec.columns.empty()) text += ";columns=" + codec.columns;
  if (codec.price_exponent != plain.price_exponent)
    text += ";price_exponent=" + std::to_string(codec.price_exponent);
  if (codec.size_exponent != plain.size_exponent)
    text += ";size_exponent=" + std::to_string(codec.size_exponent);
  return text;
}

std::optional<TopicCodec> parse_codec(std::string_view text) {
  TopicCodec codec;
  const auto word = [&text] {
    const auto end = std::min(text.find(';'), text.size());
    const auto found = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return found;
  };
  const auto kind = std::ranges::find(kKinds, word());
  if (kind == kKinds.end()) return std::nullopt;
  codec.kind = static_cast<TopicCodec::Kind>(kind - kKinds.begin());
  while (!text.empty()) {
    const auto one = word();
    const auto equals = std::min(one.find('='), one.size());
    const auto name = one.substr(0, equals);
    const auto value = one.substr(std::min(equals + 1, one.size()));
    if (name == "columns") {
      codec.columns = value;
    } else if (name == "price_exponent" || name == "size_exponent") {
      auto& exponent = name == "price_exponent" ? codec.price_exponent : codec.size_exponent;
      if (!parse_exponent(value, exponent)) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  return codec;
}

Result<schemas::RowFormat> row_format(const TopicCodec& codec) {
  auto format = codec.kind == TopicCodec::Kind::csv ? schemas::trades_format() : plain_json();
  if (!codec.columns.empty()) {
    if (codec.columns.find(';') != codec.columns.npos)
      return fail(ErrorCode::invalid, "expected columns without ';'", "kafka.columns");
    auto parsed = schemas::parse_format(codec.columns, "kafka.columns", true);
    if (!parsed) return parsed;
    format = std::move(*parsed);
  }
  const bool lists = format.has(schemas::Column::bids) || format.has(schemas::Column::asks);
  if (codec.kind == TopicCodec::Kind::csv && lists) {
    return fail(ErrorCode::invalid, "bids and asks are lists: only codec = \"json\" has them",
                "kafka.columns");
  }
  const auto in_range = [](int exponent) { return exponent >= -18 && exponent <= 9; };
  if (!in_range(codec.price_exponent))
    return fail(ErrorCode::invalid, "expected an exponent from -18 to 9", "kafka.price_exponent");
  if (!in_range(codec.size_exponent))
    return fail(ErrorCode::invalid, "expected an exponent from -18 to 9", "kafka.size_exponent");
  format.keyed = true;
  format.sequenced = format.has(schemas::Column::sequence);
  format.price_exponent = codec.price_exponent;
  format.size_exponent = codec.size_exponent;
  return format;
}

std::string unknown_symbol(Partition partition, std::uint32_t partitions) {
  for (std::uint64_t number = 0;; ++number) {
    auto symbol = "?" + std::to_string(number);
    if (partition_of(symbol, partitions) == partition) return symbol;
  }
}

Result<ForeignDecoder> ForeignDecoder::make(const TopicCodec& codec, const std::string& topic,
                                            std::uint32_t partitions) {
  auto format = row_format(codec);
  if (!format) return tl::unexpected(format.error());
  ForeignDecoder decoder;
  decoder.format_ = std::move(*format);
  decoder.rows_ = codec.kind == TopicCodec::Kind::csv ? schemas::csv_decoder(decoder.format_)
                                                      : schemas::json_decoder(decoder.format_);
  decoder.source_name_ = "topic:" + topic + ":" + to_text(codec);
  decoder.source_ = market::source_id(decoder.source_name_);
  decoder.partitions_ = partitions;
  for (Partition p = 0; p < partitions; ++p)
    decoder.unknown_.push_back(unknown_symbol(p, partitions));
  return decoder;
}

std::string_view ForeignDecoder::symbol_of(const ForeignMessage& message) const {
  const bool good = message.key && schemas::is_symbol(*message.key) &&
                    partition_of(*message.key, partitions_) == message.partition;
  return good ? *message.key : std::string_view(unknown_.at(message.partition));
}

RowFault ForeignDecoder::take(const ForeignMessage& message) {
  if (!message.key || !schemas::is_symbol(*message.key)) return RowFault::key;
  if (partition_of(*message.key, partitions_) != message.partition) return RowFault::partition;
  if (message.value.size() >= schemas::kMaxRowBytes) return RowFault::length;
  line_.reserve(message.value.size() + schemas::kRowPadding);
  line_.assign(message.value);
  const auto fault = rows_->decode(without_end(line_), row_);
  if (fault != RowFault::none) return fault;
  const bool same = row_.symbol.empty() || row_.symbol == *message.key;
  return same ? RowFault::none : RowFault::key_differs;
}

/// Before a symbol's first message, as one of its own without a sequence: the source, and how its
/// numbers are to be read.
void ForeignDecoder::introduce(const ForeignMessage& message, TimeNs time, TimeNs feed_time) {
  Event event;
  event.time = std::min(time, feed_time), event.feed_time = feed_time;
  event.receive_time = message.appended == market::kNoTime ? 0 : message.appended;
  event.kind = EventKind::session;
  event.other = source_;
  event.code = static_cast<std::uint8_t>(format_.sequenced ? market::Sequencing::per_symbol
                                                           : market::Sequencing::message_number);
  event.flags = market::kMore;
  events_.push_back(event);
  event.kind = EventKind::instrument;
  event.other = event.code = event.flags = 0;
  event.price = format_.price_exponent;
  event.size = format_.size_exponent;
  events_.push_back(event);
}

void ForeignDecoder::refuse(const ForeignMessage& message, RowFault fault, TimeNs feed_time) {
  Event& event = events_.emplace_back();
  event.kind = EventKind::undecodable;
  event.time = event.feed_time = feed_time;
  event.receive_time = message.appended == market::kNoTime ? 0 : message.appended;
  event.other = message.offset + 1;
  event.code = static_cast<std::uint8_t>(fault);
}

Result<ForeignDecoder::Decoded> ForeignDecoder::decode(const ForeignMessage& message,
                                                       TimeNs feed_time, bool first) {
  const auto fault = take(message);
  const bool good = fault == RowFault::none;
  const bool believed = good && (message.appended == market::kNoTime ||
                                 row_.time - kMaxForeignLead <= message.appended);
  Decoded decoded;
  decoded.feed_time = believed ? std::max(feed_time, row_.time) : feed_time;
  events_.clear();
  if (first) introduce(message, good ? row_.time : feed_time, decoded.feed_time);
  if (good) {
    const auto begin = events_.size();
    if (!format_.sequenced) row_.sequence = message.offset + 1;
    schemas::append_events(row_, events_);
    for (auto event = events_.begin() + static_cast<std::ptrdiff_t>(begin); event != events_.end();
         ++event) {
      event->feed_time = decoded.feed_time;
      event->receive_time = message.appended == market::kNoTime ? 0 : message.appended;
    }
  } else {
    refuse(message, fault, feed_time);
  }
  const auto payload = encoder_.encode(
      source_, first ? std::string_view(source_name_) : std::string_view(), events_);
  if (!payload) return tl::unexpected(payload.error());
  decoded.record = {message.partition,
                    message.offset,
                    RecordKind::events,
                    static_cast<std::uint32_t>(events_.size()),
                    highest_time(events_),
                    symbol_of(message),
                    *payload};
  if (decoded.feed_time > feed_time) {
    mark_ = schemas::encode(schemas::MarkPayload{source_, source_name_, decoded.feed_time,
                                                 message.offset + 1, 0, false});
    decoded.mark = Record{message.partition,
                          message.offset,
                          RecordKind::mark,
                          0,
                          decoded.feed_time,
                          {},
                          std::as_bytes(std::span(mark_))};
  }
  return decoded;
}

}  // namespace tapedeck::storage
