#include "tests/crash/power_loss_files.hpp"

#include <filesystem>
#include <fstream>
#include <utility>

namespace tapedeck::tests {

using rocksdb::FSDirectory;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

namespace {

class Written final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  Written(std::unique_ptr<FSWritableFile> file, PowerLossFiles& files, std::string path)
      : FSWritableFileOwnerWrapper(std::move(file)), files_(files), path_(std::move(path)) {}

  using FSWritableFileOwnerWrapper::Append;
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    if (auto on = files_.tick(); !on.ok()) return on;
    auto status = FSWritableFileOwnerWrapper::Append(data, options, debug);
    if (status.ok()) files_.appended(path_, data.size());
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& verify, IODebugContext* debug) override {
    if (auto on = files_.tick(); !on.ok()) return on;
    auto status = FSWritableFileOwnerWrapper::Append(data, options, verify, debug);
    if (status.ok()) files_.appended(path_, data.size());
    return status;
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return sync(); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return sync(); }
  IOStatus RangeSync(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();  // a hint, no promise
  }
  IOStatus Allocate(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

private:
  IOStatus sync() {
    if (auto on = files_.tick(); !on.ok()) return on;
    files_.synced(path_);
    return IOStatus::OK();
  }

  PowerLossFiles& files_;
  std::string path_;
};

class Folder final : public rocksdb::FSDirectoryWrapper {
public:
  Folder(std::unique_ptr<FSDirectory> folder, PowerLossFiles& files, std::string path)
      : FSDirectoryWrapper(std::move(folder)), files_(files), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return sync(); }
  IOStatus FsyncWithDirOptions(const IOOptions&, IODebugContext*,
                               const rocksdb::DirFsyncOptions&) override {
    return sync();
  }

private:
  IOStatus sync() {
    if (auto on = files_.tick(); !on.ok()) return on;
    files_.folder_synced(path_);
    return IOStatus::OK();
  }

  PowerLossFiles& files_;
  std::string path_;
};

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().lexically_normal();
}

}  // namespace

PowerLossFiles::PowerLossFiles(std::uint64_t seed, std::uint64_t cut_at)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), random_(seed), cut_at_(cut_at) {}

IOStatus PowerLossFiles::tick() {
  if (operations_.fetch_add(1) + 1 >= cut_at_) off_ = true;
  return off_ ? IOStatus::IOError("the power is off") : IOStatus::OK();
}

void PowerLossFiles::appended(const std::string& path, std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  files_[path].size += bytes;
}

void PowerLossFiles::synced(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  auto& file = files_[path];
  file.synced = file.size;
}

void PowerLossFiles::folder_synced(const std::string& path) {
  const auto folder = std::filesystem::path(path).lexically_normal().string();
  const std::scoped_lock lock(mutex_);
  std::erase_if(unlinked_, [&](const auto& file) {
    return folder_of(file) == folder || folder_of(file) + "/" == folder;
  });
}

IOStatus PowerLossFiles::track(const std::string& path, std::uint64_t size, bool fresh,
                               std::unique_ptr<FSWritableFile>* result) {
  {
    const std::scoped_lock lock(mutex_);
    if (fresh) {
      files_[path] = {size, 0};
      unlinked_.insert(path);
    } else {
      files_.try_emplace(path, File{size, size});  // what an earlier life left is on the disk
    }
  }
  *result = std::make_unique<Written>(std::move(*result), *this, path);
  return IOStatus::OK();
}

IOStatus PowerLossFiles::NewWritableFile(const std::string& path,
                                         const rocksdb::FileOptions& options,
                                         std::unique_ptr<FSWritableFile>* result,
                                         IODebugContext* debug) {
  if (off_) return IOStatus::IOError("the power is off");
  auto status = target()->NewWritableFile(path, options, result, debug);
  return status.ok() ? track(path, 0, true, result) : status;
}

IOStatus PowerLossFiles::ReopenWritableFile(const std::string& path,
                                            const rocksdb::FileOptions& options,
                                            std::unique_ptr<FSWritableFile>* result,
                                            IODebugContext* debug) {
  if (off_) return IOStatus::IOError("the power is off");
  auto status = target()->ReopenWritableFile(path, options, result, debug);
  return status.ok() ? track(path, std::filesystem::file_size(path), false, result) : status;
}

IOStatus PowerLossFiles::ReuseWritableFile(const std::string& path, const std::string& old_path,
                                           const rocksdb::FileOptions& options,
                                           std::unique_ptr<FSWritableFile>* result,
                                           IODebugContext* debug) {
  if (off_) return IOStatus::IOError("the power is off");
  auto status = target()->ReuseWritableFile(path, old_path, options, result, debug);
  return status.ok() ? track(path, 0, true, result) : status;
}

IOStatus PowerLossFiles::NewDirectory(const std::string& path, const IOOptions& options,
                                      std::unique_ptr<FSDirectory>* result, IODebugContext* debug) {
  auto status = target()->NewDirectory(path, options, result, debug);
  if (status.ok()) *result = std::make_unique<Folder>(std::move(*result), *this, path);
  return status;
}

IOStatus PowerLossFiles::RenameFile(const std::string& from, const std::string& to,
                                    const IOOptions& options, IODebugContext* debug) {
  if (auto on = tick(); !on.ok()) return on;
  const std::scoped_lock lock(mutex_);
  if (auto moved = files_.extract(from); !moved.empty()) {
    files_.erase(to);
    moved.key() = to;
    files_.insert(std::move(moved));
  }
  // What a journal keeps in order: the files made before it in its folder are there with it.
  std::erase_if(unlinked_, [&](const auto& file) { return folder_of(file) == folder_of(to); });
  return target()->RenameFile(from, to, options, debug);
}

IOStatus PowerLossFiles::DeleteFile(const std::string& path, const IOOptions& options,
                                    IODebugContext* debug) {
  if (off_) return IOStatus::IOError("the power is off");
  const std::scoped_lock lock(mutex_);
  files_.erase(path);
  unlinked_.erase(path);
  return target()->DeleteFile(path, options, debug);
}

std::uint64_t PowerLossFiles::settle(bool garbled) {
  off_ = true;
  const std::scoped_lock lock(mutex_);
  std::uint64_t lost = 0;
  for (const auto& [path, file] : files_) {
    if (!std::filesystem::exists(path)) continue;
    if (unlinked_.contains(path) && random_() % 2 == 0) {
      lost += file.size;
      std::filesystem::remove(path);
      continue;
    }
    const auto kept = file.synced + random_() % (file.size - file.synced + 1);
    lost += file.size - kept;
    std::filesystem::resize_file(path, kept);
    if (!garbled || kept == file.synced) continue;
    std::fstream torn(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto garbage = 1 + random_() % std::min<std::uint64_t>(kept - file.synced, 4096);
    torn.seekp(static_cast<std::streamoff>(kept - garbage));
    for (std::uint64_t i = 0; i < garbage; ++i) torn.put(static_cast<char>(random_()));
  }
  return lost;
}

}  // namespace tapedeck::tests
