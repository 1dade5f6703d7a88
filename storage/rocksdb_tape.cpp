#include "storage/rocksdb_tape.hpp"

#include <rocksdb/convenience.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <filesystem>
#include <map>

#include "storage/frame.hpp"
#include "storage/rocksdb_tape_files.hpp"
#include "storage/state_rows.hpp"

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

constexpr std::chrono::seconds kSyncInterval{1};  // of fsync = interval

constexpr std::size_t kClearBytes = std::size_t{1} << 20;  // of one batch of deletions

std::string source_key(const std::string& name, Partition partition) {
  return name + '\0' + be32(partition);
}

class RocksdbTapeWriter final : public TapeWriter {
public:
  RocksdbTapeWriter(std::shared_ptr<TapeFiles> files, std::unique_ptr<TapeReader> reader,
                    const std::vector<SourceInfo>& sources, WriterOptions::Fsync fsync)
      : files_(std::move(files)),
        reader_(std::move(reader)),
        fsync_(fsync),
        next_(files_->partitions) {
    for (Partition p = 0; p < files_->partitions; ++p) next_[p] = files_->ends[p].load();
    for (const auto& source : sources) {
      for (Partition p = 0; p < source.marks.size(); ++p) {
        if (source.marks[p]) newest_[source_key(source.name, p)] = *source.marks[p];
      }
    }
  }

  ~RocksdbTapeWriter() override {
    reader_->on_append(nullptr);
    files_->parked.clear();
    if (!broken_) (void)db().flush();  // else the next opener replays the log
  }

  Result<void> append(std::span<const NewRecord> records, std::span<const NewMark> marks) override {
    if (auto ok = check_append(records, marks, files_->partitions); !ok) return ok;
    std::lock_guard lock(mutex_);
    if (auto ok = recover(); !ok) return ok;
    batch_.Clear();
    auto next = next_;
    for (const auto& record : records) {
      const auto partition = partition_of(record.symbol, files_->partitions);
      put({partition, next[partition]++, RecordKind::events, record.event_count,
           record.max_event_time, record.symbol, record.payload});
    }
    for (const auto& [partition, mark] : marks) {
      const auto payload = schemas::encode(mark);
      put({partition,
           next[partition]++,
           RecordKind::mark,
           0,
           mark.feed_time,
           {},
           std::as_bytes(std::span(payload))});
      put_checked(files_->sources, source_key(mark.source_name, partition), payload);
    }
    if (auto ok = write(); !ok) return ok;
    next_ = std::move(next);
    for (const auto& [partition, mark] : marks)
      newest_[source_key(mark.source_name, partition)] = mark;
    for (Partition p = 0; p < files_->partitions; ++p)
      files_->ends[p].store(next_[p], std::memory_order_release);
    std::lock_guard wake_lock(files_->wake_mutex);
    if (files_->wake) files_->wake();
    return {};
  }

  Result<void> append(const RecorderDeadLetter& letter) override {
    if (auto ok = check_append(letter); !ok) return ok;
    std::lock_guard lock(mutex_);
    if (auto ok = recover(); !ok) return ok;
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
    if (auto ok = recover(); !ok) return ok;
    if (fsync_ == WriterOptions::Fsync::never) return {};
    const auto status = db()->SyncWAL();
    synced_at_ = std::chrono::steady_clock::now();
    if (status.ok()) return {};
    broken_ = true;
    return tl::unexpected(db().error(status, "syncing the tape"));
  }

  TapeReader& reader() override { return *reader_; }

  Result<void> put_base(const SymbolBase& base) override {
    std::lock_guard lock(mutex_);
    if (auto ok = recover(); !ok) return ok;
    const auto& key = base.snapshot.key;
    const auto row = base_key(key.partition, files_->generations[key.partition] + 1, key.symbol);
    batch_.Clear();
    (void)batch_.Put(db()->DefaultColumnFamily(), row, seal(row, encode(base)));
    return write();
  }
  Result<void> forget_bases() override {
    std::lock_guard lock(mutex_);
    if (auto ok = recover(); !ok) return ok;
    for (Partition p = 0; p < files_->partitions; ++p) {
      const auto lower = base_key(p, files_->generations[p] + 1, {}),
                 upper = base_key(p + 1, 0, {});
      if (auto ok = remove(db()->DefaultColumnFamily(), lower, upper); !ok) return ok;
    }
    return {};
  }
  Result<void> trim(std::span<const Checkpoint> starts) override;
  /// What stood before the starts goes; again after a crash.
  Result<void> clear_trimmed();

private:
  Database& db() const { return *files_->db; }

