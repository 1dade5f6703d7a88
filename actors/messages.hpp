// actors/messages.hpp -- what the actors say to each other, and their typed handles. Messages stay
// in the process and are immutable once sent; bodies are shared. All CAF spelling for messages is
// here.
#pragma once

#include <caf/all.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "market/event.hpp"
#include "market/output.hpp"
#include "market/view.hpp"
#include "replay/recovery.hpp"
#include "replay/symbol_fold.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::actors {

using market::Offset;
using market::Partition;
using market::TimeNs;

/// Index of a symbol in its ingress.
using EntryIndex = std::uint32_t;

// ---- to a symbol actor

/// What one read of the tape brought, grouped by symbol; shared by all symbols' batches.
struct Poll {
  storage::RecordBlockPtr block;
  Offset begin = 0, end = 0;
  std::vector<std::uint32_t>
      order;  ///< indices into block->records, a symbol's together, in tape order
  std::vector<market::TimeMark> marks;  ///< of this poll, in tape order
  /// Of each source the newest mark in front of it: time went on that far, with nothing due.
  std::vector<market::TimeMark> before;
};

/// Fold poll->order[first, first + count), then the poll's later marks; but before it the earlier
/// marks that the symbol was not told of yet.
struct FoldBatch {
  std::shared_ptr<const Poll> poll;
  std::shared_ptr<const std::vector<market::TimeMark>> earlier_marks;  ///< null: none
  std::uint32_t first = 0, count = 0;
  std::uint64_t work = 0;  ///< to be named in the ack
};

/// Something of the symbol is due by these marks; all its records before `upto` were sent already.
struct TellMarks {
  std::shared_ptr<const std::vector<market::TimeMark>> marks;
  Offset upto = 0;
  std::uint64_t work = 0;
};

/// Be as of `upto`: from the newest good snapshot (or from where the actor is) and the tape.
struct Restore {
  Offset upto = 0;
  Offset silent_below = 0;  ///< outputs emitted below are delivered already
  Offset marks_from = 0;    ///< marks below are replaced by `feed_times`
  std::shared_ptr<const std::vector<storage::Checkpoint::FeedTime>> feed_times;
  std::uint64_t work = 0;
  std::optional<replay::FoldRules> rules{};  ///< in force now; none: the actor's own
};

/// Fold by these rules from here on. All records before `upto` were sent already; turns at `upto`
/// are met.
struct ApplyRules {
  replay::FoldRules rules;
  std::shared_ptr<const std::vector<market::TimeMark>> earlier_marks;
  Offset upto = 0;
  std::uint64_t work = 0;
};

/// The symbol is idle, its snapshot is stored: the actor goes once it has answered what waits.
struct Retire {};

/// Serialise the state as of `next`: every batch before it was sent before this message.
struct Barrier {
  std::uint64_t id = 0;
  Offset next = 0;
};

/// What a question gets to see. `fold` is null unless the symbol is live; valid during the call
/// only.
struct Answer {
  enum class State { live, unknown, recovering, elsewhere } state = State::unknown;
  const replay::SymbolFold* fold = nullptr;
  Offset delivered = 0;      ///< recovering: everything below was folded before
  market::Outputs unstored;  ///< outputs not in the state store yet, where asked for
  bool behind = false;       ///< the partition is not yet where its last owner was
};

