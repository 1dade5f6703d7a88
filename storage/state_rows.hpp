// storage/state_rows.hpp -- keys and values of the state store's rows, byte by byte:
// docs/formats/tape.md. Internal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/base.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::storage {

/// Big endian, so that keys sort as numbers do.
void append_be32(std::string& out, std::uint32_t value);
void append_be64(std::string& out, std::uint64_t value);
[[nodiscard]] std::uint32_t read_key32(std::string_view bytes) noexcept;
[[nodiscard]] std::uint64_t read_key64(std::string_view bytes) noexcept;

/// partition | symbol | 0 | next
[[nodiscard]] std::string symbol_prefix(Partition partition, std::string_view symbol);
[[nodiscard]] std::string snapshot_key(Partition partition, std::string_view symbol, Offset next);
[[nodiscard]] std::optional<SnapshotKey> parse_snapshot_key(std::string_view key);
/// partition | next
[[nodiscard]] std::string checkpoint_key(Partition partition, Offset next);
/// symbol | 0 | identity
[[nodiscard]] std::string output_key(std::string_view symbol, std::string_view identity);
[[nodiscard]] std::string cursor_key(Partition partition);
[[nodiscard]] std::string rules_key(Partition partition);
[[nodiscard]] std::string outputs_end_key(Partition partition);
/// The least key above all that begin with `prefix`.
[[nodiscard]] std::string after_prefix(std::string prefix);

/// A value with its checksum before it, which covers the key too.
[[nodiscard]] std::string seal(std::string_view key, std::string_view value);
[[nodiscard]] std::optional<std::string_view> unseal(std::string_view key,
                                                     std::string_view sealed) noexcept;

/// A digest row; `kept`: its snapshot's bytes are stored.
struct DigestValue {
  TimeNs max_event_time = 0;
  std::uint64_t events = 0;
  market::Digest digest;
  bool kept = false;
};
[[nodiscard]] std::string encode(const DigestValue& value);
[[nodiscard]] std::optional<DigestValue> decode_digest(std::string_view bytes) noexcept;

/// Without partition and next: they are the key.
[[nodiscard]] std::string encode(const Checkpoint& checkpoint);
[[nodiscard]] std::optional<Checkpoint> decode_checkpoint(std::string_view bytes);

/// Without symbol, partition and start: they are the key.
[[nodiscard]] std::string encode(const SymbolBase& base);
[[nodiscard]] std::optional<SymbolBase> decode_base(SnapshotKey key, std::string_view bytes);

/// How messages name a row.
[[nodiscard]] std::string describe(const SnapshotKey& key);

}  // namespace tapedeck::storage
