// storage/kafka_log.hpp -- a topic of one partition that is read whole and written seldom: control
// records, dead letters. Internal.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/kafka_client.hpp"
#include "storage/kafka_streams.hpp"

namespace tapedeck::storage {

class KafkaLog {
public:
  KafkaLog(KafkaOptions options, std::string topic)
      : options_(std::move(options)), topic_(std::move(topic)) {}

  /// Tells every record up to the end as of now, in order.
  Result<void> read(const std::function<Result<void>(const rd_kafka_message_t&)>& visit);

  using Headers = std::vector<std::pair<const char*, std::string>>;
  /// Returns once the record is stored.
  Result<void> append(std::string_view key, std::string_view value, const Headers& headers);
  [[nodiscard]] const std::string& topic() const noexcept { return topic_; }

private:
  KafkaOptions options_;
  std::string topic_;
  std::mutex mutex_;
  std::unique_ptr<KafkaStreams> streams_;
  std::unique_ptr<KafkaClient> producer_;
  TopicHandle producer_topic_;
};

/// The control record that says what a tape is: written by who makes the topics. Returns the number
/// of partitions the tape was made with (`partitions` where nobody has written it yet).
[[nodiscard]] Result<std::uint32_t> settle_tape_record(KafkaLog& control, std::uint32_t partitions,
                                                       bool write);

}  // namespace tapedeck::storage
