// chaos/kafka_rows.hpp -- what a reader of committed records finds in a topic.
#pragma once

#include <functional>

#include "storage/kafka_client.hpp"

namespace tapedeck::chaos {

/// All committed records, a partition after the other. Waits until no transaction is open on the
/// topic: one of a node that was killed holds back what was committed behind it, until the broker
/// gives it up. Error `environment` where one stays open.
[[nodiscard]] Result<void> read_committed(
    const storage::KafkaOptions& options,
    const std::function<void(storage::Partition, const rd_kafka_message_t&)>& take);

}  // namespace tapedeck::chaos
