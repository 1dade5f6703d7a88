// actors/ingress.hpp -- reads one partition, groups each poll by symbol, hands it out, and keeps
// account of what was delivered. A plain object: what it does to the outside goes through
// IngressPort, so tests need no actor system.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/board.hpp"
#include "actors/messages.hpp"
#include "actors/options.hpp"
#include "actors/rule_book.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::actors {

/// What an ingress does to the world.
class IngressPort {
public:
  virtual ~IngressPort() = default;
  /// Makes a (new) actor for the entry; messages to the entry go to it from now on. Outputs emitted
  /// before `silent_below` are delivered already.
  virtual void spawn(EntryIndex entry, std::uint32_t incarnation, const std::string& symbol,
                     Offset silent_below) = 0;
  virtual void send(EntryIndex entry, FoldBatch message) = 0;
  virtual void send(EntryIndex entry, TellMarks message) = 0;
  virtual void send(EntryIndex entry, Restore message) = 0;
  virtual void send(EntryIndex entry, Barrier message) = 0;
  virtual void send(EntryIndex entry, Ask message) = 0;
  virtual void send(EntryIndex entry, ApplyRules message) = 0;
  /// Its actor goes; spawn() makes another one.
  virtual void retire(EntryIndex entry) = 0;
  /// What killed the entry is quarantined: its supervisor forgets that it failed. kNoEntry: an
  /// earlier ingress's.
  virtual void refund(EntryIndex entry) = 0;
  virtual void store(std::shared_ptr<const StoreRequest> request) = 0;
  /// Said since the last call, and the frontier: to the sink, if there is one.
  virtual void deliver(std::vector<SaidPtr> said, Offset frontier) = 0;
  virtual void wake_self() = 0;
  virtual void drained() = 0;
  [[nodiscard]] virtual std::chrono::steady_clock::time_point now() const = 0;
};

struct IngressContext {
  Partition partition = 0;
  const storage::TapeReader* tape = nullptr;
  const storage::StateReader* state = nullptr;
  const EngineOptions* options = nullptr;
  telemetry::PartitionMetrics* metrics = nullptr;
  Board* board = nullptr;
  RuleBook* rules = nullptr;     ///< null: nothing is quarantined
  Attempts* attempts = nullptr;  ///< null: not counted
  bool sink = false;             ///< outputs are delivered by a sink as well as stored
};

/// Throws EngineFailure where the tape cannot be read on: a bad record or a dead disk stops this
/// partition with the reason, it is never skipped.
class EngineFailure : public std::runtime_error {
public:
  explicit EngineFailure(Error why) : std::runtime_error(why.message), error(std::move(why)) {}
  Error error;
};
/// The value, or EngineFailure.
template <class T>
T must(Result<T> result) {
  if (!result) throw EngineFailure(std::move(result.error()));
  return std::move(*result);
}

class Ingress {
public:
  Ingress(IngressContext context, IngressPort& port);

