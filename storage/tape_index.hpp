// storage/tape_index.hpp -- what a tape's reader looks up and Kafka does not keep: each symbol's
// offsets, marks, sources. Derived from the topic: delete it, and it is made again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/tape.hpp"

namespace tapedeck::storage {

/// One writer, any number of threads that read.
class TapeIndex {
public:
  virtual ~TapeIndex() = default;
  /// Every record of the partition below this offset is in the index.
  [[nodiscard]] virtual Offset next(Partition partition) const = 0;
  /// Takes in all records in [next(partition), next). Atomic. One thread at a time.
  virtual Result<void> add(Partition partition, std::span<const Record> records, Offset next) = 0;
  /// Entries of the symbol in [from, to), ascending, as far as `limits` go.
  [[nodiscard]] virtual Result<std::vector<IndexEntry>> entries(Partition partition,
                                                                std::string_view symbol,
                                                                Offset from, Offset to,
                                                                ReadLimits limits) const = 0;
  [[nodiscard]] virtual Result<std::optional<IndexEntry>> last(Partition partition,
                                                               std::string_view symbol) const = 0;
  /// Marks in [from, to), ascending, with their payloads.
  [[nodiscard]] virtual Result<RecordBlockPtr> marks(Partition partition, Offset from,
                                                     Offset to) const = 0;
  /// The newest mark with a lower offset than `before`.
  [[nodiscard]] virtual Result<std::optional<schemas::MarkPayload>> last_mark(
      Partition partition, Offset before) const = 0;
  [[nodiscard]] virtual Result<std::vector<std::string>> symbols() const = 0;
  [[nodiscard]] virtual Result<std::vector<SourceInfo>> sources() const = 0;
};

/// Opens DIR/index, makes it if there is none. `tape` says which tape it is of; another one's index
/// is error `conflict`, as is one that another process writes.
[[nodiscard]] Result<std::unique_ptr<TapeIndex>> open_tape_index(const std::string& dir,
                                                                 const std::string& tape,
                                                                 std::uint32_t partitions);
/// Where another process keeps DIR/index: what it has at this moment, to read, and what comes after
/// in a temporary one.
[[nodiscard]] Result<std::unique_ptr<TapeIndex>> open_index_beside(const std::string& dir,
                                                                   const std::string& tape,
                                                                   std::uint32_t partitions);
/// Both as one: `base` is never added to, `top` continues it.
[[nodiscard]] std::unique_ptr<TapeIndex> layered_index(std::unique_ptr<TapeIndex> base,
                                                       std::unique_ptr<TapeIndex> top);
/// One in a temporary folder, which goes with it.
[[nodiscard]] Result<std::unique_ptr<TapeIndex>> make_temporary_index(std::uint32_t partitions);

}  // namespace tapedeck::storage
