// replay/merge.hpp -- the events of several symbols, from all partitions, in the order of event
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "market/event.hpp"
#include "replay/symbol_fold.hpp"
#include "replay/time_travel.hpp"
#include "schemas/batch_codec.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

struct MergeOptions {
  std::vector<std::string> symbols;        ///< empty: all of the tape
  std::vector<Offset> to;                  ///< by partition, exclusive; empty: the tape as it is
  std::vector<std::uint32_t> last_events;  ///< by partition: of the last record below `to`
  TimeNs instant = market::kNever;         ///< a symbol ends before its first event later than this
  /// Index entries and marks that are held in memory, 24 bytes each; a stretch with more is
  /// refused.
  std::size_t max_entries = 8'000'000;
};

/// The order: time, events before marks, partition, offset, index.
struct MergePlace {
  TimeNs time = market::kNoTime;
  bool mark = false;
  market::Position position;
  friend auto operator<=>(const MergePlace&, const MergePlace&) = default;
};

/// A message, whose events belong together, or a mark.
struct MergeItem {
  MergePlace place;
  std::uint32_t symbol = 0;  ///< number in TapeMerge::symbols(); of a message
  market::Batch batch;       ///< of a message
  bool ends_record = false;  ///< the message is the last of its record
  market::TimeMark mark;     ///< of a mark
};

/// Walks a tape in the order of event time. A symbol's own events stay in the order of the tape:
/// one that is earlier than what came before it has the time of that, and so has one whose event
/// time is ahead of its feed time (the fold refuses it). So the time that is reached at a place,
/// and the state there, is what state_at() gives for the instant. Not thread safe. The tape
/// outlives it.
class TapeMerge {
public:
  /// Stands at the beginning. Error not_found (field "symbols") for a symbol without a record;
  /// invalid (field "symbols") beyond max_entries.
  [[nodiscard]] static Result<TapeMerge> open(const storage::TapeReader& tape,
                                              MergeOptions options);

  [[nodiscard]] const std::vector<std::string>& symbols() const noexcept { return symbols_; }
  /// What comes next; none at the end.
  [[nodiscard]] const std::optional<MergePlace>& head() const noexcept { return head_; }
  /// The symbol of a head that is a message.
  [[nodiscard]] std::uint32_t head_symbol() const noexcept { return head_lane_; }
  /// Takes it. Valid until the next call; only with a head.
  [[nodiscard]] Result<const MergeItem*> next();

  Result<void> seek_begin();
  /// Behind everything that is not later than `time`.
  Result<void> seek(TimeNs time);
  /// Behind an event, or a whole record, with a partition named; or in front of it. Error
  /// out_of_range (field "at") where none of the symbols has one there. Gives the time of the
  /// event.
  enum class Side : std::uint8_t { behind, before };
  Result<TimeNs> seek(const AtOffset& at, Side side);
  /// Event time at the end, of marks too; of the last event, going by the index.
  [[nodiscard]] TimeNs last_time() const;
  [[nodiscard]] TimeNs last_event_time() const;

  /// Where a symbol's next event is.
  struct Next {
    Offset offset = 0;        ///< one past its last record at its end
    std::uint32_t index = 0;  ///< of the event in the record
    Offset before = 0;        ///< one past the record before; 0: there is none
  };
  [[nodiscard]] Next next_of(std::uint32_t symbol) const;

  /// Marks of one source on one partition, ascending.
  struct MarkLane {
    Partition partition = 0;
    market::SourceId source = 0;
    std::vector<market::TimeMark> marks;
    std::size_t next = 0;  ///< those before it were taken
  };
  /// Null where the source has no mark there.
  [[nodiscard]] const MarkLane* marks_of(Partition partition, market::SourceId source) const;
  /// One past the last record that counts; whether that is all of the tape.
  [[nodiscard]] Offset end_of(Partition partition) const { return to_[partition]; }
  [[nodiscard]] bool whole() const noexcept { return whole_; }
  [[nodiscard]] Partition partition_of(std::uint32_t symbol) const {
    return lanes_[symbol].partition;
  }

private:
  struct Entry {
    Offset offset = 0;
    TimeNs max_event_time = 0;
  };
  /// One symbol's walk.
  struct Lane {
    Partition partition = 0;
    std::vector<Entry> index;
    std::size_t loaded = 0;         ///< records of `index` before it were opened
    storage::RecordBlockPtr block;  ///< holds the record under way, and some behind it
    std::size_t in_block = 0, block_end = 0;
    schemas::BatchReader reader;  ///< of the record under way
    std::size_t left = 0;         ///< events of the record that are not decoded yet
    market::Position position;    ///< of the next event
    std::vector<market::Event> chunk;
    std::size_t at = 0, count = 0;  ///< of the chunk
    std::size_t message = 0;        ///< events of the next message; 0: there is none
    TimeNs time = market::kNoTime;
    bool ended = false;
  };
  struct Head {
    MergePlace place;
    std::uint32_t lane = 0;  ///< symbols first, then lanes of marks
  };
  explicit TapeMerge(const storage::TapeReader& tape) : tape_(&tape) {}

  Result<void> load_index(const MergeOptions& options);
  Result<void> load_marks(const MergeOptions& options);
  Result<bool> next_record(std::uint32_t lane);
  Result<void> fill(std::uint32_t lane);
  void skip(Lane& lane) const;
  void rewind(Lane& lane, std::size_t record) const;
  Result<void> preload(std::vector<std::uint32_t> lanes);
  Result<TimeNs> time_at(std::uint32_t lane, Offset offset, std::uint32_t index) const;
  Result<TimeNs> time_in(std::uint32_t lane, Offset offset, std::uint32_t index) const;
  [[nodiscard]] std::optional<MergePlace> place_of(std::uint32_t lane) const;
  void gather_heads();
  void replace_head();

  const storage::TapeReader* tape_;
  std::size_t read_ahead_bytes_ = 0;
  std::vector<Offset> to_;
  std::vector<std::uint32_t> last_events_;
  TimeNs instant_ = market::kNever;
  bool whole_ = false;
  std::vector<std::string> symbols_;
  std::vector<Lane> lanes_;
  std::vector<MarkLane> marks_;
  std::vector<Head> heap_;
  std::optional<MergePlace> head_;
  std::uint32_t head_lane_ = 0;
  MergeItem item_;
  std::vector<market::Event> events_;
  std::string source_name_;
};

}  // namespace tapedeck::replay
