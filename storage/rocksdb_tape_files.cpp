#include "storage/rocksdb_tape_files.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/universal_compaction.h>

#include <algorithm>

#include "storage/frame.hpp"
#include "storage/state_rows.hpp"

namespace tapedeck::storage {
namespace {

constexpr const char* kTapeFormatKey = "format";

/// Where the next key of the same prefix goes in a memtable is remembered: offsets grow, and those
/// of a symbol do.
class UpToZero final : public rocksdb::SliceTransform {
public:
  const char* Name() const override { return "tapedeck.UpToZero"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), std::min(view(key).find('\0'), key.size())};
  }
  bool InDomain(const rocksdb::Slice&) const override { return true; }
};

bool is_data(const std::string& family) { return family.size() > 1 && family[0] == 'p'; }

/// By what the list of files says, without reading one.
Offset newest_in_files(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family) {
  rocksdb::ColumnFamilyMetaData files;
  db.GetColumnFamilyMetaData(family, &files);
  Offset newest = 0;
  for (const auto& level : files.levels) {
    for (const auto& file : level.files) newest = std::max(newest, read_be64(file.largestkey));
  }
  return newest;
}

}  // namespace

ParkedIterators::Iterator ParkedIterators::take(Partition partition, Offset next) {
  std::lock_guard lock(mutex_);
  for (auto it = parked_.begin(); it != parked_.end(); ++it) {
    if (it->partition != partition || it->next != next) continue;
    Iterator found = std::move(it->iterator);
    parked_.erase(it);
    return found;
  }
  return nullptr;
}

void ParkedIterators::park(Partition partition, Offset next, Iterator iterator) {
  std::lock_guard lock(mutex_);
  parked_.push_back({partition, next, std::move(iterator)});
  if (parked_.size() > kMaxParked) parked_.pop_front();
}

void ParkedIterators::clear() {
  std::lock_guard lock(mutex_);
  parked_.clear();
}

std::vector<std::string> TapeFiles::families(std::uint32_t partitions) {
  std::vector<std::string> names{"sources", "dead_letters"};
  for (std::uint32_t p = 0; p < partitions; ++p) {
    names.push_back("p" + std::to_string(p));
    names.push_back("i" + std::to_string(p));
  }
  return names;
}

// Records: keys only grow, so universal compaction moves whole files and rewrites none. Index:
// small sorted blocks.
Database::FamilyOptions TapeFiles::family_options(const TapeSizes& sizes) {
  const auto cache = rocksdb::NewLRUCache(std::max(sizes.cache_bytes, std::size_t{8} << 20));
  rocksdb::ColumnFamilyOptions data;
  data.compression = sizes.compress ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  data.compaction_style = rocksdb::kCompactionStyleUniversal;
  data.compaction_options_universal.allow_trivial_move = true;
  data.write_buffer_size = sizes.write_buffer_bytes;
  data.max_write_buffer_number = 4;
  data.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(1));
  data.level0_slowdown_writes_trigger = 400;
  data.level0_stop_writes_trigger = 800;
  data.table_factory.reset(
      rocksdb::NewBlockBasedTableFactory(table_options(std::size_t{64} << 10, cache)));
  rocksdb::ColumnFamilyOptions index;
  index.compression = rocksdb::kLZ4Compression;
  index.write_buffer_size = std::size_t{16} << 20;
  index.level_compaction_dynamic_level_bytes = true;
  index.memtable_insert_with_hint_prefix_extractor = std::make_shared<UpToZero>();
  index.arena_block_size = std::size_t{256} << 10;
  index.table_factory.reset(
      rocksdb::NewBlockBasedTableFactory(table_options(std::size_t{8} << 10, cache)));
  return [data, index](const std::string& family) { return is_data(family) ? data : index; };
}

Result<void> TapeFiles::bind(std::uint32_t partition_count) {
  partitions = partition_count;
  if (!ends) {
    ends = std::make_unique<std::atomic<Offset>[]>(partitions);
    starts = std::make_unique<std::atomic<Offset>[]>(partitions);
    generations = std::make_unique<std::atomic<std::uint64_t>[]>(partitions);
  }
  data.clear();
  index.clear();
  const auto find = [&](const std::string& name) -> Result<rocksdb::ColumnFamilyHandle*> {
    if (auto* handle = db->family(name)) return handle;
    return fail(ErrorCode::corrupt, db->folder() + ": column family " + name + " is missing");
  };
  for (std::uint32_t p = 0; p < partitions; ++p) {
    const auto records = find("p" + std::to_string(p));
    if (!records) return tl::unexpected(records.error());
    const auto entries = find("i" + std::to_string(p));
    if (!entries) return tl::unexpected(entries.error());
    data.push_back(*records);
    index.push_back(*entries);
  }
  const auto source_family = find("sources");
  if (!source_family) return tl::unexpected(source_family.error());
  const auto letter_family = find("dead_letters");
  if (!letter_family) return tl::unexpected(letter_family.error());
  sources = *source_family;
  dead_letters = *letter_family;
  return load_beginnings();
}

