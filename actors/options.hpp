// actors/options.hpp -- the engine's named limits and policies.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/fold_tap.hpp"
#include "actors/fold_watch.hpp"
#include "market/quality_watch.hpp"
#include "market/quarantine.hpp"
#include "market/units.hpp"
#include "replay/symbol_fold.hpp"

namespace tapedeck::actors {

/// What becomes of a failing child's siblings.
enum class Strategy : std::uint8_t {
  one_for_one,  ///< nothing
  one_for_all,  ///< they start anew with it
};
/// What a supervisor does where a child's budget is spent.
enum class Escalation : std::uint8_t {
  escalate,  ///< it fails in turn; the root ends the process
  retry,     ///< it goes on, each time after the longest wait; but while the engine drains it fails
};

/// Back-off and budget of one supervised child. First restart at once, then min doubling up to max,
/// with seeded jitter.
struct RestartPolicy {
  std::chrono::milliseconds backoff_min{100};
  std::chrono::milliseconds backoff_max{30'000};
  std::uint32_t jitter_percent = 20;
  std::chrono::milliseconds reset_after{60'000};  ///< of health
  std::uint32_t budget = 10;  ///< restarts within `budget_window`, then the supervisor escalates
  std::chrono::milliseconds budget_window{60'000};
  std::uint64_t seed = 1;
  Strategy strategy = Strategy::one_for_one;
  Escalation escalation = Escalation::escalate;
};

/// Every node of the tree.
struct Supervision {
  RestartPolicy symbol, partition;
  /// None of these stops the fold.
  RestartPolicy checkpointer{.escalation = Escalation::retry},
      sink{.escalation = Escalation::retry}, gateway{.escalation = Escalation::retry};
  /// Restarts of all its children together within the window; then the root ends the process.
  std::uint32_t root_budget = 1'000;
  std::chrono::milliseconds root_window{60'000};
  /// How long the others may take to fold and store what they have, before the process ends.
  std::chrono::milliseconds flush_within{10'000};

  [[nodiscard]] std::array<RestartPolicy*, 5> policies() noexcept {
    return {&symbol, &partition, &checkpointer, &sink, &gateway};
  }
  /// The same seed repeats every jitter.
  void set_seed(std::uint64_t seed) {
    for (auto* policy : policies()) policy->seed = seed;
  }
};

/// Test only: strikes in the fold of `symbol` at the event at this position, or where a due item of
/// this kind and width is closed (any of them where its time is 0), `times` times.
struct FaultPoint {
  enum class Action : std::uint8_t { fail, crash, hang };
  std::string symbol;
  market::Position position;
  std::uint32_t times = 1;
  Action action = Action::fail;
  std::optional<market::DueItem> due{};
};

/// Tests only: one record in `one_in` makes its symbol's fold throw, once. Which ones depends on
/// the seed alone.
struct RandomFaults {
  std::uint64_t one_in = 0;  ///< 0: none
  std::uint64_t seed = 0;
};

class FaultPlan;

struct EngineOptions {
  std::uint32_t threads = 2;  ///< scheduler threads
  /// False: checkpointer and sink have no threads of their own, so that a simulated scheduler runs
  /// them too.
  bool own_threads = true;
  std::size_t poll_bytes = std::size_t{32} << 20;
  std::size_t poll_records = std::size_t{1} << 20;
  /// Credit of one partition: payload bytes read but not yet folded. At the limit its ingress stops
  /// reading until symbols have caught up (metric credit_waits).
  std::size_t max_inflight_bytes = std::size_t{64} << 20;
  /// Outputs of one partition that are not stored yet. At the limit its ingress stops reading
  /// (metric pending_outputs).
  std::size_t max_unstored_outputs = 250'000;
  /// Outputs of one partition that the sink has not delivered yet. At the limit its ingress stops
  /// reading (metric undelivered_outputs).
  std::size_t max_undelivered_outputs = 250'000;
  /// Rows of one delivery at the most, but for those of one record, which stay together.
  std::size_t max_delivery_rows = 20'000;
  /// How long a delivery that failed waits before it is tried again.
  std::chrono::milliseconds delivery_backoff{200};
  std::uint64_t checkpoint_events = 2'000'000;
  std::chrono::milliseconds checkpoint_interval{30'000};
  std::chrono::milliseconds store_interval{
      100};  ///< outputs and cursor are stored at least this often
  replay::SnapshotPolicy snapshots;
  /// A symbol without a record or a question for so much feed time, and nothing due, goes at the
  /// next checkpoint, and comes back with the next one; zero: never.
  market::TimeNs idle_passivate = 0;
  market::TimeNs thin_after =
      24 * 3600 * market::kSecond;  ///< snapshots older than this are thinned to one an hour
  std::size_t kept_checkpoints = 3;
  /// How often the tape is asked for another process's news; zero where this process writes it.
  std::chrono::milliseconds refresh_interval{0};
  Supervision supervision;
  /// Partitions are opened one by one, as a group gives them; else all at the start.
  bool partitions_on_demand = false;
  std::vector<FaultPoint> faults;
  RandomFaults random_faults;
  std::shared_ptr<FaultPlan> fault_plan;  ///< tests only: in the place of these
  /// Where quarantines and releases are stored, and those that are there already. Outlives the
  /// engine. Null: a poison event spends its symbol's budget.
  storage::ControlStore* control = nullptr;
  std::vector<schemas::ControlRecord> control_records;
  /// Attempts are counted there over restarts; empty: in this engine only.
  std::string attempts_file;
  /// A fold that makes no progress for so long ends the process; zero: none is looked after.
  std::chrono::milliseconds watchdog{0};
  std::function<void(const Hang&)> on_hang;  ///< called by the watchdog; must end the process
  /// Called if the root supervisor itself throws (no memory, no threads): nobody is left to end
  /// what runs. If it returns, or is not set, the engine may never end.
  std::function<void(const std::string& what)> on_root_failure;
  /// Every event is looked at, for counters. Outlives the engine; null: none is.
  const market::QualitySettings* quality = nullptr;
  FoldTap* tap = nullptr;  ///< outlives the engine; null: nobody listens
};

}  // namespace tapedeck::actors
