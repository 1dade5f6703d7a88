// sinks/kafka_sink.hpp -- outputs to topics, exactly once. What a row looks like:
// docs/formats/kafka.md
#pragma once

#include <memory>
#include <string>

#include "market/result.hpp"
#include "sinks/kafka_group.hpp"
#include "sinks/sink.hpp"

namespace tapedeck::sinks {

/// transactional: rows and the group's offsets in one transaction; a reader of committed records
/// sees each row once. idempotent: rows, then offsets; after a crash rows may be there twice, and
/// their identity says so.
enum class DeliveryMode : std::uint8_t { transactional, idempotent };

struct OutputTopics {
  std::string processed;  ///< candles, metric rows, late trades
  std::string alerts;
  std::string dlq;  ///< refused input
};

/// `group` outlives the sink. Topics exist.
[[nodiscard]] std::unique_ptr<OutputSink> make_kafka_sink(KafkaGroup& group, OutputTopics topics,
                                                          DeliveryMode mode);

}  // namespace tapedeck::sinks
