// storage/tape.hpp -- the tape port: what every tape (memory, RocksDB, Kafka) does. Start here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "market/event.hpp"
#include "market/result.hpp"
#include "market/units.hpp"
#include "schemas/state_codec.hpp"
#include "storage/base.hpp"

namespace tapedeck::storage {

using market::Offset;
using market::Partition;
using market::TimeNs;

constexpr std::uint32_t kDefaultPartitions = 4;
constexpr std::uint32_t kMaxPartitions = 4096;
constexpr std::size_t kMaxSymbolBytes = 64;

enum class RecordKind : std::uint8_t { events = 1, mark = 2 };

/// One record as read: views into its block's arena. `payload` is 8-byte aligned.
struct Record {
  Partition partition = 0;
  Offset offset = 0;
  RecordKind kind = RecordKind::events;
  std::uint32_t event_count = 0;       ///< 0 for a mark
  TimeNs max_event_time = 0;           ///< highest event time in the record; feed time for a mark
  std::string_view symbol;             ///< empty for a mark
  std::span<const std::byte> payload;  ///< BatchReader's, or decode_mark's
};

/// What one read brought. Immutable, shared: records stay valid as long as the block lives.
struct RecordBlock {
  std::vector<std::byte> arena;
  std::vector<Record> records;
  std::size_t bytes = 0;  ///< payload bytes
};
using RecordBlockPtr = std::shared_ptr<const RecordBlock>;

struct ReadLimits {
  std::size_t bytes = std::size_t{4}
                      << 20;  ///< stop after the record that reaches it (payload bytes)
  std::size_t records = 1u << 20;
};

/// An entry of the per-symbol offset index.
struct IndexEntry {
  Offset offset = 0;
  std::uint32_t event_count = 0;
  TimeNs max_event_time = 0;
  std::uint32_t payload_bytes = 0;
};

/// A source that has been, or is being, recorded on this tape.
struct SourceInfo {
  std::string name;
  bool complete = false;
  /// Newest mark of the source on each partition (index = partition); none where there is no mark
  /// yet.
  std::vector<std::optional<schemas::MarkPayload>> marks;
};

/// A dead letter of the recorder: bytes that could not be decoded.
struct RecorderDeadLetter {
  std::string source;
  std::uint64_t byte_offset =
      0;  ///< in the (uncompressed) input; with `source` its identity: written twice, kept once
  std::string reason;
  std::string bytes;
};

/// The partition of a symbol: murmur2 as Kafka's clients compute it (toPositive(murmur2(key)) %
/// partitions).
[[nodiscard]] Partition partition_of(std::string_view symbol, std::uint32_t partitions) noexcept;

/// Reading side. Every read verifies checksums: error `corrupt` names partition:offset. Safe to use
/// from several threads. Reading a tape that another process writes is allowed; refresh() makes its
/// news visible.
class TapeReader {
public:
  virtual ~TapeReader() = default;
  [[nodiscard]] virtual std::uint32_t partitions() const = 0;
  /// Whether offsets follow each other without holes. On Kafka marks of transactions and appends
  /// that were taken back stand between records, so there they do not.
  [[nodiscard]] virtual bool dense() const { return true; }
  /// First offset that the tape holds: 0 unless it was trimmed. Reads from below it begin there, so
  /// who folds begins with base_of(). Where a record went meanwhile: error `out_of_range`.
  [[nodiscard]] virtual Result<Offset> start(Partition /*partition*/) const { return Offset{0}; }
  /// Of a trimmed partition: its events and feed times at the start.
  [[nodiscard]] virtual Result<std::optional<Checkpoint>> base(Partition /*partition*/) const {
    return std::optional<Checkpoint>();
  }
  /// The symbol at the start of its partition; none where no record of it was trimmed. Error
  /// `corrupt` names it.
  [[nodiscard]] virtual Result<std::optional<SymbolBase>> base_of(
      std::string_view /*symbol*/) const {
    return std::optional<SymbolBase>();
  }
  /// Symbols of the partition that have one, ascending.
  [[nodiscard]] virtual Result<std::vector<std::string>> base_symbols(
      Partition /*partition*/) const {
    return std::vector<std::string>();
  }
  /// Bytes on disk of the records in [from, end), about; 0 where that is not known.
  [[nodiscard]] virtual Result<std::uint64_t> stored_bytes(Partition /*partition*/,
                                                           Offset /*from*/) const {
    return std::uint64_t{0};
  }
  /// First offset that is not there yet: one past the last record's.
  [[nodiscard]] virtual Result<Offset> end(Partition partition) const = 0;
  /// Records from `from` on, in order; empty at the end. A foreign record's mark shares its offset.
  [[nodiscard]] virtual Result<RecordBlockPtr> read(Partition partition, Offset from,
                                                    ReadLimits limits) const = 0;
  /// Only this symbol's records in [from, to), through the index.
  [[nodiscard]] virtual Result<RecordBlockPtr> read_symbol(std::string_view symbol, Offset from,
                                                           Offset to, ReadLimits limits) const = 0;
  /// Index entries of the symbol with offset in [from, to), ascending.
  [[nodiscard]] virtual Result<std::vector<IndexEntry>> index(std::string_view symbol, Offset from,
                                                              Offset to) const = 0;
  /// The symbol's newest record, if the tape holds one.
  [[nodiscard]] virtual Result<std::optional<IndexEntry>> last_of(
      std::string_view symbol) const = 0;
  /// Marks of the partition in [from, to), ascending, as records.
  [[nodiscard]] virtual Result<RecordBlockPtr> marks(Partition partition, Offset from,
                                                     Offset to) const = 0;
  /// The partition's newest mark.
  [[nodiscard]] virtual Result<std::optional<schemas::MarkPayload>> last_mark(
      Partition partition) const = 0;
  /// Symbols that have records, or had some before the start, ascending.
  [[nodiscard]] virtual Result<std::vector<std::string>> symbols() const = 0;
  [[nodiscard]] virtual Result<std::vector<SourceInfo>> sources() const = 0;
  [[nodiscard]] virtual Result<std::vector<RecorderDeadLetter>> dead_letters() const = 0;
  /// Reads every byte of the tape's files, also those that no read of records touches. Error
  /// `corrupt` names the file. Nothing to do where the tape has no files of its own.
  [[nodiscard]] virtual Result<void> check_files() const { return {}; }
  /// Makes visible what another process appended since. Nothing to do where writer and reader are
  /// one.
  virtual Result<void> refresh() = 0;
  /// `wake` is called, from any thread, after each append in this process. Pass nullptr to stop.
  virtual void on_append(std::function<void()> wake) = 0;
};

struct NewRecord {
  std::string_view symbol;  ///< decides the partition
  std::span<const std::byte> payload;
  std::uint32_t event_count = 0;
  TimeNs max_event_time = 0;
};
struct NewMark {
  Partition partition = 0;
  schemas::MarkPayload mark;
};

/// Writing side: one owner at a time. On the embedded tape a second one gets error `conflict`,
/// naming the folder; on Kafka it takes over, and the first one gets it. An append is atomic: after
/// a crash either all of it is there or nothing.
class TapeWriter {
public:
  virtual ~TapeWriter() = default;
  /// Records first, then marks. Error `environment` on a full disk or the like: nothing was
  /// written, try again.
  virtual Result<void> append(std::span<const NewRecord> records,
                              std::span<const NewMark> marks) = 0;
  virtual Result<void> append(const RecorderDeadLetter& letter) = 0;
  /// What was appended survives a power loss from here on.
  virtual Result<void> sync() = 0;
  /// To trim, first every symbol with records below its partition's new start, as of it
  /// (key.next): without effect until trim(). What an interrupted trim left is forgotten by the
  /// next forget_bases().
  virtual Result<void> put_base(const SymbolBase& base);
  virtual Result<void> forget_bases();
  /// From here on these partitions begin at `next`, on disk too: after a crash either all of them
  /// do or none. An empty partition may begin anywhere. Error `invalid` where the kind of tape
  /// cannot be trimmed.
  virtual Result<void> trim(std::span<const Checkpoint> starts);
  /// The same tape, to read. Lives as long as the writer.
  [[nodiscard]] virtual TapeReader& reader() = 0;
};

}  // namespace tapedeck::storage
