#include "storage/state_rows.hpp"

#include <cstring>

#include "storage/frame.hpp"

namespace tapedeck::storage {
namespace {

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Reads little-endian fields one after the other; ok turns false at the end of the bytes.
struct Fields {
  std::string_view rest;
  bool ok = true;
  template <class T>
  T take() {
    T value{};
    ok = ok && rest.size() >= sizeof value;
    if (!ok) return value;
    std::memcpy(&value, rest.data(), sizeof value);
    rest.remove_prefix(sizeof value);
    return value;
  }
  std::string take_text(std::size_t size) {
    ok = ok && rest.size() >= size;
    if (!ok) return {};
    std::string text(rest.substr(0, size));
    rest.remove_prefix(size);
    return text;
  }
};

}  // namespace

void append_be32(std::string& out, std::uint32_t value) { put(out, __builtin_bswap32(value)); }
void append_be64(std::string& out, std::uint64_t value) { put(out, __builtin_bswap64(value)); }
std::uint32_t read_key32(std::string_view bytes) noexcept {
  return __builtin_bswap32(Fields{bytes}.take<std::uint32_t>());
}
std::uint64_t read_key64(std::string_view bytes) noexcept {
  return __builtin_bswap64(Fields{bytes}.take<std::uint64_t>());
}

std::string symbol_prefix(Partition partition, std::string_view symbol) {
  std::string key;
  key.reserve(4 + symbol.size() + 1 + 8);
  append_be32(key, partition);
  key.append(symbol);
  key.push_back('\0');
  return key;
}

std::string snapshot_key(Partition partition, std::string_view symbol, Offset next) {
  auto key = symbol_prefix(partition, symbol);
  append_be64(key, next);
  return key;
}

std::optional<SnapshotKey> parse_snapshot_key(std::string_view key) {
  if (key.size() < 4 + 1 + 8 || key[key.size() - 9] != '\0') return std::nullopt;
  return SnapshotKey{read_key32(key), std::string(key.substr(4, key.size() - 13)),
                     read_key64(key.substr(key.size() - 8))};
}

std::string checkpoint_key(Partition partition, Offset next) {
  std::string key;
  append_be32(key, partition);
  append_be64(key, next);
  return key;
}

std::string output_key(std::string_view symbol, std::string_view identity) {
  std::string key(symbol);
  key.push_back('\0');
  key.append(identity);
  return key;
}

std::string cursor_key(Partition partition) {
  std::string key = "cursor";
  append_be32(key, partition);
  return key;
}

std::string rules_key(Partition partition) {
  std::string key = "control records met";
  append_be32(key, partition);
  return key;
}

std::string outputs_end_key(Partition partition) {
  std::string key = "end of outputs";
  append_be32(key, partition);
  return key;
}

std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

std::string seal(std::string_view key, std::string_view value) {
  std::string sealed;
  sealed.reserve(8 + value.size());
  put(sealed, checksum(value, checksum(key, 0)));
  sealed.append(value);
  return sealed;
}

std::optional<std::string_view> unseal(std::string_view key, std::string_view sealed) noexcept {
  if (sealed.size() < 8) return std::nullopt;
  const auto value = sealed.substr(8);
  if (Fields{sealed}.take<std::uint64_t>() != checksum(value, checksum(key, 0)))
    return std::nullopt;
  return value;
}

std::string encode(const DigestValue& value) {
  std::string out;
  put(out, value.max_event_time);
  put(out, value.events);
  put(out, value.digest.high);
  put(out, value.digest.low);
  put(out, static_cast<std::uint8_t>(value.kept));
  return out;
}

std::optional<DigestValue> decode_digest(std::string_view bytes) noexcept {
  Fields fields{bytes};
  DigestValue value;
  value.max_event_time = fields.take<TimeNs>();
  value.events = fields.take<std::uint64_t>();
  value.digest.high = fields.take<std::uint64_t>();
  value.digest.low = fields.take<std::uint64_t>();
  value.kept = fields.take<std::uint8_t>() != 0;
  if (!fields.ok) return std::nullopt;
  return value;
}

std::string encode(const Checkpoint& checkpoint) {
  std::string out;
  put(out, checkpoint.events);
  put(out, static_cast<std::uint32_t>(checkpoint.feed_times.size()));
  for (const auto& time : checkpoint.feed_times) {
    put(out, time.source);
    put(out, time.feed_time);
  }
  put(out, static_cast<std::uint32_t>(checkpoint.behind.size()));
  for (const auto& behind : checkpoint.behind) {
    put(out, static_cast<std::uint16_t>(behind.symbol.size()));
    out += behind.symbol;
    put(out, behind.next);
  }
  return out;
}

std::optional<Checkpoint> decode_checkpoint(std::string_view bytes) {
  Fields fields{bytes};
  Checkpoint checkpoint;
  checkpoint.events = fields.take<std::uint64_t>();
  for (auto n = fields.take<std::uint32_t>(); n > 0 && fields.ok; --n) {
    const auto source = fields.take<market::SourceId>();
    checkpoint.feed_times.push_back({source, fields.take<TimeNs>()});
  }
  for (auto n = fields.take<std::uint32_t>(); n > 0 && fields.ok; --n) {
    auto symbol = fields.take_text(fields.take<std::uint16_t>());
    checkpoint.behind.push_back({std::move(symbol), fields.take<Offset>()});
  }
  if (!fields.ok || !fields.rest.empty()) return std::nullopt;
  return checkpoint;
}

std::string encode(const SymbolBase& base) {
  std::string out;
  out.reserve(44 + base.snapshot.bytes.size());
  put(out, base.snapshot.max_event_time);
  put(out, base.snapshot.events);
  put(out, base.snapshot.digest.high);
  put(out, base.snapshot.digest.low);
  put(out, static_cast<std::uint32_t>(base.recorded.size()));
  for (const auto& one : base.recorded) {
    put(out, one.source);
    put(out, one.highest_sequence);
    put(out, one.events);
  }
  return out + base.snapshot.bytes;
}

std::optional<SymbolBase> decode_base(SnapshotKey key, std::string_view bytes) {
  Fields fields{bytes};
  SymbolBase base;
  auto& snapshot = base.snapshot;
  snapshot.key = std::move(key);
  snapshot.max_event_time = fields.take<TimeNs>();
  snapshot.events = fields.take<std::uint64_t>();
  snapshot.digest.high = fields.take<std::uint64_t>();
  snapshot.digest.low = fields.take<std::uint64_t>();
  for (auto n = fields.take<std::uint32_t>(); n > 0 && fields.ok; --n) {
    const auto source = fields.take<market::SourceId>();
    const auto highest = fields.take<std::uint64_t>();
    base.recorded.push_back({source, highest, fields.take<std::uint64_t>()});
  }
  if (!fields.ok) return std::nullopt;
  snapshot.bytes = fields.rest;
  return base;
}

std::string describe(const SnapshotKey& key) {
  return key.symbol + " at " + at(key.partition, key.next);
}

}  // namespace tapedeck::storage
