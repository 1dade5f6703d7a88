// storage/rocksdb_tape_files.hpp -- the open files of a RocksDB tape, shared by its writer and its
// reader. Internal.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/rocksdb_common.hpp"
#include "storage/tape.hpp"

namespace tapedeck::storage {

constexpr std::uint32_t kTapeFormatVersion = 1;
/// Of a tape that was trimmed: older programs would take its beginning for lost.
constexpr std::uint32_t kTrimmedFormatVersion = 2;

struct TapeSizes {
  std::size_t cache_bytes = 0;
  std::size_t write_buffer_bytes = std::size_t{64} << 20;
  bool compress = true;  ///< new records; old ones stay as they are
};

/// Iterators that stand where somebody will probably read on: opening one costs some 70 us.
class ParkedIterators {
public:
  using Iterator = std::unique_ptr<rocksdb::Iterator>;
  /// None if nobody stopped there.
  [[nodiscard]] Iterator take(Partition partition, Offset next);
  void park(Partition partition, Offset next, Iterator iterator);
  void clear();

private:
  static constexpr std::size_t kMaxParked = 16;  // each pins the files and memtables of its time
  struct Parked {
    Partition partition;
    Offset next;
    Iterator iterator;
  };
  std::mutex mutex_;
  std::list<Parked> parked_;
};

struct TapeFiles {
  std::unique_ptr<Database> db;
  std::uint32_t partitions = 0;
  std::vector<rocksdb::ColumnFamilyHandle*> data, index;  ///< by partition
  rocksdb::ColumnFamilyHandle* sources = nullptr;
  rocksdb::ColumnFamilyHandle* dead_letters = nullptr;
  /// By partition: first offset that readers may not see yet.
  std::unique_ptr<std::atomic<Offset>[]> ends;
  /// By partition: first offset of a trimmed one, and which generation of base snapshots is its.
  std::unique_ptr<std::atomic<Offset>[]> starts;
  std::unique_ptr<std::atomic<std::uint64_t>[]> generations;

  ParkedIterators parked;  ///< goes before the database
  std::mutex wake_mutex;
  std::function<void()> wake;

  /// Column families of a tape with so many partitions.
  [[nodiscard]] static std::vector<std::string> families(std::uint32_t partitions);
  [[nodiscard]] static Database::FamilyOptions family_options(const TapeSizes& sizes);
  /// Looks up the handles, also again after reopen(); error `corrupt` if one is missing.
  [[nodiscard]] Result<void> bind(std::uint32_t partition_count);
  /// The default column family's word on version and partitions; nothing if it has not been
  /// written.
  [[nodiscard]] Result<std::optional<std::uint32_t>> stored_partitions() const;
  /// What is stored of where partitions begin.
  struct Beginning {
    std::uint64_t generation = 0;
    bool cleared = false;  ///< nothing is left of what was before
    Checkpoint base;
  };
  [[nodiscard]] Result<std::optional<Beginning>> stored_beginning(Partition partition) const;
  /// Into `starts` and `generations`.
  [[nodiscard]] Result<void> load_beginnings();
  /// One past the last record's offset.
  [[nodiscard]] Result<Offset> find_end(Partition partition, std::size_t check_last) const;
};

/// "begin", partition.
[[nodiscard]] std::string beginning_key(Partition partition);
[[nodiscard]] std::string beginning_value(const TapeFiles::Beginning& beginning);
/// "symbol", partition, generation, symbol.
[[nodiscard]] std::string base_key(Partition partition, std::uint64_t generation,
                                   std::string_view symbol);

/// symbol, zero, big-endian offset; marks have the empty symbol.
[[nodiscard]] std::string index_key(std::string_view symbol, Offset offset);
/// 16 bytes: event count, payload bytes, time.
[[nodiscard]] std::string index_value(const IndexEntry& entry);

[[nodiscard]] std::unique_ptr<TapeReader> make_rocksdb_reader(std::shared_ptr<TapeFiles> files);

}  // namespace tapedeck::storage
