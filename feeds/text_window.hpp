// feeds/text_window.hpp -- a sliding window of whole lines over a text input, for parsers that read
// many bytes at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "feeds/byte_source.hpp"

namespace tapedeck::feeds {

/// 64 bytes before and behind the window can be read. A last line without LF gets one. An error of
/// the source comes after every line before it: error(). Not thread safe.
class TextWindow {
public:
  static constexpr std::size_t kPadding = 64;
  /// A line that is longer is handed out in pieces of this size.
  static constexpr std::size_t kMaxLine = std::size_t{1} << 16;

  explicit TextWindow(std::unique_ptr<ByteSource> source, std::size_t chunk = std::size_t{1} << 20)
      : source_(std::move(source)), chunk_(std::max(chunk, kMaxLine)) {
    buffer_.resize(kPadding + chunk_ + kPadding);
    begin_ = end_ = kPadding;
  }

  /// What is read and not consumed; its last line may be cut. Valid until the next extend().
  [[nodiscard]] const char* begin() const noexcept { return buffer_.data() + begin_; }
  [[nodiscard]] const char* end() const noexcept { return buffer_.data() + end_; }
  /// Behind the last LF of the window (or of the input); lines up to here are whole.
  [[nodiscard]] const char* lines_end() const noexcept { return buffer_.data() + lines_end_; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  void consume(std::size_t bytes) noexcept {
    begin_ += bytes;
    offset_ += bytes;
  }
  /// Reads more behind the window. False: there is no more.
  bool extend() {
    if (ended_) return false;
    make_room();
    const auto got = source_->read(reinterpret_cast<std::uint8_t*>(buffer_.data()) + end_,
                                   buffer_.size() - kPadding - end_);
    if (!got) error_ = got.error();
    ended_ = !got || *got == 0;
    if (!ended_) end_ += *got;
    if (ended_ && end_ > begin_ && buffer_[end_ - 1] != '\n') buffer_[end_++] = '\n', ++added_;
    const void* last = memrchr(buffer_.data() + begin_, '\n', end_ - begin_);
    if (last != nullptr)
      lines_end_ = static_cast<std::size_t>(static_cast<const char*>(last) - buffer_.data()) + 1;
    return !ended_ || added_ > 0;
  }
  /// The line (its LF left out) that begins `from` bytes into the window, and how many bytes it
  /// takes; none at the end of the input. Extends the window if need be.
  struct Line {
    std::string_view text;
    std::size_t bytes = 0;
    bool cut = false;  ///< a piece of a longer line
  };
  std::optional<Line> line_at(std::size_t from) {
    for (;;) {
      const std::string_view rest(begin() + from, static_cast<std::size_t>(end() - begin()) - from);
      const std::size_t size = rest.substr(0, kMaxLine).find('\n');
      if (size != rest.npos) return Line{rest.substr(0, size), size + 1, false};
      if (rest.size() >= kMaxLine) return Line{rest.substr(0, kMaxLine), kMaxLine, true};
      if (!extend()) return std::nullopt;
    }
  }
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  [[nodiscard]] std::uint64_t total_bytes() const { return source_->total_bytes(); }
  /// Bytes of the input that are consumed.
  [[nodiscard]] std::uint64_t consumed() const noexcept {
    return ended_ && begin_ == end_ ? offset_ - added_ : offset_;
  }

private:
  /// At least half a chunk behind the window, which goes to the front.
  void make_room() {
    if (buffer_.size() - kPadding - end_ > chunk_ / 2) return;
    std::memmove(buffer_.data() + kPadding, buffer_.data() + begin_, end_ - begin_);
    lines_end_ = lines_end_ > begin_ ? lines_end_ - begin_ + kPadding : kPadding;
    end_ -= begin_ - kPadding;
    begin_ = kPadding;
    const std::size_t wanted = end_ + chunk_ / 2 + 1 + kPadding;
    if (buffer_.size() < wanted) buffer_.resize(wanted + chunk_);
  }

  std::unique_ptr<ByteSource> source_;
  std::size_t chunk_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0, lines_end_ = kPadding;
  std::uint64_t offset_ = 0, added_ = 0;
  bool ended_ = false;
  std::optional<Error> error_;
};

}  // namespace tapedeck::feeds
