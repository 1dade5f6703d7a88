// schemas/row_codec.hpp -- rows of outside text formats (a line of CSV, a JSON object) as market
// events. Docs: docs/formats/feeds.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "market/event.hpp"
#include "schemas/row_format.hpp"

namespace tapedeck::schemas {

/// Why a row could not be decoded. Stored: numbers never change meaning.
enum class RowFault : std::uint8_t {
  none = 0,
  fields,       ///< too few or too many
  symbol,       ///< empty, too long, control characters
  time,         ///< missing, no number, or out of range
  price,        ///< no decimal number of the exponent
  size,         ///< no decimal number of the exponent
  side,         ///< none of the words for a side
  id,           ///< no whole number
  quote,        ///< a price without its size, or the other way round
  level,        ///< no list of [price, size]
  sequence,     ///< no whole number
  empty,        ///< neither trade nor quote nor level
  json,         ///< no JSON object
  length,       ///< longer than a row may be
  key,          ///< of a record: no symbol
  key_differs,  ///< of a record: another symbol than its row names
  partition,    ///< of a record: not where its key belongs
};
constexpr std::uint8_t kRowFaults = 17;
/// A row is shorter than this.
constexpr std::size_t kMaxRowBytes = std::size_t{64} << 10;
/// `price`: the field at fault.
[[nodiscard]] std::string_view name(RowFault fault) noexcept;
/// What was expected, for a person.
[[nodiscard]] std::string_view expectation(RowFault fault) noexcept;

/// What one row says of one symbol. Views point into the input, or into the decoder.
struct Row {
  struct Level {
    market::Side side = market::Side::none;
    market::Price price = 0;
    market::Size size = 0;
  };
  std::string_view symbol;
  market::TimeNs time = 0;
  market::Sequence sequence = 0;
  bool has_trade = false, has_bid = false, has_ask = false;
  market::Side side = market::Side::none;
  market::Price price = 0, bid = 0, ask = 0;
  market::Size size = 0, bid_size = 0, ask_size = 0;
  std::uint64_t id = 0;
  std::vector<Level> levels;
};

/// Appends the row's events (quotes, levels, trade), all but the last flagged kMore. Times and
/// sequence are the row's; feed time is left to the caller.
void append_events(const Row& row, std::vector<market::Event>& events);

/// `buy`, `sell` and their usual short forms; empty, `none`, `unknown`, `0`: none. False: no side.
[[nodiscard]] bool parse_side(std::string_view text, market::Side& side) noexcept;
/// 1 to 64 bytes, none of them a space or a control character.
[[nodiscard]] bool is_symbol(std::string_view text) noexcept;

constexpr std::size_t kMaxRowSymbol = 64;
/// Bytes that must be readable behind a line given to a decoder.
constexpr std::size_t kRowPadding = 64;

/// Decodes one row after the other. Not thread safe.
class RowDecoder {
public:
  virtual ~RowDecoder() = default;
  /// `line` is without its end; kRowPadding bytes behind it can be read. On a fault `row` holds
  /// nothing of use.
  [[nodiscard]] virtual RowFault decode(std::string_view line, Row& row) = 0;
};
[[nodiscard]] std::unique_ptr<RowDecoder> csv_decoder(RowFormat format);
[[nodiscard]] std::unique_ptr<RowDecoder> json_decoder(RowFormat format);

}  // namespace tapedeck::schemas
