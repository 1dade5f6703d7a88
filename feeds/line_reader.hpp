// feeds/line_reader.hpp -- lines of a text input, with their places.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "feeds/byte_source.hpp"

namespace tapedeck::feeds {

struct Line {
  std::string text;          ///< without its end (LF or CR LF)
  std::uint64_t number = 0;  ///< from 1
  std::uint64_t offset = 0;  ///< of its first byte
  std::uint64_t end = 0;     ///< behind its last byte, line end included
};

/// A line longer than 64 KiB comes in pieces of that size, each counted as a line.
class LineReader {
public:
  explicit LineReader(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), buffer_(kBuffer) {}

  /// None at the end. A last line without LF counts.
  Result<std::optional<Line>> next() {
    for (;;) {
      const std::string_view held(buffer_.data() + begin_, end_ - begin_);
      std::size_t size = held.substr(0, kMaxLine).find('\n');
      const bool terminated = size != held.npos;
      if (!terminated && held.size() < kMaxLine && !ended_) {
        if (auto filled = fill(); !filled) return tl::unexpected(filled.error());
        continue;
      }
      if (!terminated && held.empty()) return std::optional<Line>{};
      if (!terminated) size = std::min(held.size(), kMaxLine);
      Line line{std::string(held.substr(0, size)), ++number_, offset_,
                offset_ + size + (terminated ? 1 : 0)};
      if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
      begin_ += line.end - offset_;
      offset_ = line.end;
      return line;
    }
  }
  [[nodiscard]] std::uint64_t total_bytes() const { return source_->total_bytes(); }

private:
  static constexpr std::size_t kMaxLine = std::size_t{1} << 16;
  static constexpr std::size_t kBuffer = std::size_t{1} << 20;

  Result<void> fill() {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
    const auto got = source_->read(reinterpret_cast<std::uint8_t*>(buffer_.data()) + end_,
                                   buffer_.size() - end_);
    if (!got) return tl::unexpected(got.error());
    ended_ = *got == 0;
    end_ += *got;
    return {};
  }

  std::unique_ptr<ByteSource> source_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t number_ = 0, offset_ = 0;
  bool ended_ = false;
};

}  // namespace tapedeck::feeds
