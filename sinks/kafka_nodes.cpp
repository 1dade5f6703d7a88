#include "sinks/kafka_nodes.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>

#include "storage/kafka_log.hpp"
#include "storage/kafka_record.hpp"
#include "storage/kafka_streams.hpp"
#include "storage/kafka_topics.hpp"

namespace tapedeck::sinks {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(250);
constexpr int kAskMs = 2'000;
constexpr std::string_view kNodeSchema = "1";

std::string prefix_of(const storage::KafkaOptions& kafka, const std::string& group) {
  return kafka.topic + "/" + group + "/";
}

/// `host:port 0,3,7`, or with copies `host:port 0,3,7 1:120,2:98`
std::string to_text(const std::string& address, const std::set<Partition>& partitions,
                    const std::map<Partition, Offset>& copies) {
  std::string text = address + " ";
  for (const auto partition : partitions)
    text += (text.ends_with(' ') ? "" : ",") + std::to_string(partition);
  if (copies.empty()) return text;
  text += ' ';
  for (const auto& [partition, next] : copies) {
    text +=
        (text.ends_with(' ') ? "" : ",") + std::to_string(partition) + ":" + std::to_string(next);
  }
  return text;
}

/// Calls `take` with what stands between commas; false where it says that this is nothing.
template <class Take>
bool each(std::string_view list, Take take) {
  while (!list.empty()) {
    const auto one = list.substr(0, list.find(','));
    if (!take(one)) return false;
    list.remove_prefix(std::min(list.size(), one.size() + 1));
  }
  return true;
}

template <class Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

std::optional<Node> parse_node(std::string_view text) {
  const auto space = text.find(' ');
  if (space == text.npos || space == 0) return std::nullopt;
  Node node;
  node.address = text.substr(0, space);
  const auto rest = text.substr(space + 1);
  const auto more = rest.find(' ');
  const bool owned = each(rest.substr(0, more), [&](std::string_view one) {
    Partition partition = 0;
    const bool good = parse(one, partition);
    if (good) node.partitions.insert(partition);
    return good;
  });
  const auto copies = more == rest.npos ? std::string_view() : rest.substr(more + 1);
  const bool followed = each(copies, [&](std::string_view one) {
    const auto colon = std::min(one.find(':'), one.size());
    Partition partition = 0;
    Offset next = 0;
    const bool good = parse(one.substr(0, colon), partition) &&
                      parse(one.substr(std::min(one.size(), colon + 1)), next);
    if (good) node.standby.emplace(partition, next);
    return good;
  });
  return owned && followed ? std::optional(std::move(node)) : std::nullopt;
}

/// The newest record of a node is what it says; an empty one, that it is gone.
void take(std::map<std::string, Node>& nodes, const std::string& prefix,
          const rd_kafka_message_t& message) {
  const auto key = storage::key_of(message);
  if (!key.starts_with(prefix)) return;
  const std::string name(key.substr(prefix.size()));
  auto node = parse_node(storage::value_of(message));
  if (!node) {
    nodes.erase(name);
    return;
  }
  node->told = static_cast<Offset>(message.offset);
  nodes.insert_or_assign(name, std::move(*node));
}

}  // namespace

Result<std::unique_ptr<KafkaNodes>> KafkaNodes::open(const GroupOptions& group, std::string topic) {
  auto client = storage::KafkaClient::make(RD_KAFKA_PRODUCER, group.kafka, {});
  if (!client) return tl::unexpected(client.error());
  const auto partitions = storage::settle_compacted_topic(**client, topic, 1);
  if (!partitions) return tl::unexpected(partitions.error());
  auto streams = storage::KafkaStreams::open(group.kafka, topic, 1);
  if (!streams) return tl::unexpected(streams.error());
  auto log = std::make_unique<storage::KafkaLog>(group.kafka, std::move(topic));
  return std::unique_ptr<KafkaNodes>(new KafkaNodes(group, std::move(log), std::move(*streams)));
}

