// kafka_read BROKERS TOPIC: every committed record of a topic as a line of JSON, a partition after
// the other, for tests. Keys and values are text, headers an object. What a killed engine left open
// hides all that was committed after it: that is waited for first.
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "api/json_writer.hpp"
#include "storage/kafka_record.hpp"
#include "storage/kafka_streams.hpp"
#include "storage/kafka_topics.hpp"

using namespace tapedeck;

namespace {

std::string line_of(storage::Partition partition, const rd_kafka_message_t& message) {
  api::JsonWriter out(1024);
  out.open('{');
  out.key("partition").integer(partition);
  out.key("offset").integer(message.offset);
  out.key("key").string(storage::key_of(message));
  out.key("headers").open('{');
  rd_kafka_headers_t* headers = nullptr;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    for (std::size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i)
      out.key(name).string({static_cast<const char*>(value), size});
  }
  out.close('}');
  out.key("value").string(storage::value_of(message));
  out.close('}');
  return out.take();
}

constexpr int kWaitMs = 60'000;  // brokers give a dead producer's transaction up after 15 s, or 25

/// Where the partition ends, what is not committed included.
Result<std::int64_t> written(const storage::KafkaClient& client, const std::string& topic,
                             storage::Partition partition) {
  std::int64_t low = 0, high = 0;
  const auto code = rd_kafka_query_watermark_offsets(
      client.get(), topic.c_str(), static_cast<std::int32_t>(partition), &low, &high, 10'000);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(client.error(code, "asking where " + topic + " ends"));
  return high;
}

/// The ends of all partitions once nothing is open in any.
Result<std::vector<storage::Offset>> settled_ends(const storage::KafkaOptions& options,
                                                  const storage::KafkaStreams& streams) {
  auto all = storage::KafkaClient::make(RD_KAFKA_CONSUMER, options,
                                        {{"isolation.level", "read_uncommitted"}});
  if (!all) return tl::unexpected(all.error());
  const storage::Deadline deadline(kWaitMs);
  while (true) {
    auto ends = streams.offsets(storage::KafkaStreams::Edge::end, 10'000);
    if (!ends) return ends;
    bool settled = true;
    for (storage::Partition p = 0; settled && p < ends->size(); ++p) {
      const auto high = written(**all, options.topic, p);
      if (!high) return tl::unexpected(high.error());
      settled = static_cast<storage::Offset>(*high) <= (*ends)[p];
    }
    if (settled) return ends;
    if (deadline.passed())
      return fail(ErrorCode::environment, options.topic + " has a transaction that stays open");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Result<void> print(const storage::KafkaOptions& options) {
  auto probe = storage::KafkaStreams::open(options, options.topic, 1);
  if (!probe) return tl::unexpected(probe.error());
  const auto partitions = storage::count_partitions((*probe)->client(), options.topic);
  if (!partitions) return tl::unexpected(partitions.error());
  auto streams = storage::KafkaStreams::open(options, options.topic, partitions->value_or(0));
  if (!streams) return tl::unexpected(streams.error());
  const auto ends = settled_ends(options, **streams);
  if (!ends) return tl::unexpected(ends.error());
  for (storage::Partition p = 0; p < ends->size(); ++p) {
    const auto last = (*streams)->find_end(p, 0, (*ends)[p]);
    if (!last) return tl::unexpected(last.error());
    if (!*last) continue;
    const auto told = (*streams)->read(p, 0, **last, -1, [&](const auto& message) -> Result<bool> {
      std::puts(line_of(p, message).c_str());
      return true;
    });
    if (!told) return told;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  storage::KafkaOptions options;
  options.brokers = argv[1], options.topic = argv[2];
  const auto done = print(options);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
