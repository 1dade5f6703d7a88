// storage/kafka_streams.hpp -- reads one topic from any offset, by several threads at once, without
// a consumer group. Internal.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/kafka_client.hpp"

namespace tapedeck::storage {

/// One partition as one client reads it on: what was fetched and not yet taken waits in `stash`.
class KafkaStream {
public:
  KafkaStream(const KafkaClient& client, const std::string& name, rd_kafka_topic_t& topic,
              Partition partition)
      : client_(client), name_(name), topic_(topic), partition_(partition) {}
  ~KafkaStream() { stop(); }
  KafkaStream(const KafkaStream&) = delete;
  KafkaStream& operator=(const KafkaStream&) = delete;

  /// Stands so that the next message is the first one at `from` or later.
  [[nodiscard]] Result<void> stand_at(Offset from);
  /// Fetches until a message waits. False: nothing came within `wait_ms`, or the partition ends
  /// here (ends_at() says where). Error where the offset is gone, or the topic.
  [[nodiscard]] Result<bool> fetch(int wait_ms);
  [[nodiscard]] const rd_kafka_message_t& front() const noexcept { return *stash_.front(); }
  void take();  ///< front() is done with
  void stop() noexcept;

  /// Whether reading from there needs no new beginning.
  [[nodiscard]] bool reaches(Offset from) const noexcept;
  [[nodiscard]] Offset next() const noexcept { return next_; }
  /// One past the last message fetched, taken or not; where it began, if none was.
  [[nodiscard]] Offset fetched() const noexcept { return fetched_; }
  /// The same; 0 if none was.
  [[nodiscard]] Offset seen() const noexcept { return seen_; }
  [[nodiscard]] bool running() const noexcept { return running_; }
  [[nodiscard]] std::size_t waiting() const noexcept { return stash_.size(); }
  /// The newest word that the committed part of the partition ends here.
  [[nodiscard]] Offset ends_at() const noexcept { return ends_at_; }
  /// Fetches without handing out, until `end` (exclusive) is known to hold nothing more.
  [[nodiscard]] Result<void> fetch_up_to(Offset end, const Deadline& deadline);

private:
  Result<void> pull(int wait_ms);
  Result<void> accept(MessageHandle message);
  [[nodiscard]] Error failed(rd_kafka_resp_err_t code) const;

  const KafkaClient& client_;
  const std::string& name_;
  rd_kafka_topic_t& topic_;
  Partition partition_;
  QueueHandle queue_;
  std::deque<MessageHandle> stash_;
  Offset next_ = 0, fetched_ = 0, seen_ = 0, ends_at_ = 0;
  bool running_ = false;
};

/// A bounded number of clients, each with a stream a partition; who reads on finds the stream that
/// stands there.
class KafkaStreams {
public:
  /// What is read: long stretches, fetched far ahead; or a few records here and there, where a
  /// client reads one place at a time and stops behind it: what else it fetched would be waited
  /// for.
  enum class Use : std::uint8_t { stretches, jumps };
  static Result<std::unique_ptr<KafkaStreams>> open(const KafkaOptions& options,
                                                    const std::string& topic,
                                                    std::uint32_t partitions,
                                                    Use use = Use::stretches);

  /// Tells messages with from <= offset < to in order until `take` says false (that one is taken),
  /// or none is left. Some message at to - 1 or later has to be there: it is waited for. Where
  /// `patience_ms` >= 0, it ends as well once something was told and nothing more came for that
  /// long.
  using Take = std::function<Result<bool>(const rd_kafka_message_t&)>;
  [[nodiscard]] Result<void> read(Partition partition, Offset from, Offset to, int patience_ms,
                                  const Take& take);
  /// One past the last message in [from, end), if there is one; `end`: the partition ends there.
  [[nodiscard]] Result<std::optional<Offset>> find_end(Partition partition, Offset from,
                                                       Offset end);
  /// Of each partition: the first offset that is kept, or where its committed part ends.
  enum class Edge : std::uint8_t { first, end };
  [[nodiscard]] Result<std::vector<Offset>> offsets(Edge edge, int wait_ms) const;
  [[nodiscard]] const KafkaClient& client() const { return *lanes_.front()->client; }
  [[nodiscard]] const std::string& topic() const noexcept { return topic_; }

private:
  struct Seat {
    std::unique_ptr<KafkaStream> stream;
    bool busy = false;
    std::uint64_t used = 0;
    bool running = false;  ///< where the stream stood when it was last given back
    Offset next = 0, fetched = 0;
    [[nodiscard]] bool reaches(Offset from) const noexcept;
  };
  struct Lane {
    std::unique_ptr<KafkaClient> client;
    TopicHandle topic;
    std::vector<Seat> seats;  ///< by partition
    std::uint64_t used = 0;   ///< by a jump
  };
  class Hold;

  KafkaStreams(KafkaOptions options, std::string topic, std::uint32_t partitions, Use use)
      : options_(std::move(options)),
        topic_(std::move(topic)),
        partitions_(partitions),
        use_(use) {}
  Result<void> add_lane();
  Result<std::vector<Offset>> ask_offsets(Edge edge, int wait_ms) const;
  Result<Seat*> choose(Partition partition, Offset from);
  Result<Seat*> choose_jump(Partition partition);

  KafkaOptions options_;
  std::string topic_;
  std::uint32_t partitions_;
  Use use_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::uint64_t uses_ = 0;
};

}  // namespace tapedeck::storage
