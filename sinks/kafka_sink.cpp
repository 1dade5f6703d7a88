#include "sinks/kafka_sink.hpp"

#include <fmt/format.h>

#include <array>
#include <atomic>

#include "api/output_json.hpp"
#include "schemas/row_codec.hpp"
#include "sinks/kafka_originals.hpp"
#include "storage/kafka_client.hpp"
#include "storage/kafka_record.hpp"

namespace tapedeck::sinks {

using storage::ErrorHandle;
using storage::KafkaClient;
using storage::OffsetsHandle;
using storage::TopicHandle;

namespace {

constexpr int kPollMs = 50;
/// Of a node that died: so long its open transaction holds back readers of committed rows.
constexpr int kTransactionMs = 15'000;
constexpr int kAnswerMs = 20'000;  ///< one step of a transaction
constexpr std::string_view kRowSchema = "1";

storage::ClientSettings settings_of(const GroupOptions& group, DeliveryMode mode) {
  storage::ClientSettings settings = {{"enable.idempotence", "true"},
                                      {"compression.codec", "lz4"},
                                      {"linger.ms", "2"},
                                      {"partitioner", "murmur2"},
                                      {"batch.size", std::to_string(storage::kBatchBytes)},
                                      {"queue.buffering.max.messages", "1000000"}};
  if (mode == DeliveryMode::transactional) {
    settings.emplace_back("transactional.id",
                          "tapedeck." + group.kafka.topic + "." + group.group + "." + group.node);
    settings.emplace_back("transaction.timeout.ms", std::to_string(kTransactionMs));
  } else {
    settings.emplace_back("message.timeout.ms", std::to_string(kAnswerMs));
  }
  return settings;
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::uint32_t revision_of(const market::Output& output) {
  const auto* candle = std::get_if<market::Candle>(&output.body);
  return candle == nullptr ? 0 : candle->revision;
}

void add_headers(rd_kafka_headers_t& headers, const market::Output& output, std::string_view kind) {
  const auto& at = output.position;
  storage::add_header(headers, "schema", kRowSchema);
  storage::add_header(headers, "kind", kind);
  storage::add_header(headers, "identity", hex(market::identity(output)));
  storage::add_header(headers, "revision", std::to_string(revision_of(output)));
  storage::add_header(headers, "position",
                      fmt::format("{}:{}:{}", at.partition, at.offset, at.index));
}

storage::HeadersHandle headers_of(const market::Output& output) {
  storage::HeadersHandle headers(rd_kafka_headers_new(5));
  add_headers(*headers, output, market::name(output.kind()));
  return headers;
}

/// The record's own headers, then ours, which are the last of their name.
storage::HeadersHandle headers_of(const Row& row, const Original& original) {
  storage::HeadersHandle headers(rd_kafka_headers_new(original.headers.size() + 8));
  for (const auto& [name, value] : original.headers) {
    const auto size = value ? static_cast<ssize_t>(value->size()) : 0;
    (void)rd_kafka_header_add(headers.get(), name.c_str(), -1, value ? value->data() : nullptr,
                              size);
  }
  const auto& event = std::get<market::Refusal>(row.output->body).event;
  add_headers(*headers, *row.output, "undecodable");
  storage::add_header(*headers, "symbol", row.symbol);
  storage::add_header(*headers, "reason",
                      schemas::expectation(static_cast<schemas::RowFault>(event.code)));
  if (original.timestamp_ms >= 0)
    storage::add_header(*headers, "timestamp", std::to_string(original.timestamp_ms));
  return headers;
}

/// Counts rows that did not get through; transactions say so themselves.
void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && message->_private != nullptr)
    ++*static_cast<std::atomic<std::uint64_t>*>(message->_private);
}

class KafkaSink final : public OutputSink {
public:
  KafkaSink(KafkaGroup& group, OutputTopics topics, DeliveryMode mode)
      : group_(group), names_(std::move(topics)), mode_(mode), originals_(group.options().kafka) {}

