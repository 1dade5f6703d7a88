// schemas/row_format.hpp -- what the columns of a CSV file, or the fields of a JSON object, are.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "market/result.hpp"

namespace tapedeck::schemas {

/// What one column says. Times are integers since 1970 in the unit of the name, `time` is RFC 3339;
/// prices and sizes are decimal numbers. A trade is price, size and, if known, the aggressor's side
/// and an id; a quote is any of the sides with its size; `bids` and `asks` (JSON only) are lists of
/// [price, size]: new totals of levels, 0 removes one.
enum class Column : std::uint8_t {
  skip = 0,
  symbol,
  ts_ns,
  ts_us,
  ts_ms,
  ts_s,
  time,
  price,
  size,
  side,
  id,
  bid,
  bid_size,
  ask,
  ask_size,
  bids,
  asks,
  sequence,
};
constexpr std::size_t kColumns = 18;
/// `symbol`, `ts_us` …; `-` for skip.
[[nodiscard]] std::string_view name(Column column) noexcept;
[[nodiscard]] constexpr bool is_time(Column column) noexcept {
  return column >= Column::ts_ns && column <= Column::time;
}

/// Which column stands where, under which name.
struct RowFormat {
  struct Field {
    Column column = Column::skip;
    std::string name;  ///< in the file's header, or the JSON key
    friend bool operator==(const Field&, const Field&) = default;
  };
  std::vector<Field> fields;  ///< CSV: in the order of the line
  int price_exponent = -8, size_exponent = -8;
  bool keyed = false;      ///< a record's key says the symbol: a row need not
  bool sequenced = false;  ///< every row has to say its sequence

  [[nodiscard]] bool has(Column column) const noexcept;
  friend bool operator==(const RowFormat&, const RowFormat&) = default;
};
constexpr std::size_t kMaxFields = 64;

/// `symbol,ts_us,price,size,side`
[[nodiscard]] const RowFormat& trades_format();
/// `symbol,ts_us,bid,bid_size,ask,ask_size,price,size,side`
[[nodiscard]] const RowFormat& ticks_format();
/// Every column under its own name, as JSON objects have them unless told.
[[nodiscard]] const RowFormat& json_format();

/// `symbol,ts_ms=T,price=p,-`: columns, where wanted with the name they have in the input. Error
/// `invalid` names `field` and what is wrong: an unknown column, one twice, no symbol (unless
/// `keyed`), no time or two of them.
[[nodiscard]] Result<RowFormat> parse_format(std::string_view text, const std::string& field,
                                             bool keyed = false);

/// True if a field of `line` has the name of one of the time columns of `format`: then the line
/// says the order of columns.
[[nodiscard]] bool is_header(std::string_view line, const RowFormat& format);
/// The format with its columns in the order of the header; what the header does not name is
/// missing, what the format does not name is passed over. Error `invalid` as parse_format.
[[nodiscard]] Result<RowFormat> by_header(std::string_view line, const RowFormat& format);

/// Splits a line of CSV, double quotes around a field taken off (a doubled quote inside is left as
/// it is). Returns the number of fields, at most kMaxFields are kept.
std::size_t split_csv(std::string_view line, std::array<std::string_view, kMaxFields>& fields);

}  // namespace tapedeck::schemas
