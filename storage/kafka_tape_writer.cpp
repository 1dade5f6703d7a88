#include <algorithm>
#include <mutex>

#include "storage/frame.hpp"
#include "storage/kafka_record.hpp"
#include "storage/kafka_tape.hpp"
#include "storage/kafka_tape_reader.hpp"
#include "storage/kafka_topics.hpp"

namespace tapedeck::storage {
namespace {

constexpr int kPollMs = 10;

/// Where a record came to stand, told by its delivery report.
struct Slot {
  Partition partition = 0;
  std::int64_t offset = -1;
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  if (message->_private == nullptr) return;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
    static_cast<Slot*>(message->_private)->offset = message->offset;
}

ClientSettings writing_settings(const KafkaOptions& options) {
  return {{"transactional.id", "tapedeck." + options.topic},
          {"transaction.timeout.ms", std::to_string(kTransactionMs)},
          {"compression.codec", "lz4"},
          {"linger.ms", "5"},
          {"batch.size", std::to_string(kBatchBytes)},
          {"message.max.bytes", std::to_string(kMaxMessageBytes)},
          {"queue.buffering.max.messages", "4000000"},
          {"queue.buffering.max.kbytes", std::to_string(2 * kMaxAppendBytes >> 10)}};
}

class KafkaTapeWriter final : public TapeWriter {
public:
  KafkaTapeWriter(const KafkaOptions& options, std::unique_ptr<KafkaClient> producer,
                  std::unique_ptr<KafkaTapeReader> reader)
      : options_(options),
        producer_(std::move(producer)),
        topic_(producer_->topic(options.topic)),
        reader_(std::move(reader)),
        letters_(options, dead_letter_topic(options)) {}

  Result<void> append(std::span<const NewRecord> records, std::span<const NewMark> marks) override {
    if (auto ok = check_append(records, marks, reader_->partitions()); !ok) return ok;
    if (records.empty() && marks.empty()) return {};
    const std::lock_guard lock(mutex_);
    if (ended_) return tl::unexpected(*ended_);
    if (const ErrorHandle begun{rd_kafka_begin_transaction(producer_->get())}; begun)
      return failed(*begun, "beginning an append to " + options_.topic);
    slots_.assign(records.size() + marks.size(), {});
    encoded_.clear();
    if (auto ok = produce(records, marks); !ok) return give_up(ok.error());
    if (auto ok = commit(); !ok) return ok;
    std::vector<Offset> ends(reader_->partitions(), 0);
    for (const auto& slot : slots_)
      ends[slot.partition] = std::max(ends[slot.partition], static_cast<Offset>(slot.offset + 1));
    return reader_->show(ends);
  }

  Result<void> append(const RecorderDeadLetter& letter) override {
    if (auto ok = check_append(letter); !ok) return ok;
    return letters_.append(letter.source, letter.bytes,
                           {{"schema", std::string(kKafkaSchema)},
                            {"codec", std::string(kLetterCodec)},
                            {"byte_offset", std::to_string(letter.byte_offset)},
                            {"reason", letter.reason}});
  }

  /// An append is on every in-sync replica when it returns.
  Result<void> sync() override { return {}; }
  TapeReader& reader() override { return *reader_; }

private:
  Result<void> produce(std::span<const NewRecord> records, std::span<const NewMark> marks) {
    encoded_.reserve(marks.size());
    std::size_t next = 0;
    for (const auto& record : records) {
      const auto partition = partition_of(record.symbol, reader_->partitions());
      if (auto ok = send({partition, 0, RecordKind::events, record.event_count,
                          record.max_event_time, record.symbol, record.payload},
                         slots_[next++]);
          !ok) {
        return ok;
      }
    }
    for (const auto& [partition, mark] : marks) {
      encoded_.push_back(schemas::encode(mark));
      if (auto ok = send({partition,
                          0,
                          RecordKind::mark,
                          0,
                          mark.feed_time,
                          {},
                          std::as_bytes(std::span(encoded_.back()))},
                         slots_[next++]);
          !ok) {
        return ok;
      }
    }
    return {};
  }

