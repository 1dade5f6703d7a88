#include "storage/rocksdb_state.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <shared_mutex>

#include "schemas/state_codec.hpp"
#include "storage/rocksdb_common.hpp"
#include "storage/row_state_store.hpp"
#include "storage/state_rows.hpp"

namespace tapedeck::storage {
namespace {

constexpr std::uint32_t kStateFormatVersion = 1;
constexpr std::size_t kBatchBytesARow = 24;  ///< beside key and value, at most
constexpr const char* kFormatKey = "format";
constexpr const char* kSettingsKey = "settings";
constexpr std::string_view kRecordPrefix = "record/";  ///< then its number, big endian

std::string folder_of(const std::string& dir, const char* name) {
  return (std::filesystem::path(dir) / name).string();
}

// Snapshots are large and come in no order: universal compaction rewrites them least; they are got
// by their whole key.
Database::FamilyOptions family_options(const StateOptions& options) {
  const auto cache = rocksdb::NewLRUCache(std::max(options.cache_bytes, std::size_t{8} << 20));
  auto table = table_options(std::size_t{32} << 10, cache);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // A flush keeps a running fold waiting, a compaction nobody.
  const std::vector<rocksdb::CompressionType> compressed_below = {rocksdb::kNoCompression,
                                                                  rocksdb::kLZ4Compression};
  rocksdb::ColumnFamilyOptions snapshots;
  snapshots.compression_per_level = compressed_below;
  snapshots.compaction_style = rocksdb::kCompactionStyleUniversal;
  snapshots.level0_file_num_compaction_trigger = 8;
  snapshots.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::ColumnFamilyOptions small;
  small.compression_per_level = compressed_below;
  small.level_compaction_dynamic_level_bytes = true;
  small.write_buffer_size = std::size_t{32} << 20;
  small.arena_block_size = std::size_t{256} << 10;
  small.table_factory.reset(
      rocksdb::NewBlockBasedTableFactory(table_options(std::size_t{16} << 10, cache)));
  return [snapshots, small](const std::string& family) {
    return family == "snapshots" ? snapshots : small;
  };
}

class RocksdbRows final : public Rows {
public:
  explicit RocksdbRows(std::unique_ptr<Database> db) : db_(std::move(db)) {}
  ~RocksdbRows() override {
    if (!db_->secondary() && !broken_) (void)db_->flush();  // else the next opener replays the log
  }

