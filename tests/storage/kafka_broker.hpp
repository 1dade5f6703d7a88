// tests/storage/kafka_broker.hpp -- the broker that the tests of a build share, and brokers of
// one's own. Started by scripts/kafka.
#pragma once

#include <string>

#include "storage/kafka_tape.hpp"

namespace tapedeck::storage::test {

/// Runs `scripts/kafka COMMAND --dir DIR`; its output without the line's end. Throws if it fails.
std::string kafka(const std::string& command, const std::string& dir);

/// host:port of the shared broker, started if it does not run.
const std::string& shared_broker();

/// A topic's name that nobody had before.
std::string new_topic();

/// Options of a new tape on the shared broker.
KafkaOptions new_tape(std::uint32_t partitions);

}  // namespace tapedeck::storage::test
