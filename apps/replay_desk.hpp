// apps/replay_desk.hpp -- the replays of the HTTP interface: a player, a thread and a stream for
// each.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/replays.hpp"
#include "replay/fold_rules.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::apps {

struct ReplayDeskOptions {
  std::size_t most = 16;  ///< replays at a time; error `exhausted` to the one too many
  std::chrono::nanoseconds idle_after = std::chrono::minutes(5);  ///< without subscriber or request
  api::StreamLimits stream;
};

/// A replay waits for its subscribers: nothing is lost to a slow one, the replay falls behind.
/// Tape, state and metrics outlive it.
class ReplayDesk final : public api::Replays {
public:
  ReplayDesk(const storage::TapeReader& tape, const storage::StateReader& state,
             std::function<replay::FoldRules()> rules, ReplayDeskOptions options,
             telemetry::Metrics& metrics);
  /// Ends them all.
  ~ReplayDesk() override;
  ReplayDesk(const ReplayDesk&) = delete;
  ReplayDesk& operator=(const ReplayDesk&) = delete;

  void create(api::ReplayRequest request, api::Reply<api::ReplayStatus> reply) override;
  void list(api::Reply<std::vector<api::ReplayStatus>> reply) override;
  void get(std::string id, api::Reply<api::ReplayStatus> reply) override;
  void command(std::string id, api::ReplayCommand command,
               api::Reply<api::ReplayStatus> reply) override;
  void remove(std::string id, api::Reply<api::ReplayStatus> reply) override;
  [[nodiscard]] Result<std::unique_ptr<api::Subscription>> subscribe(
      api::StreamQuery query, std::function<void()> wake) override;

private:
  class Replay;
  [[nodiscard]] Result<std::shared_ptr<Replay>> find(const std::string& id);
  /// Those that ended by themselves; joined where the lock is not held.
  [[nodiscard]] std::vector<std::shared_ptr<Replay>> take_ended();

  const storage::TapeReader& tape_;
  const storage::StateReader& state_;
  const std::function<replay::FoldRules()> rules_;
  const ReplayDeskOptions options_;
  telemetry::Metrics& metrics_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Replay>> replays_;
  std::uint64_t next_id_ = 1;
};

}  // namespace tapedeck::apps