  /// Resumes at the newest checkpoint past neither the cursor nor `committed`, what the sink has
  /// out (without a sink: nothing): spawns every symbol known there.
  void start(std::optional<Offset> committed = std::nullopt);
  /// The partition is another engine's: reads below `committed` only, says and decides nothing.
  void stand_by(Offset committed);
  void on(const Guide& guide);
  /// From here on it is this engine's; what is emitted below `committed` is out.
  void promote(Offset committed);
  [[nodiscard]] bool standby() const noexcept { return standby_; }
  /// Reads one poll, if there is news and credit, and asks to be woken again while there may be
  /// more.
  /// Where the tape does not keep what comes next, the partition stops there: what was read is
  /// folded, stored and delivered, questions are answered as recovering, the board says why.
  void wake();
  void tick();
  void on(const FoldAck& ack);
  void on(const BarrierAck& ack);
  void on(const SymbolDown& down);
  void on(const Revive& revive);
  void on(const Stored& stored);
  void on(const Delivered& delivered);
  void on(const Drain& drain);
  void on(Ask ask);
  void on(const AskPartition& ask);
  void on(const Release& release);
  void on(const ChangeSettings& change);
  /// Sends again what the last checkpointer did not confirm.
  void resend_unstored();
  /// The sink failed, with what it was handed.
  void sink_lost() { sink_lost_ = true; }
  /// Another one has opened, everything below `committed` is out: hands over the rest again.
  void sink_renewed(Offset committed);
  /// The last thing of an ingress that ends.
  void store_delivered() { flush(false); }

private:
  /// Something sent to symbols whose outputs are awaited. Its `begin` holds the frontier back.
  struct Work {
    Offset begin = 0;
    std::uint32_t remaining = 0;
    std::size_t bytes = 0;
  };
  struct Entry {
    std::string symbol;
    enum class State { live, down, refilling, passive } state = State::live;
    bool waking = false;  ///< refilling because it was passive, not because it failed
    std::uint32_t incarnation = 0;
    TimeNs due = market::kNever;
    TimeNs seen = market::kNoTime;  ///< the partition's feed time at its last record or question
    market::SourceId source = 0;
    Offset told = 0;          ///< records and marks below were sent
    Offset missing_from = 0;  ///< down or refilling: outputs emitted from here on are not delivered
    Offset missed = 0;        ///< end of the last record dropped while down
    std::chrono::steady_clock::time_point down_since{};
    bool changed = false;  ///< since the last barrier
    /// Where a barrier found a turn met: what is stored there is the state before it.
    std::optional<Offset> turned_at;
    bool accused = false;  ///< attempts are counted against something of it
    /// Rules that came while it was refilling by older ones change something from here on.
    std::optional<Offset> new_rules_from;
    std::uint64_t barrier = 0;
    market::EventCounts counts;
    std::vector<std::uint64_t> works;  ///< in flight
    std::uint32_t poll_count = 0;      ///< scratch of group()
  };

  [[nodiscard]] bool may_read();
  /// Records [first, last) of a block: a standby takes it as far as it may.
  struct Slice {
    storage::RecordBlockPtr block;
    std::size_t first = 0, last = 0;
    [[nodiscard]] bool empty() const { return first == last; }
  };
  [[nodiscard]] Result<Slice> next_slice();
  void dispatch(Slice slice);
  std::shared_ptr<Poll> group(Slice slice);
  EntryIndex entry_of(std::string_view symbol);
  void note_record(const storage::Record& record, Poll& poll);
  [[nodiscard]] const market::TimeMark* untold_mark(const Entry& entry) const;
  void hand_out(const std::shared_ptr<const Poll>& poll);
  void tell_due(const std::vector<market::TimeMark>& marks);
  void tell_later_marks(EntryIndex index);
  void tell_untold(EntryIndex index);
  void prune_marks();

  std::uint64_t open_work(Offset begin, std::size_t bytes);
  void send_work(EntryIndex index, std::uint64_t work);
  void finish_work(EntryIndex index, std::uint64_t work);
  void settle();
  void release(std::uint64_t work);
  [[nodiscard]] Offset frontier() const;

  void take_outputs(Entry& entry, const FoldAck& ack);
  void refilled(EntryIndex index, Entry& entry, const FoldAck& ack);
  void count(Entry& entry, const market::EventCounts& counts);
  void tell_counts();
  void tell_depths();
  void begin_refill(EntryIndex index);
  [[nodiscard]] bool may_passivate(const Entry& entry) const;
  void passivate(EntryIndex index);
  void begin_waking(EntryIndex index, Offset from);
  void wake_up(EntryIndex index);

  bool quarantine_poison(const std::string& symbol, Offset said);
  void quarantine_known();
  void forget_by_newest_rule(Offset said);
  void leave_out_of_checkpoint(const Entry& entry);
  void no_longer_accused(Entry& entry, Offset folded);
  [[nodiscard]] Result<void> may_release(const Release& release) const;
  /// An earlier run stored or delivered more than this one has read.
  [[nodiscard]] bool behind_what_is_out() const { return next_ < std::max(cursor_, committed_); }
  [[nodiscard]] std::optional<replay::FoldRules> rules_now() const {
    return context_.rules == nullptr ? std::nullopt : std::optional(context_.rules->rules());
  }
  void meet_changes();
  void note_releases();
  void meet_releases();
  void apply_release(std::string_view symbol, Offset from);
  /// All entries go by the rules in force; what changes for them begins at `from`.
  void apply_rules_to_all(Offset from);
  void apply_rules(EntryIndex index, Offset from);
  static void note_rules(Entry& entry, Offset from);

