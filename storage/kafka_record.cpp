#include "storage/kafka_record.hpp"

#include <fmt/format.h>

#include <charconv>

#include "schemas/batch_codec.hpp"
#include "storage/frame.hpp"

namespace tapedeck::storage {
namespace {

/// Over everything that a reader goes by, whichever way it came here.
std::uint64_t record_checksum(const Record& record) noexcept {
  const std::uint64_t fields[] = {static_cast<std::uint64_t>(record.kind), record.event_count,
                                  static_cast<std::uint64_t>(record.max_event_time)};
  const auto seed = checksum(record.symbol, checksum(std::as_bytes(std::span(fields)), 0));
  return checksum(record.payload, seed);
}

/// All headers of a message in one walk.
struct Headers {
  std::string_view schema, codec, events, max_time, checksum;
};

Headers headers_of(const rd_kafka_message_t& message) {
  Headers found;
  rd_kafka_headers_t* all = nullptr;
  if (rd_kafka_message_headers(&message, &all) != RD_KAFKA_RESP_ERR_NO_ERROR) return found;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(all, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    const std::string_view text(static_cast<const char*>(value), value == nullptr ? 0 : size);
    const std::string_view key(name);
    if (key == "schema") found.schema = text;
    if (key == "codec") found.codec = text;
    if (key == "events") found.events = text;
    if (key == "max_time") found.max_time = text;
    if (key == "checksum") found.checksum = text;
  }
  return found;
}

template <class T>
bool parse(std::string_view text, T& value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

void add_header(rd_kafka_headers_t& headers, const char* name, std::string_view value) {
  (void)rd_kafka_header_add(&headers, name, -1, value.data(), static_cast<ssize_t>(value.size()));
}

std::string_view header(const rd_kafka_message_t& message, const char* name) {
  rd_kafka_headers_t* all = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  if (rd_kafka_message_headers(&message, &all) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(all, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return {};
  return {static_cast<const char*>(value), size};
}

std::string_view key_of(const rd_kafka_message_t& message) noexcept {
  return {static_cast<const char*>(message.key), message.key == nullptr ? 0 : message.key_len};
}
std::string_view value_of(const rd_kafka_message_t& message) noexcept {
  return {static_cast<const char*>(message.payload), message.payload == nullptr ? 0 : message.len};
}

HeadersHandle record_headers(const Record& record) {
  HeadersHandle headers(rd_kafka_headers_new(6));
  const bool mark = record.kind == RecordKind::mark;
  add_header(*headers, "schema", kKafkaSchema);
  add_header(*headers, "codec", mark ? kMarkCodec : kBatchCodec);
  if (!mark) {
    add_header(*headers, "events", std::to_string(record.event_count));
    schemas::BatchReader batch;
    if (batch.open(record.payload))
      add_header(*headers, "source", fmt::format("{:016x}", batch.source()));
  }
  add_header(*headers, "max_time", std::to_string(record.max_event_time));
  add_header(*headers, "checksum", fmt::format("{:016x}", record_checksum(record)));
  return headers;
}

Result<Record> open_message(const std::string& topic, Partition partition,
                            const rd_kafka_message_t& message) {
  const auto bad = [&](const std::string& why) {
    return fail(ErrorCode::corrupt, "record " + at(topic, partition, message.offset) + " " + why);
  };
  const auto headers = headers_of(message);
  if (headers.schema.empty() || headers.codec.empty()) {
    return bad(
        "is not one of tapedeck's: it has no headers 'schema' and 'codec'. Somebody else "
        "writes to this topic: end that, and record into a topic of its own");
  }
  if (headers.schema != kKafkaSchema) {
    return bad("has schema " + std::string(headers.schema) + ", this program knows " +
               std::string(kKafkaSchema) +
               ": use the version of tapedeck that wrote it, or a newer one");
  }
  Record record;
  record.partition = partition;
  record.offset = static_cast<Offset>(message.offset);
  record.symbol = key_of(message);
  record.payload = std::as_bytes(std::span(value_of(message)));
  if (headers.codec == kMarkCodec && message.key == nullptr) {
    record.kind = RecordKind::mark;
  } else if (headers.codec != kBatchCodec || record.symbol.empty() ||
             record.symbol.size() > kMaxSymbolBytes) {
    return bad("is damaged or not one of tapedeck's: codec '" + std::string(headers.codec) +
               "', a key of " + std::to_string(record.symbol.size()) + " bytes");
  } else if (!parse(headers.events, record.event_count)) {
    return bad("is damaged: its header 'events' is no number");
  }
  std::uint64_t stored = 0;
  if (!parse(headers.max_time, record.max_event_time) || !parse(headers.checksum, stored, 16))
    return bad("is damaged: its headers 'max_time' and 'checksum' are no numbers");
  if (stored != record_checksum(record))
    return bad("is damaged: its checksum does not match its bytes");
  return record;
}

}  // namespace tapedeck::storage
