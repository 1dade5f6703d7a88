// storage/kafka_client.hpp -- librdkafka's handles, owned; its settings and errors in our words.
// Internal: included by what speaks to Kafka, storage/kafka_*.cpp and sinks/kafka_*.cpp.
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/kafka_tape.hpp"

namespace tapedeck::storage {

// Limits. Waits are bounded: what passes one is error `environment`.
constexpr int kFirstAnswerMs = 30'000;  ///< brokers' first answer, metadata, settings
constexpr int kReadAnswerMs = 120'000;  ///< a record that is known to be there
constexpr int kCommitMs = 60'000;       ///< one try to commit an append, or to take it back
constexpr int kCommitTries = 3;
constexpr int kTransactionMs = 60'000;     ///< a killed recorder's append is given up by the broker
constexpr int kSettleMs = 15'000;          ///< a committed append becomes visible to readers
constexpr int kMaxMessageBytes = 2 << 20;  ///< one record: payload of 1 MiB, headers
/// What the producer sends in one piece: also what a reader of one record has to fetch.
constexpr int kBatchBytes = 256 << 10;

template <auto Destroy>
struct KafkaDelete {
  template <class T>
  void operator()(T* handle) const noexcept {
    Destroy(handle);
  }
};
using TopicHandle = std::unique_ptr<rd_kafka_topic_t, KafkaDelete<rd_kafka_topic_destroy>>;
using QueueHandle = std::unique_ptr<rd_kafka_queue_t, KafkaDelete<rd_kafka_queue_destroy>>;
using MessageHandle = std::unique_ptr<rd_kafka_message_t, KafkaDelete<rd_kafka_message_destroy>>;
using OffsetsHandle = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                      KafkaDelete<rd_kafka_topic_partition_list_destroy>>;
using ErrorHandle = std::unique_ptr<rd_kafka_error_t, KafkaDelete<rd_kafka_error_destroy>>;
using EventHandle = std::unique_ptr<rd_kafka_event_t, KafkaDelete<rd_kafka_event_destroy>>;

/// Error::field of what may pass by itself: brokers that do not answer.
constexpr std::string_view kTransientField = "brokers";
/// Of a topic that the brokers do not know: deleted, or they have just started and know none yet.
constexpr std::string_view kUnknownTopicField = "topic";

using ClientSettings = std::vector<std::pair<std::string, std::string>>;

/// One librdkafka instance. Its words about failing connections are kept for error messages.
class KafkaClient {
public:
  /// `delivered` is a producer's delivery report, told to rd_kafka_poll/flush.
  using Delivered = void (*)(rd_kafka_t*, const rd_kafka_message_t*, void*);
  /// `events`: RD_KAFKA_EVENT_* that are polled from a queue instead of being told to callbacks.
  static Result<std::unique_ptr<KafkaClient>> make(rd_kafka_type_t type,
                                                   const KafkaOptions& options,
                                                   const ClientSettings& settings,
                                                   Delivered delivered = nullptr, int events = 0);
  ~KafkaClient();
  KafkaClient(const KafkaClient&) = delete;
  KafkaClient& operator=(const KafkaClient&) = delete;

  [[nodiscard]] rd_kafka_t* get() const noexcept { return client_; }
  [[nodiscard]] TopicHandle topic(const std::string& name) const;
  /// `doing` completes "while ...". What the brokers' silence looks like is added.
  [[nodiscard]] Error error(rd_kafka_resp_err_t code, std::string_view doing) const;
  [[nodiscard]] Error error(const rd_kafka_error_t& code, std::string_view doing) const;

private:
  explicit KafkaClient(std::string brokers) : brokers_(std::move(brokers)) {}
  void note(const char* line);
  [[nodiscard]] std::string last_words() const;

  std::string brokers_;
  rd_kafka_t* client_ = nullptr;
  mutable std::mutex mutex_;
  std::string last_words_;
};

/// Settings of every reading client: committed records only, no jump to another offset.
[[nodiscard]] ClientSettings reading_settings();
/// The same for a client that jumps: little comes with what was asked for, an empty answer at once.
[[nodiscard]] ClientSettings jumping_settings();

/// "T[partition]:offset", as messages name a record of a topic.
[[nodiscard]] std::string at(const std::string& topic, Partition partition, std::int64_t offset);

/// Whether waiting may help: the brokers do not answer, or move a partition.
[[nodiscard]] bool is_transient(rd_kafka_resp_err_t code) noexcept;

/// Milliseconds that are left of a wait.
class Deadline {
public:
  explicit Deadline(int milliseconds)
      : end_(std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds)) {}
  [[nodiscard]] int left() const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end_ - std::chrono::steady_clock::now());
    return left.count() > 0 ? static_cast<int>(left.count()) : 0;
  }
  [[nodiscard]] bool passed() const { return left() == 0; }

private:
  std::chrono::steady_clock::time_point end_;
};

}  // namespace tapedeck::storage
