// storage/kafka_log.hpp -- a topic of one partition that is read whole and written seldom: control
// records, dead letters. Internal.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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

/// What a tape was made as; a control record says it.
struct TapeIdentity {
  std::uint32_t partitions = 0;
  TopicCodec codec;
};
/// None where nobody has written it yet.
[[nodiscard]] Result<std::optional<TapeIdentity>> read_identity(KafkaLog& control);
/// Written by who makes the topics. Two at once: the record with the lowest offset is in force,
/// which is returned.
[[nodiscard]] Result<TapeIdentity> settle_identity(KafkaLog& control, const TapeIdentity& wanted);

}  // namespace tapedeck::storage
