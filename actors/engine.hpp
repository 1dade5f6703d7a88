// actors/engine.hpp -- the running engine: reads a tape, folds it in symbol actors, stores what
// they say. Start here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/board.hpp"
#include "actors/options.hpp"
#include "market/result.hpp"
#include "market/settings.hpp"
#include "replay/symbol_fold.hpp"
#include "sinks/sink.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::actors {

using market::Partition;

/// What a question gets to see; valid during the call only.
struct SymbolAnswer {
  /// elsewhere: its partition is not this engine's, or is just being opened.
  enum class State { live, unknown, recovering, elsewhere } state = State::unknown;
  const replay::SymbolFold* fold = nullptr;  ///< live only
  market::Offset delivered = 0;              ///< recovering: everything below was folded before
  market::Outputs unstored;  ///< outputs that are not in the state store yet, where asked for
  bool behind = false;       ///< the partition is not yet where its last owner was
};
using SymbolQuestion = std::function<void(const SymbolAnswer&)>;

/// Owns its threads. Tape, state, settings, metrics and sink outlive it.
class Engine {
public:
  Engine(storage::TapeReader& tape, storage::StateStore& state,
         const market::FoldSettings& settings, EngineOptions options, telemetry::Metrics& metrics,
         sinks::OutputSink* sink = nullptr);
  /// Stops hard, as a crash would: what was not stored is folded again next time.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Reads on to the tape's end, folds and stores everything with a last checkpoint. Error: why the
  /// engine ended.
  [[nodiscard]] Result<void> run_to_end();
  /// Stops reading, folds what was read, stores everything with a last checkpoint.
  [[nodiscard]] Result<void> stop();
  /// With `partitions_on_demand`: this partition is the engine's from now on.
  void open(Partition partition);
  /// It is another's, and followed here: folded and stored as far as `committed`, never said.
  /// open() makes it this engine's at once.
  void stand_by(Partition partition, market::Offset committed);
  /// The owner of one that is followed has committed more.
  void guide(Partition partition, market::Offset committed);
  /// Reads what other engines quarantined or released; how many control records there are.
  [[nodiscard]] Result<std::size_t> refresh_rules();
  /// It is to be another's. In order: what was read is folded, stored with a last checkpoint, and
  /// out; else it stops at once, and nothing of it is delivered any more but what is on its way.
  /// Then `done` is called, on an actor's thread.
  void close(Partition partition, bool in_order, std::function<void()> done);

  /// Set once the engine has ended by itself: a bad record, a dead disk, a spent restart budget.
  [[nodiscard]] std::optional<Error> failure() const;

  /// `reply` is called exactly once, on an actor's thread: copy what is needed and return.
  void ask(std::string symbol, bool with_outputs, SymbolQuestion reply);
  /// One call of `reply` for each symbol that is live, then `done`; on actors' threads, one at a
  /// time.
  void ask_all(SymbolQuestion reply, std::function<void()> done);

  [[nodiscard]] const Board& board() const;
  /// How its actors are restarted.
  [[nodiscard]] const Supervision& supervision() const;
  [[nodiscard]] Board& board();
  /// The fold rules in force, and the control records they come from.
  [[nodiscard]] replay::FoldRules rules() const;
  [[nodiscard]] std::vector<schemas::ControlRecord> control_records() const;
  /// Puts a quarantined item through in its place. `reply` is called once, on an actor's thread:
  /// with the offset at which that takes effect, or why not (`not_found`: not in quarantine;
  /// `environment`: try again).
  void release(std::string symbol, const market::FoldItem& item,
               std::function<void(Result<market::Offset>)> reply);
  /// The partition goes over to these fold settings where it stands. `reply` likewise.
  void change_settings(market::Partition partition, const market::FoldSettings& settings,
                       std::function<void(Result<market::Offset>)> reply);

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tapedeck::actors
