#include "storage/frame.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>

#include "schemas/batch_codec.hpp"

namespace tapedeck::storage {
namespace {

static_assert(std::endian::native == std::endian::little, "stored integers are little endian");

// Offsets stay below 2^48, so that each record of a tape has its own seed.
std::uint64_t seed_of(Partition partition, Offset offset) noexcept {
  return offset ^ (std::uint64_t{partition} << 48);
}

std::size_t padded(std::size_t size) noexcept { return (size + 7) & ~std::size_t{7}; }

template <class T>
T load(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

std::uint64_t frame_checksum(Partition partition, Offset offset, std::span<const std::byte> head,
                             std::span<const std::byte> payload) noexcept {
  return checksum(head.subspan(8), checksum(payload, seed_of(partition, offset)));
}

/// Large arenas are used again: fresh memory of that size costs more in page faults than reading
/// the records.
class ArenaPool {
public:
  static ArenaPool& shared() {
    static auto* pool = new ArenaPool;  // never destroyed: blocks may outlive everything else
    return *pool;
  }
  std::vector<std::byte> take(std::size_t capacity) {
    std::vector<std::byte> arena;
    if (capacity >= kSmallestKept) {
      std::lock_guard lock(mutex_);
      const auto fits = [&](const auto& kept) { return kept.capacity() >= capacity; };
      if (const auto it = std::find_if(kept_.begin(), kept_.end(), fits); it != kept_.end()) {
        arena = std::move(*it);
        kept_.erase(it);
        kept_bytes_ -= arena.capacity();
      }
    }
    if (arena.capacity() >= capacity) return arena;
    arena.reserve(capacity);
    if (capacity >= kSmallestKept) want_huge_pages(arena.data(), arena.capacity());
    return arena;
  }
  void give_back(std::vector<std::byte> arena) {
    const auto bytes = arena.capacity();
    if (bytes < kSmallestKept) return;
    arena.clear();
    std::lock_guard lock(mutex_);
    if (kept_bytes_ + bytes > kMostKept) return;
    kept_bytes_ += bytes;
    kept_.push_back(std::move(arena));
  }

private:
  /// A hint: where the system does not take it, nothing is lost but time.
  static void want_huge_pages(void* memory, std::size_t bytes) {
    constexpr std::uintptr_t kPage = 4096;
    const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + kPage - 1) / kPage * kPage;
    const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / kPage * kPage;
    if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  }

  static constexpr std::size_t kSmallestKept = std::size_t{1} << 20;
  static constexpr std::size_t kMostKept = std::size_t{160} << 20;  // of all arenas together
  std::mutex mutex_;
  std::vector<std::vector<std::byte>> kept_;
  std::size_t kept_bytes_ = 0;
};

}  // namespace

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::string at(Partition partition, Offset offset) {
  return std::to_string(partition) + ":" + std::to_string(offset);
}

tl::unexpected<Error> damaged_record(Partition partition, Offset offset, const std::string& why) {
  return fail(ErrorCode::corrupt,
              "record " + at(partition, offset) + " of the tape is damaged: " + why);
}

FrameHead frame_head(const Record& record) noexcept {
  FrameHead head;
  char* out = head.bytes.data();
  const auto symbol_bytes = static_cast<std::uint16_t>(record.symbol.size());
  out[8] = static_cast<char>(kFrameVersion);
  out[9] = static_cast<char>(record.kind);
  std::memcpy(out + 10, &symbol_bytes, 2);
  std::memcpy(out + 12, &record.event_count, 4);
  std::memcpy(out + 16, &record.max_event_time, 8);
  if (symbol_bytes > 0) std::memcpy(out + kFrameHeaderBytes, record.symbol.data(), symbol_bytes);
  head.size = kFrameHeaderBytes + padded(symbol_bytes);
  const auto bytes = std::as_bytes(std::span(head.bytes.data(), head.size));
  const auto sum = frame_checksum(record.partition, record.offset, bytes, record.payload);
  std::memcpy(out, &sum, 8);
  return head;
}

Result<Record> open_frame(Partition partition, Offset offset, std::span<const std::byte> frame) {
  if (frame.size() < kFrameHeaderBytes) {
    return damaged_record(partition, offset,
                          std::to_string(frame.size()) + " bytes are too few for a header");
  }
  const auto version = static_cast<std::uint8_t>(frame[8]);
  const std::size_t symbol_bytes = load<std::uint16_t>(frame.data() + 10);
  const std::size_t head_bytes = kFrameHeaderBytes + padded(symbol_bytes);
  if (symbol_bytes > kMaxSymbolBytes || head_bytes > frame.size()) {
    return damaged_record(partition, offset,
                          "its symbol is " + std::to_string(symbol_bytes) + " bytes long");
  }
  const auto payload = frame.subspan(head_bytes);
  const auto stored = load<std::uint64_t>(frame.data());
  if (stored != frame_checksum(partition, offset, frame.first(head_bytes), payload)) {
    return damaged_record(partition, offset, "its checksum does not match its bytes");
  }
  const auto kind = static_cast<RecordKind>(frame[9]);
  if (version != kFrameVersion || (kind != RecordKind::events && kind != RecordKind::mark)) {
    return damaged_record(partition, offset,
                          "version " + std::to_string(version) + ", kind " +
                              std::to_string(static_cast<int>(kind)) +
                              " are unknown to this program");
  }
  Record record;
  record.partition = partition;
  record.offset = offset;
  record.kind = kind;
  record.event_count = load<std::uint32_t>(frame.data() + 12);
  record.max_event_time = load<TimeNs>(frame.data() + 16);
  record.symbol = {reinterpret_cast<const char*>(frame.data() + kFrameHeaderBytes), symbol_bytes};
  record.payload = payload;
  return record;
}

BlockBuilder::BlockBuilder(std::size_t expected_bytes)
    : block_(new RecordBlock, [](RecordBlock* block) {
        ArenaPool::shared().give_back(std::move(block->arena));
        delete block;
      }) {
  block_->arena = ArenaPool::shared().take(expected_bytes + expected_bytes / 8 + 4096);
}

Result<void> BlockBuilder::add(Partition partition, Offset offset,
                               std::span<const std::byte> frame) {
  auto& arena = block_->arena;
  const std::size_t start = padded(arena.size());
  if (start + frame.size() > arena.capacity()) grow(start + frame.size());
  arena.resize(start);
  arena.insert(arena.end(), frame.begin(), frame.end());
  auto record = open_frame(partition, offset, std::span(arena).subspan(start));
  if (!record) {
    arena.resize(start);
    return tl::unexpected(std::move(record.error()));
  }
  block_->records.push_back(*record);
  block_->bytes += record->payload.size();
  return {};
}

void BlockBuilder::add(const Record& record) {
  auto& arena = block_->arena;
  const std::size_t start = padded(arena.size());
  const std::size_t payload_at = padded(start + record.symbol.size());
  const std::size_t end = payload_at + record.payload.size();
  if (end > arena.capacity()) grow(end);
  arena.resize(start);
  const auto symbol = std::as_bytes(std::span(record.symbol));
  arena.insert(arena.end(), symbol.begin(), symbol.end());
  arena.resize(payload_at);
  arena.insert(arena.end(), record.payload.begin(), record.payload.end());
  auto& added = block_->records.emplace_back(record);
  added.symbol = {reinterpret_cast<const char*>(arena.data() + start), record.symbol.size()};
  added.payload = std::span<const std::byte>(arena).subspan(payload_at, record.payload.size());
  block_->bytes += record.payload.size();
}

void BlockBuilder::grow(std::size_t needed) {
  std::vector<std::byte> bigger;
  bigger.reserve(std::max(needed, block_->arena.capacity() * 2));
  bigger.insert(bigger.end(), block_->arena.begin(), block_->arena.end());
  const std::byte* old_base = block_->arena.data();
  const std::byte* new_base = bigger.data();
  for (auto& record : block_->records) {
    const auto* symbol = reinterpret_cast<const std::byte*>(record.symbol.data());
    record.symbol = {reinterpret_cast<const char*>(new_base + (symbol - old_base)),
                     record.symbol.size()};
    record.payload = {new_base + (record.payload.data() - old_base), record.payload.size()};
  }
  block_->arena = std::move(bigger);
}

Result<void> check_append(std::span<const NewRecord> records, std::span<const NewMark> marks,
                          std::uint32_t partitions) {
  std::size_t total = 0;
  for (const auto& record : records) {
    const auto& symbol = record.symbol;
    if (symbol.empty() || symbol.size() > kMaxSymbolBytes || symbol.find('\0') != symbol.npos) {
      return fail(ErrorCode::invalid,
                  "a symbol is 1 to " + std::to_string(kMaxSymbolBytes) +
                      " bytes without a zero; found '" + std::string(symbol) + "'",
                  "symbol");
    }
    if (record.payload.size() > schemas::kMaxPayloadBytes) {
      return fail(ErrorCode::invalid,
                  "a record of " + std::string(symbol) + " holds " +
                      std::to_string(record.payload.size()) + " bytes, the limit is " +
                      std::to_string(schemas::kMaxPayloadBytes),
                  "payload");
    }
    total += record.payload.size();
  }
  if (total > kMaxAppendBytes) {
    return fail(ErrorCode::invalid, "one append holds " + std::to_string(total) +
                                        " bytes, the limit is " + std::to_string(kMaxAppendBytes) +
                                        ": append in parts");
  }
  for (const auto& mark : marks) {
    const auto& name = mark.mark.source_name;
    if (mark.partition >= partitions) {
      return fail(ErrorCode::invalid,
                  "a mark is for partition " + std::to_string(mark.partition) + ", the tape has " +
                      std::to_string(partitions),
                  "partition");
    }
    if (name.size() > kMaxSourceNameBytes || name.find('\0') != name.npos) {
      return fail(ErrorCode::invalid,
                  "a source's name is at most " + std::to_string(kMaxSourceNameBytes) +
                      " bytes without a zero; found '" + name.substr(0, 80) + "'",
                  "source");
    }
  }
  return {};
}

Result<void> check_append(const RecorderDeadLetter& letter) {
  if (letter.source.size() > kMaxSourceNameBytes || letter.source.find('\0') != std::string::npos) {
    return fail(ErrorCode::invalid,
                "a source's name is at most " + std::to_string(kMaxSourceNameBytes) +
                    " bytes without a zero; found '" + letter.source.substr(0, 80) + "'",
                "source");
  }
  if (letter.bytes.size() + letter.reason.size() > kMaxDeadLetterBytes) {
    return fail(ErrorCode::invalid,
                "a dead letter holds " + std::to_string(letter.bytes.size()) +
                    " bytes, the limit is " + std::to_string(kMaxDeadLetterBytes),
                "bytes");
  }
  return {};
}

bool all_complete(const SourceInfo& source) noexcept {
  return !source.marks.empty() &&
         std::all_of(source.marks.begin(), source.marks.end(),
                     [](const auto& mark) { return mark && mark->complete; });
}

}  // namespace tapedeck::storage
