#include "storage/snapshot_set.hpp"

#include <algorithm>
#include <charconv>

#include "storage/frame.hpp"
#include "storage/state_rows.hpp"

namespace tapedeck::storage {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::string_view kManifest = "manifest";
constexpr std::string_view kSymbols = "s/";
constexpr std::size_t kHeadBytes = 48;      // of a piece
constexpr std::size_t kManifestBytes = 24;  // before its checkpoint
constexpr std::uint32_t kMaxChunks = 4096;

/// version | pieces | next | highest event time | events | digest
std::string head_of(const StoredSnapshot& snapshot, std::uint32_t chunks) {
  std::string head;
  append_be32(head, kVersion);
  append_be32(head, chunks);
  append_be64(head, snapshot.key.next);
  append_be64(head, static_cast<std::uint64_t>(snapshot.max_event_time));
  append_be64(head, snapshot.events);
  append_be64(head, snapshot.digest.high);
  append_be64(head, snapshot.digest.low);
  return head;
}

std::string chunk_key(const std::string& prefix, std::string_view symbol, std::uint32_t number) {
  return prefix + std::string(kSymbols) + std::string(symbol) + "/" + std::to_string(number);
}

/// Over every symbol's entry, ascending.
std::uint64_t hash_of(const SetEntries& entries) {
  std::string all;
  for (const auto& [symbol, entry] : entries) {
    all += symbol + '\0';
    append_be64(all, entry.next);
    append_be64(all, entry.digest.high);
    append_be64(all, entry.digest.low);
    append_be32(all, entry.chunks);
  }
  return checksum(all, kVersion);
}

tl::unexpected<Error> unusable(Partition partition, const std::string& why) {
  return fail(ErrorCode::corrupt, "the published snapshots of partition " +
                                      std::to_string(partition) + " are not used: " + why);
}

}  // namespace

std::string set_prefix(const std::string& tape, const std::string& group, Partition partition) {
  return tape + "/" + group + "/" + std::to_string(partition) + "/";
}

SetEntry entry_of(const StoredSnapshot& snapshot) noexcept {
  const auto chunks = (snapshot.bytes.size() + kSetChunkBytes - 1) / kSetChunkBytes;
  return {snapshot.key.next, snapshot.digest,
          static_cast<std::uint32_t>(std::max<std::size_t>(chunks, 1))};
}

std::vector<SetRecord> encode_chunks(const std::string& prefix, const StoredSnapshot& snapshot,
                                     const SetEntry& before) {
  const auto count = entry_of(snapshot).chunks;
  const auto head = head_of(snapshot, count);
  std::vector<SetRecord> records;
  for (std::uint32_t i = 0; i < count; ++i) {
    auto key = chunk_key(prefix, snapshot.key.symbol, i);
    auto value = seal(key, head + snapshot.bytes.substr(i * kSetChunkBytes, kSetChunkBytes));
    records.push_back({std::move(key), std::move(value)});
  }
  for (auto i = count; i < before.chunks; ++i)
    records.push_back({chunk_key(prefix, snapshot.key.symbol, i), {}});
  return records;
}

SetRecord encode_manifest(const std::string& prefix, const Checkpoint& checkpoint,
                          const SetEntries& entries) {
  std::string value;
  append_be32(value, kVersion);
  append_be32(value, static_cast<std::uint32_t>(entries.size()));
  append_be64(value, checkpoint.next);
  append_be64(value, hash_of(entries));
  value += encode(checkpoint);
  auto key = prefix + std::string(kManifest);
  auto sealed = seal(key, value);
  return {std::move(key), std::move(sealed)};
}

void SetReader::take(std::string_view key, std::string_view value) {
  if (!key.starts_with(prefix_) || value.empty()) return;
  const auto name = key.substr(prefix_.size());
  if (name != kManifest && !name.starts_with(kSymbols)) return;
  const auto bytes = unseal(key, value);
  if (!bytes) {
    bad_.insert_or_assign(std::string(key), "does not match its checksum");
    return;
  }
  if (!bad_.empty()) bad_.erase(std::string(key));
  if (name == kManifest) {
    manifest_ = *bytes;
  } else {
    take_chunk(name.substr(kSymbols.size()), key, *bytes);
  }
}

