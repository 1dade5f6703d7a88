#include "storage/rocksdb_tape.hpp"

#include <rocksdb/write_batch.h>

#include <filesystem>

#include "storage/frame.hpp"
#include "storage/rocksdb_tape_files.hpp"

namespace tapedeck::storage {
namespace {

rocksdb::DBOptions writer_db_options(const WriterOptions& options) {
  auto db = common_options();
  db.db_write_buffer_size = options.write_buffers_bytes;
  db.max_total_wal_size = options.wal_bytes;
  db.bytes_per_sync = std::size_t{1} << 20;
  db.wal_bytes_per_sync = std::size_t{1} << 20;
  return db;
}

class RocksdbTapeWriter final : public TapeWriter {
public:
  RocksdbTapeWriter(std::shared_ptr<TapeFiles> files, WriterOptions::Fsync fsync)
      : files_(std::move(files)), reader_(make_rocksdb_reader(files_)), next_(files_->partitions) {
    write_options_.sync = fsync == WriterOptions::Fsync::always;
    for (Partition p = 0; p < files_->partitions; ++p) next_[p] = files_->ends[p].load();
  }

  ~RocksdbTapeWriter() override {
    reader_->on_append(nullptr);
    if (needs_resume_ && !db().resume()) return;  // what is in the log is replayed by the next opener
    (void)db().flush();
  }

  Result<void> append(std::span<const NewRecord> records, std::span<const NewMark> marks) override {
    if (auto ok = check_append(records, marks, files_->partitions); !ok) return ok;
    std::lock_guard lock(mutex_);
    batch_.Clear();
    auto next = next_;
    for (const auto& record : records) {
      const auto partition = partition_of(record.symbol, files_->partitions);
      put({partition, next[partition]++, RecordKind::events, record.event_count, record.max_event_time, record.symbol,
           record.payload});
    }
    for (const auto& [partition, mark] : marks) {
      const auto payload = schemas::encode(mark);
      put({partition, next[partition]++, RecordKind::mark, 0, mark.feed_time, {}, std::as_bytes(std::span(payload))});
      const auto key = mark.source_name + '\0' + be32(partition);
      put_checked(files_->sources, key, payload);
    }
    if (auto ok = write(); !ok) return ok;
    next_ = std::move(next);
    for (Partition p = 0; p < files_->partitions; ++p) files_->ends[p].store(next_[p], std::memory_order_release);
    std::lock_guard wake_lock(files_->wake_mutex);
    if (files_->wake) files_->wake();
    return {};
  }

  Result<void> append(const RecorderDeadLetter& letter) override {
    if (auto ok = check_append(letter); !ok) return ok;
    std::lock_guard lock(mutex_);
    batch_.Clear();
    std::string value;
    storage::put(value, static_cast<std::uint32_t>(letter.reason.size()));
    value += letter.reason;
    value += letter.bytes;
    put_checked(files_->dead_letters, letter.source + '\0' + be64(letter.byte_offset), value);
    return write();
  }

  Result<void> sync() override {
    std::lock_guard lock(mutex_);
    const auto status = db()->SyncWAL();
    if (status.ok()) return {};
    needs_resume_ = true;
    return tl::unexpected(db().error(status, "syncing the tape"));
  }

  TapeReader& reader() override { return *reader_; }

private:
  Database& db() const { return *files_->db; }

  void put(const Record& record) {
    const auto head = frame_head(record);
    const auto offset = __builtin_bswap64(record.offset);
    const rocksdb::Slice key(reinterpret_cast<const char*>(&offset), sizeof offset);
    const rocksdb::Slice parts[] = {
        slice(head.view()), {reinterpret_cast<const char*>(record.payload.data()), record.payload.size()}};
    (void)batch_.Put(files_->data[record.partition], rocksdb::SliceParts(&key, 1), rocksdb::SliceParts(parts, 2));
    (void)batch_.Put(files_->index[record.partition], index_key(record.symbol, record.offset),
                     index_value({record.offset, record.event_count, record.max_event_time,
                                  static_cast<std::uint32_t>(record.payload.size())}));
  }

  void put_checked(rocksdb::ColumnFamilyHandle* family, const std::string& key, std::string_view value) {
    const auto sum = checksum(value, checksum(key, 0));
    const rocksdb::Slice key_slice(key);
    const rocksdb::Slice parts[] = {{reinterpret_cast<const char*>(&sum), sizeof sum}, slice(value)};
    (void)batch_.Put(family, rocksdb::SliceParts(&key_slice, 1), rocksdb::SliceParts(parts, 2));
  }