  void put(const Record& record) {
    const auto head = frame_head(record);
    const auto offset = __builtin_bswap64(record.offset);
    const rocksdb::Slice key(reinterpret_cast<const char*>(&offset), sizeof offset);
    const rocksdb::Slice parts[] = {
        slice(head.view()),
        {reinterpret_cast<const char*>(record.payload.data()), record.payload.size()}};
    (void)batch_.Put(files_->data[record.partition], rocksdb::SliceParts(&key, 1),
                     rocksdb::SliceParts(parts, 2));
    (void)batch_.Put(files_->index[record.partition], index_key(record.symbol, record.offset),
                     index_value({record.offset, record.event_count, record.max_event_time,
                                  static_cast<std::uint32_t>(record.payload.size())}));
  }

  void put_checked(rocksdb::ColumnFamilyHandle* family, const std::string& key,
                   std::string_view value) {
    const auto sum = checksum(value, checksum(key, 0));
    const rocksdb::Slice key_slice(key);
    const rocksdb::Slice parts[] = {{reinterpret_cast<const char*>(&sum), sizeof sum},
                                    slice(value)};
    (void)batch_.Put(family, rocksdb::SliceParts(&key_slice, 1), rocksdb::SliceParts(parts, 2));
  }

  Result<void> write() {
    const auto now = std::chrono::steady_clock::now();
    rocksdb::WriteOptions options;
    options.sync = fsync_ == WriterOptions::Fsync::always ||
                   (fsync_ == WriterOptions::Fsync::interval && now - synced_at_ >= kSyncInterval);
    if (options.sync) synced_at_ = now;
    const auto status = db()->Write(options, &batch_);
    if (status.ok()) return {};
    broken_ = true;
    return tl::unexpected(db().error(status, "appending to the tape"));
  }

  Result<void> check_starts(std::span<const Checkpoint> starts) const;
  Result<void> clear(Partition partition, TapeFiles::Beginning beginning);
  Result<void> clear_index(Partition partition, Offset start);
  Result<void> remove(rocksdb::ColumnFamilyHandle* family, const std::string& lower,
                      const std::string& upper);

  Result<void> recover();
  Result<void> take_back(Partition partition, Offset found);

  std::shared_ptr<TapeFiles> files_;
  std::unique_ptr<TapeReader> reader_;
  WriterOptions::Fsync fsync_;
  std::chrono::steady_clock::time_point synced_at_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  rocksdb::WriteBatch batch_;
  std::vector<Offset> next_;
  /// The newest mark of each source and partition, by key in `sources`.
  std::map<std::string, schemas::MarkPayload> newest_;
  bool broken_ = false;
};

/// After a failed write: opens the database again, and takes back what of that write is in it all
/// the same.
Result<void> RocksdbTapeWriter::recover() {
  if (!broken_) return {};
  std::unique_lock lock(db().mutex());
  files_->parked.clear();
  if (auto ok = db().reopen(); !ok) return ok;
  if (auto ok = files_->bind(files_->partitions); !ok) return ok;
  batch_.Clear();
  for (Partition p = 0; p < files_->partitions; ++p) {
    next_[p] = std::max<Offset>(next_[p], files_->starts[p]);  // a trim that failed and is stored
    const auto found = files_->find_end(p, 1);
    if (!found) return tl::unexpected(found.error());
    if (*found < next_[p]) {
      return fail(ErrorCode::corrupt,
                  db().folder() + ": record " + at(p, *found) + " is missing after a failed write");
    }
    if (auto ok = take_back(p, *found); !ok) return ok;
  }
  if (batch_.Count() > 0) {
    if (auto ok = write(); !ok) return ok;
  }
  broken_ = false;
  return {};
}

Result<void> RocksdbTapeWriter::take_back(Partition partition, Offset found) {
  for (Offset offset = next_[partition]; offset < found; ++offset) {
    std::string frame;
    const auto status = db()->Get({}, files_->data[partition], be64(offset), &frame);
    if (!status.ok())
      return tl::unexpected(db().error(status, "taking back record " + at(partition, offset)));
    const auto record = open_frame(partition, offset, std::as_bytes(std::span(frame)));
    if (!record) return tl::unexpected(record.error());
    (void)batch_.Delete(files_->data[partition], be64(offset));
    (void)batch_.Delete(files_->index[partition], index_key(record->symbol, offset));
    if (record->kind != RecordKind::mark) continue;
    const auto mark = schemas::decode_mark(record->payload);
    if (!mark) return tl::unexpected(mark.error());
    const auto key = source_key(mark->source_name, partition);
    if (const auto before = newest_.find(key); before != newest_.end()) {
      put_checked(files_->sources, key, schemas::encode(before->second));
    } else {
      (void)batch_.Delete(files_->sources, key);
    }
  }
  return {};
}

