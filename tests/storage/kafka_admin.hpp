// tests/storage/kafka_admin.hpp -- what a test does to a topic behind the tape's back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace tapedeck::storage::test {

class KafkaAdmin {
public:
  explicit KafkaAdmin(std::string brokers) : brokers_(std::move(brokers)) {}
  void make_topic(const std::string& topic, int partitions,
                  const std::map<std::string, std::string>& settings);
  void delete_topic(const std::string& topic);
  void add_partitions(const std::string& topic, int count);
  /// As retention does: everything before `offset` is gone.
  void delete_records(const std::string& topic, int partition, std::int64_t offset);
  /// A record of somebody else; returns its offset.
  std::int64_t produce(const std::string& topic, int partition, const std::string& key,
                       const std::string& value);

private:
  std::string brokers_;
};

}  // namespace tapedeck::storage::test
