#include "storage/memory_tape.hpp"

#include <algorithm>
#include <limits>

#include "storage/frame.hpp"

namespace tapedeck::storage {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

tl::unexpected<Error> no_partition(Partition partition, std::size_t count) {
  return fail(ErrorCode::out_of_range,
              "partition " + std::to_string(partition) + " does not exist: the tape has " +
                  std::to_string(count),
              "partition");
}

}  // namespace

MemoryTape::MemoryTape(std::uint32_t partitions)
    : logs_(std::clamp(partitions, 1u, kMaxPartitions)) {}

std::uint32_t MemoryTape::partitions() const { return static_cast<std::uint32_t>(logs_.size()); }

void MemoryTape::put(const Record& record) {
  auto& log = logs_[record.partition];
  std::string frame(frame_head(record).view());
  frame.append(reinterpret_cast<const char*>(record.payload.data()), record.payload.size());
  log.frames.push_back(std::move(frame));
  log.index[std::string(record.symbol)].push_back(
      {record.offset, record.event_count, record.max_event_time,
       static_cast<std::uint32_t>(record.payload.size())});
}

Result<void> MemoryTape::append(std::span<const NewRecord> records,
                                std::span<const NewMark> marks) {
  if (auto ok = check_append(records, marks, partitions()); !ok) return ok;
  {
    std::unique_lock lock(mutex_);
    for (const auto& record : records) {
      const auto partition = partition_of(record.symbol, partitions());
      put({partition, logs_[partition].frames.size(), RecordKind::events, record.event_count,
           record.max_event_time, record.symbol, record.payload});
    }
    for (const auto& [partition, mark] : marks) {
      const auto payload = schemas::encode(mark);
      put({partition,
           logs_[partition].frames.size(),
           RecordKind::mark,
           0,
           mark.feed_time,
           {},
           bytes_of(payload)});
      auto& source = sources_[mark.source_name];
      source.name = mark.source_name;
      source.marks.resize(logs_.size());
      source.marks[partition] = mark;
      source.complete = all_complete(source);
    }
  }
  std::lock_guard lock(wake_mutex_);
  if (wake_) wake_();
  return {};
}

Result<void> MemoryTape::append(const RecorderDeadLetter& letter) {
  if (auto ok = check_append(letter); !ok) return ok;
  std::unique_lock lock(mutex_);
  dead_letters_.insert_or_assign({letter.source, letter.byte_offset}, letter);
  return {};
}

Result<Offset> MemoryTape::end(Partition partition) const {
  std::shared_lock lock(mutex_);
  if (partition >= logs_.size()) return no_partition(partition, logs_.size());
  return logs_[partition].frames.size();
}

Result<RecordBlockPtr> MemoryTape::read(Partition partition, Offset from, ReadLimits limits) const {
  std::shared_lock lock(mutex_);
  if (partition >= logs_.size()) return no_partition(partition, logs_.size());
  const auto& frames = logs_[partition].frames;
  BlockBuilder block(0);
  for (Offset offset = from; offset < frames.size(); ++offset) {
    if (block.records() >= limits.records || block.bytes() >= limits.bytes) break;
    auto added = block.add(partition, offset, bytes_of(frames[offset]));
    if (!added && block.records() == 0) return tl::unexpected(added.error());
    if (!added) break;
  }
  return block.finish();
}

std::vector<IndexEntry> MemoryTape::entries(Partition partition, std::string_view key, Offset from,
                                            Offset to) const {
  const auto& index = logs_[partition].index;
  const auto found = index.find(key);
  if (found == index.end() || from >= to) return {};
  const auto before = [](const IndexEntry& entry, Offset offset) { return entry.offset < offset; };
  const auto& all = found->second;
  return {std::lower_bound(all.begin(), all.end(), from, before),
          std::lower_bound(all.begin(), all.end(), to, before)};
}

