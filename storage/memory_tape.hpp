// storage/memory_tape.hpp -- the tape's memory twin: same rules and frames as the RocksDB tape,
// nothing on disk.
#pragma once

#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "storage/tape.hpp"

namespace tapedeck::storage {

/// Writer and reader in one; safe to use from several threads.
class MemoryTape final : public TapeWriter, public TapeReader {
public:
  explicit MemoryTape(std::uint32_t partitions = kDefaultPartitions);

  Result<void> append(std::span<const NewRecord> records, std::span<const NewMark> marks) override;
  Result<void> append(const RecorderDeadLetter& letter) override;
  Result<void> sync() override { return {}; }
  [[nodiscard]] TapeReader& reader() override { return *this; }

  [[nodiscard]] std::uint32_t partitions() const override;
  [[nodiscard]] Result<Offset> end(Partition partition) const override;
  [[nodiscard]] Result<RecordBlockPtr> read(Partition partition, Offset from,
                                            ReadLimits limits) const override;
  [[nodiscard]] Result<RecordBlockPtr> read_symbol(std::string_view symbol, Offset from, Offset to,
                                                   ReadLimits limits) const override;
  [[nodiscard]] Result<std::vector<IndexEntry>> index(std::string_view symbol, Offset from,
                                                      Offset to) const override;
  [[nodiscard]] Result<std::optional<IndexEntry>> last_of(std::string_view symbol) const override;
  [[nodiscard]] Result<RecordBlockPtr> marks(Partition partition, Offset from,
                                             Offset to) const override;
  [[nodiscard]] Result<std::optional<schemas::MarkPayload>> last_mark(
      Partition partition) const override;
  [[nodiscard]] Result<std::vector<std::string>> symbols() const override;
  [[nodiscard]] Result<std::vector<SourceInfo>> sources() const override;
  [[nodiscard]] Result<std::vector<RecorderDeadLetter>> dead_letters() const override;
  Result<void> refresh() override { return {}; }
  void on_append(std::function<void()> wake) override;

  /// Test hook: flips one bit of a stored record's payload, as a failing disk would. No effect
  /// where there is none.
  void damage(Partition partition, Offset offset);
  /// Test hook: each of the two records lies where the other one belongs. Again: as before.
  void swap(Partition partition, Offset one, Offset other);

private:
  struct PartitionLog {
    std::vector<std::string> frames;
    std::map<std::string, std::vector<IndexEntry>, std::less<>>
        index;  // marks under the empty symbol
  };
  void put(const Record& record);
  Result<RecordBlockPtr> gather(Partition partition, std::string_view key, Offset from, Offset to,
                                ReadLimits limits) const;
  std::vector<IndexEntry> entries(Partition partition, std::string_view key, Offset from,
                                  Offset to) const;

  mutable std::shared_mutex mutex_;
  std::vector<PartitionLog> logs_;
  std::map<std::string, SourceInfo> sources_;
  std::map<std::pair<std::string, std::uint64_t>, RecorderDeadLetter> dead_letters_;
  std::mutex wake_mutex_;
  std::function<void()> wake_;
};

}  // namespace tapedeck::storage
