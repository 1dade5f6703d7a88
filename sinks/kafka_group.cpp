#include "sinks/kafka_group.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "storage/kafka_client.hpp"

namespace tapedeck::sinks {

using storage::ErrorHandle;
using storage::EventHandle;
using storage::OffsetsHandle;
using storage::QueueHandle;

namespace {

constexpr int kTurnMs = 100;
constexpr int kCommittedMs = 20'000;
constexpr int kEndsMs = 5'000;
/// A member that is fenced joins once more in so long a time. One that has held partitions for
/// longer was fenced by another engine: its own attempts to join are settled by then.
constexpr std::chrono::seconds kFencedAgain{30};

storage::ClientSettings member_settings(const GroupOptions& options) {
  return {{"group.id", options.group},
          {"group.instance.id", options.node},
          {"partition.assignment.strategy", "cooperative-sticky"},
          {"session.timeout.ms", "6000"},
          {"heartbeat.interval.ms", "1000"},
          {"isolation.level", "read_committed"},  // committed() waits for transactions under way
          {"auto.offset.reset", "error"},
          {"enable.auto.commit", "false"},
          {"topic.metadata.refresh.interval.ms", "5000"}};
}

bool is_unknown_topic(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
         code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

OffsetsHandle list_of(const std::string& topic, std::span<const Partition> partitions) {
  OffsetsHandle list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const auto partition : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(),
                                      static_cast<std::int32_t>(partition));
  }
  return list;
}

std::vector<Partition> partitions_of(const rd_kafka_topic_partition_list_t* list) {
  std::vector<Partition> all;
  for (int i = 0; list != nullptr && i < list->cnt; ++i)
    all.push_back(static_cast<Partition>(list->elems[i].partition));
  return all;
}

}  // namespace

void KafkaGroup::MetadataDelete::operator()(
    rd_kafka_consumer_group_metadata_s* metadata) const noexcept {
  rd_kafka_consumer_group_metadata_destroy(metadata);
}

/// One member as the brokers know it.
struct KafkaGroup::Member {
  std::unique_ptr<storage::KafkaClient> client;
  /// The group's thread alone.
  bool joined = false, assigned_once = false, topic_unknown = false;

  explicit Member(std::unique_ptr<storage::KafkaClient> made) : client(std::move(made)) {}
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  // librdkafka before 2.3 ends the process when a member of a cooperative-sticky group is destroyed
  // between joining and its first assignment, and waits for ever where the topic of its assignment
  // was deleted: such a client is left to the process's end.
  ~Member() {
    if (topic_unknown || (joined && !assigned_once)) (void)client.release();
  }
  [[nodiscard]] rd_kafka_t* get() const { return client->get(); }
};

Result<std::unique_ptr<KafkaGroup>> KafkaGroup::open(GroupOptions options) {
  std::unique_ptr<KafkaGroup> group(new KafkaGroup(std::move(options)));
  auto member = group->make_member();
  if (!member) return tl::unexpected(member.error());
  group->member_ = std::move(*member);
  return group;
}

KafkaGroup::KafkaGroup(GroupOptions options) : options_(std::move(options)) {}

KafkaGroup::~KafkaGroup() { stop(); }

Result<std::shared_ptr<KafkaGroup::Member>> KafkaGroup::make_member() const {
  auto client =
      storage::KafkaClient::make(RD_KAFKA_CONSUMER, options_.kafka, member_settings(options_),
                                 nullptr, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
  if (!client) return tl::unexpected(client.error());
  (void)rd_kafka_poll_set_consumer((*client)->get());
  return std::make_shared<Member>(std::move(*client));
}

std::shared_ptr<KafkaGroup::Member> KafkaGroup::member() const {
  const std::lock_guard lock(mutex_);
  return member_;
}

Result<void> KafkaGroup::join(Member& member) {
  const OffsetsHandle topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), options_.kafka.topic.c_str(),
                                    RD_KAFKA_PARTITION_UA);
  const auto code = rd_kafka_subscribe(member.get(), topics.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(member.client->error(code, "joining group " + options_.group));
  member.joined = true;
  return {};
}

Result<void> KafkaGroup::start(GroupEvents events) {
  events_ = std::move(events);
  if (auto joined = join(*member_); !joined) return joined;
  thread_ = std::thread([this] { run(); });
  return {};
}

