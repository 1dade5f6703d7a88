#include "chaos/kafka_rows.hpp"

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "storage/kafka_streams.hpp"
#include "storage/kafka_topics.hpp"

namespace tapedeck::chaos {

namespace {

constexpr std::chrono::seconds kSettles{90};
constexpr std::chrono::milliseconds kLookAgain{100};
constexpr int kAnswerMs = 10'000;

Result<std::vector<storage::Offset>> settled_ends(const storage::KafkaOptions& options,
                                                  const storage::KafkaStreams& streams) {
  rd_kafka_conf_t* settings = rd_kafka_conf_new();
  char why[256];
  rd_kafka_conf_set(settings, "bootstrap.servers", options.brokers.c_str(), why, sizeof why);
  rd_kafka_conf_set(settings, "isolation.level", "read_uncommitted", why, sizeof why);
  const std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)> client(
      rd_kafka_new(RD_KAFKA_CONSUMER, settings, why, sizeof why), &rd_kafka_destroy);
  const auto give_up = std::chrono::steady_clock::now() + kSettles;
  while (true) {
    auto ends = streams.offsets(storage::KafkaStreams::Edge::end, kAnswerMs);
    if (!ends) return ends;
    bool open = false;
    for (storage::Partition p = 0; p < ends->size(); ++p) {
      std::int64_t low = 0, high = -1;
      const auto code =
          rd_kafka_query_watermark_offsets(client.get(), options.topic.c_str(),
                                           static_cast<std::int32_t>(p), &low, &high, kAnswerMs);
      open |=
          code != RD_KAFKA_RESP_ERR_NO_ERROR || static_cast<storage::Offset>(high) != (*ends)[p];
    }
    if (!open) return ends;
    if (std::chrono::steady_clock::now() > give_up)
      return fail(ErrorCode::environment, "a transaction stays open on " + options.topic);
    std::this_thread::sleep_for(kLookAgain);
  }
}

}  // namespace

Result<void> read_committed(
    const storage::KafkaOptions& options,
    const std::function<void(storage::Partition, const rd_kafka_message_t&)>& take) {
  const auto probe = storage::KafkaStreams::open(options, options.topic, 1);
  if (!probe) return tl::unexpected(probe.error());
  const auto partitions = storage::count_partitions((*probe)->client(), options.topic);
  if (!partitions) return tl::unexpected(partitions.error());
  const auto streams = storage::KafkaStreams::open(options, options.topic, partitions->value_or(0));
  if (!streams) return tl::unexpected(streams.error());
  const auto ends = settled_ends(options, **streams);
  if (!ends) return tl::unexpected(ends.error());
  for (storage::Partition p = 0; p < ends->size(); ++p) {
    const auto last = (*streams)->find_end(p, 0, (*ends)[p]);
    if (!last) return tl::unexpected(last.error());
    if (!*last) continue;
    const auto told = (*streams)->read(p, 0, **last, -1, [&](const auto& message) -> Result<bool> {
      take(p, message);
      return true;
    });
    if (!told) return told;
  }
  return {};
}

}  // namespace tapedeck::chaos