Result<std::optional<TapeFiles::Beginning>> TapeFiles::stored_beginning(Partition partition) const {
  const auto key = beginning_key(partition);
  std::string value;
  const auto status = (*db)->Get({}, (*db)->DefaultColumnFamily(), key, &value);
  if (status.IsNotFound()) return std::optional<Beginning>();
  if (!status.ok()) return tl::unexpected(db->error(status, "reading where it begins"));
  const auto bytes = unseal(key, value);
  std::optional<Checkpoint> base;
  if (bytes && bytes->size() >= 17) base = decode_checkpoint(bytes->substr(17));
  if (!base) {
    return fail(ErrorCode::corrupt, db->folder() + ": where partition " +
                                        std::to_string(partition) + " begins is damaged");
  }
  base->partition = partition;
  base->next = get<Offset>(bytes->data());
  return Beginning{get<std::uint64_t>(bytes->data() + 8), (*bytes)[16] != 0, std::move(*base)};
}

Result<void> TapeFiles::load_beginnings() {
  for (Partition p = 0; p < partitions; ++p) {
    const auto stored = stored_beginning(p);
    if (!stored) return tl::unexpected(stored.error());
    if (!*stored) continue;
    generations[p].store((*stored)->generation, std::memory_order_release);
    starts[p].store((*stored)->base.next, std::memory_order_release);
  }
  return {};
}

Result<std::optional<std::uint32_t>> TapeFiles::stored_partitions() const {
  std::string value;
  auto* family = (*db)->DefaultColumnFamily();
  const auto status = (*db)->Get({}, family, kTapeFormatKey, &value);
  if (status.IsNotFound()) {
    std::unique_ptr<rocksdb::Iterator> any((*db)->NewIterator({}, family));
    any->SeekToFirst();
    if (any->Valid())
      return fail(ErrorCode::invalid, db->folder() + ": is a database, but not a tape");
    return std::optional<std::uint32_t>{};
  }
  if (!status.ok()) return tl::unexpected(db->error(status, "reading its format"));
  const auto version = value.size() < 8 ? 0 : get<std::uint32_t>(value.data());
  const auto count = value.size() < 8 ? 0 : get<std::uint32_t>(value.data() + 4);
  if (version < kTapeFormatVersion || version > kTrimmedFormatVersion) {
    return fail(ErrorCode::invalid,
                db->folder() + ": tape format " + std::to_string(version) +
                    ", this program knows " + std::to_string(kTapeFormatVersion) + " and " +
                    std::to_string(kTrimmedFormatVersion) +
                    ": use the version of tapedeck that wrote it, or a newer one");
  }
  if (count == 0 || count > kMaxPartitions) {
    return fail(ErrorCode::corrupt,
                db->folder() + ": claims " + std::to_string(count) + " partitions");
  }
  return std::optional(count);
}

Result<Offset> TapeFiles::find_end(Partition partition, std::size_t check_last) const {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const Offset start = starts[partition].load(std::memory_order_acquire);
  const auto first = be64(start);
  const rocksdb::Slice bound(first);
  options.iterate_lower_bound = &bound;
  std::unique_ptr<rocksdb::Iterator> it((*db)->NewIterator(options, data[partition]));
  it->SeekToLast();
  if (!it->Valid()) {
    if (it->status().ok()) return start;
    const Offset newest = newest_in_files(**db, data[partition]);
    if (it->status().IsCorruption() && db->secondary())
      return newest + 1;  // reading it will name the record
    return tl::unexpected(
        db->error(it->status(), "looking for the end, record " + at(partition, newest)));
  }
  const Offset last = read_be64(view(it->key()));
  for (Offset expected = last; check_last > 0; --check_last, --expected, it->Prev()) {
    if (!it->Valid() || read_be64(view(it->key())) != expected) {
      return fail(ErrorCode::corrupt,
                  db->folder() + ": record " + at(partition, expected) + " is missing");
    }
    if (expected == start) break;
  }
  return last + 1;
}

std::string beginning_key(Partition partition) { return "begin" + be32(partition); }

std::string beginning_value(const TapeFiles::Beginning& beginning) {
  std::string value;
  put(value, beginning.base.next);
  put(value, beginning.generation);
  put(value, static_cast<std::uint8_t>(beginning.cleared));
  return seal(beginning_key(beginning.base.partition), value + encode(beginning.base));
}

std::string base_key(Partition partition, std::uint64_t generation, std::string_view symbol) {
  return "symbol" + be32(partition) + be64(generation) + std::string(symbol);
}

std::string index_key(std::string_view symbol, Offset offset) {
  std::string key;
  key.reserve(symbol.size() + 9);
  key.append(symbol);
  key.push_back('\0');
  key.append(be64(offset));
  return key;
}

std::string index_value(const IndexEntry& entry) {
  std::string value;
  put(value, entry.event_count);
  put(value, entry.payload_bytes);
  put(value, entry.max_event_time);
  return value;
}

}  // namespace tapedeck::storage
