// apps/running.hpp -- the stores and the engine over one tape, opened in order and owned together.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "actors/engine.hpp"
#include "apps/cli.hpp"
#include "apps/delivery.hpp"
#include "apps/history.hpp"
#include "apps/live_desk.hpp"
#include "config/config.hpp"
#include "market/result.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::apps {

/// Everything an engine needs, in an order that ends well: the engine goes first.
struct Running {
  std::unique_ptr<storage::TapeWriter> writer;  ///< null: another process records, or none
  std::unique_ptr<storage::TapeReader> own_reader;
  storage::TapeReader* tape = nullptr;
  std::unique_ptr<storage::ControlStore> control;
  std::unique_ptr<storage::StateStore> state;
  std::unique_ptr<History> history;  ///< null: the state lacks nothing
  market::FoldSettings settings;
  market::QualitySettings quality;
  std::unique_ptr<telemetry::Metrics> metrics;
  std::unique_ptr<Delivery> delivery;  ///< null: outputs are stored only
  std::unique_ptr<LiveDesk> live;      ///< null: nobody can subscribe
  std::unique_ptr<actors::Engine> engine;

  Running() = default;
  ~Running() { leave(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  /// Leaves the group: what it still has to say needs the engine.
  void leave() {
    if (delivery) delivery->leave();
  }
};

/// Configuration from flags, TAPEDECK_* variables and file.
[[nodiscard]] Result<config::Config> load_config(
    const std::string& file, const std::vector<std::pair<std::string, std::string>>& overrides);

/// Opens the tape (to write as well where `record_partitions` is given; 0 is the default number),
/// settles the fold settings, opens the state and starts the engine. `deliver`: on Kafka it shares
/// the partitions with its group, and sends outputs to topics. `adjust` changes the engine's
/// options last.
[[nodiscard]] Result<std::unique_ptr<Running>> start_engine(
    const TapeOptions& tape, const config::Config& config,
    std::optional<std::uint32_t> record_partitions, bool deliver = false,
    const std::function<void(actors::EngineOptions&)>& adjust = {});

}  // namespace tapedeck::apps
