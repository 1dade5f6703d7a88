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

Result<std::unique_ptr<KafkaGroup>> KafkaGroup::open(GroupOptions options) {
  std::unique_ptr<KafkaGroup> group(new KafkaGroup(std::move(options)));
  auto client = storage::KafkaClient::make(RD_KAFKA_CONSUMER, group->options_.kafka,
                                           member_settings(group->options_), nullptr,
                                           RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
  if (!client) return tl::unexpected(client.error());
  group->client_ = std::move(*client);
  (void)rd_kafka_poll_set_consumer(group->client_->get());
  return group;
}

KafkaGroup::KafkaGroup(GroupOptions options) : options_(std::move(options)) {}

KafkaGroup::~KafkaGroup() {
  stop();
  // librdkafka before 2.3 ends the process when a member of a cooperative-sticky group is destroyed
  // between joining and its first assignment: such a client is left to the process's end.
  if (joined_ && !assigned_once_) (void)client_.release();
}

Result<void> KafkaGroup::start(GroupEvents events) {
  events_ = std::move(events);
  const OffsetsHandle topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), options_.kafka.topic.c_str(),
                                    RD_KAFKA_PARTITION_UA);
  const auto code = rd_kafka_subscribe(client_->get(), topics.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(client_->error(code, "joining group " + options_.group));
  joined_ = true;
  thread_ = std::thread([this] { run(); });
  return {};
}

void KafkaGroup::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void KafkaGroup::run() {
  while (!stopping_) turn(kTurnMs);
  const QueueHandle queue(rd_kafka_queue_get_consumer(client_->get()));
  const ErrorHandle refused(rd_kafka_consumer_close_queue(client_->get(), queue.get()));
  while (!refused && rd_kafka_consumer_closed(client_->get()) == 0) turn(kTurnMs);
}

void KafkaGroup::turn(int wait_ms) {
  const QueueHandle queue(rd_kafka_queue_get_consumer(client_->get()));
  const EventHandle event(rd_kafka_queue_poll(queue.get(), wait_ms));
  if (!event) return;
  const auto code = rd_kafka_event_error(event.get());
  switch (rd_kafka_event_type(event.get())) {
    case RD_KAFKA_EVENT_REBALANCE: {
      const auto partitions = partitions_of(rd_kafka_event_topic_partition_list(event.get()));
      if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(partitions);
      } else {
        revoke(partitions, rd_kafka_assignment_lost(client_->get()) != 0);
      }
      return;
    }
    case RD_KAFKA_EVENT_ERROR: {
      if (rd_kafka_event_error_is_fatal(event.get()) != 0) {
        events_.failed({ErrorCode::conflict,
                        "group " + options_.group + " has another member of the name " +
                            options_.node + ": give each engine a kafka.node of its own (" +
                            rd_kafka_event_error_string(event.get()) + ")",
                        {}});
      } else if (!storage::is_transient(code)) {
        spdlog::warn("group {}: {}", options_.group, rd_kafka_event_error_string(event.get()));
      }
      return;
    }
    default: return;  // records are not read here
  }
}

/// Nothing is fetched: the partitions stand at their end, paused.
void KafkaGroup::assign(const std::vector<Partition>& partitions) {
  assigned_once_ = true;
  const auto list = list_of(options_.kafka.topic, partitions);
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = RD_KAFKA_OFFSET_END;
  const ErrorHandle refused(rd_kafka_incremental_assign(client_->get(), list.get()));
  if (refused) {
    events_.failed(client_->error(*refused, "taking partitions of group " + options_.group));
    return;
  }
  (void)rd_kafka_pause_partitions(client_->get(), list.get());
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
  const auto list = list_of(options_.kafka.topic, partitions);
  const ErrorHandle refused(rd_kafka_incremental_unassign(client_->get(), list.get()));
  if (refused)
    events_.failed(client_->error(*refused, "giving up partitions of group " + options_.group));
}

Result<std::vector<Offset>> KafkaGroup::committed(std::span<const Partition> partitions) const {
  const auto list = list_of(options_.kafka.topic, partitions);
  const std::string doing = "asking for the committed offsets of group " + options_.group;
  const auto code = rd_kafka_committed(client_->get(), list.get(), kCommittedMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(client_->error(code, doing));
  std::vector<Offset> offsets;
  for (int i = 0; i < list->cnt; ++i) {
    const auto& found = list->elems[i];
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return tl::unexpected(client_->error(found.err, doing));
    offsets.push_back(found.offset < 0 ? 0 : static_cast<Offset>(found.offset));
  }
  if (auto ok = check_ends(partitions, offsets); !ok) return tl::unexpected(ok.error());
  return offsets;
}

/// An offset past the end is of another topic of that name: it would silence what is new.
Result<void> KafkaGroup::check_ends(std::span<const Partition> partitions,
                                    const std::vector<Offset>& offsets) const {
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    if (offsets[i] == 0) continue;
    std::int64_t low = 0, high = 0;
    const auto code = rd_kafka_query_watermark_offsets(client_->get(), options_.kafka.topic.c_str(),
                                                       static_cast<std::int32_t>(partitions[i]),
                                                       &low, &high, kEndsMs);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return tl::unexpected(client_->error(code, "asking for the end of " + options_.kafka.topic));
    if (offsets[i] <= static_cast<Offset>(high)) continue;
    return fail(ErrorCode::conflict,
                "group " + options_.group + " has committed " +
                    storage::at(options_.kafka.topic, partitions[i],
                                static_cast<std::int64_t>(offsets[i])) +
                    ", but the topic ends at " + std::to_string(high) +
                    ": it was made anew since. Name another group (kafka.group)",
                "kafka.group");
  }
  return {};
}

KafkaGroup::Metadata KafkaGroup::membership(const Upto& offsets) const {
  // The metadata first: what is owned after that was owned under it.
  Metadata metadata(rd_kafka_consumer_group_metadata(client_->get()));
  // A member that was thrown out has no generation, and brokers would not fence it by that; it
  // knows of its loss before it hears of it here.
  if (rd_kafka_assignment_lost(client_->get()) != 0) return nullptr;
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
  const auto code = rd_kafka_commit(client_->get(), list.get(), 0);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return tl::unexpected(client_->error(code, "committing offsets of group " + options_.group));
}

}  // namespace tapedeck::sinks