  Result<std::optional<std::string>> get(Family family, std::string_view key) const override {
    std::shared_lock lock(db_->mutex());
    if (!db_->is_open()) return tl::unexpected(db_->closed_error());
    std::string value;
    const auto status = (*db_)->Get({}, of(family), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>{};
    if (!status.ok()) return tl::unexpected(error(status, "reading", family));
    return std::optional(std::move(value));
  }

  Result<void> scan(Family family, std::string_view lower, std::string_view upper, bool descending,
                    const Visit& visit) const override {
    std::shared_lock lock(db_->mutex());
    if (!db_->is_open()) return tl::unexpected(db_->closed_error());
    rocksdb::ReadOptions options;
    const rocksdb::Slice lower_bound = slice(lower), upper_bound = slice(upper);
    if (!lower.empty()) options.iterate_lower_bound = &lower_bound;
    if (!upper.empty()) options.iterate_upper_bound = &upper_bound;
    std::unique_ptr<rocksdb::Iterator> it((*db_)->NewIterator(options, of(family)));
    descending ? it->SeekToLast() : it->SeekToFirst();
    for (; it->Valid(); descending ? it->Prev() : it->Next()) {
      const bool format = family == Family::meta && view(it->key()) == kFormatKey;
      if (!format && !visit(view(it->key()), view(it->value()))) return {};
    }
    if (!it->status().ok()) return tl::unexpected(error(it->status(), "reading", family));
    return {};
  }

  Result<void> write(const std::vector<RowChange>& changes) override {
    std::lock_guard lock(mutex_);
    if (auto ok = recover(); !ok) return ok;
    std::size_t bytes = 0;
    for (const auto& change : changes)
      bytes += kBatchBytesARow + change.key.size() + (change.value ? change.value->size() : 0);
    rocksdb::WriteBatch batch(bytes);
    for (const auto& change : changes) {
      (void)(change.value ? batch.Put(of(change.family), change.key, *change.value)
                          : batch.Delete(of(change.family), change.key));
    }
    const auto status = (*db_)->Write({}, &batch);
    if (status.ok()) return {};
    broken_ = true;
    return tl::unexpected(db_->error(status, "storing state"));
  }

  Result<void> sync() override {
    std::lock_guard lock(mutex_);
    if (auto ok = recover(); !ok) return ok;
    const auto status = (*db_)->SyncWAL();
    if (status.ok()) return {};
    broken_ = true;
    return tl::unexpected(db_->error(status, "syncing state"));
  }

  Result<void> refresh() override {
    std::lock_guard lock(mutex_);
    const auto whole = db_->catch_up();
    if (!whole) return tl::unexpected(whole.error());
    if (*whole) return {};
    return fail(ErrorCode::environment,
                db_->folder() + ": its writer is too fast to be followed: try again");
  }

  Result<std::uint64_t> stored_bytes(Family family) const override {
    std::shared_lock lock(db_->mutex());
    if (!db_->is_open()) return tl::unexpected(db_->closed_error());
    std::uint64_t bytes = 0;
    (*db_)->GetIntProperty(of(family), rocksdb::DB::Properties::kLiveSstFilesSize, &bytes);
    return bytes;
  }

  bool may_lag() const override { return db_->secondary(); }

private:
  rocksdb::ColumnFamilyHandle* of(Family family) const {
    return db_->family(kFamilyNames[static_cast<std::size_t>(family)]);
  }
  /// A failed write that is stored all the same is harmless: rows replace each other by key.
  Result<void> recover() {
    if (!broken_) return {};
    std::unique_lock lock(db_->mutex());
    if (auto ok = db_->reopen(); !ok) return ok;
    broken_ = false;
    return {};
  }
  Error error(const rocksdb::Status& status, const char* doing, Family family) const {
    return db_->error(status,
                      std::string(doing) + " " + kFamilyNames[static_cast<std::size_t>(family)]);
  }

  std::unique_ptr<Database> db_;
  std::mutex mutex_;
  bool broken_ = false;
};

/// The stored version, none in a new database.
Result<std::optional<std::uint32_t>> stored_version(Database& db) {
  std::string value;
  const auto status = db->Get({}, db->DefaultColumnFamily(), kFormatKey, &value);
  if (status.IsNotFound()) return std::optional<std::uint32_t>{};
  if (!status.ok()) return tl::unexpected(db.error(status, "reading its format"));
  return std::optional(value.size() == 4 ? get<std::uint32_t>(value.data()) : 0);
}

/// Checks the version; a writer marks a new database with it.
Result<void> settle_version(Database& db, const char* remedy) {
  const auto version = stored_version(db);
  if (!version) return tl::unexpected(version.error());
  if (*version && **version == kStateFormatVersion) return {};
  if (*version) {
    return fail(ErrorCode::invalid, db.folder() + ": format " + std::to_string(**version) +
                                        ", this program knows " +
                                        std::to_string(kStateFormatVersion) + ": " + remedy);
  }
  if (db.secondary())
    return fail(ErrorCode::not_found, db.folder() + ": has not been made completely yet");
  std::string value;
  put(value, kStateFormatVersion);
  rocksdb::WriteOptions durable;
  durable.sync = true;
  const auto status = db->Put(durable, db->DefaultColumnFamily(), kFormatKey, value);
  if (!status.ok()) return tl::unexpected(db.error(status, "making it"));
  return {};
}

Result<std::unique_ptr<RowStateStore>> bind_state(std::unique_ptr<Database> db) {
  const auto remedy = "delete " + db->folder() + ", it is derived and will be made again";
  if (!db->secondary()) {
    if (auto ok = db->add({std::begin(kFamilyNames) + 1, std::end(kFamilyNames)}); !ok) {
      return tl::unexpected(ok.error());
    }
  }
  if (auto ok = settle_version(*db, remedy.c_str()); !ok) return tl::unexpected(ok.error());
  for (const char* name : kFamilyNames) {
    if (db->family(name)) continue;
    return fail(ErrorCode::corrupt,
                db->folder() + ": column family " + name + " is missing: " + remedy);
  }
  return std::make_unique<RowStateStore>(std::make_unique<RocksdbRows>(std::move(db)));
}

class RocksdbControlStore final : public ControlStore {
public:
  explicit RocksdbControlStore(std::unique_ptr<Database> db) : db_(std::move(db)) {}
  ~RocksdbControlStore() override {
    if (!db_->secondary()) (void)db_->flush();
  }

  Result<std::optional<market::FoldSettings>> settings() const override {
    std::string sealed;
    if (auto ok = db_->catch_up(); !ok) return tl::unexpected(ok.error());
    const auto status = (*db_)->Get({}, (*db_)->DefaultColumnFamily(), kSettingsKey, &sealed);
    if (status.IsNotFound()) return std::optional<market::FoldSettings>{};
    if (!status.ok()) return tl::unexpected(db_->error(status, "reading the fold settings"));
    const auto bytes = unseal(kSettingsKey, sealed);
    if (!bytes)
      return fail(ErrorCode::corrupt, db_->folder() + ": the stored fold settings are damaged");
    auto settings = schemas::decode_settings(std::as_bytes(std::span(*bytes)));
    if (!settings) return tl::unexpected(std::move(settings.error()));
    return std::optional(std::move(*settings));
  }

