// actors/symbol_worker.hpp -- what a symbol actor does with its messages. A plain object, no actor
// system needed.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "actors/attempts.hpp"
#include "actors/messages.hpp"
#include "actors/options.hpp"
#include "market/settings.hpp"
#include "replay/recovery.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::actors {

/// Test only: what fails where; shared by all symbol actors. Null where nothing is to fail. This
/// one fires fault points; a simulation overrides it. Thread safe.
class FaultPlan {
public:
  explicit FaultPlan(const std::vector<FaultPoint>& points, RandomFaults random = {});
  virtual ~FaultPlan() = default;
  /// The fault point that is due in this record, if there is one; counts it as fired.
  [[nodiscard]] virtual std::optional<FaultPoint> fires(std::string_view symbol,
                                                        const storage::Record& record);
  /// A message that brings no record (marks, a barrier) reaches the symbol; may throw in its place.
  virtual void message(std::string_view /*symbol*/) {}
  /// The due item at which a fault point waits for this symbol.
  [[nodiscard]] std::optional<market::DueItem> due_of(std::string_view symbol);
  /// Where the fold meets the point.
  virtual void strike(const FaultPoint& point);
  /// Strikes where the event is put through after its release.
  virtual void strike_release(std::string_view symbol, const market::FoldItem& item);
  /// Strikes at the due item, as often as is left.
  void strike_due(std::string_view symbol);

private:
  std::mutex mutex_;
  std::vector<FaultPoint> points_;
  [[nodiscard]] std::optional<FaultPoint> by_chance(std::string_view symbol,
                                                    const storage::Record& record);
  RandomFaults random_;
  std::set<std::pair<Partition, Offset>> struck_;  ///< by chance
};

struct SymbolContext {
  Partition partition = 0;
  const storage::TapeReader* tape = nullptr;
  const storage::StateReader* state = nullptr;
  replay::FoldRules rules;
  const EngineOptions* options = nullptr;
  telemetry::PartitionMetrics* metrics = nullptr;
  std::shared_ptr<FaultPlan> faults;
  Offset silent_below = 0;       ///< outputs emitted before are delivered already
  Attempts* attempts = nullptr;  ///< null: not counted
  bool sink = false;             ///< outputs are told for the sink too
};

/// Throws where the fold breaks an invariant or a record does not decode: its supervisor restarts
/// it.
class SymbolWorker {
public:
  SymbolWorker(SymbolContext context, EntryIndex entry, std::uint32_t incarnation,
               std::string symbol);

  [[nodiscard]] FoldAck on(const FoldBatch& batch);
  [[nodiscard]] FoldAck on(const TellMarks& tell);
  [[nodiscard]] FoldAck on(const Restore& restore);
  [[nodiscard]] BarrierAck on(const Barrier& barrier);
  [[nodiscard]] FoldAck on(const ApplyRules& apply);
  void on(const Ask& ask);

private:
  [[nodiscard]] static market::Outputs& outputs();
  void meet_fault(const storage::Record& record);
  void plan_due_fault();
  void meet_turns(Offset upto, market::Outputs& said);
  void catch_up(Offset to, replay::Marks marks, market::Outputs& said);
  void apply(const storage::Record& record);
  void advance(const market::TimeMark& mark);
  [[nodiscard]] FoldAck fold(const FoldBatch& batch);
  [[nodiscard]] FoldAck restore(const Restore& restore);
  template <class Work>
  auto guarded(Work work);
  [[nodiscard]] FoldAck ack(std::uint64_t work, Offset silent_below);
  [[nodiscard]] SaidPtr take_said(Offset silent_below) const;
  void tell_findings();

  SymbolContext context_;
  EntryIndex entry_;
  std::uint32_t incarnation_;
  replay::SymbolFold fold_;
  std::optional<market::FoldItem> blamed_;       ///< what is being put through
  std::unique_ptr<market::QualityWatch> watch_;  ///< null: nothing is looked at
  std::array<std::uint64_t, market::kFindings> findings_told_{};
};

}  // namespace tapedeck::actors