  /// The payload is not copied: append() does not return before the library is done with it.
  Result<void> send(const Record& record, Slot& slot) {
    slot.partition = record.partition;
    auto headers = record_headers(record);
    const bool mark = record.kind == RecordKind::mark;
    const Deadline deadline(kCommitMs);
    while (true) {
      const auto code = rd_kafka_producev(
          producer_->get(), RD_KAFKA_V_RKT(topic_.get()),
          RD_KAFKA_V_PARTITION(static_cast<std::int32_t>(record.partition)), RD_KAFKA_V_MSGFLAGS(0),
          RD_KAFKA_V_KEY(mark ? nullptr : record.symbol.data(), record.symbol.size()),
          RD_KAFKA_V_VALUE(const_cast<std::byte*>(record.payload.data()), record.payload.size()),
          RD_KAFKA_V_HEADERS(headers.get()), RD_KAFKA_V_OPAQUE(&slot), RD_KAFKA_V_END);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)headers.release();  // the library's now
        return {};
      }
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || deadline.passed())
        return tl::unexpected(producer_->error(code, "appending to " + options_.topic));
      (void)rd_kafka_poll(producer_->get(), kPollMs);
    }
  }

  /// Nothing of the append stays; the next one may be tried.
  Result<void> give_up(Error error) {
    const ErrorHandle aborted{rd_kafka_abort_transaction(producer_->get(), kCommitMs)};
    release_payloads();
    if (aborted) (void)failed(*aborted, "taking back an append to " + options_.topic);
    return tl::unexpected(std::move(error));
  }

  Result<void> commit() {
    ErrorHandle refused;
    for (int i = 0; i < kCommitTries; ++i) {
      refused.reset(rd_kafka_commit_transaction(producer_->get(), kCommitMs));
      if (!refused) return {};
      if (rd_kafka_error_is_retriable(refused.get()) == 0) break;
    }
    auto why = producer_->error(*refused, "appending to " + options_.topic);
    if (rd_kafka_error_txn_requires_abort(refused.get()) != 0) return give_up(std::move(why));
    release_payloads();
    // Whether the brokers have committed is not known: only the next recorder finds out.
    ended_ = why;
    return tl::unexpected(std::move(why));
  }

  void release_payloads() {
    (void)rd_kafka_purge(producer_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(producer_->get(), kPollMs);
  }

  Result<void> failed(const rd_kafka_error_t& error, const std::string& doing) {
    auto why = producer_->error(error, doing);
    if (rd_kafka_error_is_fatal(&error) != 0) ended_ = why;
    return tl::unexpected(std::move(why));
  }

  KafkaOptions options_;
  std::unique_ptr<KafkaClient> producer_;
  TopicHandle topic_;
  std::unique_ptr<KafkaTapeReader> reader_;
  KafkaLog letters_;
  std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<std::string> encoded_;
  std::optional<Error> ended_;  ///< no append is possible any more
};

}  // namespace

Result<std::unique_ptr<TapeWriter>> open_kafka_writer(const KafkaOptions& asked) {
  auto producer = KafkaClient::make(RD_KAFKA_PRODUCER, asked, writing_settings(asked), on_delivery);
  if (!producer) return tl::unexpected(producer.error());
  auto options = with_codec(**producer, asked);
  if (!options) return tl::unexpected(options.error());
  if (options->codec->foreign()) {
    return fail(ErrorCode::conflict,
                "topic " + asked.topic + " holds records of other clients (" +
                    to_text(*options->codec) + "): record into a topic of its own",
                "topic");
  }
  if (auto made = settle_topics(**producer, *options); !made) return tl::unexpected(made.error());
  const auto partitions = check_tape_topic(**producer, *options);
  if (!partitions) return tl::unexpected(partitions.error());
  options = settle_tape(*options, *partitions, true);
  if (!options) return tl::unexpected(options.error());
  // Ends what an earlier recorder left open, and fences it.
  if (const ErrorHandle refused{rd_kafka_init_transactions((*producer)->get(), kCommitMs)})
    return tl::unexpected((*producer)->error(*refused, "becoming the recorder of " + asked.topic));
  auto reader = KafkaTapeReader::open(*options);
  if (!reader) return tl::unexpected(reader.error());
  return std::make_unique<KafkaTapeWriter>(*options, std::move(*producer), std::move(*reader));
}

}  // namespace tapedeck::storage