Result<void> RocksdbTapeWriter::check_starts(std::span<const Checkpoint> starts) const {
  for (const auto& start : starts) {
    const auto p = start.partition;
    if (p >= files_->partitions)
      return fail(ErrorCode::invalid, "partition " + std::to_string(p) + " does not exist");
    const bool empty = next_[p] == files_->starts[p];
    if (start.next <= files_->starts[p] || (start.next > next_[p] && !empty)) {
      return fail(ErrorCode::invalid, "partition " + std::to_string(p) + " has the records " +
                                          std::to_string(files_->starts[p]) + " to " +
                                          std::to_string(next_[p]) + ", it cannot begin at " +
                                          std::to_string(start.next));
    }
  }
  return {};
}

/// One synced write decides; what it leaves behind is only cleared away.
Result<void> RocksdbTapeWriter::trim(std::span<const Checkpoint> starts) {
  {
    std::lock_guard lock(mutex_);
    if (auto ok = recover(); !ok) return ok;
    if (auto ok = check_starts(starts); !ok) return ok;
    batch_.Clear();
    auto* family = db()->DefaultColumnFamily();
    std::string format;
    storage::put(format, kTrimmedFormatVersion);
    storage::put(format, files_->partitions);
    (void)batch_.Put(family, "format", format);
    for (const auto& start : starts) {
      const TapeFiles::Beginning beginning{files_->generations[start.partition] + 1, false, start};
      (void)batch_.Put(family, beginning_key(start.partition), beginning_value(beginning));
    }
    rocksdb::WriteOptions durable;
    durable.sync = true;
    if (const auto status = db()->Write(durable, &batch_); !status.ok()) {
      broken_ = true;
      return tl::unexpected(db().error(status, "trimming the tape"));
    }
    for (const auto& start : starts) {
      const auto p = start.partition;
      ++files_->generations[p];
      files_->starts[p].store(start.next, std::memory_order_release);
      next_[p] = std::max(next_[p], start.next);
      files_->ends[p].store(next_[p], std::memory_order_release);
    }
    files_->parked.clear();
  }
  return clear_trimmed();
}

Result<void> RocksdbTapeWriter::clear_trimmed() {
  for (Partition p = 0; p < files_->partitions; ++p) {
    std::lock_guard lock(mutex_);
    if (auto ok = recover(); !ok) return ok;
    auto beginning = files_->stored_beginning(p);
    if (!beginning) return tl::unexpected(beginning.error());
    if (!*beginning || (*beginning)->cleared) continue;
    if (auto ok = clear(p, std::move(**beginning)); !ok) return ok;
  }
  return {};
}

Result<void> RocksdbTapeWriter::clear(Partition partition, TapeFiles::Beginning beginning) {
  const Offset start = beginning.base.next;
  if (auto ok = clear_index(partition, start); !ok) return ok;
  // Whole files go at once, what is left of others with their next compaction.
  const auto first = be64(0), last = be64(start - 1), bound = be64(start);
  const rocksdb::Slice from(first), to(last);
  const auto status = rocksdb::DeleteFilesInRange(&*db(), files_->data[partition], &from, &to);
  if (!status.ok()) return tl::unexpected(db().error(status, "clearing trimmed records away"));
  if (auto ok = remove(files_->data[partition], first, bound); !ok) return ok;
  if (auto ok = remove(db()->DefaultColumnFamily(), base_key(partition, 0, {}),
                       base_key(partition, beginning.generation, {}));
      !ok)
    return ok;
  batch_.Clear();
  beginning.cleared = true;
  (void)batch_.Put(db()->DefaultColumnFamily(), beginning_key(partition),
                   beginning_value(beginning));
  return write();
}

