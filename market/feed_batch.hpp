// market/feed_batch.hpp -- what a feed hands to the recorder: decoded messages in source order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "market/event.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// Index of a symbol in the order in which its feed first named it.
using SymbolIndex = std::uint32_t;

/// One event of one symbol. Events of a message stand together, all but the last flagged kMore;
/// `sequence` is the message's. The feed makes no session events: the recorder puts them first.
/// `feed_time` is set by the feed.
struct FeedEvent {
  SymbolIndex symbol = 0;
  Event event;
};

/// Input bytes that could not be decoded.
struct FeedDeadLetter {
  std::uint64_t byte_offset = 0;  ///< in the (uncompressed) input
  std::string reason;
  std::string bytes;
};

/// Filled by one poll of a feed; reused between polls.
struct FeedBatch {
  std::vector<FeedEvent> events;
  std::vector<std::string> new_symbols;  ///< their indices go on from the ones named before
  std::vector<FeedDeadLetter> dead_letters;
  std::uint64_t messages = 0;  ///< messages read from the source so far (numbers 1..messages)
  std::uint64_t bytes = 0;     ///< (uncompressed) input bytes read so far
  TimeNs feed_time = kNoTime;  ///< the source's feed time so far
  bool end = false;            ///< the source ended

  void clear() {
    events.clear(), new_symbols.clear(), dead_letters.clear();
    end = false;
  }
};

}  // namespace tapedeck::market
