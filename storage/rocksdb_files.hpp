// storage/rocksdb_files.hpp -- the file system under every RocksDB here: the disk, with one promise
// more. Internal.
#pragma once

#include <rocksdb/file_system.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace tapedeck::storage {

/// Before a folder gets a new write-ahead log, the one before it is synced. So after a power loss
/// only the newest log can lack its end: else a hole would be left where the older one ended, which
/// no later append may follow. Costs one sync for each memtable that is full. Thread safe.
class OrderedLogs final : public rocksdb::FileSystemWrapper {
public:
  using FileSystemWrapper::FileSystemWrapper;
  [[nodiscard]] const char* Name() const override { return "OrderedLogs"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;

private:
  rocksdb::IOStatus sync(const std::string& path);

  std::mutex mutex_;
  std::map<std::string, std::string> newest_;  ///< log, by folder
};

}  // namespace tapedeck::storage
