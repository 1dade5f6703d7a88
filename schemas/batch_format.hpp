// schemas/batch_format.hpp -- the columns of a batch and which kinds have entries in them. Inside
// schemas only; the layout for others to read is docs/formats/event.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "market/event.hpp"

namespace tapedeck::schemas::format {

using market::EventKind;

constexpr std::uint16_t kVersion = 1;

/// In the order in which they stand in the payload and in which an event's codes are taken.
enum Column : std::uint8_t {
  times = 0,       ///< difference from the event before
  sequences = 1,   ///< difference from the event before
  flags = 2,       ///< without kMore
  feed_times = 3,  ///< feed time - time
  receives = 4,    ///< receive time - time, as difference from the event before
  orders = 5,      ///< new order ids, difference from the newest one before
  references = 6,  ///< newest order id - id
  matches = 7,     ///< difference from the match before
  prices = 8,      ///< difference from the price before, in price units
  sizes = 9,
  values = 10,  ///< `other` where it is neither order nor match
  codes = 11,
};
constexpr std::size_t kColumns = 12;
/// Columns up to this one have an entry for each event.
constexpr std::size_t kCommonColumns = 5;

/// After the columns, so that eight bytes can be read at any entry.
constexpr std::size_t kPadding = 8;

constexpr std::uint8_t kKindMask = 0x1f;
constexpr int kSideShift = 5;
constexpr std::uint8_t kSideMask = 0x3;
constexpr std::uint8_t kMoreBit = 0x80;

constexpr std::uint16_t bit(Column column) { return static_cast<std::uint16_t>(1u << column); }

/// The columns beyond the common ones in which a kind has an entry.
[[nodiscard]] constexpr std::uint16_t columns_of(EventKind kind) {
  switch (kind) {
    case EventKind::session: return bit(values) | bit(codes);
    case EventKind::instrument: return bit(prices) | bit(sizes) | bit(values);
    case EventKind::add: return bit(orders) | bit(prices) | bit(sizes);
    case EventKind::execute: return bit(references) | bit(matches) | bit(sizes);
    case EventKind::execute_price: return bit(references) | bit(matches) | bit(prices) | bit(sizes);
    case EventKind::reduce: return bit(references) | bit(sizes);
    case EventKind::remove: return bit(references);
    case EventKind::replace: return bit(orders) | bit(references) | bit(prices) | bit(sizes);
    case EventKind::level:
    case EventKind::quote: return bit(prices) | bit(sizes);
    case EventKind::trade: return bit(matches) | bit(prices) | bit(sizes);
    case EventKind::trade_break: return bit(matches);
    case EventKind::snapshot_begin:
    case EventKind::clear: return 0;
    case EventKind::snapshot_end:
    case EventKind::gap: return bit(values);
    case EventKind::status: return bit(prices) | bit(sizes) | bit(values) | bit(codes);
    case EventKind::undecodable: return bit(values) | bit(codes);
  }
  return 0;
}

/// The same where every event has every field: `id` is a reference, `other` a value.
constexpr std::uint16_t kFullColumns =
    bit(references) | bit(prices) | bit(sizes) | bit(values) | bit(codes);

/// columns_of by number, 0 beyond the last kind.
constexpr auto kColumnsOf = [] {
  std::array<std::uint16_t, 32> table{};
  for (std::uint8_t kind = 0; kind < market::kEventKinds; ++kind)
    table[kind] = columns_of(static_cast<EventKind>(kind));
  return table;
}();

/// Entries are counted in the byte lanes of a word: one for each column beyond the common ones; the
/// last lane counts bytes that are no kind and side.
constexpr std::size_t kInvalidLane = 7;
constexpr std::size_t kLanes = 8;

/// For each kind byte, 1 in the byte lane of each column that has an entry for it.
inline constexpr auto kLanesOf = [] {
  std::array<std::uint64_t, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    const auto number = static_cast<std::uint8_t>(byte & kKindMask);
    if (number >= market::kEventKinds || (byte >> kSideShift & kSideMask) > 2) {
      table[byte] = std::uint64_t{1} << (8 * kInvalidLane);
      continue;
    }
    for (std::size_t index = kCommonColumns; index < kColumns; ++index) {
      if ((kColumnsOf[number] >> index & 1) != 0)
        table[byte] |= std::uint64_t{1} << (8 * (index - kCommonColumns));
    }
  }
  return table;
}();

/// Calls `visit.template operator()<kind>()` for the kind with this number, which must be one.
template <class Visit>
[[gnu::always_inline]] inline void with_kind(std::uint8_t kind, Visit&& visit) {
#define TAPEDECK_KIND(name)                        \
  case static_cast<std::uint8_t>(EventKind::name): \
    visit.template operator()<EventKind::name>();  \
    break
  switch (kind) {
    TAPEDECK_KIND(session);
    TAPEDECK_KIND(instrument);
    TAPEDECK_KIND(add);
    TAPEDECK_KIND(execute);
    TAPEDECK_KIND(execute_price);
    TAPEDECK_KIND(reduce);
    TAPEDECK_KIND(remove);
    TAPEDECK_KIND(replace);
    TAPEDECK_KIND(level);
    TAPEDECK_KIND(quote);
    TAPEDECK_KIND(trade);
    TAPEDECK_KIND(trade_break);
    TAPEDECK_KIND(snapshot_begin);
    TAPEDECK_KIND(snapshot_end);
    TAPEDECK_KIND(clear);
    TAPEDECK_KIND(status);
    TAPEDECK_KIND(gap);
    TAPEDECK_KIND(undecodable);
    default: __builtin_unreachable();
  }
#undef TAPEDECK_KIND
}

}  // namespace tapedeck::schemas::format
