// apps/engine_backend.hpp -- answers the HTTP server's questions from the running engine, and from
// the tape for the past.
#pragma once

#include <atomic>
#include <memory>

#include "actors/engine.hpp"
#include "api/backend.hpp"
#include "apps/history.hpp"
#include "apps/live_desk.hpp"
#include "apps/replay_desk.hpp"
#include "market/settings.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::apps {

/// Questions about the past run on threads of its own, never on the engine's. All arguments outlive
/// it. `history`: what the state lacks; null: nothing.
class EngineBackend : public api::Backend {
public:
  /// At this many questions waiting for the past, more are refused (ErrorCode::environment, HTTP
  /// 503).
  static constexpr std::size_t kMaxWaiting = 1024;

  EngineBackend(actors::Engine& engine, const storage::TapeReader& tape,
                const storage::StateReader& state, const market::FoldSettings& settings,
                telemetry::Metrics& metrics, LiveDesk& live, const History* history = nullptr,
                const ReplayDeskOptions& replays = {});
  ~EngineBackend() override;

  void symbols(api::Reply<std::vector<market::SymbolView>> reply) override;
  void symbol(std::string symbol, api::Reply<market::SymbolView> reply) override;
  void book(std::string symbol, std::size_t depth, api::At at,
            api::Reply<market::BookView> reply) override;
  void candles(api::CandleQuery query, api::Reply<std::vector<market::CandleView>> reply) override;
  void metrics(std::string symbol, api::Reply<market::MetricsView> reply) override;
  void quality(std::string symbol, api::Reply<market::QualityView> reply) override;
  void alerts(api::AlertQuery query, api::Reply<std::vector<market::AlertView>> reply) override;
  void positions(api::Reply<std::vector<api::PartitionPosition>> reply) override;
  void dead_letters(std::string symbol, api::Reply<std::vector<api::DeadLetter>> reply) override;
  void supervision(api::Reply<api::SupervisionNode> reply) override;
  [[nodiscard]] api::Replays& replays() override;
  [[nodiscard]] Result<std::unique_ptr<api::Subscription>> subscribe(
      api::StreamQuery query, std::function<void()> wake) override;
  [[nodiscard]] api::Health health() const override;
  [[nodiscard]] std::string prometheus() const override;

private:
  struct Impl;
  struct AlertGathering;
  void gather_alerts(const std::shared_ptr<AlertGathering>& gathering,
                     std::vector<std::string> symbols);
  Result<std::vector<market::AlertView>> read_alerts(AlertGathering& gathering);

  std::unique_ptr<Impl> impl_;
};

}  // namespace tapedeck::apps
