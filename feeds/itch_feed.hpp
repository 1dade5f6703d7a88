// feeds/itch_feed.hpp -- the ITCH 5.0 feed: a BinaryFILE, from wherever its bytes come.
#pragma once

#include <memory>
#include <string>

#include "feeds/feed.hpp"
#include "feeds/feed_clock.hpp"
#include "feeds/itch_decoder.hpp"
#include "feeds/itch_reader.hpp"

namespace tapedeck::feeds {

/// Numbers the file's messages from 1, bad ones included. A bad message becomes a dead letter with
/// its bytes. Input is refused as no ITCH if none of its first 64 messages has a known type and its
/// length.
class ItchFeed final : public Feed {
public:
  /// `midnight`: instant of local midnight of the session. `name` stands in error messages.
  ItchFeed(std::string name, std::unique_ptr<ByteSource> source, market::TimeNs midnight);

  Result<void> poll(market::FeedBatch& batch, std::size_t max_events) override;
  [[nodiscard]] market::Sequencing sequencing() const override {
    return market::Sequencing::message_number;
  }
  [[nodiscard]] std::uint64_t total_bytes() const override { return reader_.total_bytes(); }

private:
  void message(const std::uint8_t* bytes, std::size_t prefix, market::FeedBatch& batch);
  void bad(const ItchFrame& frame, market::FeedBatch& batch);
  void run(market::FeedBatch& batch, std::size_t max_events);
  market::TimeNs feed_time_of(const std::uint8_t* bytes, std::size_t size);

  std::string name_;
  market::TimeNs midnight_;
  ItchReader reader_;
  ItchDecoder decoder_;
  FeedClock clock_;
  market::Sequence messages_ = 0;
  std::uint64_t good_ = 0;  // of a known type, with its length
};

}  // namespace tapedeck::feeds