void SetReader::take_chunk(std::string_view name, std::string_view key, std::string_view value) {
  const auto slash = name.rfind('/');
  std::uint32_t number = 0;
  const auto digits = slash == name.npos ? std::string_view() : name.substr(slash + 1);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool good = parsed.ec == std::errc{} && value.size() >= kHeadBytes &&
                    read_key32(value) == kVersion && read_key32(value.substr(4)) <= kMaxChunks &&
                    number < read_key32(value.substr(4));
  if (!good) {
    bad_.insert_or_assign(std::string(key), "is of an unknown form");
    return;
  }
  auto& pieces = symbols_[std::string(name.substr(0, slash))];
  const auto head = value.substr(0, kHeadBytes);
  const Offset next = read_key64(value.substr(8));
  if (next < pieces.next) return;  // of a snapshot that had more pieces than its successor
  if (head != pieces.head) {
    for (const auto& chunk : pieces.chunks) bytes_ -= chunk ? chunk->size() : 0;
    pieces = {next, {}, std::string(head)};
    pieces.chunks.resize(read_key32(value.substr(4)));
  }
  auto& chunk = pieces.chunks[number];
  bytes_ -= chunk ? chunk->size() : 0;
  bytes_ += value.size() - kHeadBytes;
  // Beyond the limit nothing is kept any more, so the set is not whole.
  if (bytes_ <= kMaxSetBytes) chunk = value.substr(kHeadBytes);
}

Result<StoredSnapshot> SetReader::join(Partition partition, const std::string& symbol,
                                       const Pieces& pieces) const {
  StoredSnapshot snapshot;
  snapshot.key = {partition, symbol, pieces.next};
  const std::string_view head = pieces.head;
  snapshot.max_event_time = static_cast<TimeNs>(read_key64(head.substr(16)));
  snapshot.events = read_key64(head.substr(24));
  snapshot.digest.high = read_key64(head.substr(32));
  snapshot.digest.low = read_key64(head.substr(40));
  for (const auto& chunk : pieces.chunks) {
    if (!chunk) return unusable(partition, "a piece of " + symbol + " is missing");
    snapshot.bytes += *chunk;
  }
  return snapshot;
}

Result<std::optional<SnapshotSet>> SetReader::finish(Partition partition, Offset committed) const {
  if (!bad_.empty()) return unusable(partition, bad_.begin()->first + " " + bad_.begin()->second);
  if (manifest_.empty()) return std::optional<SnapshotSet>{};
  if (bytes_ > kMaxSetBytes)
    return unusable(partition, "they take more than " + std::to_string(kMaxSetBytes) + " bytes");
  const std::string_view manifest = manifest_;
  if (manifest.size() < kManifestBytes || read_key32(manifest) != kVersion)
    return unusable(partition, "their manifest is of an unknown form");
  auto checkpoint = decode_checkpoint(manifest.substr(kManifestBytes));
  if (!checkpoint) return unusable(partition, "the checkpoint in their manifest is damaged");
  SnapshotSet set;
  set.checkpoint = std::move(*checkpoint);
  set.checkpoint.partition = partition;
  set.checkpoint.next = read_key64(manifest.substr(8));
  for (const auto& [symbol, pieces] : symbols_) {
    auto snapshot = join(partition, symbol, pieces);
    if (!snapshot) return tl::unexpected(snapshot.error());
    if (snapshot->key.next > set.checkpoint.next)
      return unusable(partition, "the snapshot of " + symbol + " is newer than their manifest");
    set.entries.emplace(symbol, entry_of(*snapshot));
    set.snapshots.push_back(std::move(*snapshot));
  }
  if (set.entries.size() != read_key32(manifest.substr(4)) ||
      hash_of(set.entries) != read_key64(manifest.substr(16))) {
    return unusable(partition, "their manifest names " +
                                   std::to_string(read_key32(manifest.substr(4))) +
                                   " snapshots, which are not the " +
                                   std::to_string(set.entries.size()) + " that are there");
  }
  if (!set.checkpoint.behind.empty())
    return unusable(partition, "a symbol was down when they were taken");
  if (set.checkpoint.next > committed) {
    return fail(ErrorCode::conflict, "the published snapshots of partition " +
                                         std::to_string(partition) + " are of offset " +
                                         std::to_string(set.checkpoint.next) +
                                         ", past what is committed, " + std::to_string(committed));
  }
  return std::optional(std::move(set));
}

}  // namespace tapedeck::storage
