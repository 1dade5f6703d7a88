#include "feeds/itch_feed.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tapedeck::feeds {
namespace {

constexpr std::uint64_t kTrialMessages = 64;
constexpr std::size_t kMaxDeadLetterBytes = std::size_t{1} << 20;
/// Messages without an event count too, so that a poll stays bounded.
constexpr std::size_t kMaxSilent = std::size_t{1} << 20;

std::string reason(const ItchFrame& frame, std::uint8_t type) {
  const std::string shown = type > 0x20 && type < 0x7f
                                ? fmt::format("'{}'", static_cast<char>(type))
                                : fmt::format("{:#04x}", type);
  switch (frame.kind) {
    case ItchFrame::Kind::truncated:
      if (frame.prefix == 0)
        return fmt::format("truncated length prefix: {} of 2 bytes", frame.size);
      return fmt::format("truncated message: {} of {} bytes", frame.size, frame.expected);
    case ItchFrame::Kind::unknown_type:
      return fmt::format("unknown message type {}, {} bytes", shown, frame.size);
    case ItchFrame::Kind::wrong_length:
      return fmt::format("wrong length of message type {}: expected {}, found {} bytes", shown,
                         frame.expected, frame.size);
    case ItchFrame::Kind::unframed:
      return fmt::format("a length prefix that leads to no message: {} bytes passed over",
                         frame.size);
    default:
      return fmt::format("empty length prefix before unknown message type {}: {} bytes passed over",
                         shown, frame.size);
  }
}

}  // namespace

ItchFeed::ItchFeed(std::string name, std::unique_ptr<ByteSource> source, market::TimeNs midnight)
    : name_(std::move(name)), midnight_(midnight), reader_(std::move(source)), clock_(midnight) {}

/// Where the time is far ahead, looks at the messages behind the current one; bad ones have no say.
market::TimeNs ItchFeed::feed_time_of(const std::uint8_t* bytes, std::size_t size) {
  std::size_t ahead = itch::kPrefixSize + size;
  return clock_.observe(
      midnight_ + itch::time_of_day(bytes), [&](std::size_t, market::TimeNs& time) {
        while (ahead + 65'537 < ItchReader::kLookAhead) {
          const ItchFrame frame = reader_.at(ahead);
          if (frame.kind == ItchFrame::Kind::end || frame.kind == ItchFrame::Kind::truncated)
            return false;
          const std::size_t start = ahead + frame.prefix;
          ahead = start + frame.size;
          if (frame.kind != ItchFrame::Kind::message) continue;
          time = midnight_ + itch::time_of_day(reader_.data(start));
          return true;
        }
        return false;
      });
}

void ItchFeed::message(const std::uint8_t* bytes, std::size_t prefix, market::FeedBatch& batch) {
  ItchStamp stamp;
  stamp.time = midnight_ + itch::time_of_day(bytes);
  const std::size_t size = itch::kLength[bytes[0]];
  if (stamp.time <= clock_.now()) {
    stamp.feed_time = clock_.now();
  } else {
    stamp.feed_time = feed_time_of(bytes, size);
    bytes = reader_.data(prefix);  // looking ahead may have moved the buffer
  }
  stamp.sequence = ++messages_;
  stamp.byte_offset = reader_.offset() + prefix;
  decoder_.decode(bytes, stamp, batch);
  ++good_;
  reader_.skip(prefix + size);
}

void ItchFeed::bad(const ItchFrame& frame, market::FeedBatch& batch) {
  const std::uint8_t* bytes = reader_.data(frame.prefix);
  const std::uint8_t type = frame.kind == ItchFrame::Kind::lost ? bytes[itch::kPrefixSize]
                            : frame.size > 0                    ? bytes[0]
                                                                : 0;
  ++messages_;
  batch.dead_letters.push_back({reader_.offset() + frame.prefix, reason(frame, type),
                                std::string(reinterpret_cast<const char*>(bytes), frame.size)});
  reader_.skip(frame.prefix + frame.size);
}

void ItchFeed::run(market::FeedBatch& batch, std::size_t max_events) {
  std::size_t dead_bytes = 0;
  const market::Sequence last = messages_ + kMaxSilent;
  while (batch.events.size() + batch.dead_letters.size() < max_events && messages_ < last) {
    const std::uint8_t* here = reader_.data();
    if (reader_.buffered() > itch::kPrefixSize) {
      const std::size_t length = itch::load16(here);
      if (length == itch::kLength[here[itch::kPrefixSize]] && length != 0 &&
          reader_.buffered() >= itch::kPrefixSize + length) [[likely]] {
        message(here + itch::kPrefixSize, itch::kPrefixSize, batch);
        continue;
      }
    }
    const ItchFrame frame = reader_.at(0);
    if (frame.kind == ItchFrame::Kind::message) {
      message(reader_.data(frame.prefix), frame.prefix, batch);
      continue;
    }
    const bool cut = frame.kind == ItchFrame::Kind::end || frame.kind == ItchFrame::Kind::truncated;
    if (cut && reader_.error()) return;
    if (frame.kind == ItchFrame::Kind::end) {
      reader_.skip(frame.prefix);
      batch.end = true;
      return;
    }
    bad(frame, batch);
    dead_bytes += frame.size;
    if (dead_bytes > kMaxDeadLetterBytes || (good_ == 0 && messages_ >= kTrialMessages)) return;
  }
}

Result<void> ItchFeed::poll(market::FeedBatch& batch, std::size_t max_events) {
  batch.clear();
  if (good_ == 0 && messages_ >= kTrialMessages) {
    return fail(ErrorCode::invalid,
                fmt::format("{}: none of the first {} messages is ITCH 5.0 (see the dead letters)",
                            name_, messages_),
                "--input");
  }
  const market::Sequence before = messages_;
  run(batch, std::max<std::size_t>(max_events, 1));
  batch.messages = messages_;
  batch.bytes = reader_.offset();
  batch.feed_time = clock_.now();
  if (messages_ == before && !batch.end && reader_.error()) return tl::unexpected(*reader_.error());
  return {};
}

}  // namespace tapedeck::feeds
