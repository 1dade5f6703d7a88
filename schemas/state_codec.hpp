// schemas/state_codec.hpp -- snapshots, outputs, time marks and fold settings to and from Cap'n
// Proto (state.capnp).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "market/output.hpp"
#include "market/quarantine.hpp"
#include "market/result.hpp"
#include "market/settings.hpp"
#include "market/snapshot.hpp"

namespace tapedeck::schemas {

/// Every decoder: error `corrupt` with the byte position on truncated, oversized or random bytes;
/// never a crash, and never an allocation larger than a small multiple of the input. Every encoding
/// starts with a format version; all earlier versions stay readable (golden files in
/// tests/schemas/golden).
[[nodiscard]] std::string encode(const market::SymbolSnapshot& snapshot);
[[nodiscard]] Result<market::SymbolSnapshot> decode_snapshot(std::span<const std::byte> bytes);

/// Many outputs in one piece, as the state store keeps them: docs/formats/outputs.md. Blocks may be
/// joined: decode_block() reads one after the other.
[[nodiscard]] std::string encode_block(std::span<const market::Output* const> outputs);
[[nodiscard]] Result<std::vector<market::Output>> decode_block(std::span<const std::byte> bytes);

[[nodiscard]] std::string encode(const market::FoldSettings& settings);
[[nodiscard]] Result<market::FoldSettings> decode_settings(std::span<const std::byte> bytes);

/// A time mark as it stands on a tape: a record without a symbol.
struct MarkPayload {
  market::SourceId source = 0;
  std::string source_name;
  market::TimeNs feed_time = 0;
  /// The recorder's cursor: every message of the source with a number up to this one is on this
  /// partition before the mark (or concerned another partition, or went to the dead letters).
  std::uint64_t cursor_messages = 0;
  std::uint64_t cursor_bytes = 0;  ///< byte offset in the (uncompressed) input after that message
  bool complete = false;           ///< the source has been read to its end
  friend bool operator==(const MarkPayload&, const MarkPayload&) = default;
};
[[nodiscard]] std::string encode(const MarkPayload& mark);
[[nodiscard]] Result<MarkPayload> decode_mark(std::span<const std::byte> bytes);

/// How far a source's feed time has come.
struct FeedTime {
  market::SourceId source = 0;
  market::TimeNs feed_time = 0;
  friend bool operator==(const FeedTime&, const FeedTime&) = default;
};

/// What changes folds beside events; kept with the tape's control. The first two kinds are about
/// one item of a symbol, `settings` about a partition (item.position.partition), all its symbols.
struct ControlRecord {
  enum class Kind : std::uint8_t {
    quarantine = 1,  ///< every fold leaves the item out
    release = 2,     ///< from `at` on the state is as if it had not been left out
    settings = 3,    ///< from `at` on the fold goes by `settings`
  } kind = Kind::quarantine;
  std::string symbol;
  market::FoldItem item;
  /// The next offset of the partition's owner when it appended the record.
  market::Offset at = 0;
  std::vector<std::string> errors{};  ///< of each attempt, for a quarantine
  market::FoldSettings settings{};
  std::vector<FeedTime> feed_times{};  ///< for settings: the newest marks below `at`, by source
  friend bool operator==(const ControlRecord&, const ControlRecord&) = default;
};
[[nodiscard]] std::string encode(const ControlRecord& record);
[[nodiscard]] Result<ControlRecord> decode_control(std::span<const std::byte> bytes);

}  // namespace tapedeck::schemas
