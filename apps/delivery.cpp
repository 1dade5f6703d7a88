#include "apps/delivery.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>

namespace tapedeck::apps {

namespace {

constexpr auto kHandOver = std::chrono::seconds(60);  ///< in order; then it is dropped
constexpr auto kLookAgain = std::chrono::milliseconds(50);

/// The same after a restart, another's on another machine or for another folder: a state folder has
/// one owner.
std::string node_name(const std::string& state) {
  std::array<char, 256> host{};
  (void)gethostname(host.data(), host.size() - 1);
  std::error_code ignored;
  const auto folder = std::filesystem::weakly_canonical(state, ignored).string();
  return fmt::format("{}-{:016x}", host.data(), market::source_id(folder));
}

}  // namespace

/// Waits until the engine let go of them, unless it failed. What cannot be handed over in time is
/// dropped: the next owner goes on from the last commit.
void Delivery::close(actors::Engine& engine, const std::vector<sinks::Partition>& partitions,
                     bool in_order) {
  struct Left {
    std::mutex mutex;
    std::condition_variable changed;
    std::set<sinks::Partition> partitions;
  };
  for (const auto partition : partitions) {
    if (sharing_) sharing_->let_go(partition);
    if (nodes_) nodes_->let_go(partition);
  }
  auto left = std::make_shared<Left>();
  left->partitions.insert(partitions.begin(), partitions.end());
  const auto ask = [&](sinks::Partition partition, bool orderly) {
    engine.close(partition, orderly, [left, partition] {
      const std::scoped_lock lock(left->mutex);
      left->partitions.erase(partition);
      left->changed.notify_all();
    });
  };
  for (const auto partition : partitions) ask(partition, in_order);
  const auto deadline = std::chrono::steady_clock::now() + kHandOver;
  std::unique_lock lock(left->mutex);
  while (!left->partitions.empty() && !engine.failure()) {
    if (in_order && std::chrono::steady_clock::now() >= deadline) {
      in_order = false;
      for (const auto partition : left->partitions) ask(partition, false);
    }
    left->changed.wait_for(lock, kLookAgain);
  }
  for (const auto partition : partitions)
    if (standby_) standby_->let_go(partition);
}

/// Those that are warm first: the others take their time.
void Delivery::gain(actors::Engine& engine, const std::vector<sinks::Partition>& partitions) {
  const auto open = [&](sinks::Partition partition) {
    engine.open(partition);
    if (nodes_) nodes_->gained(partition);
  };
  std::vector<sinks::Partition> cold;
  for (const auto partition : partitions) {
    if (!standby_ || !standby_->take_over(partition)) {
      cold.push_back(partition);
      continue;
    }
    open(partition);
    if (sharing_) sharing_->take_over(partition);
  }
  if (standby_ && !partitions.empty())
    spdlog::info("{} partitions gained, {} of them warm", partitions.size(),
                 partitions.size() - cold.size());
  for (const auto partition : cold) {
    if (sharing_) sharing_->gain(partition);
    open(partition);
  }
  engine.board().settle_partitions();
}

void Delivery::leave() {
  if (standby_) standby_->stop();
  group_->stop();
  if (sharing_) sharing_->stop();
}

Result<void> Delivery::join(actors::Engine& engine) {
  sinks::GroupEvents events;
  events.gained = [this, &engine](const auto& partitions) { gain(engine, partitions); };
  events.hand_over = [this, &engine](const auto& partitions) { close(engine, partitions, true); };
  events.lost = [this, &engine](const auto& partitions) { close(engine, partitions, false); };
  if (sharing_) sharing_->start(engine);
  events.failed = [&engine](const Error& error) { engine.board().fail(error); };
  auto started = group_->start(std::move(events));
  if (started && standby_) standby_->start(engine);
  return started;
}

std::string group_name(const config::Config& config, const storage::KafkaOptions& kafka) {
  return config.kafka.group.empty() ? "tapedeck." + kafka.topic : config.kafka.group;
}

Result<std::unique_ptr<Delivery>> open_delivery(const TapeOptions& tape,
                                                const config::Config& config) {
  auto kafka = kafka_options(tape);
  if (!kafka) return tl::unexpected(kafka.error());
  if (!*kafka || config.outputs.delivery == config::OutputDelivery::none) return nullptr;
  const sinks::OutputTopics topics{config.outputs.processed, config.outputs.alerts,
                                   config.outputs.dlq};
  const auto made =
      storage::create_output_topics(**kafka, {topics.processed, topics.alerts, topics.dlq});
  if (!made) return tl::unexpected(made.error());
  sinks::GroupOptions options;
  options.group = group_name(config, **kafka);
  options.node = config.kafka.node.empty() ? node_name(tape.state_folder()) : config.kafka.node;
  options.kafka = std::move(**kafka);
  auto group = sinks::KafkaGroup::open(std::move(options));
  if (!group) return tl::unexpected(group.error());
  const auto mode = config.outputs.delivery == config::OutputDelivery::transactional
                        ? sinks::DeliveryMode::transactional
                        : sinks::DeliveryMode::idempotent;
  auto sink = sinks::make_kafka_sink(**group, topics, mode);
  return std::make_unique<Delivery>(std::move(*group), std::move(sink));
}

}  // namespace tapedeck::apps