/// A question travels to the symbol; it is answered exactly once: where its actor dies first, with
/// `recovering`.
class Question {
public:
  using Reply = std::function<void(const Answer&)>;
  explicit Question(Reply reply) : reply_(std::move(reply)) {}
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  ~Question() {
    if (reply_)
      answer({Answer::State::recovering, nullptr, delivered_, std::move(unstored_), behind_});
  }
  void answer(const Answer& answer) {
    if (auto reply = std::exchange(reply_, nullptr)) reply(answer);
  }
  void carry(Offset delivered, market::Outputs unstored, bool behind) {
    delivered_ = delivered, unstored_ = std::move(unstored), behind_ = behind;
  }
  [[nodiscard]] bool behind() const noexcept { return behind_; }
  [[nodiscard]] market::Outputs take_unstored() { return std::move(unstored_); }

private:
  Reply reply_;
  Offset delivered_ = 0;
  market::Outputs unstored_;
  bool behind_ = false;
};
struct Ask {
  std::string symbol;
  bool outputs = false;
  std::shared_ptr<Question> question;
};
/// How many symbols one partition has to answer is said exactly once: none, where its ingress dies
/// first.
class HeadCount {
public:
  explicit HeadCount(std::function<void(std::size_t count)> count) : count_(std::move(count)) {}
  HeadCount(const HeadCount&) = delete;
  HeadCount& operator=(const HeadCount&) = delete;
  ~HeadCount() { say(0); }
  void say(std::size_t count) {
    if (auto told = std::exchange(count_, nullptr)) told(count);
  }

private:
  std::function<void(std::size_t count)> count_;
};
struct AskPartition {
  std::shared_ptr<HeadCount> head;
  Question::Reply reply;
};
/// Makes a question for each symbol; the heads, one for each partition, say how many there will be.
struct AskAll {
  std::vector<std::shared_ptr<HeadCount>> heads;
  Question::Reply reply;
};

/// What a symbol said in one message, for the sink.
struct Said {
  std::string symbol;
  market::Outputs outputs;  ///< in the order of emission
};
using SaidPtr = std::shared_ptr<const Said>;

// ---- to an ingress

struct FoldAck {
  EntryIndex entry = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t work = 0;
  Offset folded =
      0;  ///< every record of the symbol below is folded, and its outputs are here or were before
  TimeNs due = market::kNever;
  market::SourceId source = 0;
  market::EventCounts counts;
  bool restored = false;
  bool unsaved = false;  ///< restored: its newest snapshot is older than its state
  std::shared_ptr<storage::EncodedOutputs> outputs;  ///< null: none; the ingress takes them
  SaidPtr said;  ///< the same outputs for the sink; null: none, or no sink
  std::shared_ptr<std::vector<storage::StoredSnapshot>>
      snapshots;                                          ///< null: none; the ingress takes them
  std::shared_ptr<const std::vector<std::string>> notes;  ///< bad snapshots that were passed over
};
struct BarrierAck {
  EntryIndex entry = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t id = 0;
  /// The ingress takes it. Null: a turn was met right here, what is stored stays.
  std::shared_ptr<storage::StoredSnapshot> snapshot;
};
/// The tape has news, or the ingress told itself to read on.
struct Wake {};
/// Every store_interval.
struct Tick {};
struct SymbolDown {
  EntryIndex entry = 0;
  std::uint32_t incarnation = 0;
  std::string error;
};
struct Revive {
  EntryIndex entry = 0;
};
struct Stored {
  std::uint64_t id = 0;
  bool checkpoint = false;
};
/// The sink knows up to where outputs are out: the ingress may start.
struct SinkOpened {
  Offset committed = 0;
  std::uint64_t opening = 0;
};
/// Every output emitted below `committed` is out; so many of those handed over were among them.
struct Delivered {
  Offset committed = 0;
  std::size_t outputs = 0;
};
/// Too much failed in the partition: store what is delivered, then end with this reason.
struct LastWords {
  caf::error reason;
};
/// Fold what is read, store everything with a last checkpoint, then report to the supervisor.
struct Drain {
  bool at_end = false;  ///< read on to the tape's end first
};

/// Put a quarantined item through in its place. `reply` is called exactly once: with the offset at
/// which the release takes effect, or why not.
struct Release {
  std::string symbol;
  market::FoldItem item;
  std::function<void(Result<Offset>)> reply;
};

/// The partition's folds go over to these settings where it stands. `reply` as above.
struct ChangeSettings {
  Partition partition = 0;
  std::shared_ptr<const market::FoldSettings> settings;
  std::function<void(Result<Offset>)> reply;
};

// ---- to the checkpointer