/// Key by key: a range deletion and the hints of memtables do not go together in this version of
/// RocksDB, it takes the hint of a row for one of a range.
Result<void> RocksdbTapeWriter::remove(rocksdb::ColumnFamilyHandle* family,
                                       const std::string& lower, const std::string& upper) {
  const rocksdb::Slice bound(upper);
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.iterate_upper_bound = &bound;
  std::unique_ptr<rocksdb::Iterator> it(db()->NewIterator(options, family));
  batch_.Clear();
  for (it->Seek(lower); it->Valid(); it->Next()) {
    (void)batch_.Delete(family, it->key());
    if (batch_.GetDataSize() < kClearBytes) continue;
    if (auto ok = write(); !ok) return ok;
    batch_.Clear();
  }
  if (!it->status().ok())
    return tl::unexpected(db().error(it->status(), "clearing away what was trimmed"));
  return batch_.Count() == 0 ? Result<void>{} : write();
}

Result<void> RocksdbTapeWriter::clear_index(Partition partition, Offset start) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  std::unique_ptr<rocksdb::Iterator> it(db()->NewIterator(options, files_->index[partition]));
  batch_.Clear();
  for (it->SeekToFirst(); it->Valid();) {
    const auto key = view(it->key());
    if (key.size() >= 9 && read_be64(key.substr(key.size() - 8)) < start) {
      (void)batch_.Delete(files_->index[partition], it->key());
      it->Next();
    } else {
      const auto symbol = key.substr(0, key.find('\0'));
      it->Seek(std::string(symbol) + '\1');
    }
    if (batch_.GetDataSize() < kClearBytes) continue;
    if (auto ok = write(); !ok) return ok;
    batch_.Clear();
  }
  if (!it->status().ok())
    return tl::unexpected(db().error(it->status(), "clearing the index of trimmed records away"));
  return batch_.Count() == 0 ? Result<void>{} : write();
}

std::string log_folder(const std::string& dir) {
  return (std::filesystem::path(dir) / "log").string();
}

Result<std::uint32_t> settle_partitions(TapeFiles& files, std::uint32_t wanted) {
  const auto stored = files.stored_partitions();
  if (!stored) return tl::unexpected(stored.error());
  if (*stored) {
    if (wanted == 0 || wanted == **stored) return **stored;
    return fail(ErrorCode::conflict,
                files.db->folder() + ": the tape has " + std::to_string(**stored) +
                    " partitions, " + std::to_string(wanted) +
                    " were asked for: a tape keeps the number it was made with",
                "partitions");
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

Result<std::unique_ptr<TapeWriter>> open_tape_writer(const std::string& dir,
                                                     const WriterOptions& options) {
  if (options.partitions > kMaxPartitions) {
    return fail(ErrorCode::invalid,
                std::to_string(options.partitions) + " partitions: a tape has at most " +
                    std::to_string(kMaxPartitions),
                "partitions");
  }
  auto files = std::make_shared<TapeFiles>();
  auto db = Database::open(log_folder(dir), writer_db_options(options),
                           TapeFiles::family_options(
                               {options.cache_bytes, options.write_buffer_bytes, options.compress}),
                           "records to");
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
  auto reader = make_rocksdb_reader(files);
  const auto sources = reader->sources();
  if (!sources) return tl::unexpected(sources.error());
  auto writer = std::make_unique<RocksdbTapeWriter>(std::move(files), std::move(reader), *sources,
                                                    options.fsync);
  if (auto cleared = writer->clear_trimmed(); !cleared) return tl::unexpected(cleared.error());
  return writer;
}

Result<std::unique_ptr<TapeReader>> open_tape_reader(const std::string& dir,
                                                     const ReaderOptions& options) {
  const auto folder = log_folder(dir);
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return fail(ErrorCode::not_found,
                folder + ": no tape there, expected a folder made by recording", "tape");
  }
  auto files = std::make_shared<TapeFiles>();
  auto db = Database::open_secondary(folder, common_options(),
                                     TapeFiles::family_options({options.cache_bytes}));
  if (!db) return tl::unexpected(std::move(db.error()));
  files->db = std::move(*db);
  const auto partitions = files->stored_partitions();
  if (!partitions) return tl::unexpected(partitions.error());
  if (!*partitions)
    return fail(ErrorCode::not_found, folder + ": the tape has not been made completely yet",
                "tape");
  if (auto ok = files->bind(**partitions); !ok) return tl::unexpected(ok.error());
  auto reader = make_rocksdb_reader(std::move(files));
  if (auto ok = reader->refresh(); !ok) return tl::unexpected(ok.error());
  return reader;
}

}  // namespace tapedeck::storage
