// feeds/itch_decoder.hpp -- ITCH 5.0 messages to market events.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "market/feed_batch.hpp"

namespace tapedeck::feeds {

/// What a message's place in the file and the feed's clock say about it.
struct ItchStamp {
  market::TimeNs time = 0;
  market::TimeNs feed_time = 0;
  market::Sequence sequence = 0;
  std::uint64_t byte_offset = 0;  ///< of the message, behind its prefix
};

/// Keeps which locate means which symbol. Not thread safe.
class ItchDecoder {
public:
  ItchDecoder();

  /// Appends the events of one message, or a dead letter that says what is wrong with it. `message`
  /// must be of a known type and hold itch::kLength bytes. Returns false for a dead letter.
  bool decode(const std::uint8_t* message, const ItchStamp& stamp, market::FeedBatch& batch);

private:
  struct Cursor;  // one message being decoded

  bool add(const Cursor& at);
  bool change(const Cursor& at);
  bool trade(const Cursor& at);
  bool directory(const Cursor& at);
  bool symbol_status(const Cursor& at);
  bool market_status(const Cursor& at);
  /// The symbol of the message's locate; by the message's own stock field (at `stock`) where the
  /// directory has not told.
  bool resolve(const Cursor& at, std::size_t stock, market::SymbolIndex& symbol);
  [[gnu::cold]] bool resolve_unknown(const Cursor& at, std::size_t stock,
                                     market::SymbolIndex& symbol);
  bool introduce(const Cursor& at, std::size_t stock, market::SymbolIndex& symbol);

  std::vector<market::SymbolIndex> by_locate_;
  std::map<std::string, market::SymbolIndex, std::less<>> by_name_;
};

}  // namespace tapedeck::feeds