  Result<std::vector<Offset>> committed(std::span<const Partition> partitions) override {
    if (auto ok = ensure_producer(); !ok) return tl::unexpected(ok.error());
    return group_.committed(partitions);
  }

  Result<void> deliver(std::span<const Delivery> deliveries) override {
    if (auto ok = ensure_producer(); !ok) return ok;
    // Before the transaction, whose time is short.
    if (auto ok = originals_.gather(deliveries); !ok) return ok;
    KafkaGroup::Upto upto;
    for (const auto& delivery : deliveries) upto.emplace_back(delivery.partition, delivery.upto);
    return mode_ == DeliveryMode::transactional ? in_a_transaction(deliveries, upto)
                                                : rows_then_offsets(deliveries, upto);
  }

private:
  enum Topic : std::uint8_t { kProcessed, kAlerts, kDeadLetters };

  /// Where a kind of output goes.
  static Topic route(market::OutputKind kind) {
    switch (kind) {
      case market::OutputKind::candle:
      case market::OutputKind::metrics:
      case market::OutputKind::late_trade: return kProcessed;
      case market::OutputKind::alert: return kAlerts;
      case market::OutputKind::refusal: return kDeadLetters;
    }
    return kProcessed;
  }

  /// A new producer of the same transactional.id ends what the one before left open: what was being
  /// committed is committed then, all else is taken back.
  Result<void> ensure_producer() {
    if (producer_) return {};
    auto producer = KafkaClient::make(RD_KAFKA_PRODUCER, group_.options().kafka,
                                      settings_of(group_.options(), mode_), on_delivery);
    if (!producer) return tl::unexpected(producer.error());
    if (mode_ == DeliveryMode::transactional) {
      const ErrorHandle refused(rd_kafka_init_transactions((*producer)->get(), kAnswerMs));
      if (refused)
        return tl::unexpected((*producer)->error(*refused, "becoming the producer of outputs"));
    }
    producer_ = std::move(*producer);
    topics_[kProcessed] = producer_->topic(names_.processed);
    topics_[kAlerts] = producer_->topic(names_.alerts);
    topics_[kDeadLetters] = producer_->topic(names_.dlq);
    return {};
  }

  Result<void> in_a_transaction(std::span<const Delivery> deliveries,
                                const KafkaGroup::Upto& upto) {
    const auto membership = group_.membership(upto);
    if (!membership) return given_away();
    if (const ErrorHandle refused(rd_kafka_begin_transaction(producer_->get())); refused)
      return end_with(*refused, "beginning a transaction of outputs");
    if (auto ok = send(deliveries); !ok) return take_back(ok.error());
    OffsetsHandle list(rd_kafka_topic_partition_list_new(static_cast<int>(upto.size())));
    for (const auto& [partition, offset] : upto) {
      rd_kafka_topic_partition_list_add(list.get(), group_.options().kafka.topic.c_str(),
                                        static_cast<std::int32_t>(partition))
          ->offset = static_cast<std::int64_t>(offset);
    }
    if (const ErrorHandle refused(rd_kafka_send_offsets_to_transaction(
            producer_->get(), list.get(), membership.get(), kAnswerMs));
        refused) {
      return end_with(*refused, "sending offsets of group " + group_.options().group);
    }
    if (const ErrorHandle refused(rd_kafka_commit_transaction(producer_->get(), kAnswerMs));
        refused)
      return end_with(*refused, "committing a transaction of outputs");
    return {};
  }

