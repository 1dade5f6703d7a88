// tests/api/fake_replays.hpp -- replays that do nothing but remember what they were told, each with
// a real hub.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/replays.hpp"

namespace tapedeck::test {

/// At most two.
class FakeReplays final : public api::Replays {
public:
  void create(api::ReplayRequest request, api::Reply<api::ReplayStatus> reply) override {
    const std::lock_guard lock(mutex_);
    if (all_.size() == 2) return reply(fail(ErrorCode::exhausted, "two already", "replays"));
    auto& one = all_[std::to_string(all_.size() + 1)];
    one.status.id = std::to_string(all_.size());
    one.status.state = "paused", one.status.speed = request.speed;
    one.status.loop = request.loop, one.status.symbols = request.symbols;
    one.hub = std::make_shared<api::StreamHub>(api::StreamLimits{16, 1}, [] {});
    last_request = request;
    reply(one.status);
  }
  void list(api::Reply<std::vector<api::ReplayStatus>> reply) override {
    const std::lock_guard lock(mutex_);
    std::vector<api::ReplayStatus> statuses;
    for (const auto& [id, one] : all_) statuses.push_back(one.status);
    reply(statuses);
  }
  void get(std::string id, api::Reply<api::ReplayStatus> reply) override {
    const std::lock_guard lock(mutex_);
    reply(status(id));
  }
  void command(std::string id, api::ReplayCommand command,
               api::Reply<api::ReplayStatus> reply) override {
    const std::lock_guard lock(mutex_);
    last_command = std::move(command);
    reply(status(id));
  }
  void remove(std::string id, api::Reply<api::ReplayStatus> reply) override {
    const std::lock_guard lock(mutex_);
    auto last = status(id);
    all_.erase(id);
    reply(std::move(last));
  }
  Result<std::unique_ptr<api::Subscription>> subscribe(api::StreamQuery query,
                                                       std::function<void()> wake) override {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(query.replay);
    if (found == all_.end()) return fail(ErrorCode::not_found, "no such replay", "replay");
    return found->second.hub->subscribe(std::move(query), std::move(wake));
  }
  [[nodiscard]] std::shared_ptr<api::StreamHub> hub(const std::string& id) {
    const std::lock_guard lock(mutex_);
    return all_.at(id).hub;
  }

  api::ReplayRequest last_request;
  api::ReplayCommand last_command;

private:
  struct One {
    api::ReplayStatus status;
    std::shared_ptr<api::StreamHub> hub;
  };
  Result<api::ReplayStatus> status(const std::string& id) const {
    const auto found = all_.find(id);
    if (found == all_.end()) return fail(ErrorCode::not_found, "no such replay", "id");
    return found->second.status;
  }
  std::mutex mutex_;
  std::map<std::string, One> all_;
};

}  // namespace tapedeck::test