  Result<void> write() {
    if (needs_resume_) {
      if (auto ok = db().resume(); !ok) return ok;
      needs_resume_ = false;
    }
    const auto status = db()->Write(write_options_, &batch_);
    if (status.ok()) return {};
    needs_resume_ = true;
    return tl::unexpected(db().error(status, "appending to the tape"));
  }

  std::shared_ptr<TapeFiles> files_;
  std::unique_ptr<TapeReader> reader_;
  rocksdb::WriteOptions write_options_;
  std::mutex mutex_;
  rocksdb::WriteBatch batch_;
  std::vector<Offset> next_;
  bool needs_resume_ = false;
};

std::string log_folder(const std::string& dir) { return (std::filesystem::path(dir) / "log").string(); }

Result<std::uint32_t> settle_partitions(TapeFiles& files, std::uint32_t wanted) {
  const auto stored = files.stored_partitions();
  if (!stored) return tl::unexpected(stored.error());
  if (*stored) {
    if (wanted == 0 || wanted == **stored) return **stored;
    return fail(ErrorCode::conflict, files.db->folder() + ": the tape has " + std::to_string(**stored) +
                                         " partitions, " + std::to_string(wanted) +
                                         " were asked for: a tape keeps the number it was made with", "partitions");
  }
  const auto count = wanted == 0 ? kDefaultPartitions : wanted;
  if (auto ok = files.db->add(TapeFiles::families(count)); !ok) return tl::unexpected(ok.error());
  std::string format;
  put(format, kTapeFormatVersion);
  put(format, count);
  rocksdb::WriteOptions durable;
  durable.sync = true;
  auto& db = *files.db;
  const auto status = db->Put(durable, db->DefaultColumnFamily(), "format", format);
  if (!status.ok()) return tl::unexpected(db.error(status, "making the tape"));
  return count;
}

}  // namespace

Result<std::unique_ptr<TapeWriter>> open_tape_writer(const std::string& dir, const WriterOptions& options) {
  if (options.partitions > kMaxPartitions) {
    return fail(ErrorCode::invalid, std::to_string(options.partitions) + " partitions: a tape has at most " +
                                        std::to_string(kMaxPartitions), "partitions");
  }
  auto files = std::make_shared<TapeFiles>();
  auto db = Database::open(log_folder(dir), writer_db_options(options),
                           TapeFiles::family_options({options.cache_bytes, options.write_buffer_bytes}), "records to");
  if (!db) return tl::unexpected(std::move(db.error()));
  files->db = std::move(*db);
  const auto partitions = settle_partitions(*files, options.partitions);
  if (!partitions) return tl::unexpected(partitions.error());
  if (auto ok = files->bind(*partitions); !ok) return tl::unexpected(ok.error());
  constexpr std::size_t kTail = 64;
  for (Partition p = 0; p < *partitions; ++p) {
    const auto end = files->find_end(p, kTail);
    if (!end) return tl::unexpected(end.error());
    files->ends[p] = *end;
  }
  return std::make_unique<RocksdbTapeWriter>(std::move(files), options.fsync);
}

Result<std::unique_ptr<TapeReader>> open_tape_reader(const std::string& dir, const ReaderOptions& options) {
  const auto folder = log_folder(dir);
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return fail(ErrorCode::not_found, folder + ": no tape there, expected a folder made by recording", "tape");
  }
  auto files = std::make_shared<TapeFiles>();
  auto db = Database::open_secondary(folder, common_options(), TapeFiles::family_options({options.cache_bytes}));
  if (!db) return tl::unexpected(std::move(db.error()));
  files->db = std::move(*db);
  const auto partitions = files->stored_partitions();
  if (!partitions) return tl::unexpected(partitions.error());
  if (!*partitions) return fail(ErrorCode::not_found, folder + ": the tape has not been made completely yet", "tape");
  if (auto ok = files->bind(**partitions); !ok) return tl::unexpected(ok.error());
  auto reader = make_rocksdb_reader(std::move(files));
  if (auto ok = reader->refresh(); !ok) return tl::unexpected(ok.error());
  return reader;
}

}  // namespace tapedeck::storage
