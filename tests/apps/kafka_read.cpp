// kafka_read BROKERS TOPIC: every committed record of a topic as a line of JSON, a partition after
// the other, for tests. Keys and values are text, headers an object.
#include <chrono>
#include <cstdio>
#include <memory>
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

/// Waits until no transaction is open on the topic: one of a node that was killed holds back what
/// was committed behind it, until the broker gives it up.
Result<std::vector<storage::Offset>> settled_ends(const storage::KafkaOptions& options,
                                                  const storage::KafkaStreams& streams) {
  constexpr auto kPatience = std::chrono::seconds(90);
  rd_kafka_conf_t* settings = rd_kafka_conf_new();
  char why[256];
  rd_kafka_conf_set(settings, "bootstrap.servers", options.brokers.c_str(), why, sizeof why);
  rd_kafka_conf_set(settings, "isolation.level", "read_uncommitted", why, sizeof why);
  const std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)> client(
      rd_kafka_new(RD_KAFKA_CONSUMER, settings, why, sizeof why), &rd_kafka_destroy);
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    auto ends = streams.offsets(storage::KafkaStreams::Edge::end, 10'000);
    if (!ends) return ends;
    bool open = false;
    for (storage::Partition p = 0; p < ends->size(); ++p) {
      std::int64_t low = 0, high = -1;
      const auto code = rd_kafka_query_watermark_offsets(
          client.get(), options.topic.c_str(), static_cast<std::int32_t>(p), &low, &high, 10'000);
      open |=
          code != RD_KAFKA_RESP_ERR_NO_ERROR || static_cast<storage::Offset>(high) != (*ends)[p];
    }
    if (!open) return ends;
    if (std::chrono::steady_clock::now() > give_up)
      return fail(ErrorCode::environment, "a transaction stays open on " + options.topic);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
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
