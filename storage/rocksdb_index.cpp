#include <rocksdb/write_batch.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <limits>
#include <map>

#include "storage/frame.hpp"
#include "storage/rocksdb_tape_files.hpp"
#include "storage/tape_index.hpp"

namespace tapedeck::storage {
namespace {

using Iterator = std::unique_ptr<rocksdb::Iterator>;

constexpr std::uint32_t kIndexVersion = 1;

std::string next_key(Partition partition) { return "next" + be32(partition); }

std::vector<std::string> families(std::uint32_t partitions) {
  std::vector<std::string> names{"marks", "sources"};
  for (std::uint32_t p = 0; p < partitions; ++p) names.push_back("i" + std::to_string(p));
  return names;
}

/// Goes after the database in it.
struct TemporaryFolder {
  TemporaryFolder() = default;
  explicit TemporaryFolder(std::string folder) : path(std::move(folder)) {}
  TemporaryFolder(TemporaryFolder&& other) noexcept : path(std::exchange(other.path, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path.empty()) std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

class RocksdbIndex final : public TapeIndex {
public:
  RocksdbIndex(std::unique_ptr<Database> db, std::uint32_t partitions, TemporaryFolder folder)
      : folder_(std::move(folder)),
        db_(std::move(db)),
        marks_(db_->family("marks")),
        sources_(db_->family("sources")),
        next_(partitions) {
    for (std::uint32_t p = 0; p < partitions; ++p)
      entries_.push_back(db_->family("i" + std::to_string(p)));
  }

  Result<void> load() {
    for (Partition p = 0; p < next_.size(); ++p) {
      std::string value;
      const auto status = db()->Get({}, db()->DefaultColumnFamily(), next_key(p), &value);
      if (!status.ok() && !status.IsNotFound()) return tl::unexpected(error(status));
      next_[p] = status.ok() ? read_be64(value) : 0;
    }
    return {};
  }

  Offset next(Partition partition) const override {
    return next_[partition].load(std::memory_order_acquire);
  }

  Result<void> add(Partition partition, std::span<const Record> records, Offset next) override {
    rocksdb::WriteBatch batch;
    for (const auto& record : records) {
      (void)batch.Put(entries_[partition], index_key(record.symbol, record.offset),
                      index_value({record.offset, record.event_count, record.max_event_time,
                                   static_cast<std::uint32_t>(record.payload.size())}));
      if (record.kind != RecordKind::mark) continue;
      const auto mark = schemas::decode_mark(record.payload);
      if (!mark) return tl::unexpected(mark.error());
      const rocksdb::Slice payload(reinterpret_cast<const char*>(record.payload.data()),
                                   record.payload.size());
      (void)batch.Put(marks_, be32(partition) + be64(record.offset), payload);
      (void)batch.Put(sources_, mark->source_name + '\0' + be32(partition), payload);
    }
    (void)batch.Put(db()->DefaultColumnFamily(), next_key(partition), be64(next));
    if (const auto status = db()->Write({}, &batch); !status.ok())
      return tl::unexpected(error(status));
    next_[partition].store(next, std::memory_order_release);
    return {};
  }

  Result<std::vector<IndexEntry>> entries(Partition partition, std::string_view symbol, Offset from,
                                          Offset to, ReadLimits limits) const override {
    std::vector<IndexEntry> found;
    if (from >= to) return found;
    const std::string upper = index_key(symbol, to);
    const rocksdb::Slice bound(upper);
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &bound;
    const Iterator it(db()->NewIterator(options, entries_[partition]));
    std::size_t bytes = 0;
    for (it->Seek(index_key(symbol, from)); it->Valid(); it->Next()) {
      if (bytes >= limits.bytes || found.size() >= limits.records) break;
      const auto entry = parse(view(it->key()), view(it->value()), symbol.size());
      if (!entry) return tl::unexpected(entry.error());
      found.push_back(*entry);
      bytes += entry->payload_bytes;
    }
    if (!it->status().ok()) return tl::unexpected(error(it->status()));
    return found;
  }

  Result<std::optional<IndexEntry>> last(Partition partition,
                                         std::string_view symbol) const override {
    const std::string lower = index_key(symbol, 0);
    const rocksdb::Slice bound(lower);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &bound;
    const Iterator it(db()->NewIterator(options, entries_[partition]));
    it->SeekForPrev(index_key(symbol, std::numeric_limits<Offset>::max()));
    if (!it->status().ok()) return tl::unexpected(error(it->status()));
    if (!it->Valid()) return std::optional<IndexEntry>{};
    const auto entry = parse(view(it->key()), view(it->value()), symbol.size());
    if (!entry) return tl::unexpected(entry.error());
    return std::optional(*entry);
  }

  Result<RecordBlockPtr> marks(Partition partition, Offset from, Offset to) const override {
    BlockBuilder block(0);
    if (from >= to) return block.finish();
    const std::string upper = be32(partition) + be64(to);
    const rocksdb::Slice bound(upper);
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &bound;
    const Iterator it(db()->NewIterator(options, marks_));
    for (it->Seek(be32(partition) + be64(from)); it->Valid(); it->Next()) {
      const auto payload = std::as_bytes(std::span(view(it->value())));
      const auto mark = schemas::decode_mark(payload);
      if (!mark) return tl::unexpected(mark.error());
      block.add({partition,
                 read_be64(view(it->key()).substr(4)),
                 RecordKind::mark,
                 0,
                 mark->feed_time,
                 {},
                 payload});
    }
    if (!it->status().ok()) return tl::unexpected(error(it->status()));
    return block.finish();
  }

  Result<std::optional<schemas::MarkPayload>> last_mark(Partition partition,
                                                        Offset before) const override {
    if (before == 0) return std::optional<schemas::MarkPayload>{};
    const std::string lower = be32(partition);
    const rocksdb::Slice bound(lower);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &bound;
    const Iterator it(db()->NewIterator(options, marks_));
    it->SeekForPrev(be32(partition) + be64(before - 1));
    if (!it->status().ok()) return tl::unexpected(error(it->status()));
    if (!it->Valid()) return std::optional<schemas::MarkPayload>{};
    return schemas::decode_mark(std::as_bytes(std::span(view(it->value()))))
        .map([](schemas::MarkPayload mark) { return std::optional(std::move(mark)); });
  }

  Result<std::vector<std::string>> symbols() const override;
  Result<std::vector<SourceInfo>> sources() const override;

private:
  Database& db() const { return *db_; }
  Error error(const rocksdb::Status& status) const {
    return db_->error(status, "using the index of the topic");
  }
  Error damaged(const std::string& what) const {
    return {ErrorCode::corrupt,
            db_->folder() + ": " + what + " is damaged: delete the folder, it is made again",
            {}};
  }
  Result<IndexEntry> parse(std::string_view key, std::string_view value,
                           std::size_t symbol_bytes) const {
    if (key.size() != symbol_bytes + 9 || value.size() != 16)
      return tl::unexpected(damaged("an entry"));
    return IndexEntry{read_be64(key.substr(symbol_bytes + 1)), get<std::uint32_t>(value.data()),
                      get<TimeNs>(value.data() + 8), get<std::uint32_t>(value.data() + 4)};
  }

  TemporaryFolder folder_;
  std::unique_ptr<Database> db_;
  rocksdb::ColumnFamilyHandle* marks_;
  rocksdb::ColumnFamilyHandle* sources_;
  std::vector<rocksdb::ColumnFamilyHandle*> entries_;
  std::vector<std::atomic<Offset>> next_;
};

Result<std::vector<std::string>> RocksdbIndex::symbols() const {
  std::vector<std::string> all;
  for (auto* family : entries_) {
    const Iterator it(db()->NewIterator({}, family));
    // From one symbol's first entry straight to the next symbol's; marks come first.
    for (it->Seek(std::string(1, '\1')); it->Valid();) {
      const auto key = view(it->key());
      const std::string symbol(key.substr(0, key.find('\0')));
      all.push_back(symbol);
      it->Seek(symbol + '\1');
    }
    if (!it->status().ok()) return tl::unexpected(error(it->status()));
  }
  std::sort(all.begin(), all.end());
  return all;
}

Result<std::vector<SourceInfo>> RocksdbIndex::sources() const {
  std::vector<SourceInfo> all;
  const Iterator it(db()->NewIterator({}, sources_));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const auto key = view(it->key());
    const auto zero = key.find('\0');
    const Partition partition = zero == key.npos ? kMaxPartitions : read_be32(key.substr(zero + 1));
    auto mark = schemas::decode_mark(std::as_bytes(std::span(view(it->value()))));
    if (!mark || partition >= next_.size()) return tl::unexpected(damaged("a source"));
    if (all.empty() || all.back().name != mark->source_name) {
      all.push_back({mark->source_name, false,
                     std::vector<std::optional<schemas::MarkPayload>>(next_.size())});
    }
    all.back().marks[partition] = std::move(*mark);
  }
  if (!it->status().ok()) return tl::unexpected(error(it->status()));
  for (auto& source : all) source.complete = all_complete(source);
  return all;
}

/// Whose index it is: version, partitions, the tape's name.
std::string format_of(const std::string& tape, std::uint32_t partitions) {
  std::string format;
  put(format, kIndexVersion);
  put(format, partitions);
  return format + tape;
}

Result<void> check_format(const Database& db, const std::string& stored, const std::string& tape,
                          std::uint32_t partitions) {
  if (stored == format_of(tape, partitions)) return {};
  const std::string of = stored.size() < 8 ? std::string() : stored.substr(8);
  return fail(ErrorCode::conflict,
              db.folder() + ": is the index of " + of + ", not of " + tape + " with " +
                  std::to_string(partitions) +
                  " partitions: name another folder, or delete this one to have it made again",
              "state");
}

Result<std::unique_ptr<TapeIndex>> open_in(const std::string& folder, const std::string& tape,
                                           std::uint32_t partitions, TemporaryFolder temporary) {
  auto opened = Database::open(folder, common_options(), TapeFiles::family_options({}), "keeps");
  if (!opened) return tl::unexpected(std::move(opened.error()));
  auto& db = **opened;
  std::string stored;
  auto status = db->Get({}, db->DefaultColumnFamily(), "format", &stored);
  if (status.ok()) {
    if (auto ok = check_format(db, stored, tape, partitions); !ok)
      return tl::unexpected(ok.error());
  }
  if (status.IsNotFound()) {
    if (auto ok = db.add(families(partitions)); !ok) return tl::unexpected(ok.error());
    status = db->Put({}, db->DefaultColumnFamily(), "format", format_of(tape, partitions));
  }
  if (!status.ok()) return tl::unexpected(db.error(status, "opening the index of the topic"));
  auto index = std::make_unique<RocksdbIndex>(std::move(*opened), partitions, std::move(temporary));
  if (auto ok = index->load(); !ok) return tl::unexpected(ok.error());
  return index;
}

}  // namespace

Result<std::unique_ptr<TapeIndex>> open_tape_index(const std::string& dir, const std::string& tape,
                                                   std::uint32_t partitions) {
  return open_in((std::filesystem::path(dir) / "index").string(), tape, partitions, {});
}

Result<std::unique_ptr<TapeIndex>> open_index_beside(const std::string& dir,
                                                     const std::string& tape,
                                                     std::uint32_t partitions) {
  auto top = make_temporary_index(partitions);
  if (!top) return top;
  auto opened = Database::open_secondary((std::filesystem::path(dir) / "index").string(),
                                         common_options(), TapeFiles::family_options({}));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  auto& db = **opened;
  std::string stored;
  const auto status = db->Get({}, db->DefaultColumnFamily(), "format", &stored);
  if (status.IsNotFound()) return top;  // it is just being made
  if (!status.ok()) return tl::unexpected(db.error(status, "opening the index of the topic"));
  if (auto ok = check_format(db, stored, tape, partitions); !ok) return tl::unexpected(ok.error());
  auto base = std::make_unique<RocksdbIndex>(std::move(*opened), partitions, TemporaryFolder());
  if (auto ok = base->load(); !ok) return tl::unexpected(ok.error());
  return layered_index(std::move(base), std::move(*top));
}

Result<std::unique_ptr<TapeIndex>> make_temporary_index(std::uint32_t partitions) {
  std::error_code error;
  auto folder = (std::filesystem::temp_directory_path(error) / "tapedeck-index-XXXXXX").string();
  if (error || mkdtemp(folder.data()) == nullptr) {
    return fail(ErrorCode::environment, folder + ": cannot make a temporary folder: check TMPDIR");
  }
  return open_in(folder + "/index", {}, partitions, TemporaryFolder(folder));
}

}  // namespace tapedeck::storage
