// chaos/sim_process.hpp -- one life of the engine: the real actors on CAF's test coordinator, in
// virtual time, on this thread, in an order drawn from the seed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "actors/board.hpp"
#include "actors/messages.hpp"
#include "actors/options.hpp"
#include "actors/symbol_worker.hpp"
#include "chaos/verdict.hpp"
#include "feeds/random.hpp"
#include "sinks/sink.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::chaos {

class SimTape;

class SimProcess {
public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// What it works on outlives it; `sink` may be null.
  struct World {
    SimTape& tape;
    storage::StateStore& state;
    const market::FoldSettings& settings;
    const actors::EngineOptions& options;
    storage::ControlStore& control;
    sinks::OutputSink* sink;
  };
  /// Starts at virtual time `now`.
  SimProcess(const World& world, std::shared_ptr<actors::FaultPlan> faults,
             std::shared_ptr<actors::Attempts> attempts, TimePoint now);
  /// A crash: what waits in mailboxes is lost. Tape, state and sink must be dead by then, so that
  /// nothing that still runs leaves a trace.
  ~SimProcess();
  SimProcess(const SimProcess&) = delete;
  SimProcess& operator=(const SimProcess&) = delete;

  /// Lets one actor, chosen by `random`, handle one message. False: all are idle.
  bool step(feeds::Random& random, Trace& trace);
  /// Delivers the next delayed message, however long that takes. False: there is none.
  bool next_timeout();
  void advance(std::chrono::nanoseconds time);
  [[nodiscard]] TimePoint now() const;

  void ask(const std::string& symbol, bool with_outputs, actors::Question::Reply reply);
  void ask_all(std::function<void(std::size_t)> count, actors::Question::Reply reply);
  void release(const std::string& symbol, const market::FoldItem& item,
               std::function<void(Result<actors::Offset>)> reply);
  void drain(bool at_end);
  void wake_all();
  void kill_gateway();

  [[nodiscard]] actors::Board& board();
  [[nodiscard]] const telemetry::Metrics& metrics() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tapedeck::chaos
