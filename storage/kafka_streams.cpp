#include "storage/kafka_streams.hpp"

#include <algorithm>
#include <array>
#include <thread>

#include "storage/errors.hpp"

namespace tapedeck::storage {
namespace {

constexpr std::size_t kBurst = 1024;      // messages moved from the library at once
constexpr Offset kSkip = 64;              // a gap that is read through rather than jumped over
constexpr std::size_t kMaxStash = 16384;  // messages that wait for a reader
constexpr std::size_t kMaxLanes = 3;
constexpr Offset kNear = 4096;  // so near to the end it is looked for by reading on
constexpr int kWaitMs = 100;
constexpr auto kAskAgain = std::chrono::milliseconds(20);

}  // namespace

Error KafkaStream::failed(rd_kafka_resp_err_t code) const {
  const std::string place = at(name_, partition_, static_cast<std::int64_t>(fetched_));
  if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
      code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
    return {ErrorCode::environment,
            place +
                " is not kept by the brokers any more: retention has cut the topic, or it was made "
                "anew. Nothing is skipped: restore the tape from an archive into a new topic "
                "(`tapedeck tape copy`), and keep retention.ms=-1",
            std::string(kLostField)};
  }
  return client_.error(code, "reading " + place);
}

bool KafkaStream::reaches(Offset from) const noexcept {
  return running_ && next_ <= from && from <= fetched_ + kSkip;
}

Result<void> KafkaStream::stand_at(Offset from) {
  if (!reaches(from)) {
    stop();
    queue_.reset(rd_kafka_queue_new(client_.get()));
    if (rd_kafka_consume_start_queue(&topic_, static_cast<std::int32_t>(partition_),
                                     static_cast<std::int64_t>(from), queue_.get()) != 0) {
      return tl::unexpected(failed(rd_kafka_last_error()));
    }
    running_ = true;
    ends_at_ = seen_ = 0;
    fetched_ = from;
  }
  next_ = from;
  while (!stash_.empty() && static_cast<Offset>(stash_.front()->offset) < from) stash_.pop_front();
  return {};
}

void KafkaStream::stop() noexcept {
  stash_.clear();
  if (running_) (void)rd_kafka_consume_stop(&topic_, static_cast<std::int32_t>(partition_));
  queue_.reset();
  running_ = false;
}

Result<void> KafkaStream::accept(MessageHandle message) {
  const auto offset = static_cast<Offset>(message->offset);
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    ends_at_ = std::max(ends_at_, offset);
    return {};
  }
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (is_transient(message->err)) return {};
    return tl::unexpected(failed(message->err));
  }
  fetched_ = std::max(fetched_, offset + 1);
  seen_ = fetched_;
  if (offset >= next_) stash_.push_back(std::move(message));
  return {};
}

/// Waits for one message, then takes what else is there: asked for many, the library would wait
/// until all of them came.
Result<void> KafkaStream::pull(int wait_ms) {
  MessageHandle first(rd_kafka_consume_queue(queue_.get(), wait_ms));
  if (!first) return {};
  if (auto ok = accept(std::move(first)); !ok) return ok;
  std::array<rd_kafka_message_t*, kBurst> more;
  const auto count = rd_kafka_consume_batch_queue(queue_.get(), 0, more.data(), more.size());
  Result<void> result;
  for (ssize_t i = 0; i < count; ++i) {
    MessageHandle message(more[static_cast<std::size_t>(i)]);
    if (result) result = accept(std::move(message));
  }
  return result;
}

Result<bool> KafkaStream::fetch(int wait_ms) {
  if (!stash_.empty()) return true;
  if (auto ok = pull(wait_ms); !ok) {
    if (stash_.empty()) {
      stop();
      return tl::unexpected(ok.error());
    }
  }
  return !stash_.empty();
}

void KafkaStream::take() {
  next_ = static_cast<Offset>(stash_.front()->offset) + 1;
  stash_.pop_front();
}

