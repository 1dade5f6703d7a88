#include "sinks/kafka_snapshots.hpp"

#include "storage/kafka_client.hpp"
#include "storage/kafka_record.hpp"
#include "storage/kafka_streams.hpp"
#include "storage/kafka_topics.hpp"

namespace tapedeck::sinks {

using storage::ErrorHandle;
using storage::KafkaClient;

namespace {

constexpr int kSnapshotPollMs = 50;
constexpr int kSnapshotTransactionMs = 60'000;  ///< of a node that died; nobody waits for it
constexpr int kSnapshotAnswerMs = 60'000;       ///< one step of a transaction
constexpr std::string_view kSetSchema = "1";

class Snapshots final : public KafkaSnapshots {
public:
  Snapshots(KafkaGroup& group, std::string topic, std::uint32_t partitions)
      : group_(group), topic_(std::move(topic)), partitions_(partitions) {}

  Result<void> start() {
    auto streams = storage::KafkaStreams::open(group_.options().kafka, topic_, partitions_);
    if (!streams) return tl::unexpected(streams.error());
    streams_ = std::move(*streams);
    return {};
  }

  Result<std::optional<storage::SnapshotSet>> read(Partition partition, Offset committed) override {
    const auto place = partition % partitions_;
    const auto ends = streams_->offsets(storage::KafkaStreams::Edge::end, kSnapshotAnswerMs);
    if (!ends) return tl::unexpected(ends.error());
    if ((*ends)[place] == 0) return std::optional<storage::SnapshotSet>{};
    storage::SetReader reader(prefix(partition));
    const auto last = streams_->find_end(place, 0, (*ends)[place]);
    if (!last) return tl::unexpected(last.error());
    if (*last) {
      const auto told =
          streams_->read(place, 0, **last, -1, [&](const auto& message) -> Result<bool> {
            reader.take(storage::key_of(message), storage::value_of(message));
            return true;
          });
      if (!told) return tl::unexpected(told.error());
    }
    return reader.finish(partition, committed);
  }

  Result<void> publish(const storage::Checkpoint& checkpoint, const storage::SetEntries& entries,
                       const storage::SetEntries& before, const Next& next) override {
    if (auto ok = ensure_producer(); !ok) return ok;
    const auto membership = group_.membership({{checkpoint.partition, checkpoint.next}});
    if (!membership) return fail(ErrorCode::environment, "the partition was given away");
    if (const ErrorHandle refused(rd_kafka_begin_transaction(producer_->get())); refused)
      return end_with(*refused, "beginning to publish snapshots");
    if (auto ok = send_all(checkpoint, entries, before, next); !ok) return take_back(ok.error());
    // The group refuses an owner that was; the offset it keeps for this topic means nothing else.
    storage::OffsetsHandle list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(),
                                      static_cast<std::int32_t>(checkpoint.partition % partitions_))
        ->offset = static_cast<std::int64_t>(checkpoint.next);
    if (const ErrorHandle refused(rd_kafka_send_offsets_to_transaction(
            producer_->get(), list.get(), membership.get(), kSnapshotAnswerMs));
        refused) {
      return end_with(*refused, "publishing snapshots as the owner of their partition");
    }
    if (const ErrorHandle refused(rd_kafka_commit_transaction(producer_->get(), kSnapshotAnswerMs));
        refused)
      return end_with(*refused, "committing snapshots");
    return {};
  }

private:
  [[nodiscard]] std::string prefix(Partition partition) const {
    const auto& options = group_.options();
    return storage::set_prefix(options.kafka.topic, options.group, partition);
  }

  Result<void> ensure_producer() {
    if (producer_) return {};
    const auto& options = group_.options();
    const storage::ClientSettings settings = {
        {"transactional.id", "tapedeck." + options.kafka.topic + "." + options.group + "." +
                                 options.node + ".snapshots"},
        {"transaction.timeout.ms", std::to_string(kSnapshotTransactionMs)},
        {"compression.codec", "lz4"},
        {"linger.ms", "5"}};
    auto producer = KafkaClient::make(RD_KAFKA_PRODUCER, options.kafka, settings);
    if (!producer) return tl::unexpected(producer.error());
    const ErrorHandle refused(rd_kafka_init_transactions((*producer)->get(), kSnapshotAnswerMs));
    if (refused)
      return tl::unexpected((*producer)->error(*refused, "becoming the producer of snapshots"));
    producer_ = std::move(*producer);
    producer_topic_ = producer_->topic(topic_);
    return {};
  }

