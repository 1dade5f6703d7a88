#include "storage/rocksdb_files.hpp"

#include <string_view>
#include <utility>

namespace tapedeck::storage {

namespace {

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

rocksdb::IOStatus OrderedLogs::sync(const std::string& path) {
  if (target()->FileExists(path, {}, nullptr).IsNotFound()) return rocksdb::IOStatus::OK();
  std::unique_ptr<rocksdb::FSWritableFile> log;
  auto status = target()->ReopenWritableFile(path, {}, &log, nullptr);
  if (status.ok()) status = log->Sync({}, nullptr);
  if (status.ok()) status = log->Close({}, nullptr);
  std::unique_ptr<rocksdb::FSDirectory> folder;
  if (status.ok()) status = target()->NewDirectory(folder_of(path), {}, &folder, nullptr);
  if (status.ok()) status = folder->FsyncWithDirOptions({}, nullptr, {});
  return status;
}

rocksdb::IOStatus OrderedLogs::NewWritableFile(const std::string& path,
                                               const rocksdb::FileOptions& options,
                                               std::unique_ptr<rocksdb::FSWritableFile>* result,
                                               rocksdb::IODebugContext* debug) {
  if (std::string_view(path).ends_with(".log")) {
    const std::scoped_lock lock(mutex_);
    auto& newest = newest_[folder_of(path)];
    if (!newest.empty() && newest != path) {
      if (auto status = sync(newest); !status.ok()) return status;
    }
    newest = path;
  }
  return target()->NewWritableFile(path, options, result, debug);
}

}  // namespace tapedeck::storage