struct StoreRequest {
  std::uint64_t id = 0;
  Partition partition = 0;
  storage::StateStore::Batch batch;
  std::size_t outputs = 0;             ///< in the batch
  TimeNs feed_time = market::kNoTime;  ///< for the thinning that follows a checkpoint
  Offset committed =
      storage::kNoOffset;  ///< where the sink would resume: checkpoints below it are kept
  std::chrono::steady_clock::time_point barrier_at{};
};

using SymbolActor =
    caf::typed_actor<caf::reacts_to<FoldBatch>, caf::reacts_to<TellMarks>, caf::reacts_to<Restore>,
                     caf::reacts_to<Barrier>, caf::reacts_to<Ask>, caf::reacts_to<ApplyRules>,
                     caf::reacts_to<Retire>>;

/// To a standby: what the partition's owner has committed, so that far it may fold.
struct Guide {
  Offset committed = 0;
};
/// A standby's partition is this engine's from now on.
struct Promote {};

struct Store;
struct NewCheckpointer;
struct NewSink;
using IngressActor = caf::typed_actor<
    caf::reacts_to<FoldAck>, caf::reacts_to<BarrierAck>, caf::reacts_to<Wake>, caf::reacts_to<Tick>,
    caf::reacts_to<SymbolDown>, caf::reacts_to<Revive>, caf::reacts_to<Stored>,
    caf::reacts_to<Drain>, caf::reacts_to<Ask>, caf::reacts_to<AskPartition>,
    caf::reacts_to<NewCheckpointer>, caf::reacts_to<SinkOpened>, caf::reacts_to<Delivered>,
    caf::reacts_to<Release>, caf::reacts_to<NewSink>, caf::reacts_to<LastWords>,
    caf::reacts_to<ChangeSettings>, caf::reacts_to<Guide>, caf::reacts_to<Promote>>;

struct Store {
  std::shared_ptr<const StoreRequest> request;
  IngressActor reply_to;
};
struct Retry {};
using CheckpointerActor = caf::typed_actor<caf::reacts_to<Store>, caf::reacts_to<Retry>>;
struct NewCheckpointer {
  CheckpointerActor checkpointer;
};

// ---- to the sink

/// An ingress begins: what an earlier one of this partition handed over is forgotten.
struct SinkOpen {
  Partition partition = 0;
  std::uint64_t opening = 0;  ///< higher than any before
  IngressActor reply_to;
};
/// Everything that the partition's symbols said since, and the new frontier.
struct SinkTake {
  Partition partition = 0;
  std::uint64_t opening = 0;
  std::vector<SaidPtr> said;
  Offset frontier = 0;
};
/// The partition is another's: nothing of it is delivered any more.
struct SinkForget {
  Partition partition = 0;
};
struct SinkPump {};
using SinkActor = caf::typed_actor<caf::reacts_to<SinkOpen>, caf::reacts_to<SinkTake>,
                                   caf::reacts_to<SinkForget>, caf::reacts_to<SinkPump>>;
/// In the place of one that failed: each ingress opens there, and says again what is not out.
struct NewSink {
  SinkActor sink;
};

// ---- to supervisors

/// The ingress spawned a symbol actor: watch it.
struct Watch {
  EntryIndex entry = 0;
  std::uint32_t incarnation = 0;
  std::string symbol;
  SymbolActor actor;
};
/// What killed the entry's symbol is quarantined: its restart budget is as new. Where the partition
/// failed with it, so is the partition's: to the root then.
struct Refund {
  EntryIndex entry = 0;
  Partition partition = 0;
};
constexpr EntryIndex kNoEntry = ~EntryIndex{0};  ///< an earlier ingress's
/// The ingress finished draining.
struct Drained {};
/// Back-off is over for a child.
struct RestartChild {
  std::uint64_t child = 0;
};
using PartitionActor =
    caf::typed_actor<caf::reacts_to<Watch>, caf::reacts_to<Drained>, caf::reacts_to<Drain>,
                     caf::reacts_to<NewCheckpointer>, caf::reacts_to<NewSink>,
                     caf::reacts_to<Refund>, caf::reacts_to<Promote>>;
