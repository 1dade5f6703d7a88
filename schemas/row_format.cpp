#include "schemas/row_format.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tapedeck::schemas {
namespace {

constexpr std::array<std::string_view, kColumns> kColumnNames = {
    "-",    "symbol", "ts_ns", "ts_us",    "ts_ms", "ts_s",     "time", "price", "size",
    "side", "id",     "bid",   "bid_size", "ask",   "ask_size", "bids", "asks",  "sequence"};

RowFormat make(std::initializer_list<Column> columns) {
  RowFormat format;
  for (const Column column : columns) format.fields.push_back({column, std::string(name(column))});
  return format;
}

std::string column_names() {
  std::string text;
  for (const std::string_view each : kColumnNames)
    text += (text.empty() ? "" : ", ") + std::string(each);
  return text;
}

Result<RowFormat> checked(RowFormat format, const std::string& field, bool one_time) {
  std::array<int, kColumns> seen{};
  int times = 0;
  for (const auto& each : format.fields) {
    if (each.column == Column::skip) continue;
    if (seen[static_cast<std::size_t>(each.column)]++ > 0)
      return fail(ErrorCode::invalid, fmt::format("column '{}' stands there twice", each.name),
                  field);
    times += is_time(each.column) ? 1 : 0;
  }
  if (!format.keyed && !format.has(Column::symbol))
    return fail(ErrorCode::invalid, "expected a column symbol", field);
  if (times == 0 || (one_time && times > 1)) {
    return fail(ErrorCode::invalid,
                fmt::format("expected one time column (ts_ns, ts_us, ts_ms, ts_s or time), found "
                            "{}",
                            times),
                field);
  }
  return format;
}

}  // namespace

std::string_view name(Column column) noexcept {
  return kColumnNames[static_cast<std::size_t>(column)];
}

bool RowFormat::has(Column column) const noexcept {
  return std::ranges::any_of(fields, [&](const Field& each) { return each.column == column; });
}

const RowFormat& trades_format() {
  static const RowFormat format =
      make({Column::symbol, Column::ts_us, Column::price, Column::size, Column::side});
  return format;
}

const RowFormat& ticks_format() {
  static const RowFormat format =
      make({Column::symbol, Column::ts_us, Column::bid, Column::bid_size, Column::ask,
            Column::ask_size, Column::price, Column::size, Column::side});
  return format;
}

const RowFormat& json_format() {
  static const RowFormat format = [] {
    RowFormat all;
    for (std::size_t i = 1; i < kColumns; ++i)
      all.fields.push_back({static_cast<Column>(i), std::string(kColumnNames[i])});
    return all;
  }();
  return format;
}

Result<RowFormat> parse_format(std::string_view text, const std::string& field, bool keyed) {
  RowFormat format;
  format.keyed = keyed;
  std::array<std::string_view, kMaxFields> parts;
  const std::size_t count = split_csv(text, parts);
  if (count > kMaxFields)
    return fail(ErrorCode::invalid, fmt::format("more than {} columns", kMaxFields), field);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view ours = parts[i].substr(0, parts[i].find('='));
    const auto known = std::ranges::find(kColumnNames, ours);
    if (known == kColumnNames.end()) {
      return fail(ErrorCode::invalid,
                  fmt::format("unknown column '{}', expected one of {}", ours, column_names()),
                  field);
    }
    const std::string_view theirs =
        ours.size() == parts[i].size() ? ours : parts[i].substr(ours.size() + 1);
    format.fields.push_back(
        {static_cast<Column>(known - kColumnNames.begin()), std::string(theirs)});
  }
  return checked(std::move(format), field, true);
}

bool is_header(std::string_view line, const RowFormat& format) {
  std::array<std::string_view, kMaxFields> fields;
  const std::size_t count = std::min(split_csv(line, fields), kMaxFields);
  return std::any_of(fields.begin(), fields.begin() + static_cast<std::ptrdiff_t>(count),
                     [&](std::string_view found) {
                       return std::ranges::any_of(format.fields, [&](const auto& each) {
                         return is_time(each.column) && each.name == found;
                       });
                     });
}

Result<RowFormat> by_header(std::string_view line, const RowFormat& format) {
  RowFormat ordered;
  ordered.price_exponent = format.price_exponent;
  ordered.size_exponent = format.size_exponent;
  std::array<std::string_view, kMaxFields> fields;
  const std::size_t count = split_csv(line, fields);
  if (count > kMaxFields)
    return fail(ErrorCode::invalid, fmt::format("the header has more than {} columns", kMaxFields),
                "--input");
  for (std::size_t i = 0; i < count; ++i) {
    const auto known = std::ranges::find(format.fields, fields[i], &RowFormat::Field::name);
    const bool found = known != format.fields.end() && known->column != Column::skip;
    ordered.fields.push_back({found ? known->column : Column::skip, std::string(fields[i])});
  }
  return checked(std::move(ordered), "--input", true);
}

std::size_t split_csv(std::string_view line, std::array<std::string_view, kMaxFields>& fields) {
  std::size_t count = 0, at = 0;
  for (;;) {
    std::size_t end = 0;
    std::string_view text;
    if (at < line.size() && line[at] == '"') {
      std::size_t close = line.find('"', at + 1);
      while (close != line.npos && close + 1 < line.size() && line[close + 1] == '"')
        close = line.find('"', close + 2);
      end = close == line.npos ? line.size() : line.find(',', close);
      end = std::min(end, line.size());
      text = line.substr(at, end - at);
      if (text.size() >= 2 && text.back() == '"') text = text.substr(1, text.size() - 2);
    } else {
      end = std::min(line.find(',', at), line.size());
      text = line.substr(at, end - at);
    }
    if (count < kMaxFields) fields[count] = text;
    ++count;
    if (end == line.size()) return count;
    at = end + 1;
  }
}

}  // namespace tapedeck::schemas
