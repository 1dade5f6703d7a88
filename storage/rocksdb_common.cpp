#include "storage/rocksdb_common.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/sst_file_reader.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdarg>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>

#include "storage/rocksdb_files.hpp"

namespace tapedeck::storage {
namespace {

namespace fs = std::filesystem;

class QuietLogger final : public rocksdb::Logger {
public:
  QuietLogger() : rocksdb::Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

/// RocksDB would poll for space by itself, every five seconds, and be busy meanwhile: the next
/// write recovers instead.
class NoOwnRecovery final : public rocksdb::EventListener {
public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

rocksdb::Status open_file(const std::string& file) {
  return rocksdb::SstFileReader{rocksdb::Options()}.Open(file);
}

/// Whether a process, this one or another, has the database open to write. The lock file itself
/// must not be touched: closing it would give up this process's own lock.
bool has_writer(const std::string& folder) {
  struct stat lock {};
  std::ifstream locks("/proc/locks");
  if (::stat((folder + "/LOCK").c_str(), &lock) != 0 || !locks) return true;  // who knows
  const auto inode = ":" + std::to_string(lock.st_ino) + " ";
  for (std::string line; std::getline(locks, line);) {
    if (line.find(inode) != line.npos) return true;
  }
  return false;
}

/// Another holder of the lock, as against a folder where none can be made.
bool is_locked(const rocksdb::Status& status) {
  const auto text = status.ToString();
  return status.IsIOError() &&
         (text.find("lock hold by current process") != text.npos ||
          (text.find("lock file") != text.npos && text.find("temporarily") != text.npos));
}

/// A database keeps its tables open: take as many file handles as the system grants.
void raise_file_limit() {
  static const bool once = [] {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
      limit.rlim_cur = limit.rlim_max;
      setrlimit(RLIMIT_NOFILE, &limit);
    }
    return true;
  }();
  (void)once;
}

bool is_database(const std::string& folder) {
  std::error_code error;
  return fs::exists(fs::path(folder) / "CURRENT", error);
}

/// Name and length of the list of files.
std::pair<std::string, std::uintmax_t> manifest_of(const std::string& folder) {
  std::string name;
  std::ifstream(fs::path(folder) / "CURRENT") >> name;
  std::error_code gone;
  return {name, fs::file_size(fs::path(folder) / name, gone)};
}

/// An interrupted creation leaves such files; anything else is somebody's.
bool only_database_files(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto name = entry.path().filename().string();
    const auto starts = [&](std::string_view with) {
      return name.compare(0, with.size(), with) == 0;
    };
    if (name != "LOCK" && name != "IDENTITY" && !starts("MANIFEST-") && !starts("OPTIONS-") &&
        entry.path().extension() != ".dbtmp" && entry.path().extension() != ".log") {
      return false;
    }
  }
  return true;
}

std::vector<rocksdb::ColumnFamilyDescriptor> descriptors(const std::vector<std::string>& names,
                                                         const Database::FamilyOptions& options) {
  std::vector<rocksdb::ColumnFamilyDescriptor> all;
  for (const auto& name : names) all.emplace_back(name, options(name));
  return all;
}

}  // namespace

std::string be32(std::uint32_t value) {
  value = __builtin_bswap32(value);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string be64(std::uint64_t value) {
  value = __builtin_bswap64(value);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::uint32_t read_be32(std::string_view bytes) noexcept {
  return bytes.size() < 4 ? 0 : __builtin_bswap32(get<std::uint32_t>(bytes.data()));
}
std::uint64_t read_be64(std::string_view bytes) noexcept {
  return bytes.size() < 8 ? 0 : __builtin_bswap64(get<std::uint64_t>(bytes.data()));
}

Error to_error(const rocksdb::Status& status, const std::string& folder, std::string_view doing) {
  const std::string place = folder + ": ";
  const std::string tail = " while " + std::string(doing) + " (" + status.ToString() + ")";
  if (status.IsCorruption())
    return {ErrorCode::corrupt, place + "stored bytes are damaged" + tail, {}};
  if (status.IsNoSpace()) {
    return {ErrorCode::environment,
            place + "the disk is full" + tail + ": free some space and try again",
            {}};
  }
  return {
      ErrorCode::environment,
      place + "the file system refused" + tail + ": check that it is there, writable and healthy",
      {}};
}

namespace {

std::unique_ptr<rocksdb::Env> env_on(const std::shared_ptr<rocksdb::FileSystem>& files) {
  return rocksdb::NewCompositeEnv(std::make_shared<OrderedLogs>(files));
}

std::unique_ptr<rocksdb::Env>& other_env() {
  static std::unique_ptr<rocksdb::Env> env;
  return env;
}

/// Databases may be closed when the program's statics are gone already: it is never destroyed.
rocksdb::Env* env() {
  static rocksdb::Env* const disk = env_on(rocksdb::FileSystem::Default()).release();
  return other_env() ? other_env().get() : disk;
}

}  // namespace

void use_file_system(const std::shared_ptr<rocksdb::FileSystem>& files) {
  other_env() = files ? env_on(files) : nullptr;
}

rocksdb::DBOptions common_options() {
  rocksdb::DBOptions options;
  options.env = env();
  options.info_log = std::make_shared<QuietLogger>();
  options.create_if_missing = true;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.max_open_files = -1;
  options.max_file_opening_threads = 2;
  options.skip_stats_update_on_db_open = true;
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<NoOwnRecovery>());
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_background_jobs = 4;
  options.allow_concurrent_memtable_write = false;  // one writer: insert hints are worth more
  return options;
}

rocksdb::BlockBasedTableOptions table_options(std::size_t block_bytes,
                                              std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_size = block_bytes;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  table.block_cache = std::move(cache);
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.initial_auto_readahead_size = std::size_t{256} << 10;
  table.max_auto_readahead_size = std::size_t{2} << 20;
  return table;
}

Database::Database(std::string folder, rocksdb::DBOptions options, FamilyOptions family_options)
    : folder_(std::move(folder)),
      options_(std::move(options)),
      family_options_(std::move(family_options)) {}

void Database::close() {
  if (!db_) return;
  for (const auto& [name, handle] : families_) db_->DestroyColumnFamilyHandle(handle);
  families_.clear();
  db_->Close().PermitUncheckedError();
  db_.reset();
}

Database::~Database() {
  close();
  std::error_code ignored;
  if (!scratch_.empty()) fs::remove_all(scratch_, ignored);
}

void Database::adopt(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& handles) {
  db_.reset(db);
  for (auto* handle : handles) families_[handle->GetName()] = handle;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& folder,
                                                 rocksdb::DBOptions options,
                                                 FamilyOptions family_options,
                                                 const std::string& owner) {
  raise_file_limit();
  std::unique_ptr<Database> database(
      new Database(folder, std::move(options), std::move(family_options)));
  database->owner_ = owner;
  if (auto ok = database->open_primary(); !ok) return tl::unexpected(std::move(ok.error()));
  return database;
}

Result<void> Database::open_primary() {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) {
    return fail(ErrorCode::environment, folder_ + ": cannot make the folder (" + error.message() +
                                            "): check that the path is right and writable");
  }
  std::vector<std::string> names{rocksdb::kDefaultColumnFamilyName};
  if (is_database(folder_)) {
    names.clear();
    const auto status = rocksdb::DB::ListColumnFamilies(options_, folder_, &names);
    if (!status.ok()) return tl::unexpected(to_error(status, folder_, "opening"));
  } else if (!only_database_files(folder_)) {
    return fail(
        ErrorCode::invalid,
        folder_ + ": holds other files, expected an empty folder or a database of tapedeck");
  }
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const auto status =
      rocksdb::DB::Open(options_, folder_, descriptors(names, family_options_), &handles, &db);
  if (!status.ok()) {
    if (is_locked(status)) {
      return fail(ErrorCode::conflict,
                  "another process " + owner_ + " " + folder_ + ": end it first");
    }
    return tl::unexpected(to_error(status, folder_, "opening to write"));
  }
  adopt(db, handles);
  return {};
}

Result<std::unique_ptr<Database>> Database::open_secondary(const std::string& folder,
                                                           rocksdb::DBOptions options,
                                                           FamilyOptions family_options) {
  raise_file_limit();
  if (!is_database(folder)) return fail(ErrorCode::not_found, folder + ": nothing is stored there");
  std::unique_ptr<Database> database(
      new Database(folder, std::move(options), std::move(family_options)));
  std::error_code error;
  std::string scratch = (fs::temp_directory_path(error) / "tapedeck-reader-XXXXXX").string();
  if (error || mkdtemp(scratch.data()) == nullptr) {
    return fail(ErrorCode::environment, scratch + ": cannot make a temporary folder: check TMPDIR");
  }
  database->scratch_ = scratch;
  database->options_.create_if_missing = false;
  rocksdb::Status status;
  // The writer may replace its manifest, or delete a log, while it is being read here.
  for (int attempt = 0; attempt < 20; ++attempt) {
    std::vector<std::string> names;
    status = rocksdb::DB::ListColumnFamilies(database->options_, folder, &names);
    if (status.ok()) {
      rocksdb::DB* db = nullptr;
      std::vector<rocksdb::ColumnFamilyHandle*> handles;
      status = rocksdb::DB::OpenAsSecondary(database->options_, folder, scratch,
                                            descriptors(names, database->family_options_), &handles,
                                            &db);
      if (status.ok()) {
        database->adopt(db, handles);
        const auto whole = database->catch_up();
        if (!whole) return tl::unexpected(whole.error());
        if (*whole) return database->check_passed_over().map([&] { return std::move(database); });
        return fail(ErrorCode::environment,
                    folder + ": its writer is too fast to be followed: try again");
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return tl::unexpected(to_error(status, folder, "opening to read"));
}

std::vector<std::string> Database::live_files() const {
  std::vector<rocksdb::LiveFileMetaData> files;
  db_->GetLiveFilesMetaData(&files);
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(folder_ + file.name);
  return names;
}

/// A secondary goes without a word by the state before a file that it cannot open.
Result<void> Database::check_passed_over() const {
  const auto live = live_files();
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(folder_, gone)) {
    const auto file = entry.path().string();
    if (!file.ends_with(".sst") || std::ranges::find(live, file) != live.end()) continue;
    if (open_file(file).ok()) continue;  // of no use any more, or just new
    if (has_writer(folder_)) continue;   // it may still be writing it
    if (const auto status = open_file(file); status.ok() || status.IsPathNotFound()) continue;
    // A writer that was killed may have left half a file that nothing refers to yet.
    if (const auto status = open_strictly(); !status.ok())
      return tl::unexpected(error(status, "opening to read"));
    return {};
  }
  return {};
}

/// Fails where a file that the database refers to cannot be opened.
rocksdb::Status Database::open_strictly() const {
  std::vector<std::string> names;
  auto status = rocksdb::DB::ListColumnFamilies(options_, folder_, &names);
  if (!status.ok()) return status;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  status = rocksdb::DB::OpenForReadOnly(options_, folder_, descriptors(names, family_options_),
                                        &handles, &db);
  if (!status.ok()) return status;
  for (auto* handle : handles) (void)db->DestroyColumnFamilyHandle(handle);
  delete db;
  return status;
}

Result<void> Database::check_files() const {
  // DB::VerifyChecksum() of this version looks for a secondary's files in the wrong folder.
  for (const auto& file : live_files()) {
    rocksdb::SstFileReader reader{rocksdb::Options()};
    auto status = reader.Open(file);
    if (status.ok()) status = reader.VerifyChecksum();
    if (status.ok()) continue;
    if (status
            .IsPathNotFound()) {  // a compaction, here or beside, may have put others in its place
      const auto now = live_files();
      if (std::ranges::find(now, file) == now.end()) continue;
      if (secondary() && has_writer(folder_)) continue;
    }
    return tl::unexpected(error(status, "reading all of its files"));
  }
  return secondary() ? check_passed_over() : Result<void>{};
}

rocksdb::ColumnFamilyHandle* Database::family(const std::string& name) const {
  const auto found = families_.find(name);
  return found == families_.end() ? nullptr : found->second;
}

Result<void> Database::add(const std::vector<std::string>& families) {
  std::vector<std::string> missing;
  for (const auto& name : families) {
    if (!family(name)) missing.push_back(name);
  }
  if (missing.empty()) return {};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const auto status = db_->CreateColumnFamilies(descriptors(missing, family_options_), &handles);
  for (auto* handle : handles) families_[handle->GetName()] = handle;
  if (!status.ok()) return tl::unexpected(error(status, "making column families"));
  return {};
}

// RocksDB reads the manifest, then looks which logs there are. A log whose rows moved to a file in
// between is gone, and the file not yet known: newer rows without older ones. A manifest that
// stayed as it was rules that out.
Result<bool> Database::catch_up() {
  if (!secondary()) return true;
  rocksdb::Status status;
  for (int attempt = 0; attempt < 50; ++attempt) {
    if (attempt > 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto before = manifest_of(folder_);
    status = db_->TryCatchUpWithPrimary();
    if (status.ok() && before == manifest_of(folder_)) return true;
  }
  if (!status.ok()) return tl::unexpected(error(status, "catching up with the writer"));
  return false;
}

Error Database::closed_error() const {
  return {ErrorCode::environment,
          folder_ + ": is closed since a write failed: free some space and try again",
          {}};
}

/// Opening writes out what stands in the log; closing first, to find that it does not fit, would
/// help nobody.
Result<void> Database::check_room() {
  std::uint64_t needed = std::uint64_t{4} << 20;
  std::error_code unknown;
  for (const auto& entry : fs::directory_iterator(folder_, unknown)) {
    if (entry.path().extension() == ".log") needed += entry.file_size(unknown);
  }
  const auto space = fs::space(folder_, unknown);
  if (unknown || space.available >= needed) return {};
  return fail(ErrorCode::environment, folder_ + ": the disk is full: going on needs " +
                                          std::to_string(needed >> 20) + " MiB, " +
                                          std::to_string(space.available >> 20) +
                                          " MiB are free: free some space and try again");
}

Result<void> Database::reopen() {
  if (is_open()) {
    if (auto ok = check_room(); !ok) return ok;
    close();
  }
  return open_primary();
}

Result<void> Database::flush() {
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  for (const auto& [name, handle] : families_) handles.push_back(handle);
  const auto status = db_->Flush(rocksdb::FlushOptions{}, handles);
  if (!status.ok()) return tl::unexpected(error(status, "flushing"));
  return {};
}

}  // namespace tapedeck::storage