void KafkaGroup::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void KafkaGroup::run() {
  while (!stopping_) turn(kTurnMs);
  const auto member = this->member();
  const QueueHandle queue(rd_kafka_queue_get_consumer(member->get()));
  const ErrorHandle refused(rd_kafka_consumer_close_queue(member->get(), queue.get()));
  while (!refused && rd_kafka_consumer_closed(member->get()) == 0) turn(kTurnMs);
}

void KafkaGroup::turn(int wait_ms) {
  const auto member = this->member();
  const QueueHandle queue(rd_kafka_queue_get_consumer(member->get()));
  const EventHandle event(rd_kafka_queue_poll(queue.get(), wait_ms));
  if (!event) return;
  const auto code = rd_kafka_event_error(event.get());
  switch (rd_kafka_event_type(event.get())) {
    case RD_KAFKA_EVENT_REBALANCE: {
      const auto partitions = partitions_of(rd_kafka_event_topic_partition_list(event.get()));
      if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(partitions);
      } else {
        revoke(partitions, rd_kafka_assignment_lost(member->get()) != 0);
      }
      return;
    }
    case RD_KAFKA_EVENT_ERROR: {
      if (is_unknown_topic(code)) member->topic_unknown = true;
      if (rd_kafka_event_error_is_fatal(event.get()) != 0) {
        fenced(rd_kafka_event_error_string(event.get()));
      } else if (!storage::is_transient(code)) {
        spdlog::warn("group {}: {}", options_.group, rd_kafka_event_error_string(event.get()));
      }
      return;
    }
    default: return;  // records are not read here
  }
}

/// The brokers know another member of this name: a newer engine, or an attempt to join of this one
/// that they took late. The latter is nothing to end for.
void KafkaGroup::fenced(const std::string& words) {
  const auto now = Clock::now();
  std::vector<Partition> gone;
  {
    const std::lock_guard lock(mutex_);
    gone.assign(owned_.begin(), owned_.end());
    owned_.clear();
  }
  const bool again = fenced_at_ && now - *fenced_at_ < kFencedAgain;
  const bool settled = !gone.empty() && now - gained_at_ >= kFencedAgain;
  if (again || settled || stopping_) {
    events_.failed({ErrorCode::conflict,
                    "group " + options_.group + " has another member of the name " + options_.node +
                        ": give each engine a kafka.node of its own (" + words + ")",
                    {}});
    return;
  }
  spdlog::warn(
      "group {}: another member of the name {} has taken this one's place, perhaps an attempt to "
      "join of its own: it joins once more, and fails where that happens again within {} s ({})",
      options_.group, options_.node, kFencedAgain.count(), words);
  fenced_at_ = now;
  if (!gone.empty()) events_.lost(gone);
  auto made = make_member();
  auto joined = made ? join(**made) : Result<void>(tl::unexpected(made.error()));
  if (!joined) {
    events_.failed(joined.error());
    return;
  }
  const std::lock_guard lock(mutex_);
  member_ = std::move(*made);
}

/// Nothing is fetched: the partitions stand at their end, paused.
void KafkaGroup::assign(const std::vector<Partition>& partitions) {
  const auto member = this->member();
  member->assigned_once = true;
  gained_at_ = Clock::now();
  const auto list = list_of(options_.kafka.topic, partitions);
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = RD_KAFKA_OFFSET_END;
  const ErrorHandle refused(rd_kafka_incremental_assign(member->get(), list.get()));
  if (refused) {
    events_.failed(member->client->error(*refused, "taking partitions of group " + options_.group));
    return;
  }
  (void)rd_kafka_pause_partitions(member->get(), list.get());
  {
    const std::lock_guard lock(mutex_);
    owned_.insert(partitions.begin(), partitions.end());
  }
  events_.gained(partitions);
}

/// The group waits with giving the partitions to somebody else until they are unassigned here.
void KafkaGroup::revoke(const std::vector<Partition>& partitions, bool lost) {
  if (!lost) events_.hand_over(partitions);
  {
    const std::lock_guard lock(mutex_);
    for (const auto partition : partitions) owned_.erase(partition);
  }
  // From here on membership() refuses them, before this member can get a new generation.
  if (lost) events_.lost(partitions);
  const auto member = this->member();
  const auto list = list_of(options_.kafka.topic, partitions);
  const ErrorHandle refused(rd_kafka_incremental_unassign(member->get(), list.get()));
  if (refused)
    events_.failed(
        member->client->error(*refused, "giving up partitions of group " + options_.group));
}

