// sinks/kafka_originals.hpp -- the records that undecodable events stand for, as their clients
// wrote them. Internal.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sinks/sink.hpp"
#include "storage/kafka_streams.hpp"

namespace tapedeck::sinks {

struct Original {
  std::optional<std::string> key;
  std::string value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  std::int64_t timestamp_ms = -1;  ///< none: -1
};

/// Whether the row is of a record whose bytes, not its event, say what was refused.
[[nodiscard]] bool is_undecodable(const market::Output& output) noexcept;

/// Reads them from the tape's topic. Used by one thread at a time.
class KafkaOriginals {
public:
  explicit KafkaOriginals(storage::KafkaOptions options) : options_(std::move(options)) {}

  /// Gathers ahead what the rows stand for, as far as kMaxGathered bytes go.
  Result<void> gather(std::span<const Delivery> deliveries);
  /// The record at this place; valid until the next call of any function.
  [[nodiscard]] Result<const Original*> at(Partition partition, Offset offset);

  static constexpr std::size_t kMaxGathered = std::size_t{64} << 20;

private:
  Result<void> read(Partition partition, std::span<const Offset> wanted);
  Result<void> open();

  storage::KafkaOptions options_;
  std::unique_ptr<storage::KafkaStreams> streams_;
  std::map<std::pair<Partition, Offset>, Original> gathered_;
  std::size_t bytes_ = 0;
};

}  // namespace tapedeck::sinks
