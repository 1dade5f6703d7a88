#include "schemas/row_codec.hpp"

#include <algorithm>
#include <utility>

#include "schemas/row_fields.hpp"
#include "schemas/row_text.hpp"

namespace tapedeck::schemas {
namespace {

using market::Event;
using market::EventKind;
using market::Side;

constexpr std::int64_t kLatestTime = 9'000'000'000'000'000'000;

constexpr std::array<std::string_view, kRowFaults> kExpectations = {
    "nothing",
    "expected as many fields as there are columns",
    "expected a symbol of 1 to 64 characters without spaces",
    "expected an event time between 1700 and 2200, in the unit of its column",
    "expected a decimal price within the decimals of the price exponent",
    "expected a decimal size within the decimals of the size exponent",
    "expected a side: buy or sell, b or s, bid or ask, 1 or -1, or nothing",
    "expected a whole number as trade id",
    "expected a price and a size for each side of a quote",
    "expected a list of levels, each [price, size]",
    "expected a whole number as sequence",
    "expected a trade (price and size), a quote or levels",
    "expected a JSON object",
    "expected a row of less than 64 KiB",
    "expected a key that is the symbol: 1 to 64 characters without spaces",
    "expected the record's key and its row to name the same symbol",
    "expected the record in the partition of its key by murmur2, as Kafka's own clients choose it "
    "(librdkafka: partitioner=murmur2_random)",
};

constexpr std::array<std::string_view, kRowFaults> kFaultNames = {
    "none",  "fields",   "symbol", "time", "price",  "size", "side",        "id",       "quote",
    "level", "sequence", "empty",  "json", "length", "key",  "key_differs", "partition"};

RowFault decode_time(Column column, std::string_view text, Row& row) {
  if (column == Column::time) {
    const auto time = parse_rfc3339(text);
    if (!time) return RowFault::time;
    row.time = *time;
    return RowFault::none;
  }
  const auto value = parse_integer(text);
  if (!value) return RowFault::time;
  constexpr std::array<std::int64_t, 4> units = {1, 1'000, 1'000'000, 1'000'000'000};
  const std::int64_t unit =
      units[static_cast<std::size_t>(column) - static_cast<std::size_t>(Column::ts_ns)];
  if (*value > kLatestTime / unit || *value < -kLatestTime / unit) return RowFault::time;
  row.time = *value * unit;
  return RowFault::none;
}

RowFault decode_number(std::string_view text, int exponent, RowFault fault, std::int64_t& value,
                       bool& present) {
  const auto number = parse_decimal(text, exponent);
  if (!number) return fault;
  value = *number;
  present = true;
  return RowFault::none;
}

template <class Integer>
RowFault decode_whole(std::string_view text, RowFault fault, Integer& value) {
  const auto number = parse_integer(text);
  if (!number || *number < 0) return fault;
  value = static_cast<Integer>(*number);
  return RowFault::none;
}

Event made(EventKind kind, Side side, market::Price price, market::Size size, const Row& row) {
  Event event;
  event.kind = kind;
  event.side = side;
  event.price = price;
  event.size = size;
  event.time = row.time;
  event.sequence = row.sequence;
  event.flags = market::kMore;
  return event;
}

class CsvDecoder final : public RowDecoder {
public:
  explicit CsvDecoder(RowFormat format) : format_(std::move(format)) {}

