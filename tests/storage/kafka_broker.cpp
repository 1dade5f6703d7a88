#include "tests/storage/kafka_broker.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <stdexcept>

namespace tapedeck::storage::test {

std::string kafka(const std::string& command, const std::string& dir) {
  const std::string line =
      std::string(TAPEDECK_SOURCE_DIR) + "/scripts/kafka " + command + " --dir '" + dir + "'";
  FILE* pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run " + line);
  std::string output;
  std::array<char, 256> part{};
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) output += part.data();
  if (pclose(pipe) != 0) throw std::runtime_error(line + " failed: " + output);
  while (!output.empty() && output.back() == '\n') output.pop_back();
  return output;
}

const std::string& shared_broker() {
  static const std::string address = kafka("start", KAFKA_TEST_DIR);
  return address;
}

std::string new_topic() {
  static std::atomic<unsigned> count = 0;
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return "test-" + std::to_string(getpid()) + "-" + std::to_string(now) + "-" +
         std::to_string(++count);
}

KafkaOptions new_tape(std::uint32_t partitions) {
  KafkaOptions options;
  options.brokers = shared_broker();
  options.topic = new_topic();
  options.partitions = partitions;
  return options;
}

}  // namespace tapedeck::storage::test
