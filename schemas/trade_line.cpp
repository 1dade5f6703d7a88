#include "schemas/trade_line.hpp"

#include "schemas/row_text.hpp"

namespace tapedeck::schemas {
namespace {

constexpr int kExponent = -8;  // of trades_format()
constexpr std::int64_t kLatestUs = 9'000'000'000'000'000;

struct Field {
  const char *begin, *end;
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(end - begin); }
  [[nodiscard]] std::string_view text() const noexcept { return {begin, size()}; }
};

bool read_time(Field field, market::TimeNs& time) noexcept {
  const std::size_t digits = field.size();
  const std::uint64_t head = swar::digits_before(field.end - 8, digits - 8);
  const std::uint64_t tail = swar::digits_before(field.end, 8);
  std::int64_t us = 0;
  if (digits - 9 <= 7 && (swar::no_digits(head) | swar::no_digits(tail)) == 0) {
    us = static_cast<std::int64_t>(swar::eight_digits(head) * 100'000'000 +
                                   swar::eight_digits(tail));
  } else if (const auto value = parse_integer(field.text())) {
    us = *value;
  } else {
    return false;
  }
  if (us > kLatestUs || us < -kLatestUs) return false;
  time = us * 1000;
  return true;
}

/// Beyond 64 bits in units of 10^-8, which parse_decimal() would find out digit by digit.
bool is_huge(Field field) noexcept {
  constexpr std::size_t most = 11;  // digits before the point
  if (field.size() <= most || *field.begin == '0') return false;
  for (const char* end = field.end; end > field.begin; end -= 8) {
    const auto left = static_cast<std::size_t>(end - field.begin);
    if (swar::no_digits(swar::digits_before(end, left)) != 0) return false;
  }
  return true;
}

bool read_decimal(Field field, const char* point, std::int64_t& value) noexcept {
  std::uint64_t bad = 0;
  const char first = *field.begin;
  const bool negative = first == '-';
  value = swar::decimal8(field.begin + (negative ? 1 : 0), point, field.end, bad);
  if (negative) value = -value;
  if (bad == 0) return true;
  if (static_cast<unsigned char>(first - '+') > '9' - '+') return false;  // no number begins so
  if (is_huge(field)) return false;
  const auto number = parse_decimal(field.text(), kExponent);
  value = number.value_or(0);
  return number.has_value();
}

}  // namespace

std::optional<UnusualTrade> read_unusual_trade(const char* at) noexcept {
  const LineMarks marks = find_marks(at);
  const auto end = static_cast<std::size_t>(std::countr_zero(marks.ends));
  if (end == 64 || end == 0) return std::nullopt;
  const std::size_t text_end = end - static_cast<std::size_t>(at[end - 1] == '\r');
  if (text_end == 0 || std::string_view(at, text_end).find('"') != std::string_view::npos)
    return std::nullopt;
  UnusualTrade unusual{RowFault::fields, end + 1, {}};
  const auto is = [&](RowFault fault) {
    unusual.fault = fault;
    return unusual;
  };
  std::uint64_t commas = marks.commas & ((std::uint64_t{1} << end) - 1);
  if (std::popcount(commas) != 4) return unusual;
  std::array<Field, 5> fields;
  const char* begin = at;
  for (Field& field : fields) {
    field = {begin, commas == 0 ? at + text_end : at + std::countr_zero(commas)};
    begin = field.end + 1;
    commas &= commas - 1;
  }
  const auto& [symbol, time, price, size, side] = fields;
  if (price.size() == 0 || size.size() == 0) return std::nullopt;
  const auto point = [&](Field field) {
    const auto from = static_cast<unsigned>(field.begin - at);
    const auto to = static_cast<unsigned>(field.end - at);
    return at + std::countr_zero(marks.points >> from << from | std::uint64_t{1} << to);
  };
  TradeLine& trade = unusual.trade;
  trade.symbol = symbol.text();
  if (!is_symbol(trade.symbol)) return is(RowFault::symbol);
  if (!read_time(time, trade.time)) return is(RowFault::time);
  if (!read_decimal(price, point(price), trade.price)) return is(RowFault::price);
  if (!read_decimal(size, point(size), trade.size)) return is(RowFault::size);
  if (!parse_side(side.text(), trade.side)) return is(RowFault::side);
  return is(RowFault::none);
}

}  // namespace tapedeck::schemas
