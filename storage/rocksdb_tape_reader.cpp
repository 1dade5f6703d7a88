#include <algorithm>
#include <array>
#include <limits>
#include <shared_mutex>

#include "storage/frame.hpp"
#include "storage/rocksdb_tape_files.hpp"
#include "storage/state_rows.hpp"

namespace tapedeck::storage {
namespace {

using Iterator = std::unique_ptr<rocksdb::Iterator>;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class RocksdbTapeReader final : public TapeReader {
public:
  explicit RocksdbTapeReader(std::shared_ptr<TapeFiles> files)
      : files_(std::move(files)), db_(*files_->db) {}

  std::uint32_t partitions() const override { return files_->partitions; }

  Result<Offset> start(Partition partition) const override {
    return check(partition).map([&] { return first(partition); });
  }
  Result<std::optional<Checkpoint>> base(Partition partition) const override {
    if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
    return held([&] { return stored_base(partition); });
  }
  Result<std::optional<SymbolBase>> base_of(std::string_view symbol) const override {
    if (!possible(symbol)) return std::optional<SymbolBase>{};
    return held([&] { return symbol_base(symbol); });
  }
  Result<std::vector<std::string>> base_symbols(Partition partition) const override {
    if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
    return held([&] { return symbols_with_base(partition); });
  }
  Result<std::uint64_t> stored_bytes(Partition partition, Offset from) const override {
    if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
    return held([&] { return bytes_from(partition, from); });
  }
  Result<Offset> end(Partition partition) const override {
    return check(partition).map([&] { return visible(partition); });
  }
  Result<RecordBlockPtr> read(Partition partition, Offset from, ReadLimits limits) const override {
    if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
    return held([&] { return read_on(partition, from, limits); });
  }
  Result<RecordBlockPtr> read_symbol(std::string_view symbol, Offset from, Offset to,
                                     ReadLimits limits) const override {
    if (!possible(symbol)) return BlockBuilder(0).finish();
    const auto partition = partition_of(symbol, files_->partitions);
    return held([&] {
      return scan(partition, symbol, from, to, limits).and_then([&](const auto& all) {
        return gather(partition, all);
      });
    });
  }
  Result<std::vector<IndexEntry>> index(std::string_view symbol, Offset from,
                                        Offset to) const override {
    if (!possible(symbol)) return std::vector<IndexEntry>{};
    return held([&] {
      return scan(partition_of(symbol, files_->partitions), symbol, from, to, kEverything);
    });
  }
  Result<std::optional<IndexEntry>> last_of(std::string_view symbol) const override {
    if (!possible(symbol)) return std::optional<IndexEntry>{};
    return held([&] { return last(partition_of(symbol, files_->partitions), symbol); });
  }
  Result<RecordBlockPtr> marks(Partition partition, Offset from, Offset to) const override {
    if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
    return held([&] {
      return scan(partition, {}, from, to, kEverything).and_then([&](const auto& all) {
        return gather(partition, all);
      });
    });
  }
  Result<std::optional<schemas::MarkPayload>> last_mark(Partition partition) const override {
    if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
    return held([&] { return newest_mark(partition); });
  }
  Result<std::vector<std::string>> symbols() const override {
    return held([&] { return all_symbols(); });
  }
  Result<std::vector<SourceInfo>> sources() const override {
    return held([&] { return all_sources(); });
  }
  Result<std::vector<RecorderDeadLetter>> dead_letters() const override {
    return held([&] { return all_dead_letters(); });
  }
  Result<void> check_files() const override;
  Result<void> refresh() override;

  void on_append(std::function<void()> wake) override {
    std::lock_guard lock(files_->wake_mutex);
    files_->wake = std::move(wake);
  }

private:
  static constexpr ReadLimits kEverything{std::numeric_limits<std::size_t>::max(),
                                          std::numeric_limits<std::size_t>::max()};

  /// Keeps the database open meanwhile.
  template <class F>
  auto held(F read) const -> decltype(read()) {
    std::shared_lock lock(db_.mutex());
    if (!db_.is_open()) return tl::unexpected(db_.closed_error());
    return read();
  }
  static bool possible(std::string_view symbol) {
    return !symbol.empty() && symbol.size() <= kMaxSymbolBytes && symbol.find('\0') == symbol.npos;
  }
  Offset first(Partition partition) const {
    return files_->starts[partition].load(std::memory_order_acquire);
  }
  Offset visible(Partition partition) const {
    return files_->ends[partition].load(std::memory_order_acquire);
  }
  Result<void> check(Partition partition) const {
    if (partition < files_->partitions) return {};
    return fail(ErrorCode::out_of_range,
                "partition " + std::to_string(partition) + " does not exist: the tape has " +
                    std::to_string(files_->partitions),
                "partition");
  }
  Error unreadable(Partition partition, Offset offset, const rocksdb::Status& status) const {
    return db_.error(status, "reading record " + at(partition, offset));
  }
  Error missing(Partition partition, Offset offset) const {
    if (offset < first(partition)) {
      return {ErrorCode::out_of_range,
              "record " + at(partition, offset) + " was trimmed: the tape begins at " +
                  at(partition, first(partition)),
              {}};
    }
    return {
        ErrorCode::corrupt, db_.folder() + ": record " + at(partition, offset) + " is missing", {}};
  }
  Iterator records_from(Partition partition, Offset from) const {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    Iterator it(db_->NewIterator(options, files_->data[partition]));
    it->Seek(be64(from));
    return it;
  }
  Result<std::optional<Checkpoint>> stored_base(Partition partition) const;
  Result<std::optional<SymbolBase>> symbol_base(std::string_view symbol) const;
  Result<std::vector<std::string>> symbols_with_base(Partition partition) const;
  Result<std::uint64_t> bytes_from(Partition partition, Offset from) const;
  Result<RecordBlockPtr> read_on(Partition partition, Offset from, ReadLimits limits) const;
  Result<std::optional<schemas::MarkPayload>> newest_mark(Partition partition) const;
  Result<std::vector<std::string>> all_symbols() const;
  Result<std::vector<SourceInfo>> all_sources() const;
  Result<std::vector<RecorderDeadLetter>> all_dead_letters() const;
  Result<std::vector<IndexEntry>> scan(Partition partition, std::string_view symbol, Offset from,
                                       Offset to, ReadLimits limits) const;
  Result<std::optional<IndexEntry>> last(Partition partition, std::string_view symbol) const;
  Result<RecordBlockPtr> gather(Partition partition, std::span<const IndexEntry> wanted) const;

  std::shared_ptr<TapeFiles> files_;
  Database& db_;
  std::mutex refresh_mutex_;
};

Result<RecordBlockPtr> RocksdbTapeReader::read_on(Partition partition, Offset from,
                                                  ReadLimits limits) const {
  const Offset end = visible(partition);
  from = std::max(from, first(partition));
  if (from >= end) return BlockBuilder(0).finish();
  const std::uint64_t most = std::min<std::uint64_t>(end - from, limits.records);
  BlockBuilder block(std::min(limits.bytes, most * std::size_t{16} << 10));
  Iterator it = files_->parked.take(partition, from);
  bool fresh = !it;
  if (!it) it = records_from(partition, from);
  Offset next = from;
  std::optional<Error> error;
  while (next < end && block.records() < limits.records && block.bytes() < limits.bytes) {
    if (!it->Valid() && it->status().ok() &&
        !fresh) {  // a parked one ends where the tape ended then
      it = records_from(partition, next);
      fresh = true;
    }
    if (!it->Valid()) {
      error =
          it->status().ok() ? missing(partition, next) : unreadable(partition, next, it->status());
      break;
    }
    if (read_be64(view(it->key())) != next) {
      error = missing(partition, next);
      break;
    }
    if (auto added = block.add(partition, next, bytes_of(view(it->value()))); !added) {
      error = std::move(added.error());
      break;
    }
    ++next;
    it->Next();
  }
  // What is good before a bad record is handed out; the next call names the bad one.
  if (error && block.records() == 0) return tl::unexpected(std::move(*error));
  if (!error && it->Valid()) files_->parked.park(partition, next, std::move(it));
  return block.finish();
}

Result<std::vector<IndexEntry>> RocksdbTapeReader::scan(Partition partition,
                                                        std::string_view symbol, Offset from,
                                                        Offset to, ReadLimits limits) const {
  std::vector<IndexEntry> entries;
  from = std::max(from, first(partition));
  to = std::min(to, visible(partition));
  if (from >= to) return entries;
  const std::string upper = index_key(symbol, to);
  const rocksdb::Slice bound(upper);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &bound;
  Iterator it(db_->NewIterator(options, files_->index[partition]));
  std::size_t bytes = 0;
  for (it->Seek(index_key(symbol, from)); it->Valid(); it->Next()) {
    if (bytes >= limits.bytes || entries.size() >= limits.records) break;
    const auto key = view(it->key());
    const auto value = it->value();
    if (key.size() != symbol.size() + 9 || value.size() != 16) {
      return fail(ErrorCode::corrupt, db_.folder() + ": the index of partition " +
                                          std::to_string(partition) + " has a bad entry for '" +
                                          std::string(symbol) + "'");
    }
    entries.push_back({read_be64(key.substr(key.size() - 8)), get<std::uint32_t>(value.data()),
                       get<TimeNs>(value.data() + 8), get<std::uint32_t>(value.data() + 4)});
    bytes += entries.back().payload_bytes;
  }
  if (!it->status().ok()) {
    return tl::unexpected(
        db_.error(it->status(), "reading the index of partition " + std::to_string(partition)));
  }
  return entries;
}

Result<std::optional<IndexEntry>> RocksdbTapeReader::last(Partition partition,
                                                          std::string_view symbol) const {
  const Offset end = visible(partition);
  if (end == first(partition)) return std::optional<IndexEntry>{};
  const std::string lower = index_key(symbol, first(partition));
  const rocksdb::Slice bound(lower);
  rocksdb::ReadOptions options;
  options.iterate_lower_bound = &bound;
  Iterator it(db_->NewIterator(options, files_->index[partition]));
  it->SeekForPrev(index_key(symbol, end - 1));
  if (!it->status().ok()) {
    return tl::unexpected(
        db_.error(it->status(), "reading the index of partition " + std::to_string(partition)));
  }
  const auto value = it->Valid() ? it->value() : rocksdb::Slice();
  if (value.size() != 16) return std::optional<IndexEntry>{};
  return std::optional(IndexEntry{read_be64(view(it->key()).substr(symbol.size() + 1)),
                                  get<std::uint32_t>(value.data()), get<TimeNs>(value.data() + 8),
                                  get<std::uint32_t>(value.data() + 4)});
}

Result<RecordBlockPtr> RocksdbTapeReader::gather(Partition partition,
                                                 std::span<const IndexEntry> wanted) const {
  constexpr std::size_t kBatch = 64;
  std::size_t bytes = 0;
  for (const auto& entry : wanted)
    bytes += entry.payload_bytes + kFrameHeaderBytes + kMaxSymbolBytes;
  BlockBuilder block(bytes);
  std::array<std::uint64_t, kBatch> offsets;
  std::array<rocksdb::Slice, kBatch> keys;
  std::vector<rocksdb::PinnableSlice> values(std::min(kBatch, wanted.size()));
  std::vector<rocksdb::Status> statuses(values.size());
  for (std::size_t first = 0; first < wanted.size(); first += kBatch) {
    const std::size_t count = std::min(kBatch, wanted.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      offsets[i] = __builtin_bswap64(wanted[first + i].offset);
      keys[i] = rocksdb::Slice(reinterpret_cast<const char*>(&offsets[i]), 8);
      values[i].Reset();
    }
    db_->MultiGet({}, files_->data[partition], count, keys.data(), values.data(), statuses.data(),
                  true);
    for (std::size_t i = 0; i < count; ++i) {
      const Offset offset = wanted[first + i].offset;
      if (statuses[i].IsNotFound()) return tl::unexpected(missing(partition, offset));
      if (!statuses[i].ok()) return tl::unexpected(unreadable(partition, offset, statuses[i]));
      if (auto added = block.add(partition, offset, bytes_of(view(values[i]))); !added) {
        return tl::unexpected(std::move(added.error()));
      }
    }
  }
  return block.finish();
}

Result<std::optional<schemas::MarkPayload>> RocksdbTapeReader::newest_mark(
    Partition partition) const {
  const auto entry = last(partition, {});
  if (!entry) return tl::unexpected(entry.error());
  if (!*entry) return std::optional<schemas::MarkPayload>{};
  const auto block = gather(partition, std::span(&**entry, 1));
  if (!block) return tl::unexpected(block.error());
  auto mark = schemas::decode_mark((*block)->records.front().payload);
  if (!mark) return tl::unexpected(std::move(mark.error()));
  return std::optional(std::move(*mark));
}

Result<std::vector<std::string>> RocksdbTapeReader::all_symbols() const {
  std::vector<std::string> all;
  for (Partition p = 0; p < files_->partitions; ++p) {
    Iterator it(db_->NewIterator({}, files_->index[p]));
    // From one symbol's first entry straight to the next symbol's: marks come first and are passed
    // over.
    for (it->Seek(std::string(1, '\1')); it->Valid();) {
      const auto key = view(it->key());
      const auto zero = key.find('\0');
      const std::string symbol(key.substr(0, zero));
      const Offset offset = zero == key.npos ? visible(p) : read_be64(key.substr(zero + 1));
      if (offset < first(p)) {  // of a trimmed record that is not cleared away yet
        it->Seek(index_key(symbol, first(p)));
        continue;
      }
      if (offset < visible(p)) all.push_back(symbol);
      it->Seek(symbol + '\1');
    }
    if (!it->status().ok()) {
      return tl::unexpected(
          db_.error(it->status(), "reading the index of partition " + std::to_string(p)));
    }
    const auto before = symbols_with_base(p);
    if (!before) return before;
    all.insert(all.end(), before->begin(), before->end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

Result<std::optional<Checkpoint>> RocksdbTapeReader::stored_base(Partition partition) const {
  if (first(partition) == 0) return std::optional<Checkpoint>{};
  return files_->stored_beginning(partition).map(
      [](auto&& stored) { return stored ? std::optional(std::move(stored->base)) : std::nullopt; });
}

Result<std::optional<SymbolBase>> RocksdbTapeReader::symbol_base(std::string_view symbol) const {
  const auto partition = partition_of(symbol, files_->partitions);
  const Offset start = first(partition);
  if (start == 0) return std::optional<SymbolBase>{};
  const auto key = base_key(partition, files_->generations[partition], symbol);
  std::string value;
  const auto status = db_->Get({}, db_->DefaultColumnFamily(), key, &value);
  if (status.IsNotFound()) {
    const auto stored = files_->stored_beginning(partition);
    if (!stored) return tl::unexpected(stored.error());
    if (*stored && (*stored)->base.next == start) return std::optional<SymbolBase>{};
    return fail(ErrorCode::environment,
                "partition " + std::to_string(partition) + " is being trimmed: try again");
  }
  if (!status.ok())
    return tl::unexpected(db_.error(status, "reading the base snapshot of " + std::string(symbol)));
  const auto bytes = unseal(key, value);
  std::optional<SymbolBase> base;
  if (bytes) base = decode_base({partition, std::string(symbol), start}, *bytes);
  if (base) return base;
  return fail(ErrorCode::corrupt, db_.folder() + ": the base snapshot of " + std::string(symbol) +
                                      " at " + at(partition, start) + " is damaged");
}

Result<std::vector<std::string>> RocksdbTapeReader::symbols_with_base(Partition partition) const {
  std::vector<std::string> all;
  if (first(partition) == 0) return all;
  const auto prefix = base_key(partition, files_->generations[partition], {});
  const auto upper = after_prefix(prefix);
  const rocksdb::Slice bound(upper);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &bound;
  options.fill_cache = false;
  Iterator it(db_->NewIterator(options, db_->DefaultColumnFamily()));
  for (it->Seek(prefix); it->Valid(); it->Next())
    all.emplace_back(view(it->key()).substr(prefix.size()));
  if (!it->status().ok())
    return tl::unexpected(db_.error(it->status(), "reading its base snapshots"));
  return all;
}

Result<std::uint64_t> RocksdbTapeReader::bytes_from(Partition partition, Offset from) const {
  const auto lower = be64(std::max(from, first(partition))), upper = be64(visible(partition));
  const rocksdb::Range range(lower, upper);
  std::uint64_t bytes = 0;
  rocksdb::SizeApproximationOptions options;
  options.include_memtables = true;
  const auto status = db_->GetApproximateSizes(options, files_->data[partition], &range, 1, &bytes);
  if (!status.ok()) return tl::unexpected(db_.error(status, "looking how large it is"));
  return bytes;
}

Result<std::vector<SourceInfo>> RocksdbTapeReader::all_sources() const {
  std::vector<SourceInfo> all;
  Iterator it(db_->NewIterator({}, files_->sources));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const auto key = view(it->key());
    const auto value = view(it->value());
    const auto zero = key.find('\0');
    const std::string name(key.substr(0, zero));
    const Partition partition = zero == key.npos ? kMaxPartitions : read_be32(key.substr(zero + 1));
    if (partition >= files_->partitions || value.size() < 8 ||
        get<std::uint64_t>(value.data()) != checksum(value.substr(8), checksum(key, 0))) {
      return fail(ErrorCode::corrupt,
                  db_.folder() + ": what is stored of source '" + name + "' is damaged");
    }
    auto mark = schemas::decode_mark(bytes_of(value.substr(8)));
    if (!mark) return tl::unexpected(std::move(mark.error()));
    if (all.empty() || all.back().name != name) {
      all.push_back(
          {name, false, std::vector<std::optional<schemas::MarkPayload>>(files_->partitions)});
    }
    all.back().marks[partition] = std::move(*mark);
  }
  if (!it->status().ok()) return tl::unexpected(db_.error(it->status(), "reading its sources"));
  for (auto& source : all) source.complete = all_complete(source);
  return all;
}

Result<std::vector<RecorderDeadLetter>> RocksdbTapeReader::all_dead_letters() const {
  std::vector<RecorderDeadLetter> all;
  Iterator it(db_->NewIterator({}, files_->dead_letters));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const auto key = view(it->key());
    const auto value = view(it->value());
    const auto zero = key.find('\0');
    RecorderDeadLetter letter;
    letter.source = key.substr(0, zero);
    letter.byte_offset = zero == key.npos ? 0 : read_be64(key.substr(zero + 1));
    const bool whole =
        value.size() >= 12 &&
        get<std::uint64_t>(value.data()) == checksum(value.substr(8), checksum(key, 0)) &&
        get<std::uint32_t>(value.data() + 8) <= value.size() - 12;
    if (!whole) {
      return fail(ErrorCode::corrupt, db_.folder() + ": the dead letter of '" + letter.source +
                                          "' at byte " + std::to_string(letter.byte_offset) +
                                          " is damaged");
    }
    const auto reason_bytes = get<std::uint32_t>(value.data() + 8);
    letter.reason = value.substr(12, reason_bytes);
    letter.bytes = value.substr(12 + reason_bytes);
    all.push_back(std::move(letter));
  }
  if (!it->status().ok())
    return tl::unexpected(db_.error(it->status(), "reading its dead letters"));
  return all;
}

Result<void> RocksdbTapeReader::check_files() const {
  return held([&] { return db_.check_files(); });
}

Result<void> RocksdbTapeReader::refresh() {
  if (!db_.secondary()) return {};
  std::lock_guard lock(refresh_mutex_);
  const auto whole = db_.catch_up();
  if (!whole) return tl::unexpected(whole.error());
  if (!*whole) return {};  // what was visible stays so; the news will come with another refresh
  if (auto loaded = files_->load_beginnings(); !loaded) return loaded;
  for (Partition p = 0; p < files_->partitions; ++p) {
    const auto end = files_->find_end(p, 1);
    if (!end) return tl::unexpected(end.error());
    files_->ends[p].store(*end, std::memory_order_release);
  }
  return {};
}

}  // namespace

std::unique_ptr<TapeReader> make_rocksdb_reader(std::shared_ptr<TapeFiles> files) {
  return std::make_unique<RocksdbTapeReader>(std::move(files));
}

}  // namespace tapedeck::storage