Result<RecordBlockPtr> MemoryTape::gather(Partition partition, std::string_view key, Offset from,
                                          Offset to, ReadLimits limits) const {
  BlockBuilder block(0);
  for (const auto& entry : entries(partition, key, from, to)) {
    if (block.records() >= limits.records || block.bytes() >= limits.bytes) break;
    auto added =
        block.add(partition, entry.offset, bytes_of(logs_[partition].frames[entry.offset]));
    if (!added) return tl::unexpected(added.error());
  }
  return block.finish();
}

Result<RecordBlockPtr> MemoryTape::read_symbol(std::string_view symbol, Offset from, Offset to,
                                               ReadLimits limits) const {
  std::shared_lock lock(mutex_);
  if (symbol.empty()) return BlockBuilder(0).finish();
  return gather(partition_of(symbol, partitions()), symbol, from, to, limits);
}

Result<std::vector<IndexEntry>> MemoryTape::index(std::string_view symbol, Offset from,
                                                  Offset to) const {
  std::shared_lock lock(mutex_);
  if (symbol.empty()) return std::vector<IndexEntry>{};
  return entries(partition_of(symbol, partitions()), symbol, from, to);
}

Result<std::optional<IndexEntry>> MemoryTape::last_of(std::string_view symbol) const {
  std::shared_lock lock(mutex_);
  const auto& index = logs_[partition_of(symbol, partitions())].index;
  const auto found = symbol.empty() ? index.end() : index.find(symbol);
  if (found == index.end()) return std::optional<IndexEntry>{};
  return std::optional(found->second.back());
}

Result<RecordBlockPtr> MemoryTape::marks(Partition partition, Offset from, Offset to) const {
  std::shared_lock lock(mutex_);
  if (partition >= logs_.size()) return no_partition(partition, logs_.size());
  constexpr auto kAll = std::numeric_limits<std::size_t>::max();
  return gather(partition, {}, from, to, {kAll, kAll});
}

Result<std::optional<schemas::MarkPayload>> MemoryTape::last_mark(Partition partition) const {
  std::shared_lock lock(mutex_);
  if (partition >= logs_.size()) return no_partition(partition, logs_.size());
  const auto& index = logs_[partition].index;
  const auto found = index.find(std::string_view{});
  if (found == index.end()) return std::optional<schemas::MarkPayload>{};
  const Offset offset = found->second.back().offset;
  return open_frame(partition, offset, bytes_of(logs_[partition].frames[offset]))
      .and_then([](const Record& record) { return schemas::decode_mark(record.payload); })
      .map([](schemas::MarkPayload mark) { return std::optional(std::move(mark)); });
}

Result<std::vector<std::string>> MemoryTape::symbols() const {
  std::shared_lock lock(mutex_);
  std::vector<std::string> all;
  for (const auto& log : logs_) {
    for (const auto& [symbol, entries] : log.index) {
      if (!symbol.empty()) all.push_back(symbol);
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

Result<std::vector<SourceInfo>> MemoryTape::sources() const {
  std::shared_lock lock(mutex_);
  std::vector<SourceInfo> all;
  for (const auto& [name, source] : sources_) all.push_back(source);
  return all;
}

Result<std::vector<RecorderDeadLetter>> MemoryTape::dead_letters() const {
  std::shared_lock lock(mutex_);
  std::vector<RecorderDeadLetter> all;
  for (const auto& [key, letter] : dead_letters_) all.push_back(letter);
  return all;
}

void MemoryTape::on_append(std::function<void()> wake) {
  std::lock_guard lock(wake_mutex_);
  wake_ = std::move(wake);
}

void MemoryTape::damage(Partition partition, Offset offset) {
  std::unique_lock lock(mutex_);
  if (partition < logs_.size() && offset < logs_[partition].frames.size()) {
    logs_[partition].frames[offset].back() ^= 1;
  }
}

void MemoryTape::swap(Partition partition, Offset one, Offset other) {
  std::unique_lock lock(mutex_);
  auto& frames = logs_.at(partition).frames;
  std::swap(frames.at(one), frames.at(other));
}

}  // namespace tapedeck::storage
