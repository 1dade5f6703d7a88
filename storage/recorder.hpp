// storage/recorder.hpp -- feed batches in, grouped records and time marks out to a tape.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "market/feed_batch.hpp"
#include "market/result.hpp"
#include "schemas/batch_codec.hpp"
#include "storage/tape.hpp"

namespace tapedeck::storage {

/// How the recorder groups. None of it changes which events reach a symbol, nor their order.
struct RecorderOptions {
  std::string source_name;
  market::Sequencing sequencing = market::Sequencing::message_number;
  /// Events between two flushes; 1 flushes each message at once. A flush falls between messages
  /// only.
  std::uint64_t linger_events = 524'288;
  /// The same limit in bytes of payload, at an estimated 24 an event.
  std::size_t linger_bytes = std::size_t{64} << 20;
  /// tick() flushes what has waited as long as this; 0: never by time.
  TimeNs linger_time = 0;
  /// Live: a mark to every partition this often, by the time told to tick(); 0: marks go by
  /// `mark_events`.
  TimeNs mark_interval = 0;
  /// Otherwise a flush brings marks once this many events were flushed since the last ones; 1:
  /// every flush does.
  std::uint64_t mark_events = 65'536;
  /// Record only these; empty: all.
  std::set<std::string> symbols;
  /// Records are cut at message ends to stay below this; only a single larger message may exceed
  /// it.
  std::size_t max_record_bytes = std::size_t{60} << 10;
};

/// What one recorder did since it was opened.
struct RecorderStats {
  std::uint64_t events = 0;    ///< market events appended (session events apart)
  std::uint64_t sessions = 0;  ///< session events appended
  std::uint64_t records = 0;
  std::uint64_t marks = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t flushes = 0;
  std::uint64_t dead_letters = 0;
  std::uint64_t filtered = 0;  ///< events of symbols that were not asked for
  std::uint64_t passed_over =
      0;  ///< events that an earlier, interrupted recording had already appended
};

/// Records one source. Whenever it is killed, a recorder opened on the same source and fed from its
/// start again goes on after the last event on the tape: none lost, none twice. Not thread safe;
/// the writer must outlive it. After an error nothing of the failed flush is on the tape, and every
/// later call returns that error.
class Recorder {
public:
  /// Looks up how far the source is on the tape. Writes nothing.
  [[nodiscard]] static Result<Recorder> open(TapeWriter& writer, RecorderOptions options);

  /// The whole source is on the tape: nothing to do.
  [[nodiscard]] bool already_recorded() const noexcept { return already_recorded_; }
  /// An earlier recording of the source was interrupted; messages up to this number are passed over
  /// (0: none).
  [[nodiscard]] std::uint64_t resumes_after() const noexcept { return resume_min_; }

  /// Takes the batch in; flushes as often as the linger says.
  [[nodiscard]] Result<void> add(const market::FeedBatch& batch);
  /// Live: tells the recorder's clock (any epoch, never going back); flushes and marks what is due.
  [[nodiscard]] Result<void> tick(TimeNs now_ns);
  /// The source ended: flushes, marks it complete on every partition, syncs.
  [[nodiscard]] Result<void> finish();
  /// The recording is interrupted: flushes, marks how far it came, syncs.
  [[nodiscard]] Result<void> suspend();

  [[nodiscard]] const RecorderStats& stats() const noexcept { return stats_; }
  /// Events taken in and not yet appended.
  [[nodiscard]] std::uint64_t pending() const noexcept { return pending_; }

private:
  enum class Stage : std::uint8_t { fresh, passing, active, filtered };
  /// What every event touches.
  struct Slot {
    std::vector<market::Event> buffer;
    Stage stage = Stage::fresh;
  };
  struct SymbolInfo {
    std::string name;
    Partition partition = 0;
    bool has_session = false;
    std::uint64_t pass =
        0;  ///< message_number: highest sequence on the tape; per_symbol: events still to pass over
  };
  struct Cursor {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;  ///< of the batches before: a flush within a batch knows no better
    TimeNs feed_time = market::kNoTime;
    friend bool operator==(const Cursor&, const Cursor&) = default;
  };
  struct Draft {
    market::SymbolIndex symbol = 0;
    std::uint32_t events = 0;
    TimeNs max_time = 0;
    std::size_t offset = 0, size = 0;
  };

  Recorder(TapeWriter& writer, RecorderOptions options);
  [[nodiscard]] Result<void> find_source();
  [[nodiscard]] Result<void> take_dead_letters(const market::FeedBatch& batch);
  void name_symbols(const market::FeedBatch& batch);
  [[nodiscard]] Result<void> take_events(const market::FeedBatch& batch);
  void prefetch_buffer(market::SymbolIndex symbol) const noexcept;
  [[nodiscard]] Result<bool> admit(market::SymbolIndex symbol, const market::Event& event);
  [[nodiscard]] Result<void> look_up(market::SymbolIndex symbol);
  [[nodiscard]] Result<void> scan_symbol(SymbolInfo& info);
  void take_base(SymbolInfo& info, const SymbolBase& base) const;
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] Result<void> encode_symbol(market::SymbolIndex symbol);
  [[nodiscard]] Result<void> append(bool with_marks, bool complete);
  [[nodiscard]] bool marks_due() const noexcept;
  void release_buffers();
  [[nodiscard]] Result<void> failed(Error error);

  TapeWriter* writer_;
  RecorderOptions options_;
  market::SourceId source_ = 0;
  std::uint32_t partitions_ = 0;
  std::uint64_t limit_ = 0;        ///< events between flushes
  std::size_t record_events_ = 0;  ///< first guess of the events that fit a record

  bool already_recorded_ = false;
  bool resuming_ = false;
  std::uint64_t resume_min_ = 0;
  std::vector<std::uint64_t> resume_cursor_, resume_bytes_;  ///< by partition

  std::vector<Slot> slots_;
  std::vector<SymbolInfo> symbols_;
  std::vector<market::SymbolIndex>
      touched_;                ///< symbols with a non-empty buffer, in order of their first event
  std::uint64_t pending_ = 0;  ///< events in the buffers, session events apart
  std::uint64_t pending_sessions_ = 0;
  std::uint64_t since_release_ = 0;

  Cursor read_;     ///< what add() has taken in
  Cursor flushed_;  ///< ... and is on the tape
  Cursor marked_;   ///< ... and the newest marks tell
  bool any_marks_ = false;
  std::uint64_t events_at_mark_ = 0;
  TimeNs now_ = 0, pending_since_ = 0, marked_at_ = 0;

  schemas::BatchEncoder encoder_;
  std::vector<std::byte> arena_;
  std::vector<Draft> drafts_;
  std::vector<NewRecord> records_;
  std::vector<NewMark> marks_;
  RecorderStats stats_;
  std::optional<Error> error_;
};

}  // namespace tapedeck::storage
