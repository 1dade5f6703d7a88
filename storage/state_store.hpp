// storage/state_store.hpp -- the port of DIR/state: snapshots, digests, checkpoints, outputs. All
// of it derived from the tape: delete it, and the engine makes it again, equal.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "market/output.hpp"
#include "market/result.hpp"
#include "market/settings.hpp"
#include "market/units.hpp"
#include "schemas/state_codec.hpp"

namespace tapedeck::storage {

using market::Offset;
using market::Partition;
using market::TimeNs;

constexpr Offset kNoOffset = std::numeric_limits<Offset>::max();

/// State of one symbol after all its records with offset < next.
struct SnapshotKey {
  Partition partition = 0;
  std::string symbol;
  Offset next = 0;
};
struct StoredSnapshot {
  SnapshotKey key;
  TimeNs max_event_time = 0;  ///< highest event time folded so far (SymbolState::max_event_time)
  std::uint64_t events = 0;   ///< folded so far
  market::Digest digest;      ///< kept on after the snapshot itself was thinned
  std::string bytes;          ///< schemas::encode(SymbolSnapshot); stored with a checksum
};
/// What is known of a snapshot without reading its bytes.
struct DigestRow {
  SnapshotKey key;
  TimeNs max_event_time = 0;
  std::uint64_t events = 0;
  market::Digest digest;
};

/// Where a partition can resume: every symbol's newest snapshot with next <= `next` is its state as
/// of `next`, but for the symbols in `behind`, whose state is as of the older offset given there.
struct Checkpoint {
  Partition partition = 0;
  Offset next = 0;
  struct FeedTime {
    market::SourceId source = 0;
    TimeNs feed_time = 0;
    friend bool operator==(const FeedTime&, const FeedTime&) = default;
  };
  std::vector<FeedTime> feed_times;  ///< of each source's newest mark before `next`
  struct Behind {
    std::string symbol;
    Offset next = 0;
    friend bool operator==(const Behind&, const Behind&) = default;
  };
  std::vector<Behind> behind;
  std::uint64_t events = 0;  ///< read in this partition so far
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

/// Outputs of one symbol as they are stored: encoded, in a block for each kind, width and span of
/// time. docs/formats/outputs.md
struct EncodedOutputs {
  struct Block {
    std::string span;   ///< kind | width | time, as in an identity: where the span begins
    std::string bytes;  ///< schemas::encode_block
  };
  std::string symbol;
  std::vector<Block> blocks;
  std::size_t count = 0;
  Offset end = 0;  ///< behind the last emission offset
};
/// Leaves out what was emitted before `from`.
[[nodiscard]] EncodedOutputs encode_outputs(std::string_view symbol,
                                            std::span<const market::Output> outputs,
                                            Offset from = 0);
[[nodiscard]] Result<market::Outputs> decode_outputs(const EncodedOutputs& encoded);

/// Reading is safe from several threads and beside a writer.
class StateReader {
public:
  virtual ~StateReader() = default;
  /// Newest snapshot of the symbol with key.next <= `at_most`. Error `corrupt` names the key if its
  /// bytes do not match their checksum; ask again with `at_most = key.next - 1` for the one before
  /// (older_than gives it directly).
  [[nodiscard]] virtual Result<std::optional<StoredSnapshot>> newest_snapshot(
      std::string_view symbol, Partition partition, Offset at_most) const = 0;
  /// The same without its bytes, which are not looked at.
  [[nodiscard]] virtual Result<std::optional<DigestRow>> newest_row(std::string_view symbol,
                                                                    Partition partition,
                                                                    Offset at_most) const = 0;
  /// The stored snapshots of a symbol (keys, times), ascending, without their bytes.
  [[nodiscard]] virtual Result<std::vector<DigestRow>> snapshots(std::string_view symbol,
                                                                 Partition partition) const = 0;
  /// Every digest ever recorded for the symbol, ascending: outlives thinned snapshots.
  [[nodiscard]] virtual Result<std::vector<DigestRow>> digests(std::string_view symbol,
                                                               Partition partition) const = 0;
  /// Symbols with a digest, ascending.
  [[nodiscard]] virtual Result<std::vector<std::string>> symbols(Partition partition) const = 0;
  /// Newest first.
  [[nodiscard]] virtual Result<std::vector<Checkpoint>> checkpoints(Partition partition) const = 0;
  /// The output store's cursor: all outputs with emission offset < it are stored. 0 at first.
  [[nodiscard]] virtual Result<Offset> cursor(Partition partition) const = 0;
  /// So many of the partition's control records have made the state forget what they outdate.
  [[nodiscard]] virtual Result<std::uint64_t> rules_met(Partition partition) const = 0;
  /// Outputs with lower <= identity < upper (market::identity; empty upper: to the end), ascending.
  /// `visit` returns false to stop.
  virtual Result<void> outputs(std::string_view symbol, std::string_view lower,
                               std::string_view upper,
                               const std::function<bool(const market::Output&)>& visit) const = 0;
  /// Verifies every stored checksum; error `corrupt` names the first bad key.
  virtual Result<std::uint64_t> verify() const = 0;
  /// Bytes on disk that the snapshots take (0 in memory).
  [[nodiscard]] virtual Result<std::uint64_t> snapshot_bytes() const = 0;
  virtual Result<void> refresh() = 0;
};

class StateStore : public StateReader {
public:
  /// Writes snapshots (with their digests), outputs and cursor in one atomic batch. Same identity:
  /// replaced.
  /// What is stored of a symbol by rules that hold no more.
  struct Forget {
    Partition partition = 0;
    std::string symbol;
    Offset next = 0;  ///< snapshots and digests with a higher one, and all checkpoints with one
    Offset said_from = 0;  ///< outputs emitted there or behind; never those below the stored cursor
  };
  struct Batch {
    std::vector<StoredSnapshot> snapshots;
    std::vector<EncodedOutputs> outputs;
    std::optional<Checkpoint> checkpoint;
    std::optional<std::pair<Partition, Offset>> cursor;
    std::vector<Forget> forget{};  ///< goes first
    std::optional<std::pair<Partition, std::uint64_t>> rules_met{};
  };
  virtual Result<void> write(const Batch& batch) = 0;
  /// Removes snapshots of the partition that the policy does not want: all newer than `keep_after`
  /// (event time) stay, of the older ones the last of each hour; never the newest at or before a
  /// kept checkpoint. Keeps the newest `checkpoints` checkpoints that are at or below the cursor
  /// and `committed` (up to where a sink has delivered), and all above. Digests stay. Looks at the
  /// next kThinnedAtOnce symbols in the order of their names, then begins anew.
  static constexpr std::size_t kThinnedAtOnce = 4096;
  virtual Result<std::uint64_t> thin(Partition partition, TimeNs keep_after,
                                     std::size_t checkpoints, Offset committed = kNoOffset) = 0;
  virtual Result<void> sync() = 0;
};

/// DIR/control: what changes a fold beside events.
class ControlStore {
public:
  virtual ~ControlStore() = default;
  /// Fold settings stored by the first engine that opened the tape.
  [[nodiscard]] virtual Result<std::optional<market::FoldSettings>> settings() const = 0;
  /// Stores them unless some are there already; returns those in force.
  virtual Result<market::FoldSettings> settle(const market::FoldSettings& settings) = 0;
  /// Quarantines and releases, in the order they were appended.
  [[nodiscard]] virtual Result<std::vector<schemas::ControlRecord>> records() const = 0;
  /// Returns once the record survives a power loss. By the partition's owner only.
  virtual Result<void> append(const schemas::ControlRecord& record) = 0;
};

}  // namespace tapedeck::storage
