// tests/crash/power_loss_files.hpp -- a file system under RocksDB that forgets, when the power
// goes, what was not synced. For RocksDB's files only; one power loss an object.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

namespace tapedeck::tests {

/// After `cut_at` appends and syncs the power is off: every later operation fails, and the disk
/// keeps what it had. settle() then makes the files what a machine finds when it is started again:
/// - bytes after a file's last sync are lost from a random place on; `garbled`: what is left of
/// them
///   may end in garbage;
/// - a new file whose folder was not synced since is gone in half of the cases.
/// A rename counts as durable at once, with the files made before it in its folder, and so does the
/// removal of a file.
class PowerLossFiles final : public rocksdb::FileSystemWrapper {
public:
  PowerLossFiles(std::uint64_t seed, std::uint64_t cut_at);
  [[nodiscard]] const char* Name() const override { return "PowerLossFiles"; }

  [[nodiscard]] bool off() const noexcept { return off_; }
  void cut() noexcept { off_ = true; }
  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
  /// Once nothing is open any more. Returns how many bytes were lost.
  std::uint64_t settle(bool garbled);

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

  /// For the files that it made.
  [[nodiscard]] rocksdb::IOStatus tick();
  void appended(const std::string& path, std::uint64_t bytes);
  void synced(const std::string& path);
  void folder_synced(const std::string& path);

private:
  struct File {
    std::uint64_t size = 0, synced = 0;
  };
  [[nodiscard]] rocksdb::IOStatus track(const std::string& path, std::uint64_t size, bool fresh,
                                        std::unique_ptr<rocksdb::FSWritableFile>* result);

  std::mutex mutex_;
  std::mt19937_64 random_;
  std::map<std::string, File> files_;
  std::set<std::string> unlinked_;  ///< new, and their folder was not synced since
  std::atomic<std::uint64_t> operations_{0};
  std::uint64_t cut_at_;
  std::atomic<bool> off_{false};
};

}  // namespace tapedeck::tests
