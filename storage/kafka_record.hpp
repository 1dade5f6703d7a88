// storage/kafka_record.hpp -- a record of the tape as a Kafka record: key, headers, value.
// docs/formats/kafka.md. Internal.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "storage/kafka_client.hpp"

namespace tapedeck::storage {

/// Version of headers and value together.
constexpr std::string_view kKafkaSchema = "1";
constexpr std::string_view kBatchCodec = "tapedeck-batch";
constexpr std::string_view kMarkCodec = "tapedeck-mark";
constexpr std::string_view kLetterCodec = "bytes";
constexpr std::string_view kControlCodec = "tapedeck-control";

using HeadersHandle = std::unique_ptr<rd_kafka_headers_t, KafkaDelete<rd_kafka_headers_destroy>>;

void add_header(rd_kafka_headers_t& headers, const char* name, std::string_view value);
/// Empty where there is none.
[[nodiscard]] std::string_view header(const rd_kafka_message_t& message, const char* name);

/// Headers of a record that is to be appended. `kind`, `symbol`, `event_count`, `max_event_time`
/// and `payload` of it count.
[[nodiscard]] HeadersHandle record_headers(const Record& record);

/// A record as read; views into the message. Error `corrupt` names T[partition]:offset and says
/// what is wrong: a record of somebody else, an unknown version, a checksum that does not match.
[[nodiscard]] Result<Record> open_message(const std::string& topic, Partition partition,
                                          const rd_kafka_message_t& message);

[[nodiscard]] std::string_view key_of(const rd_kafka_message_t& message) noexcept;
[[nodiscard]] std::string_view value_of(const rd_kafka_message_t& message) noexcept;

}  // namespace tapedeck::storage
