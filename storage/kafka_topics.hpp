// storage/kafka_topics.hpp -- the topics of a tape: made with the settings it needs, or checked.
// Internal.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/kafka_client.hpp"

namespace tapedeck::storage {

[[nodiscard]] std::string control_topic(const KafkaOptions& options);
[[nodiscard]] std::string dead_letter_topic(const KafkaOptions& options);

/// Asks the brokers anew. None where they know no such topic.
[[nodiscard]] Result<std::optional<std::uint32_t>> count_partitions(const KafkaClient& client,
                                                                    const std::string& topic,
                                                                    int wait_ms = kFirstAnswerMs);

/// Makes the topics that are missing, checks the settings of the others; names those made.
[[nodiscard]] Result<std::vector<std::string>> settle_topics(const KafkaClient& client,
                                                             const KafkaOptions& options);

/// Makes an output topic if it is missing (true), else checks that it is not compacted.
[[nodiscard]] Result<bool> settle_output_topic(const KafkaClient& client, const std::string& topic,
                                               std::uint32_t partitions);

/// Makes a compacted topic if it is missing, else checks that it is compacted. Returns how many
/// partitions it has.
[[nodiscard]] Result<std::uint32_t> settle_compacted_topic(const KafkaClient& client,
                                                           const std::string& topic,
                                                           std::uint32_t partitions);

/// `not_found` where there is no such topic; `conflict` where a setting of it loses records.
[[nodiscard]] Result<std::uint32_t> check_tape_topic(const KafkaClient& client,
                                                     const KafkaOptions& options);

/// The options with what the tape was made as filled in, as far as its control topic says it. Error
/// `conflict` where they ask for another codec.
[[nodiscard]] Result<KafkaOptions> with_codec(const KafkaClient& client, KafkaOptions options);

/// The options with the tape's number of partitions. Compares with what its control topic says;
/// `write`: says it there if nobody has. Error `conflict` where they differ.
[[nodiscard]] Result<KafkaOptions> settle_tape(KafkaOptions options, std::uint32_t partitions,
                                               bool write);

}  // namespace tapedeck::storage
