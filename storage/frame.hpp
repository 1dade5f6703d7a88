// storage/frame.hpp -- how a record is stored: checksum, header, symbol, payload. Byte layout:
// docs/formats/tape.md
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "storage/tape.hpp"

namespace tapedeck::storage {

constexpr std::uint8_t kFrameVersion = 1;
constexpr std::size_t kFrameHeaderBytes = 24;

/// XXH3-64 with a seed.
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) noexcept;
[[nodiscard]] std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) noexcept;

/// "partition:offset", as messages name a record.
[[nodiscard]] std::string at(Partition partition, Offset offset);

/// Error `corrupt` that names the record.
[[nodiscard]] tl::unexpected<Error> damaged_record(Partition partition, Offset offset,
                                                   const std::string& why);

/// What stands before the payload of a stored record: header, symbol, zeros up to a multiple of 8.
struct FrameHead {
  std::array<char, kFrameHeaderBytes + kMaxSymbolBytes> bytes{};
  std::size_t size = 0;
  [[nodiscard]] std::string_view view() const noexcept { return {bytes.data(), size}; }
};
/// `record`'s fields but for partition and offset being right already. The checksum covers these
/// two as well, so that a record which is read from a wrong place is noticed.
[[nodiscard]] FrameHead frame_head(const Record& record) noexcept;

/// Views into `frame` (8-byte aligned). Error `corrupt` names partition:offset.
[[nodiscard]] Result<Record> open_frame(Partition partition, Offset offset,
                                        std::span<const std::byte> frame);

/// Collects frames into the arena of a block: one copy a record, verified where it then lies.
class BlockBuilder {
public:
  /// `expected_bytes`: payload bytes to make room for; more is possible and costs a move of what is
  /// there.
  explicit BlockBuilder(std::size_t expected_bytes);
  [[nodiscard]] Result<void> add(Partition partition, Offset offset,
                                 std::span<const std::byte> frame);
  /// A record that was checked already: copies its symbol and payload.
  void add(const Record& record);
  [[nodiscard]] std::size_t bytes() const noexcept { return block_->bytes; }
  [[nodiscard]] std::size_t records() const noexcept { return block_->records.size(); }
  [[nodiscard]] RecordBlockPtr finish() { return std::move(block_); }

private:
  void grow(std::size_t needed);
  std::shared_ptr<RecordBlock> block_;
};

/// What every tape refuses alike: error `invalid` names the record or mark at fault and the limit.
[[nodiscard]] Result<void> check_append(std::span<const NewRecord> records,
                                        std::span<const NewMark> marks, std::uint32_t partitions);
[[nodiscard]] Result<void> check_append(const RecorderDeadLetter& letter);
/// One append is one atomic write, so it has to fit in memory.
constexpr std::size_t kMaxAppendBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxSourceNameBytes = 1024;
/// A longer dead letter is cut by whoever makes it.
constexpr std::size_t kMaxDeadLetterBytes = std::size_t{1} << 20;

/// Whether every partition's newest mark of the source says that it was read to its end.
[[nodiscard]] bool all_complete(const SourceInfo& source) noexcept;

}  // namespace tapedeck::storage
