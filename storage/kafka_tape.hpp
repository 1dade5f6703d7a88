// storage/kafka_tape.hpp -- the tape on Kafka: topic T, T.control, T.dlq, and a local index in a
// state folder. Topics, headers, settings: docs/formats/kafka.md
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/foreign_decoder.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::storage {

struct KafkaOptions {
  std::string brokers;  ///< host:port, separated by commas
  std::string topic;
  /// DIR of the index (DIR/index). Empty: a temporary one, made anew by each process.
  std::string state;
  /// Further settings of librdkafka, by its names; they win over ours, but for those that the
  /// tape's promises rest on (error `invalid` names them).
  std::map<std::string, std::string> client;
  /// 0: kDefaultPartitions for a new topic, as it is for an old one. Another count than the topic's
  /// is error `conflict`.
  std::uint32_t partitions = 0;
  /// What the records are; none: as the tape was made, Cap'n Proto for a new one. Another codec
  /// than the tape's is error `conflict`.
  std::optional<TopicCodec> codec{};
};

/// Makes the topics that are missing and checks the settings of those that are there, and keeps
/// with them what the records are. Returns what it made. Errors: `conflict` (field names the
/// setting) where a topic has a setting under which records would be lost; `environment` where the
/// brokers cannot be reached.
[[nodiscard]] Result<std::vector<std::string>> create_kafka_topics(const KafkaOptions& options);

/// Makes the output topics that are missing, with as many partitions as the tape has, for readers
/// that go by symbol. How long they keep rows is left to the brokers; one that is compacted is
/// error `conflict`: it would lose rows.
[[nodiscard]] Result<std::vector<std::string>> create_output_topics(
    const KafkaOptions& options, const std::vector<std::string>& topics);

/// Opens the tape to write; makes its topics if they are missing. Each append is one transaction: a
/// reader sees all of it or nothing. The newest writer owns the tape: an older one is fenced, its
/// next append is error `conflict`; so is a topic that other clients write. An append that failed
/// left nothing; what returned from append() is seen by every reader that refreshes.
[[nodiscard]] Result<std::unique_ptr<TapeWriter>> open_kafka_writer(const KafkaOptions& options);

/// Opens the tape to read; writes to no topic. Offsets may have holes. Error `not_found` names the
/// topic.
[[nodiscard]] Result<std::unique_ptr<TapeReader>> open_kafka_reader(const KafkaOptions& options);

/// Control records in T.control.
[[nodiscard]] Result<std::unique_ptr<ControlStore>> open_kafka_control(const KafkaOptions& options);

}  // namespace tapedeck::storage