KafkaNodes::KafkaNodes(const GroupOptions& group, std::unique_ptr<storage::KafkaLog> log,
                       std::unique_ptr<storage::KafkaStreams> streams)
    : node_(group.node),
      prefix_(prefix_of(group.kafka, group.group)),
      log_(std::move(log)),
      streams_(std::move(streams)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

KafkaNodes::~KafkaNodes() {
  thread_ = {};
  const std::scoped_lock lock(mutex_);
  if (address_.empty()) return;
  // What stays says where nobody answers any more.
  if (auto gone = log_->append(prefix_ + node_, {}, {{"schema", std::string(kNodeSchema)}}); !gone)
    spdlog::warn("this engine could not take its address back: {}", gone.error().message);
}

void KafkaNodes::announce(std::string address) {
  const std::scoped_lock lock(mutex_);
  address_ = std::move(address);
  changed_ = true;
}
void KafkaNodes::gained(Partition partition) {
  const std::scoped_lock lock(mutex_);
  own_.insert(partition);
  changed_ = true;
}
void KafkaNodes::let_go(Partition partition) {
  const std::scoped_lock lock(mutex_);
  own_.erase(partition);
  changed_ = true;
}
void KafkaNodes::follows(std::map<Partition, Offset> copies) {
  const std::scoped_lock lock(mutex_);
  if (copies == copies_) return;
  copies_ = std::move(copies);
  changed_ = true;
}

std::optional<std::string> KafkaNodes::owner(Partition partition) const {
  const std::scoped_lock lock(mutex_);
  if (own_.contains(partition)) return std::nullopt;
  const Node* newest = nullptr;
  for (const auto& [name, node] : nodes_) {
    if (name == node_ || !node.partitions.contains(partition)) continue;
    if (newest == nullptr || node.told > newest->told) newest = &node;
  }
  return newest == nullptr ? std::nullopt : std::optional(newest->address);
}

std::map<std::string, Node> KafkaNodes::nodes() const {
  const std::scoped_lock lock(mutex_);
  return nodes_;
}

void KafkaNodes::run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any waiting;
  while (!stop.stop_requested()) {
    say();
    (void)look();  // tried again in a moment
    std::unique_lock lock(mutex);
    waiting.wait_for(lock, stop, kLookEvery, [] { return false; });
  }
}

void KafkaNodes::say() {
  std::string text;
  {
    const std::scoped_lock lock(mutex_);
    if (!changed_ || address_.empty()) return;
    changed_ = false;
    text = to_text(address_, own_, copies_);
  }
  const auto said = log_->append(prefix_ + node_, text, {{"schema", std::string(kNodeSchema)}});
  if (said) return;
  const std::scoped_lock lock(mutex_);
  changed_ = true;  // brokers that do not answer: again later
}

/// Reads on where it stopped. Where the brokers do not answer, what was known is the best guess.
Result<void> KafkaNodes::look() {
  const auto ends = streams_->offsets(storage::KafkaStreams::Edge::end, kAskMs);
  if (!ends) return tl::unexpected(ends.error());
  if (ends->front() == seen_end_) return {};
  const auto last = streams_->find_end(0, next_, ends->front());
  if (!last) return tl::unexpected(last.error());
  if (*last) {
    auto nodes = this->nodes();
    const auto told =
        streams_->read(0, next_, **last, -1, [&](const auto& message) -> Result<bool> {
          take(nodes, prefix_, message);
          return true;
        });
    if (!told) return told;
    next_ = **last;
    const std::scoped_lock lock(mutex_);
    nodes_ = std::move(nodes);
  }
  seen_end_ = ends->front();
  return {};
}

Result<std::map<std::string, Node>> read_nodes(const storage::KafkaOptions& options,
                                               const std::string& group, const std::string& topic) {
  auto client = storage::KafkaClient::make(RD_KAFKA_PRODUCER, options, {});
  if (!client) return tl::unexpected(client.error());
  const auto there = storage::count_partitions(**client, topic);
  if (!there) return tl::unexpected(there.error());
  if (!*there) return std::map<std::string, Node>{};
  storage::KafkaLog log(options, topic);
  std::map<std::string, Node> nodes;
  const auto done = log.read([&](const rd_kafka_message_t& message) -> Result<void> {
    take(nodes, prefix_of(options, group), message);
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return nodes;
}

}  // namespace tapedeck::sinks
