// storage/snapshot_set.hpp -- a checkpoint of one partition, with every symbol's snapshot as of it,
// as records of a compacted topic: docs/formats/kafka.md. No Kafka here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/state_store.hpp"

namespace tapedeck::storage {

/// A snapshot is cut into pieces of this size: below what brokers take unless told otherwise.
constexpr std::size_t kSetChunkBytes = std::size_t{512} << 10;
/// A set that is larger is not read: its partition is folded from the beginning instead.
constexpr std::size_t kMaxSetBytes = std::size_t{2} << 30;

/// What stands before every key of a partition's records: `TAPE/GROUP/PARTITION/`.
[[nodiscard]] std::string set_prefix(const std::string& tape, const std::string& group,
                                     Partition partition);

/// An empty value takes the record of its key away.
struct SetRecord {
  std::string key, value;
};
/// Of each symbol: what its records hold now.
struct SetEntry {
  Offset next = 0;
  market::Digest digest;
  std::uint32_t chunks = 0;
  friend bool operator==(const SetEntry&, const SetEntry&) = default;
};
using SetEntries = std::map<std::string, SetEntry, std::less<>>;

/// The pieces of one snapshot; `before`: what the topic holds of the symbol, to be replaced.
[[nodiscard]] std::vector<SetRecord> encode_chunks(const std::string& prefix,
                                                   const StoredSnapshot& snapshot,
                                                   const SetEntry& before);
[[nodiscard]] SetEntry entry_of(const StoredSnapshot& snapshot) noexcept;
/// Comes last, in the same transaction. `entries`: of every symbol.
[[nodiscard]] SetRecord encode_manifest(const std::string& prefix, const Checkpoint& checkpoint,
                                        const SetEntries& entries);

struct SnapshotSet {
  Checkpoint checkpoint;
  std::vector<StoredSnapshot> snapshots;  ///< one a symbol, ascending
  SetEntries entries;
};

/// Puts the newest set together from the records of the topic, in their order. Only a whole one is
/// ever given: what its manifest does not vouch for is an error that says why.
class SetReader {
public:
  explicit SetReader(std::string prefix) : prefix_(std::move(prefix)) {}
  /// A record of any partition; others' are passed over. Views are copied.
  void take(std::string_view key, std::string_view value);
  /// None where no set was published. Error `corrupt`: it is incomplete or damaged; `conflict`: it
  /// is of a position past `committed`, which says things that are not known to be out.
  [[nodiscard]] Result<std::optional<SnapshotSet>> finish(Partition partition,
                                                          Offset committed) const;

private:
  struct Pieces {
    Offset next = 0;
    std::vector<std::optional<std::string>> chunks;
    std::string head;  ///< what every piece repeats
  };
  void take_chunk(std::string_view name, std::string_view key, std::string_view value);
  [[nodiscard]] Result<StoredSnapshot> join(Partition partition, const std::string& symbol,
                                            const Pieces& pieces) const;

  std::string prefix_;
  std::string manifest_;
  std::map<std::string, Pieces, std::less<>> symbols_;
  std::size_t bytes_ = 0;
  std::map<std::string, std::string, std::less<>> bad_;  ///< key: what is wrong with its record
};

}  // namespace tapedeck::storage
