// storage/rocksdb_common.hpp -- what the RocksDB adapters share: opening, closing, errors, keys.
// Internal: included by storage/rocksdb_*.cpp only, because RocksDB's headers are heavy.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/file_system.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "market/result.hpp"

namespace tapedeck::storage {

/// An integer as a key: big endian, so that keys sort as numbers do.
[[nodiscard]] std::string be32(std::uint32_t value);
[[nodiscard]] std::string be64(std::uint64_t value);
[[nodiscard]] std::uint32_t read_be32(std::string_view bytes) noexcept;
[[nodiscard]] std::uint64_t read_be64(std::string_view bytes) noexcept;

/// Little-endian fields of a value, one after the other.
template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
[[nodiscard]] T get(const char* from) noexcept {
  T value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

[[nodiscard]] inline std::string_view view(const rocksdb::Slice& slice) noexcept {
  return {slice.data(), slice.size()};
}
[[nodiscard]] inline rocksdb::Slice slice(std::string_view text) noexcept {
  return {text.data(), text.size()};
}

/// `doing` completes "while ...". Corruption: `corrupt`; all else is the environment's, with what
/// to do about it.
[[nodiscard]] Error to_error(const rocksdb::Status& status, const std::string& folder,
                             std::string_view doing);

/// What every database here has: no log files (a second opener would rotate the owner's), torn
/// tails tolerated, damage in the middle not, no retry behind our back.
[[nodiscard]] rocksdb::DBOptions common_options();
/// Test only: what every database opened from now on stands on; null: the disk, as at first.
void use_file_system(const std::shared_ptr<rocksdb::FileSystem>& files);
/// Tables with xxh3 checksums, lz4 and their index in the (bounded) cache.
[[nodiscard]] rocksdb::BlockBasedTableOptions table_options(std::size_t block_bytes,
                                                            std::shared_ptr<rocksdb::Cache> cache);

/// An open database with its column families. Closed when destroyed.
class Database {
public:
  using FamilyOptions = std::function<rocksdb::ColumnFamilyOptions(const std::string& family)>;

  /// Opens to write, makes the folder if need be. `owner` names what another process would be doing
  /// with it, for the error `conflict`. Column families that exist are opened; add() makes others.
  static Result<std::unique_ptr<Database>> open(const std::string& folder,
                                                rocksdb::DBOptions options,
                                                FamilyOptions family_options,
                                                const std::string& owner);
  /// Opens to read beside a writer. Error `not_found` where there is no database.
  static Result<std::unique_ptr<Database>> open_secondary(const std::string& folder,
                                                          rocksdb::DBOptions options,
                                                          FamilyOptions family_options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[nodiscard]] rocksdb::DB* operator->() const noexcept { return db_.get(); }
  [[nodiscard]] rocksdb::DB& operator*() const noexcept { return *db_; }
  [[nodiscard]] rocksdb::ColumnFamilyHandle* family(
      const std::string& name) const;  ///< nullptr where there is none
  [[nodiscard]] Result<void> add(
      const std::vector<std::string>& families);  ///< those that are missing
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  [[nodiscard]] bool secondary() const noexcept { return !scratch_.empty(); }
  [[nodiscard]] Error error(const rocksdb::Status& status, std::string_view doing) const {
    return to_error(status, folder_, doing);
  }
  /// Of a secondary: makes visible what the writer did since. False: the writer finished files all
  /// the while, so what is visible may lack rows between older and newer ones; call again before
  /// believing news.
  [[nodiscard]] Result<bool> catch_up();
  /// Reads every byte of the stored files. Error `corrupt` names the file.
  [[nodiscard]] Result<void> check_files() const;
  /// After a failed write: closes and opens again, if there is room to. All handles and iterators
  /// are to be gone, and mutex() held alone. Where it fails after closing, is_open() is false, and
  /// reopen() may be tried again. (DB::Resume() of this version of RocksDB may wait for ever for a
  /// flush that it has forgotten.)
  [[nodiscard]] Result<void> reopen();
  /// Held shared while handles or iterators are in use, alone by reopen()'s caller.
  [[nodiscard]] std::shared_mutex& mutex() const noexcept { return mutex_; }
  [[nodiscard]] bool is_open() const noexcept { return db_ != nullptr; }
  [[nodiscard]] Error closed_error() const;
  /// Writes all memtables out, so that nothing has to be replayed.
  [[nodiscard]] Result<void> flush();

private:
  Database(std::string folder, rocksdb::DBOptions options, FamilyOptions family_options);
  [[nodiscard]] std::vector<std::string> live_files() const;
  [[nodiscard]] Result<void> check_passed_over() const;
  [[nodiscard]] rocksdb::Status open_strictly() const;
  void close();
  [[nodiscard]] Result<void> open_primary();
  [[nodiscard]] Result<void> check_room();
  void adopt(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& handles);

  std::string folder_;
  std::string owner_;
  rocksdb::DBOptions options_;
  FamilyOptions family_options_;
  mutable std::shared_mutex mutex_;
  std::string scratch_;  // of a secondary: RocksDB wants a folder of its own
  std::unique_ptr<rocksdb::DB> db_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*> families_;
};

}  // namespace tapedeck::storage
