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
  if (by_type && expected == 0) return lost(ahead, Kind::lost);
  if (by_type) length = expected;
  if (!need(start + length)) {
    // A wrong prefix, or the end of a file that was cut?
    if (!by_type && length != expected && !error_) {
      const ItchFrame passed = lost(ahead, Kind::unframed);
      if (need(ahead + passed.size + 1)) return passed;
    }
    return {Kind::truncated, itch::kPrefixSize, buffered() - start, length};
  }
  if (expected == length) return {Kind::message, itch::kPrefixSize, length, expected};
  if (!leads_on(start + length)) return lost(ahead, Kind::unframed);
  const Kind kind = expected == 0 ? Kind::unknown_type : Kind::wrong_length;
  return {kind, itch::kPrefixSize, length, expected};
}

/// True if messages may begin there: several in a row, or one and the end, all with their prefixes
/// or all with empty ones.
bool ItchReader::chain_at(std::size_t ahead) {
  constexpr int kLinks = 3;
  bool empty = false;
  for (int link = 0; link < kLinks; ++link) {
    if (!need(ahead + itch::kPrefixSize + 1)) {
      const std::size_t left = buffered() - ahead;
      const bool end_mark = left == itch::kPrefixSize && itch::load16(data(ahead)) == 0;
      return link > 0 && (left == 0 || end_mark || error_);
    }
    const std::size_t prefix = itch::load16(data(ahead));
    const std::size_t length = itch::kLength[*data(ahead + itch::kPrefixSize)];
    if (link == 0) empty = prefix == 0;
    if (length == 0 || prefix != (empty ? 0 : length)) return false;
    ahead += itch::kPrefixSize + length;
  }
  return true;
}

/// True if one comes to a message, or to the end, by prefixes alone.
bool ItchReader::leads_on(std::size_t ahead) {
  constexpr int kLinks = 8;
  constexpr std::size_t kMostPlausible = 512;
  for (int link = 0; link < kLinks; ++link) {
    if (!need(ahead + itch::kPrefixSize + 1)) return true;
    const std::size_t prefix = itch::load16(data(ahead));
    const std::size_t expected = itch::kLength[*data(ahead + itch::kPrefixSize)];
    if (expected != 0 && (prefix == expected || prefix == 0)) return true;
    if (prefix == 0 || prefix > kMostPlausible) return false;
    ahead += itch::kPrefixSize + prefix;
  }
  return true;
}

ItchFrame ItchReader::lost(std::size_t ahead, ItchFrame::Kind kind) {
  std::size_t size = itch::kPrefixSize;
  while (size < kMaxLost && need(ahead + size + 1) && !chain_at(ahead + size)) ++size;
  return {kind, 0, size, 0};
}

}  // namespace tapedeck::feeds