  Result<void> send_all(const storage::Checkpoint& checkpoint, const storage::SetEntries& entries,
                        const storage::SetEntries& before, const Next& next) {
    const auto place = checkpoint.partition % partitions_;
    const auto names = prefix(checkpoint.partition);
    while (true) {
      const auto snapshot = next();
      if (!snapshot) return tl::unexpected(snapshot.error());
      if (!*snapshot) break;
      const auto known = before.find((*snapshot)->key.symbol);
      const auto there = known == before.end() ? storage::SetEntry{} : known->second;
      for (const auto& record : storage::encode_chunks(names, **snapshot, there)) {
        if (auto ok = send(place, record); !ok) return ok;
      }
    }
    return send(place, storage::encode_manifest(names, checkpoint, entries));
  }

  Result<void> send(Partition place, const storage::SetRecord& record) {
    storage::HeadersHandle headers(rd_kafka_headers_new(1));
    storage::add_header(*headers, "schema", kSetSchema);
    const storage::Deadline deadline(kSnapshotAnswerMs);
    auto* value = record.value.empty() ? nullptr : const_cast<char*>(record.value.data());
    while (true) {
      const auto code = rd_kafka_producev(producer_->get(), RD_KAFKA_V_RKT(producer_topic_.get()),
                                          RD_KAFKA_V_PARTITION(static_cast<std::int32_t>(place)),
                                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                          RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
                                          RD_KAFKA_V_VALUE(value, record.value.size()),
                                          RD_KAFKA_V_HEADERS(headers.get()), RD_KAFKA_V_END);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)headers.release();  // the library's now
        (void)rd_kafka_poll(producer_->get(), 0);
        return {};
      }
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || deadline.passed())
        return tl::unexpected(producer_->error(code, "publishing snapshots"));
      (void)rd_kafka_poll(producer_->get(), kSnapshotPollMs);
    }
  }

  Result<void> end_with(const rd_kafka_error_t& refused, const std::string& doing) {
    auto why = producer_->error(refused, doing);
    if (rd_kafka_error_txn_requires_abort(&refused) != 0) return take_back(std::move(why));
    drop_producer();
    return tl::unexpected(std::move(why));
  }

  Result<void> take_back(Error why) {
    const ErrorHandle refused(rd_kafka_abort_transaction(producer_->get(), kSnapshotAnswerMs));
    if (refused) drop_producer();
    return tl::unexpected(std::move(why));
  }

  void drop_producer() {
    (void)rd_kafka_purge(producer_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(producer_->get(), kSnapshotPollMs);
    producer_topic_.reset();
    producer_.reset();
  }

  KafkaGroup& group_;
  std::string topic_;
  std::uint32_t partitions_;
  std::unique_ptr<storage::KafkaStreams> streams_;
  std::unique_ptr<KafkaClient> producer_;
  storage::TopicHandle producer_topic_;
};

}  // namespace

Result<std::unique_ptr<KafkaSnapshots>> KafkaSnapshots::open(KafkaGroup& group, std::string topic) {
  const auto& kafka = group.options().kafka;
  auto client = KafkaClient::make(RD_KAFKA_PRODUCER, kafka, {});
  if (!client) return tl::unexpected(client.error());
  const auto tape = storage::count_partitions(**client, kafka.topic);
  if (!tape) return tl::unexpected(tape.error());
  const auto partitions = storage::settle_compacted_topic(**client, topic, tape->value_or(1));
  if (!partitions) return tl::unexpected(partitions.error());
  auto snapshots = std::make_unique<Snapshots>(group, std::move(topic), *partitions);
  if (auto ok = snapshots->start(); !ok) return tl::unexpected(ok.error());
  return snapshots;
}

}  // namespace tapedeck::sinks
