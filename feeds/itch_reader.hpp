// feeds/itch_reader.hpp -- cuts a BinaryFILE into messages.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "feeds/byte_source.hpp"
#include "feeds/itch.hpp"

namespace tapedeck::feeds {

/// One piece of the file.
struct ItchFrame {
  enum class Kind {
    message,       ///< known type, right length
    unknown_type,  ///< skipped by its prefix
    wrong_length,  ///< skipped by its prefix
    lost,          ///< prefix 0 and an unknown type: bytes up to where messages begin again
    unframed,      ///< a prefix that leads nowhere: the same
    truncated,     ///< the file ends inside a message
    end,           ///< nothing left
  };
  Kind kind = Kind::end;
  std::size_t prefix = 0;  ///< bytes before the message
  std::size_t size = 0;    ///< bytes of the message that are there
  std::size_t expected =
      0;  ///< truncated: bytes it should have; wrong_length: what its type asks for
};

/// Buffers a byte source. Messages behind a prefix of 0 are as long as their type says (files exist
/// that leave the prefix empty). A prefix of 0 at the very end is the end mark.
class ItchReader {
public:
  explicit ItchReader(std::unique_ptr<ByteSource> source);

  /// The piece that begins `ahead` bytes from the current place. Its bytes stay valid until the
  /// next call of at() or skip(); ahead + 64 KiB must stay below kLookAhead.
  [[nodiscard]] ItchFrame at(std::size_t ahead);
  /// Bytes at the current place plus `ahead`.
  [[nodiscard]] const std::uint8_t* data(std::size_t ahead = 0) const {
    return buffer_.data() + begin_ + ahead;
  }
  /// Bytes that are in the buffer already.
  [[nodiscard]] std::size_t buffered() const { return end_ - begin_; }
  void skip(std::size_t bytes) { begin_ += bytes, offset_ += bytes; }
  /// Of the current place, in the uncompressed input.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  /// Set once the source failed; what was read before it can still be taken.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::uint64_t total_bytes() const { return source_->total_bytes(); }

  static constexpr std::size_t kLookAhead = std::size_t{5} << 18;

private:
  bool need(std::size_t bytes);
  [[nodiscard]] ItchFrame lost(std::size_t ahead, ItchFrame::Kind kind);
  [[nodiscard]] bool chain_at(std::size_t ahead);
  [[nodiscard]] bool leads_on(std::size_t ahead);

  std::unique_ptr<ByteSource> source_;
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
  std::optional<Error> error_;
};

}  // namespace tapedeck::feeds
