// market/event.hpp -- one immutable market fact. See docs/formats/event.md.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "market/units.hpp"

namespace tapedeck::market {

/// Stored on tapes: numbers never change meaning.
enum class EventKind : std::uint8_t {
  session =
      0,  ///< first event of a symbol from a new source; batch names the source. other = SourceId
  instrument = 1,     ///< price = price exponent, size = size exponent, other = round lot
  add = 2,            ///< id, side, price, size: a new order at the back of its queue
  execute = 3,        ///< id, size; other = match number. Trades at the order's price
  execute_price = 4,  ///< id, size, price = execution price; other = match number; flag printable
  reduce = 5,         ///< id, size = quantity taken off; keeps its place in the queue
  remove = 6,         ///< id: the order is deleted
  replace = 7,  ///< id = old order, other = new order id, price, size; back of its queue, same side
  level = 8,    ///< L2: side, price, size = new total of the level (0 removes it)
  quote = 9,    ///< L1: side, price, size of the best of that side (size 0: no quote)
  trade =
      10,  ///< side = aggressor or none, price, size, id = venue trade id / match number (0: none)
  trade_break = 11,  ///< id = trade id / match number of the broken trade
  snapshot_begin =
      12,  ///< depth snapshot follows: book is cleared, sets levels or orders until the end
  snapshot_end =
      13,       ///< depth snapshot complete: heals trust. other = sequence it is valid for (0: own)
  clear = 14,   ///< book clear: heals trust
  status = 15,  ///< code = StatusKind, other = value (packed characters), price/size where the kind
                ///< has them
  gap = 16,     ///< other = number of messages known to be missing (0: unknown)
  undecodable = 17,  ///< a foreign record that means nothing: always refused. other = its number in
                     ///< its partition from 1 on, code = why (schemas::RowFault)
};
constexpr std::uint8_t kEventKinds = 18;
[[nodiscard]] std::string_view name(EventKind kind) noexcept;

/// Book side; for a trade the aggressor's (bid = buyer was the aggressor).
enum class Side : std::uint8_t { none = 0, bid = 1, ask = 2 };

enum class StatusKind : std::uint8_t {
  trading_state = 0,     ///< ITCH H; other = state character | reason << 8 (4 characters)
  short_sale = 1,        ///< ITCH Y; other = Reg SHO action
  market_event = 2,      ///< ITCH S; other = event code (O S Q M E C)
  breaker_levels = 3,    ///< ITCH V; price = level 1 (units of the message: 10^-8), size = level 2,
                         ///< other = level 3
  breaker_status = 4,    ///< ITCH W; other = breached level
  ipo_quoting = 5,       ///< ITCH K; price = IPO price, other = release time (s) | qualifier << 32
  auction_collar = 6,    ///< ITCH J; price = reference, size = upper, other = lower
  operational_halt = 7,  ///< ITCH h; other = market code | action << 8
};
constexpr std::uint8_t kStatusKinds = 8;

enum EventFlag : std::uint8_t {
  kMore = 1,  ///< another event of the same message follows (a message never straddles records)
  kPrintable = 2,     ///< execute_price: counts as a trade
  kInSnapshot = 4,    ///< part of a depth snapshot
  kLastOfPacket = 8,  ///< last message of the venue's packet
};

/// Sequences increase within source, symbol and stream.
enum class Stream : std::uint8_t { depth = 0, quotes = 1, trades = 2 };
constexpr std::uint8_t kStreams = 3;

[[nodiscard]] constexpr Stream stream_of(EventKind kind) noexcept {
  if (kind == EventKind::quote) return Stream::quotes;
  if (kind == EventKind::trade || kind == EventKind::trade_break) return Stream::trades;
  return Stream::depth;
}

struct Event {
  TimeNs time = 0;  ///< event time: the venue's
  TimeNs feed_time =
      0;  ///< highest event time of the source so far, as the recorder saw it; >= time unless
          ///< `time` was too far ahead to be believed (the fold refuses such an event)
  TimeNs receive_time = 0;  ///< data, 0 if unknown; used by refusal rules only, outside the digest
  Sequence sequence = 0;    ///< 0: none, duplicates and gaps are not recognised
  OrderId id = 0;
  Price price = 0;
  Size size = 0;
  std::uint64_t other = 0;
  EventKind kind = EventKind::session;
  Side side = Side::none;
  std::uint8_t flags = 0;
  std::uint8_t code = 0;
  friend bool operator==(const Event&, const Event&) = default;
};

/// How a source numbers its messages; told by its session event (`code`).
enum class Sequencing : std::uint8_t {
  message_number =
      0,  ///< the recorder numbers the whole source's messages: holes for a symbol mean nothing
  per_symbol = 1,  ///< contiguous for a symbol and stream: a hole is a gap
};

/// Of an event in a batch that is not to be folded as it is. Its kind there is marked_kind(), which
/// is no kind of a tape's; what it was stands here.
struct EventMark {
  std::size_t index = 0;  ///< in Batch::events
  EventKind kind = EventKind::session;
  const std::function<void()>* fault = nullptr;  ///< tests only: strikes; null: it is left out
};
/// Keeps the stream. Should a tape hold such a kind, it is refused as any unknown one.
[[nodiscard]] constexpr EventKind marked_kind(EventKind kind) noexcept {
  return static_cast<EventKind>(0xfd + static_cast<std::uint8_t>(stream_of(kind)));
}

/// Whole messages of one symbol from one source, as they stand in one record.
struct Batch {
  SourceId source = 0;
  std::string_view source_name;  ///< only where the batch holds the session event
  Position first;                ///< position of events[0]
  std::span<const Event> events;
  std::span<const EventMark> marks{};
};

/// How far feed time has come; from a tape's mark.
struct TimeMark {
  SourceId source = 0;
  TimeNs feed_time = 0;
  Position position;
};

}  // namespace tapedeck::market
