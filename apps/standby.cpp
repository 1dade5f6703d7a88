#include "apps/standby.hpp"

#include <spdlog/spdlog.h>

#include <future>

namespace tapedeck::apps {

namespace {

constexpr auto kGuideEvery = std::chrono::milliseconds(200);
constexpr auto kLookEvery = std::chrono::seconds(2);  ///< who is in the group
constexpr auto kTellEvery = std::chrono::seconds(2);  ///< how far the copies are

}  // namespace

void Standby::start(actors::Engine& engine) {
  engine_ = &engine;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Standby::stop() { thread_ = {}; }

bool Standby::take_over(market::Partition partition) {
  std::size_t known = 0;
  {
    std::unique_lock lock(mutex_);
    owned_.insert(partition);
    changed_.wait(lock, [&] { return !busy_.contains(partition); });
    const auto found = followed_.find(partition);
    if (found == followed_.end()) return false;
    known = found->second;
    followed_.erase(found);
  }
  // What its last owner quarantined or released after its last commit was not yet heard of here.
  const auto records = engine_->refresh_rules();
  const bool stopped = !engine_->board().partitions().at(partition).stopped.empty();
  if (records && *records == known && !stopped) return true;
  close(partition);
  return false;
}

void Standby::let_go(market::Partition partition) {
  const std::scoped_lock lock(mutex_);
  owned_.erase(partition);
}

void Standby::run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any waiting;
  while (!stop.stop_requested()) {
    const auto now = std::chrono::steady_clock::now();
    if (now - looked_at_ >= kLookEvery) follow_group();
    guide();
    if (now - told_at_ >= kTellEvery) tell();
    std::unique_lock lock(mutex);
    waiting.wait_for(lock, stop, kGuideEvery, [] { return false; });
  }
}

/// Once the group has settled: copies that are another engine's to keep are given up.
void Standby::follow_group() {
  looked_at_ = std::chrono::steady_clock::now();
  const auto& options = parts_.group.options();
  const auto group = sinks::describe_group(options.kafka, options.group);
  if (!group) return trouble("looking who is in the group", group.error());
  if (group->state != "Stable") return;
  const auto wanted = sinks::next_owner_of(group->members, options.node, parts_.copies);
  std::vector<market::Partition> ended;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [partition, known] : followed_) {
      if (!wanted.contains(partition)) ended.push_back(partition);
    }
    for (const auto partition : ended) followed_.erase(partition), busy_.insert(partition);
  }
  end(ended);
  for (const auto partition : wanted) begin(partition);
}

/// At the newest published snapshots, or its own state.
void Standby::begin(market::Partition partition) {
  {
    const std::scoped_lock lock(mutex_);
    if (owned_.contains(partition) || followed_.contains(partition)) return;
    busy_.insert(partition);
  }
  const auto opened = [&]() -> Result<std::pair<market::Offset, std::size_t>> {
    if (parts_.sharing != nullptr) parts_.sharing->adopt_newest(partition);
    const auto committed = parts_.group.committed(std::span(&partition, 1));
    if (!committed) return tl::unexpected(committed.error());
    const auto records = engine_->refresh_rules();
    if (!records) return tl::unexpected(records.error());
    return std::pair(committed->front(), *records);
  }();
  const std::scoped_lock lock(mutex_);
  busy_.erase(partition);
  changed_.notify_all();
  if (!opened) return trouble("beginning a copy", opened.error());
  if (owned_.contains(partition)) return;  // assigned meanwhile
  engine_->stand_by(partition, opened->first);
  followed_.emplace(partition, opened->second);
}

/// They are busy, and no longer followed.
void Standby::end(const std::vector<market::Partition>& partitions) {
  for (const auto partition : partitions) {
    close(partition);
    const std::scoped_lock lock(mutex_);
    busy_.erase(partition);
    changed_.notify_all();
  }
}

void Standby::close(market::Partition partition) {
  const auto closed = std::make_shared<std::promise<void>>();
  auto done = closed->get_future();
  engine_->close(partition, false, [closed] { closed->set_value(); });
  while (done.wait_for(kGuideEvery) != std::future_status::ready) {
    if (engine_->failure()) return;
  }
}

/// What was committed first, then what was decided up to there, then on.
void Standby::guide() {
  std::vector<market::Partition> partitions, stale;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [partition, known] : followed_) partitions.push_back(partition);
  }
  if (partitions.empty()) return;
  const auto committed = parts_.group.committed(partitions);
  if (!committed) return trouble("asking what is committed", committed.error());
  const auto records = engine_->refresh_rules();
  if (!records) return trouble("reading control records", records.error());
  trouble_.clear();
  {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = 0; i < partitions.size(); ++i) {
      const auto found = followed_.find(partitions[i]);
      if (found == followed_.end()) continue;
      if (found->second == *records) {
        engine_->guide(partitions[i], (*committed)[i]);
      } else {
        stale.push_back(partitions[i]);  // begins anew, under the rules of now
        followed_.erase(found), busy_.insert(partitions[i]);
      }
    }
  }
  end(stale);
  if (!stale.empty()) looked_at_ = {};
}

void Standby::tell() {
  told_at_ = std::chrono::steady_clock::now();
  if (parts_.nodes == nullptr) return;
  std::map<market::Partition, market::Offset> copies;
  const auto statuses = engine_->board().partitions();
  for (market::Partition p = 0; p < statuses.size(); ++p) {
    if (statuses[p].standby) copies.emplace(p, statuses[p].next);
  }
  parts_.nodes->follows(std::move(copies));
}

void Standby::trouble(const std::string& doing, const Error& error) {
  if (trouble_ != error.message)
    spdlog::warn("standby, {}: {}; trying again", doing, error.message);
  trouble_ = error.message;
}

}  // namespace tapedeck::apps