  Result<market::FoldSettings> settle(const market::FoldSettings& wanted) override {
    std::lock_guard lock(mutex_);
    auto stored = settings();
    if (!stored) return tl::unexpected(std::move(stored.error()));
    if (*stored) return std::move(**stored);
    if (db_->secondary()) return fail(ErrorCode::invalid, db_->folder() + ": is open to read only");
    rocksdb::WriteOptions durable;
    durable.sync = true;
    const auto status = (*db_)->Put(durable, (*db_)->DefaultColumnFamily(), kSettingsKey,
                                    seal(kSettingsKey, schemas::encode(wanted)));
    if (!status.ok()) return tl::unexpected(db_->error(status, "storing the fold settings"));
    return wanted;
  }

  Result<std::vector<schemas::ControlRecord>> records() const override {
    if (auto ok = db_->catch_up(); !ok) return tl::unexpected(ok.error());
    std::vector<schemas::ControlRecord> all;
    std::unique_ptr<rocksdb::Iterator> it((*db_)->NewIterator({}, (*db_)->DefaultColumnFamily()));
    for (it->Seek(slice(kRecordPrefix)); it->Valid(); it->Next()) {
      const auto key = view(it->key());
      if (!key.starts_with(kRecordPrefix)) break;
      const auto bytes = unseal(key, view(it->value()));
      const auto which = std::to_string(read_key64(key.substr(kRecordPrefix.size())));
      if (!bytes)
        return fail(ErrorCode::corrupt,
                    db_->folder() + ": control record " + which + " is damaged");
      auto record = schemas::decode_control(std::as_bytes(std::span(*bytes)));
      if (!record) return tl::unexpected(std::move(record.error()));
      all.push_back(std::move(*record));
    }
    if (!it->status().ok())
      return tl::unexpected(db_->error(it->status(), "reading the control records"));
    return all;
  }

  Result<void> append(const schemas::ControlRecord& record) override {
    std::lock_guard lock(mutex_);
    if (db_->secondary()) return fail(ErrorCode::invalid, db_->folder() + ": is open to read only");
    const auto stored = records();
    if (!stored) return tl::unexpected(stored.error());
    std::string key(kRecordPrefix);
    append_be64(key, stored->size());
    rocksdb::WriteOptions durable;
    durable.sync = true;
    const auto status = (*db_)->Put(durable, (*db_)->DefaultColumnFamily(), key,
                                    seal(key, schemas::encode(record)));
    if (!status.ok()) return tl::unexpected(db_->error(status, "storing a control record"));
    return {};
  }

private:
  std::unique_ptr<Database> db_;
  std::mutex mutex_;
};

constexpr const char* kControlRemedy = "use the version of tapedeck that wrote it, or a newer one";

Database::FamilyOptions control_options() {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = std::size_t{1} << 20;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(
      table_options(4096, rocksdb::NewLRUCache(std::size_t{1} << 20))));
  return [options](const std::string&) { return options; };
}

}  // namespace

Result<std::unique_ptr<StateStore>> open_state_store(const std::string& dir,
                                                     const StateOptions& options) {
  auto db_options = common_options();
  db_options.db_write_buffer_size = options.write_buffers_bytes;
  db_options.max_total_wal_size = std::size_t{512} << 20;
  db_options.bytes_per_sync = db_options.wal_bytes_per_sync = std::size_t{1} << 20;
  auto db = Database::open(folder_of(dir, "state"), db_options, family_options(options), "serves");
  if (!db) return tl::unexpected(std::move(db.error()));
  return bind_state(std::move(*db));
}

Result<std::unique_ptr<StateReader>> open_state_reader(const std::string& dir,
                                                       const StateOptions& options) {
  auto db =
      Database::open_secondary(folder_of(dir, "state"), common_options(), family_options(options));
  if (!db) return tl::unexpected(std::move(db.error()));
  return bind_state(std::move(*db));
}

Result<std::unique_ptr<ControlStore>> open_control_store(const std::string& dir) {
  auto db =
      Database::open(folder_of(dir, "control"), common_options(), control_options(), "serves");
  if (!db) return tl::unexpected(std::move(db.error()));
  if (auto ok = settle_version(**db, kControlRemedy); !ok) return tl::unexpected(ok.error());
  return std::make_unique<RocksdbControlStore>(std::move(*db));
}

Result<std::unique_ptr<ControlStore>> open_control_reader(const std::string& dir) {
  auto db =
      Database::open_secondary(folder_of(dir, "control"), common_options(), control_options());
  if (!db) return tl::unexpected(std::move(db.error()));
  if (auto ok = settle_version(**db, kControlRemedy); !ok) return tl::unexpected(ok.error());
  return std::make_unique<RocksdbControlStore>(std::move(*db));
}

}  // namespace tapedeck::storage
