// kafka_read BROKERS TOPIC: every committed record of a topic as a line of JSON, a partition after
// the other, for tests. Keys and values are text, headers an object.
#include <cstdio>
#include <string>

#include "api/json_writer.hpp"
#include "chaos/kafka_rows.hpp"
#include "storage/kafka_record.hpp"

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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  storage::KafkaOptions options;
  options.brokers = argv[1], options.topic = argv[2];
  const auto done = chaos::read_committed(options, [](auto partition, const auto& message) {
    std::puts(line_of(partition, message).c_str());
  });
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
