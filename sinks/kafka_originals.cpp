#include "sinks/kafka_originals.hpp"

#include <algorithm>

#include "storage/kafka_record.hpp"
#include "storage/kafka_topics.hpp"

namespace tapedeck::sinks {
namespace {

/// So near to each other they are read in one go: a jump costs as much as some thousand records.
constexpr Offset kRunGap = 4096;

Original copy_of(const rd_kafka_message_t& message) {
  Original original;
  if (message.key != nullptr) original.key = storage::key_of(message);
  original.value = storage::value_of(message);
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const auto timestamp = rd_kafka_message_timestamp(&message, &type);
  if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) original.timestamp_ms = timestamp;
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return original;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    std::optional<std::string> text;
    if (value != nullptr) text.emplace(static_cast<const char*>(value), size);
    original.headers.emplace_back(name, std::move(text));
  }
  return original;
}

}  // namespace

bool is_undecodable(const market::Output& output) noexcept {
  const auto* refusal = std::get_if<market::Refusal>(&output.body);
  return refusal != nullptr && refusal->rule == market::Refused::undecodable;
}

Result<void> KafkaOriginals::open() {
  if (streams_) return {};
  auto probe = storage::KafkaClient::make(RD_KAFKA_PRODUCER, options_, {});
  if (!probe) return tl::unexpected(probe.error());
  const auto partitions = storage::count_partitions(**probe, options_.topic);
  if (!partitions) return tl::unexpected(partitions.error());
  auto streams = storage::KafkaStreams::open(options_, options_.topic, partitions->value_or(0));
  if (!streams) return tl::unexpected(streams.error());
  streams_ = std::move(*streams);
  return {};
}

Result<void> KafkaOriginals::gather(std::span<const Delivery> deliveries) {
  gathered_.clear();
  bytes_ = 0;
  for (const auto& delivery : deliveries) {
    std::vector<Offset> wanted;
    for (const auto& row : delivery.rows) {
      if (is_undecodable(*row.output)) wanted.push_back(row.output->position.offset);
    }
    std::ranges::sort(wanted);
    for (auto rest = std::span(wanted); !rest.empty() && bytes_ < kMaxGathered;) {
      std::size_t count = 1;
      while (count < rest.size() && rest[count] - rest[count - 1] <= kRunGap) ++count;
      if (auto ok = read(delivery.partition, rest.first(count)); !ok) return ok;
      rest = rest.subspan(count);
    }
  }
  return {};
}

Result<void> KafkaOriginals::read(Partition partition, std::span<const Offset> wanted) {
  if (auto ok = open(); !ok) return ok;
  return streams_->read(partition, wanted.front(), wanted.back() + 1, -1,
                        [&](const rd_kafka_message_t& message) -> Result<bool> {
                          const auto offset = static_cast<Offset>(message.offset);
                          if (!std::ranges::binary_search(wanted, offset)) return true;
                          auto original = copy_of(message);
                          bytes_ += original.value.size();
                          gathered_.insert_or_assign({partition, offset}, std::move(original));
                          return bytes_ < kMaxGathered;
                        });
}

Result<const Original*> KafkaOriginals::at(Partition partition, Offset offset) {
  auto found = gathered_.find({partition, offset});
  if (found == gathered_.end()) {
    gathered_.clear();
    bytes_ = 0;
    if (auto ok = read(partition, std::span(&offset, 1)); !ok) return tl::unexpected(ok.error());
    found = gathered_.find({partition, offset});
  }
  if (found != gathered_.end()) return &found->second;
  return fail(ErrorCode::corrupt,
              "record " +
                  storage::at(options_.topic, partition, static_cast<std::int64_t>(offset)) +
                  " was refused as undecodable, and the brokers do not bring it any more");
}

}  // namespace tapedeck::sinks