  RowFault decode(std::string_view line, Row& row) override {
    if (split_csv(line, texts_) != format_.fields.size()) return RowFault::fields;
    RowFields fields(format_, row);
    for (std::size_t i = 0; i < format_.fields.size(); ++i) {
      const RowFault fault = fields.take(format_.fields[i].column, texts_[i]);
      if (fault != RowFault::none) return fault;
    }
    return fields.finish();
  }

private:
  RowFormat format_;
  std::array<std::string_view, kMaxFields> texts_;
};

}  // namespace

std::string_view name(RowFault fault) noexcept {
  return kFaultNames[static_cast<std::size_t>(fault)];
}

std::string_view expectation(RowFault fault) noexcept {
  return kExpectations[static_cast<std::size_t>(fault)];
}

bool is_symbol(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMaxRowSymbol && std::ranges::all_of(text, [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  });
}

bool parse_side(std::string_view text, Side& side) noexcept {
  std::array<char, 8> lower{};
  if (text.size() > lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    lower[i] = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  }
  const std::string_view word(lower.data(), text.size());
  constexpr std::array<std::string_view, 4> buys = {"buy", "b", "bid", "1"};
  constexpr std::array<std::string_view, 5> sells = {"sell", "s", "ask", "-1", "a"};
  constexpr std::array<std::string_view, 5> nones = {"", "none", "unknown", "0", "n"};
  side = Side::none;
  if (std::ranges::find(buys, word) != buys.end()) side = Side::bid;
  if (std::ranges::find(sells, word) != sells.end()) side = Side::ask;
  return side != Side::none || std::ranges::find(nones, word) != nones.end();
}

RowFields::RowFields(const RowFormat& format, Row& row) : format_(&format), row_(&row) {
  row.symbol = {};
  row.sequence = 0;
  row.id = 0;
  row.side = Side::none;
  row.levels.clear();
}

RowFault RowFields::take(Column column, std::string_view text) {
  if (column == Column::skip) return RowFault::none;
  if (text.empty() && column != Column::symbol && !is_time(column)) return RowFault::none;
  Row& row = *row_;
  const int price = format_->price_exponent, size = format_->size_exponent;
  switch (column) {
    case Column::symbol:
      row.symbol = text;
      has_symbol_ = true;
      return is_symbol(text) ? RowFault::none : RowFault::symbol;
    case Column::ts_ns:
    case Column::ts_us:
    case Column::ts_ms:
    case Column::ts_s:
    case Column::time: has_time_ = true; return decode_time(column, text, row);
    case Column::price: return decode_number(text, price, RowFault::price, row.price, price_);
    case Column::size: return decode_number(text, size, RowFault::size, row.size, size_);
    case Column::side: return parse_side(text, row.side) ? RowFault::none : RowFault::side;
    case Column::id: return decode_whole(text, RowFault::id, row.id);
    case Column::sequence:
      has_sequence_ = true;
      return decode_whole(text, RowFault::sequence, row.sequence);
    case Column::bid: return decode_number(text, price, RowFault::price, row.bid, bid_);
    case Column::bid_size:
      return decode_number(text, size, RowFault::size, row.bid_size, bid_size_);
    case Column::ask: return decode_number(text, price, RowFault::price, row.ask, ask_);
    case Column::ask_size:
      return decode_number(text, size, RowFault::size, row.ask_size, ask_size_);
    case Column::skip:
    case Column::bids:
    case Column::asks: return RowFault::level;  // lists: JSON only
  }
  return RowFault::fields;
}

RowFault RowFields::take_level(Side side, std::string_view price, std::string_view size) {
  Row::Level level;
  level.side = side;
  bool present = false;
  const RowFault fault =
      decode_number(price, format_->price_exponent, RowFault::price, level.price, present);
  if (fault != RowFault::none) return fault;
  row_->levels.push_back(level);
  return decode_number(size, format_->size_exponent, RowFault::size, row_->levels.back().size,
                       present);
}

RowFault RowFields::finish() const {
  if (!has_symbol_ && !format_->keyed) return RowFault::symbol;
  if (!has_time_) return RowFault::time;
  if (format_->sequenced && !has_sequence_) return RowFault::sequence;
  if (price_ != size_) return price_ ? RowFault::size : RowFault::price;
  if (bid_ != bid_size_ || ask_ != ask_size_) return RowFault::quote;
  row_->has_trade = price_;
  row_->has_bid = bid_;
  row_->has_ask = ask_;
  if (!price_ && !bid_ && !ask_ && row_->levels.empty()) return RowFault::empty;
  return RowFault::none;
}

void append_events(const Row& row, std::vector<Event>& events) {
  if (row.has_bid) events.push_back(made(EventKind::quote, Side::bid, row.bid, row.bid_size, row));
  if (row.has_ask) events.push_back(made(EventKind::quote, Side::ask, row.ask, row.ask_size, row));
  for (const Row::Level& level : row.levels)
    events.push_back(made(EventKind::level, level.side, level.price, level.size, row));
  if (row.has_trade) {
    events.push_back(made(EventKind::trade, row.side, row.price, row.size, row));
    events.back().id = row.id;
  }
  events.back().flags = 0;
}

std::unique_ptr<RowDecoder> csv_decoder(RowFormat format) {
  return std::make_unique<CsvDecoder>(std::move(format));
}

}  // namespace tapedeck::schemas