Result<void> KafkaStream::fetch_up_to(Offset end, const Deadline& deadline) {
  while (fetched_ < end && ends_at_ < end) {
    if (deadline.passed()) return tl::unexpected(failed(RD_KAFKA_RESP_ERR__TIMED_OUT));
    if (auto ok = pull(std::min(kWaitMs, deadline.left())); !ok) {
      stop();
      return ok;
    }
  }
  return {};
}

bool KafkaStreams::Seat::reaches(Offset from) const noexcept {
  return running && next <= from && from <= fetched + kSkip;
}

/// A stream in use; given back when destroyed.
class KafkaStreams::Hold {
public:
  Hold(KafkaStreams& all, Seat& seat) : all_(all), seat_(seat) {}
  ~Hold() {
    if (all_.use_ == Use::jumps) seat_.stream->stop();
    const std::lock_guard lock(all_.mutex_);
    seat_.busy = false;
    seat_.running = seat_.stream->running();
    seat_.next = seat_.stream->next();
    seat_.fetched = seat_.stream->fetched();
    all_.freed_.notify_all();
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  KafkaStream* operator->() const noexcept { return seat_.stream.get(); }

private:
  KafkaStreams& all_;
  Seat& seat_;
};

Result<std::unique_ptr<KafkaStreams>> KafkaStreams::open(const KafkaOptions& options,
                                                         const std::string& topic,
                                                         std::uint32_t partitions, Use use) {
  std::unique_ptr<KafkaStreams> streams(new KafkaStreams(options, topic, partitions, use));
  if (auto ok = streams->add_lane(); !ok) return tl::unexpected(ok.error());
  return streams;
}

Result<void> KafkaStreams::add_lane() {
  auto lane = std::make_unique<Lane>();
  auto client = KafkaClient::make(RD_KAFKA_CONSUMER, options_,
                                  use_ == Use::jumps ? jumping_settings() : reading_settings());
  if (!client) return tl::unexpected(client.error());
  lane->client = std::move(*client);
  lane->topic = lane->client->topic(topic_);
  lane->seats.resize(partitions_);
  for (Partition p = 0; p < partitions_; ++p)
    lane->seats[p].stream = std::make_unique<KafkaStream>(*lane->client, topic_, *lane->topic, p);
  lanes_.push_back(std::move(lane));
  return {};
}

/// The stream that stands at `from`, else one that nobody uses, else another client, else the one
/// that was not used for longest.
Result<KafkaStreams::Seat*> KafkaStreams::choose(Partition partition, Offset from) {
  if (use_ == Use::jumps) return choose_jump(partition);
  std::unique_lock lock(mutex_);
  while (true) {
    Seat* oldest = nullptr;
    Seat* standing = nullptr;
    for (const auto& lane : lanes_) {
      Seat& seat = lane->seats[partition];
      if (seat.reaches(from) && (standing == nullptr || seat.next == from)) standing = &seat;
      if (!seat.busy && (oldest == nullptr || seat.used < oldest->used)) oldest = &seat;
    }
    Seat* chosen = standing != nullptr ? standing : oldest;
    if (standing == nullptr && (oldest == nullptr || oldest->used != 0) &&
        lanes_.size() < kMaxLanes) {
      if (auto ok = add_lane(); !ok) return tl::unexpected(ok.error());
      chosen = &lanes_.back()->seats[partition];
    }
    if (chosen != nullptr && !chosen->busy) {
      chosen->busy = true;
      chosen->used = ++uses_;
      return chosen;
    }
    freed_.wait(lock);
  }
}

/// The idle client that has had most time to be done with what it was still fetching.
Result<KafkaStreams::Seat*> KafkaStreams::choose_jump(Partition partition) {
  std::unique_lock lock(mutex_);
  while (true) {
    Lane* idle = nullptr;
    for (const auto& lane : lanes_) {
      if (std::ranges::any_of(lane->seats, &Seat::busy)) continue;
      if (idle == nullptr || lane->used < idle->used) idle = lane.get();
    }
    if ((idle == nullptr || idle->used != 0) && lanes_.size() < kMaxLanes) {
      if (auto ok = add_lane(); !ok) return tl::unexpected(ok.error());
      idle = lanes_.back().get();
    }
    if (idle != nullptr) {
      idle->used = ++uses_;
      idle->seats[partition].busy = true;
      return &idle->seats[partition];
    }
    freed_.wait(lock);
  }
}

Result<void> KafkaStreams::read(Partition partition, Offset from, Offset to, int patience_ms,
                                const Take& take) {
  if (from >= to) return {};
  const auto seat = choose(partition, from);
  if (!seat) return tl::unexpected(seat.error());
  const Hold stream(*this, **seat);
  if (auto ok = stream->stand_at(from); !ok) return ok;
  bool any = false;
  Deadline deadline(kReadAnswerMs);
  while (true) {
    const bool patient = patience_ms < 0 || !any;
    const auto there = stream->fetch(patient ? std::min(kWaitMs, deadline.left()) : patience_ms);
    if (!there) return tl::unexpected(there.error());
    if (!*there) {
      if (!patient) return {};
      if (!deadline.passed()) continue;
      const Offset next = stream->next();
      stream->stop();
      return tl::unexpected(
          client().error(RD_KAFKA_RESP_ERR__TIMED_OUT,
                         "reading " + at(topic_, partition, static_cast<std::int64_t>(next))));
    }
    const auto offset = static_cast<Offset>(stream->front().offset);
    if (offset >= to) return {};
    const auto more = take(stream->front());
    if (!more) return tl::unexpected(more.error());
    stream->take();
    if (!*more || offset + 1 >= to) return {};
    any = true;
    deadline = Deadline(kReadAnswerMs);
  }
}

Result<std::optional<Offset>> KafkaStreams::find_end(Partition partition, Offset from, Offset end) {
  for (Offset step = end - from <= kNear ? kNear : 8;; step *= 16) {
    const Offset start = end - from <= step ? from : end - step;
    const auto seat = choose(partition, start);
    if (!seat) return tl::unexpected(seat.error());
    const Hold stream(*this, **seat);
    if (stream->waiting() > kMaxStash) stream->stop();  // nobody reads it
    if (!stream->reaches(start)) {
      if (auto ok = stream->stand_at(start); !ok) return tl::unexpected(ok.error());
    }
    if (auto ok = stream->fetch_up_to(end, Deadline(kFirstAnswerMs)); !ok)
      return tl::unexpected(ok.error());
    // Where a long transaction was taken back, nothing may stand between `start` and the end.
    if (stream->seen() > from) return stream->seen();
    if (start == from) return std::optional<Offset>{};
  }
}

/// A broker that has just started, or a partition that moves, is asked again.
Result<std::vector<Offset>> KafkaStreams::offsets(Edge edge, int wait_ms) const {
  const Deadline deadline(wait_ms);
  while (true) {
    auto found = ask_offsets(edge, deadline.left());
    if (found || found.error().field != kTransientField || deadline.passed()) return found;
    std::this_thread::sleep_for(kAskAgain);
  }
}

Result<std::vector<Offset>> KafkaStreams::ask_offsets(Edge edge, int wait_ms) const {
  const std::int64_t which = edge == Edge::first ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
  OffsetsHandle list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions_)));
  for (Partition p = 0; p < partitions_; ++p) {
    rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), static_cast<std::int32_t>(p))
        ->offset = which;
  }
  const auto code = rd_kafka_offsets_for_times(client().get(), list.get(), wait_ms);
  const std::string doing = "asking where " + topic_ + " begins and ends";
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(client().error(code, doing));
  std::vector<Offset> found(partitions_, 0);
  for (int i = 0; i < list->cnt; ++i) {
    const auto& one = list->elems[i];
    if (one.err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return tl::unexpected(client().error(one.err, doing));
    found.at(static_cast<std::size_t>(one.partition)) =
        one.offset < 0 ? 0 : static_cast<Offset>(one.offset);
  }
  return found;
}

}  // namespace tapedeck::storage