  Result<void> rows_then_offsets(std::span<const Delivery> deliveries,
                                 const KafkaGroup::Upto& upto) {
    if (!group_.membership(upto)) return given_away();
    failed_ = 0;
    auto sent = send(deliveries);
    const auto flushed = rd_kafka_flush(producer_->get(), kAnswerMs);
    if (sent && flushed != RD_KAFKA_RESP_ERR_NO_ERROR)
      sent = tl::unexpected(producer_->error(flushed, "writing outputs"));
    if (sent && failed_ != 0)
      sent = tl::unexpected(
          producer_->error(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
                           fmt::format("writing outputs, {} of which did not arrive", failed_)));
    if (!sent) {
      drop_producer();
      return sent;
    }
    return group_.commit(upto);
  }

  Result<void> send(std::span<const Delivery> deliveries) {
    for (const auto& delivery : deliveries) {
      for (const auto& row : delivery.rows) {
        if (auto ok = send(row); !ok) return ok;
      }
    }
    return {};
  }

  Result<void> send(const Row& row) {
    auto& topic = *topics_[route(row.output->kind())];
    if (is_undecodable(*row.output)) {
      const auto& at = row.output->position;
      const auto original = originals_.at(at.partition, at.offset);
      if (!original) return tl::unexpected(original.error());
      const auto& key = (*original)->key;
      return send(topic, key ? std::optional<std::string_view>(*key) : std::nullopt,
                  (*original)->value, headers_of(row, **original));
    }
    return send(topic, row.symbol, api::to_json(row.symbol, *row.output), headers_of(*row.output));
  }

  Result<void> send(rd_kafka_topic_t& topic, std::optional<std::string_view> key,
                    std::string_view value, storage::HeadersHandle headers) {
    const storage::Deadline deadline(kAnswerMs);
    while (true) {
      const auto code = rd_kafka_producev(
          producer_->get(), RD_KAFKA_V_RKT(&topic), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
          RD_KAFKA_V_KEY((key ? key->data() : nullptr), (key ? key->size() : 0)),
          RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
          RD_KAFKA_V_HEADERS(headers.get()), RD_KAFKA_V_OPAQUE(&failed_), RD_KAFKA_V_END);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)headers.release();  // the library's now
        (void)rd_kafka_poll(producer_->get(), 0);
        return {};
      }
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || deadline.passed())
        return tl::unexpected(producer_->error(code, "writing outputs"));
      (void)rd_kafka_poll(producer_->get(), kPollMs);
    }
  }

  /// What is open is aborted where the library can; else the producer is given up, and the next one
  /// settles it.
  Result<void> end_with(const rd_kafka_error_t& refused, const std::string& doing) {
    auto why = producer_->error(refused, doing);
    if (why.code == ErrorCode::conflict)
      why = {ErrorCode::environment, "the producer of outputs was fenced while " + doing, {}};
    if (rd_kafka_error_txn_requires_abort(&refused) != 0) return take_back(std::move(why));
    drop_producer();
    return tl::unexpected(std::move(why));
  }

  Result<void> take_back(Error why) {
    const ErrorHandle refused(rd_kafka_abort_transaction(producer_->get(), kAnswerMs));
    if (refused) drop_producer();
    return tl::unexpected(std::move(why));
  }

  void drop_producer() {
    (void)rd_kafka_purge(producer_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(producer_->get(), kPollMs);
    for (auto& topic : topics_) topic.reset();
    producer_.reset();
  }

  [[nodiscard]] Result<void> given_away() const {
    return fail(ErrorCode::environment,
                "group " + group_.options().group + " has given partitions away");
  }

  KafkaGroup& group_;
  OutputTopics names_;
  DeliveryMode mode_;
  std::atomic<std::uint64_t> failed_ = 0;  ///< rows; the producer counts here
  std::unique_ptr<KafkaClient> producer_;
  std::array<TopicHandle, 3> topics_;
  KafkaOriginals originals_;
};

}  // namespace

std::unique_ptr<OutputSink> make_kafka_sink(KafkaGroup& group, OutputTopics topics,
                                            DeliveryMode mode) {
  return std::make_unique<KafkaSink>(group, std::move(topics), mode);
}

}  // namespace tapedeck::sinks
