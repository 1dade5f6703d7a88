#include "feeds/itch_reader.hpp"

#include <algorithm>
#include <cstring>

namespace tapedeck::feeds {
namespace {

/// Small enough for what was read to be decoded out of the processor's cache.
constexpr std::size_t kReadSize = std::size_t{1} << 18;
constexpr std::size_t kMaxLost = 65'535;

}  // namespace

ItchReader::ItchReader(std::unique_ptr<ByteSource> source)
    : source_(std::move(source)), buffer_(3 * kReadSize) {}

bool ItchReader::need(std::size_t bytes) {
  while (end_ - begin_ < bytes) {
    if (ended_) return false;
    if (buffer_.size() - end_ < kReadSize) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
      if (buffer_.size() - end_ < kReadSize)
        buffer_.resize(buffer_.size() * 2);  // looking far ahead
    }
    const auto got =
        source_->read(buffer_.data() + end_, std::min(kReadSize, buffer_.size() - end_));
    if (!got) error_ = got.error();
    ended_ = !got || *got == 0;
    if (got) end_ += *got;
  }
  return true;
}

ItchFrame ItchReader::at(std::size_t ahead) {
  using Kind = ItchFrame::Kind;
  if (!need(ahead + itch::kPrefixSize)) {
    const std::size_t left = buffered() > ahead ? buffered() - ahead : 0;
    if (left == 0) return {};
    return {Kind::truncated, 0, left, itch::kPrefixSize};
  }
  std::size_t length = itch::load16(data(ahead));
  const bool by_type = length == 0;
  const std::size_t start = ahead + itch::kPrefixSize;
  if (!need(start + 1)) {
    if (by_type) return {Kind::end, itch::kPrefixSize, 0, 0};
    return {Kind::truncated, itch::kPrefixSize, 0, length};
  }
  const std::size_t expected = itch::kLength[*data(start)];
  if (by_type && expected == 0) return lost(ahead);
  if (by_type) length = expected;
  if (!need(start + length))
    return {Kind::truncated, itch::kPrefixSize, buffered() - start, length};
  const Kind kind = expected == 0        ? Kind::unknown_type
                    : expected != length ? Kind::wrong_length
                                         : Kind::message;
  return {kind, itch::kPrefixSize, length, expected};
}

/// True if a message with an empty prefix, and another or the end behind it, may begin there.
bool ItchReader::chain_at(std::size_t ahead) {
  for (int link = 0; link < 2; ++link) {
    if (!need(ahead + itch::kPrefixSize + 1)) return link > 0 && (buffered() == ahead || error_);
    const std::size_t length = itch::kLength[*data(ahead + itch::kPrefixSize)];
    if (itch::load16(data(ahead)) != 0 || length == 0) return false;
    ahead += itch::kPrefixSize + length;
  }
  return true;
}

ItchFrame ItchReader::lost(std::size_t ahead) {
  std::size_t size = itch::kPrefixSize;
  while (size < kMaxLost && need(ahead + size + 1) && !chain_at(ahead + size)) ++size;
  return {ItchFrame::Kind::lost, 0, size, 0};
}

}  // namespace tapedeck::feeds