  void maybe_checkpoint();
  void begin_checkpoint();
  void barrier_done();
  void finish_checkpoint();
  void flush(bool force);
  void send_store(std::shared_ptr<StoreRequest> request);
  void hand_to_sink();
  void maybe_drained();
  void stop_reading(const Error& why);
  /// Whether answers are not the newest that there is to say.
  [[nodiscard]] bool behind() const;
  void publish();

  IngressContext context_;
  IngressPort& port_;
  Offset next_ = 0, end_ = 0, cursor_ = 0, checkpoint_ = 0;
  bool standby_ = false;
  Slice held_;                ///< of a standby: read, and not yet committed by the owner
  Offset resume_cursor_ = 0;  ///< outputs emitted below are stored, and out, since an earlier run
  std::vector<Entry> entries_;
  std::deque<std::string> names_;
  std::unordered_map<std::string_view, EntryIndex> by_symbol_;
  std::vector<EntryIndex> touched_;
  std::vector<EntryIndex> waking_;  ///< passive ones that this poll brings records of
  std::uint64_t passive_ = 0;

  std::unordered_map<std::uint64_t, Work> works_;
  std::multiset<Offset>
      floors_;  ///< `begin` of each work, `missing_from` of each symbol that is down
  std::uint64_t next_work_ = 1;
  std::uint64_t start_work_ = 0;  ///< symbols are being restored
  std::size_t inflight_bytes_ = 0;
  std::int64_t inflight_batches_ = 0;
  bool waiting_for_credit_ = false, caught_up_ = false;
  std::size_t changes_met_ = 0;  ///< of the fold settings, that all symbols were told of
  std::multimap<Offset, std::string> releases_ahead_;  ///< symbols by where they have one
  bool idle_ = false;                                  ///< the last read found the tape's end

  std::vector<storage::Checkpoint::FeedTime> newest_marks_;  ///< newest mark of each source
  std::deque<market::TimeMark> recent_marks_;                ///< since the oldest work in flight
  std::shared_ptr<const std::vector<storage::Checkpoint::FeedTime>> checkpoint_times_;
  TimeNs feed_time_ = market::kNoTime;

  std::shared_ptr<StoreRequest> gathering_;                   ///< to be stored next
  std::deque<std::shared_ptr<const StoreRequest>> unstored_;  ///< sent, not confirmed
  std::size_t unstored_outputs_ = 0;
  std::vector<SaidPtr> said_;  ///< for the sink, not yet handed over
  struct HandedOver {
    SaidPtr said;
    Offset last = 0;  ///< emission offset of its last output
  };
  std::vector<HandedOver> handed_over_;  ///< to the sink, and not out as far as is known
  bool sink_lost_ = false;               ///< nothing is handed over meanwhile
  std::size_t undelivered_outputs_ = 0;
  Offset told_sink_ = 0;        ///< the frontier that the sink knows
  Offset committed_ = 0;        ///< outputs emitted below are out
  Offset last_owner_upto_ = 0;  ///< where the last owner of the partition was
  std::uint64_t next_store_ = 1;
  std::chrono::steady_clock::time_point stored_at_{};

  struct Checkpointing {
    storage::Checkpoint row;
    std::uint32_t waiting = 0;
    bool active = false;
    std::chrono::steady_clock::time_point since{};
  } checkpointing_;
  std::uint64_t next_barrier_ = 1;
  std::uint64_t events_ = 0, events_at_checkpoint_ = 0;
  std::chrono::steady_clock::time_point checkpoint_at_{};
  market::EventCounts counts_;
  std::uint32_t down_ = 0;
  std::string stopped_;  ///< why it is not read on; empty: it is
  bool draining_ = false, drain_to_end_ = false, drained_ = false;
};

}  // namespace tapedeck::actors