Result<std::vector<Offset>> KafkaGroup::committed(std::span<const Partition> partitions) const {
  const auto member = this->member();
  const auto list = list_of(options_.kafka.topic, partitions);
  const std::string doing = "asking for the committed offsets of group " + options_.group;
  const auto code = rd_kafka_committed(member->get(), list.get(), kCommittedMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(member->client->error(code, doing));
  std::vector<Offset> offsets;
  for (int i = 0; i < list->cnt; ++i) {
    const auto& found = list->elems[i];
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return tl::unexpected(member->client->error(found.err, doing));
    offsets.push_back(found.offset < 0 ? 0 : static_cast<Offset>(found.offset));
  }
  if (auto ok = check_ends(partitions, offsets); !ok) return tl::unexpected(ok.error());
  return offsets;
}

Result<KafkaGroup::Edges> KafkaGroup::edges(Partition partition) const {
  const auto member = this->member();
  std::int64_t low = 0, high = 0;
  const auto code =
      rd_kafka_query_watermark_offsets(member->get(), options_.kafka.topic.c_str(),
                                       static_cast<std::int32_t>(partition), &low, &high, kEndsMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return tl::unexpected(
        member->client->error(code, "asking for the ends of " + options_.kafka.topic));
  }
  return Edges{static_cast<Offset>(low), static_cast<Offset>(high)};
}

Result<std::vector<Offset>> KafkaGroup::firsts(std::span<const Partition> partitions) const {
  std::vector<Offset> firsts;
  for (const auto partition : partitions) {
    const auto found = edges(partition);
    if (!found) return tl::unexpected(found.error());
    firsts.push_back(found->first);
  }
  return firsts;
}

/// An offset past the end is of another topic of that name: it would silence what is new.
Result<void> KafkaGroup::check_ends(std::span<const Partition> partitions,
                                    const std::vector<Offset>& offsets) const {
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    if (offsets[i] == 0) continue;
    const auto found = edges(partitions[i]);
    if (!found) return tl::unexpected(found.error());
    if (offsets[i] <= found->end) continue;
    return fail(ErrorCode::conflict,
                "group " + options_.group + " has committed " +
                    storage::at(options_.kafka.topic, partitions[i],
                                static_cast<std::int64_t>(offsets[i])) +
                    ", but the topic ends at " + std::to_string(found->end) +
                    ": it was made anew since. Name another group (kafka.group)",
                "kafka.group");
  }
  return {};
}

KafkaGroup::Metadata KafkaGroup::membership(const Upto& offsets) const {
  const auto member = this->member();
  // The metadata first: what is owned after that was owned under it, or under a member that has
  // taken its place, and then the brokers refuse it.
  Metadata metadata(rd_kafka_consumer_group_metadata(member->get()));
  // A member that was thrown out has no generation, and brokers would not fence it by that; it
  // knows of its loss before it hears of it here.
  if (rd_kafka_assignment_lost(member->get()) != 0) return nullptr;
  const std::lock_guard lock(mutex_);
  const bool all = std::ranges::all_of(
      offsets, [&](const auto& offset) { return owned_.contains(offset.first); });
  return all ? std::move(metadata) : nullptr;
}

Result<void> KafkaGroup::commit(const Upto& offsets) const {
  if (!membership(offsets))
    return fail(ErrorCode::environment, "group " + options_.group + " has given partitions away");
  OffsetsHandle list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const auto& [partition, offset] : offsets) {
    rd_kafka_topic_partition_list_add(list.get(), options_.kafka.topic.c_str(),
                                      static_cast<std::int32_t>(partition))
        ->offset = static_cast<std::int64_t>(offset);
  }
  const auto member = this->member();
  const auto code = rd_kafka_commit(member->get(), list.get(), 0);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return tl::unexpected(
      member->client->error(code, "committing offsets of group " + options_.group));
}

}  // namespace tapedeck::sinks