struct PartitionDrained {
  Partition partition = 0;
};
/// The partition is this engine's from now on; with `standby` it is another's, and folded here as
/// far as that one has committed, at first this.
struct OpenPartition {
  Partition partition = 0;
  std::optional<Offset> standby{};
};
/// It is to be another's. In order: what was read is folded, stored with a last checkpoint, and
/// out; else it stops at once. Then `done`.
struct ClosePartition {
  Partition partition = 0;
  bool in_order = true;
  std::function<void()> done;
};
/// What was to be flushed before the process ends had its time.
struct FlushOver {};
using RootActor = caf::typed_actor<caf::reacts_to<Drain>, caf::reacts_to<PartitionDrained>,
                                   caf::reacts_to<RestartChild>, caf::reacts_to<OpenPartition>,
                                   caf::reacts_to<ClosePartition>, caf::reacts_to<FlushOver>,
                                   caf::reacts_to<Refund>>;
using GatewayActor = caf::typed_actor<caf::reacts_to<Ask>, caf::reacts_to<AskAll>,
                                      caf::reacts_to<Release>, caf::reacts_to<ChangeSettings>>;

}  // namespace tapedeck::actors

#define TAPEDECK_LOCAL_MESSAGE(type) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tapedeck::actors::type)
TAPEDECK_LOCAL_MESSAGE(FoldBatch)
TAPEDECK_LOCAL_MESSAGE(TellMarks)
TAPEDECK_LOCAL_MESSAGE(Restore)
TAPEDECK_LOCAL_MESSAGE(Barrier)
TAPEDECK_LOCAL_MESSAGE(ApplyRules)
TAPEDECK_LOCAL_MESSAGE(Retire)
TAPEDECK_LOCAL_MESSAGE(Release)
TAPEDECK_LOCAL_MESSAGE(Guide)
TAPEDECK_LOCAL_MESSAGE(Promote)
TAPEDECK_LOCAL_MESSAGE(ChangeSettings)
TAPEDECK_LOCAL_MESSAGE(Refund)
TAPEDECK_LOCAL_MESSAGE(Ask)
TAPEDECK_LOCAL_MESSAGE(AskAll)
TAPEDECK_LOCAL_MESSAGE(AskPartition)
TAPEDECK_LOCAL_MESSAGE(FoldAck)
TAPEDECK_LOCAL_MESSAGE(BarrierAck)
TAPEDECK_LOCAL_MESSAGE(Wake)
TAPEDECK_LOCAL_MESSAGE(Tick)
TAPEDECK_LOCAL_MESSAGE(SymbolDown)
TAPEDECK_LOCAL_MESSAGE(Revive)
TAPEDECK_LOCAL_MESSAGE(Stored)
TAPEDECK_LOCAL_MESSAGE(Drain)
TAPEDECK_LOCAL_MESSAGE(Store)
TAPEDECK_LOCAL_MESSAGE(Retry)
TAPEDECK_LOCAL_MESSAGE(NewCheckpointer)
TAPEDECK_LOCAL_MESSAGE(NewSink)
TAPEDECK_LOCAL_MESSAGE(LastWords)
TAPEDECK_LOCAL_MESSAGE(FlushOver)
TAPEDECK_LOCAL_MESSAGE(Watch)
TAPEDECK_LOCAL_MESSAGE(Drained)
TAPEDECK_LOCAL_MESSAGE(RestartChild)
TAPEDECK_LOCAL_MESSAGE(PartitionDrained)
TAPEDECK_LOCAL_MESSAGE(OpenPartition)
TAPEDECK_LOCAL_MESSAGE(ClosePartition)
TAPEDECK_LOCAL_MESSAGE(SinkOpened)
TAPEDECK_LOCAL_MESSAGE(Delivered)
TAPEDECK_LOCAL_MESSAGE(SinkOpen)
TAPEDECK_LOCAL_MESSAGE(SinkTake)
TAPEDECK_LOCAL_MESSAGE(SinkForget)
TAPEDECK_LOCAL_MESSAGE(SinkPump)
#undef TAPEDECK_LOCAL_MESSAGE
