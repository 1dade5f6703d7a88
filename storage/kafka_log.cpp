#include "storage/kafka_log.hpp"

#include <charconv>

#include "storage/kafka_record.hpp"

namespace tapedeck::storage {
namespace {

constexpr std::string_view kTapeKey = "tape";
/// What the records are; a tape without it has tapedeck's own.
constexpr const char* kFormatHeader = "format";

/// What a delivery report said.
struct Delivery {
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__IN_PROGRESS;
};

void on_appended(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  static_cast<Delivery*>(message->_private)->code = message->err;
}

}  // namespace

Result<void> KafkaLog::read(const std::function<Result<void>(const rd_kafka_message_t&)>& visit) {
  const std::lock_guard lock(mutex_);
  if (!streams_) {
    auto streams = KafkaStreams::open(options_, topic_, 1);
    if (!streams) return tl::unexpected(streams.error());
    streams_ = std::move(*streams);
  }
  const auto end = streams_->offsets(KafkaStreams::Edge::end, kFirstAnswerMs);
  if (!end) return tl::unexpected(end.error());
  if (end->front() == 0) return {};
  const auto last = streams_->find_end(0, 0, end->front());
  if (!last) return tl::unexpected(last.error());
  if (!*last) return {};
  return streams_->read(0, 0, **last, -1, [&](const rd_kafka_message_t& message) -> Result<bool> {
    if (auto ok = visit(message); !ok) return tl::unexpected(ok.error());
    return true;
  });
}

Result<void> KafkaLog::append(std::string_view key, std::string_view value,
                              const Headers& headers) {
  const std::lock_guard lock(mutex_);
  if (!producer_) {
    auto producer = KafkaClient::make(RD_KAFKA_PRODUCER, options_,
                                      {{"enable.idempotence", "true"},
                                       {"linger.ms", "0"},
                                       {"message.timeout.ms", "30000"},
                                       {"message.max.bytes", std::to_string(kMaxMessageBytes)}},
                                      on_appended);
    if (!producer) return tl::unexpected(producer.error());
    producer_ = std::move(*producer);
    producer_topic_ = producer_->topic(topic_);
  }
  HeadersHandle all(rd_kafka_headers_new(headers.size()));
  for (const auto& [name, text] : headers) add_header(*all, name, text);
  Delivery delivery;
  const auto code = rd_kafka_producev(
      producer_->get(), RD_KAFKA_V_RKT(producer_topic_.get()), RD_KAFKA_V_PARTITION(0),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
      RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
      RD_KAFKA_V_HEADERS(all.get()), RD_KAFKA_V_OPAQUE(&delivery), RD_KAFKA_V_END);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(producer_->error(code, "writing to " + topic_));
  (void)all.release();  // the library's now
  while (delivery.code == RD_KAFKA_RESP_ERR__IN_PROGRESS)
    (void)rd_kafka_poll(producer_->get(), 100);
  if (delivery.code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return tl::unexpected(producer_->error(delivery.code, "writing to " + topic_));
}

Result<std::optional<TapeIdentity>> read_identity(KafkaLog& control) {
  std::optional<TapeIdentity> stored;
  const auto done = control.read([&](const rd_kafka_message_t& message) -> Result<void> {
    if (stored || key_of(message) != kTapeKey) return {};
    const auto text = value_of(message);
    TapeIdentity found;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), found.partitions);
    const auto format = header(message, kFormatHeader);
    const auto codec = format.empty() ? TopicCodec{} : parse_codec(format);
    if (error != std::errc{} || found.partitions == 0 || !codec ||
        header(message, "schema") != kKafkaSchema) {
      return fail(ErrorCode::corrupt, "control record " + at(control.topic(), 0, message.offset) +
                                          " does not say what tape this is");
    }
    found.codec = *codec;
    stored = found;
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return stored;
}

Result<TapeIdentity> settle_identity(KafkaLog& control, const TapeIdentity& wanted) {
  auto stored = read_identity(control);
  if (!stored) return tl::unexpected(stored.error());
  if (*stored) return **stored;
  KafkaLog::Headers headers = {{"schema", std::string(kKafkaSchema)},
                               {"codec", std::string(kControlCodec)}};
  if (wanted.codec.foreign()) headers.emplace_back(kFormatHeader, to_text(wanted.codec));
  if (auto ok = control.append(kTapeKey, std::to_string(wanted.partitions), headers); !ok)
    return tl::unexpected(ok.error());
  stored = read_identity(control);
  if (!stored) return tl::unexpected(stored.error());
  return stored->value_or(wanted);
}

}  // namespace tapedeck::storage
