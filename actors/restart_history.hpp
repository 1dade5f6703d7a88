// actors/restart_history.hpp -- when a failed child may start again: back-off, jitter, budget.
// Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "actors/options.hpp"

namespace tapedeck::actors {

class RestartHistory {
public:
  using Clock = std::chrono::steady_clock;

  /// `child` makes its jitter differ from its siblings'; the same seed and child repeat the same
  /// delays.
  RestartHistory(const RestartPolicy& policy, std::uint64_t child)
      : policy_(policy), random_(policy.seed ^ child) {}

  /// How long to wait before the next start; nothing once the budget is spent: the supervisor
  /// escalates, unless the policy is to retry.
  [[nodiscard]] std::optional<std::chrono::milliseconds> failed(Clock::time_point now) {
    if (!starts_.empty() && now - starts_.back() >= policy_.reset_after) backoff_ = {};
    while (!starts_.empty() && now - starts_.front() > policy_.budget_window) starts_.pop_front();
    spent_ = starts_.size() >= policy_.budget;
    if (spent_) {
      if (policy_.escalation == Escalation::escalate) return std::nullopt;
      starts_.pop_front();
      backoff_ = policy_.backoff_max;
    }
    const auto delay = jittered(backoff_);
    backoff_ =
        backoff_.count() == 0 ? policy_.backoff_min : std::min(backoff_ * 2, policy_.backoff_max);
    starts_.push_back(now + delay);
    return delay;
  }

  /// Restarts that count.
  [[nodiscard]] std::size_t restarts() const noexcept { return starts_.size(); }
  /// The last so many do not count any more.
  void forgive(std::size_t restarts) {
    for (; restarts > 0 && !starts_.empty(); --restarts) starts_.pop_back();
    backoff_ = {};
  }
  /// The last failure was one beyond the budget.
  [[nodiscard]] bool spent() const noexcept { return spent_; }
  /// Restarts that are left, as of the last failure.
  [[nodiscard]] std::uint32_t left() const noexcept {
    return spent_ ? 0 : policy_.budget - static_cast<std::uint32_t>(starts_.size());
  }
  [[nodiscard]] const RestartPolicy& policy() const noexcept { return policy_; }

private:
  std::chrono::milliseconds jittered(std::chrono::milliseconds delay) {
    random_ += 0x9e3779b97f4a7c15;  // splitmix64
    auto z = random_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    const auto span = delay.count() * policy_.jitter_percent / 100;
    if (span == 0) return delay;
    const auto shift =
        static_cast<std::int64_t>((z ^ (z >> 31)) % static_cast<std::uint64_t>(2 * span + 1));
    return delay + std::chrono::milliseconds(shift - span);
  }

  RestartPolicy policy_;
  std::uint64_t random_;
  std::chrono::milliseconds backoff_{0};
  std::deque<Clock::time_point> starts_;
  bool spent_ = false;
};

}  // namespace tapedeck::actors
