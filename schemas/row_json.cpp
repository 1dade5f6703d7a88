#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "schemas/row_codec.hpp"
#include "schemas/row_fields.hpp"

namespace tapedeck::schemas {
namespace {

namespace json = simdjson::ondemand;

static_assert(kRowPadding >= simdjson::SIMDJSON_PADDING);

std::string_view trimmed(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == text.npos ? 0 : last + 1);
}

/// The text of a number or a string, nothing for null; false for anything else.
bool scalar_text(json::value value, std::string_view& text) {
  json::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  if (type == json::json_type::string) return value.get_string().get(text) == simdjson::SUCCESS;
  if (type == json::json_type::number) {
    text = trimmed(value.raw_json_token());
    return true;
  }
  text = {};
  return type == json::json_type::null && value.is_null();
}

RowFault decode_levels(json::value value, market::Side side, RowFields& fields) {
  json::array levels;
  if (value.get_array().get(levels) != simdjson::SUCCESS) return RowFault::level;
  for (auto level : levels) {
    json::array pair;
    if (level.get_array().get(pair) != simdjson::SUCCESS) return RowFault::level;
    std::array<std::string_view, 2> texts;
    std::size_t count = 0;
    for (auto each : pair) {
      json::value item;
      if (each.get(item) != simdjson::SUCCESS || count == 2) return RowFault::level;
      if (!scalar_text(item, texts[count++])) return RowFault::level;
    }
    if (count != 2) return RowFault::level;
    const RowFault fault = fields.take_level(side, texts[0], texts[1]);
    if (fault != RowFault::none) return fault;
  }
  return RowFault::none;
}

class JsonDecoder final : public RowDecoder {
public:
  explicit JsonDecoder(RowFormat format) : format_(std::move(format)) {}

  RowFault decode(std::string_view line, Row& row) override {
    json::document document;
    json::object object;
    if (parser_.iterate(line.data(), line.size(), line.size() + kRowPadding).get(document) !=
            simdjson::SUCCESS ||
        document.get_object().get(object) != simdjson::SUCCESS) {
      return RowFault::json;
    }
    RowFields fields(format_, row);
    for (auto each : object) {
      json::field field;
      if (std::move(each).get(field) != simdjson::SUCCESS) return RowFault::json;
      std::string_view key;
      if (field.unescaped_key().get(key) != simdjson::SUCCESS) return RowFault::json;
      const auto known = std::ranges::find(format_.fields, key, &RowFormat::Field::name);
      if (known == format_.fields.end()) continue;
      const RowFault fault = take(known->column, field.value(), fields);
      if (fault != RowFault::none) return fault;
    }
    const bool ended = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
    return ended ? fields.finish() : RowFault::json;
  }

private:
  static RowFault take(Column column, json::value value, RowFields& fields) {
    if (column == Column::skip) return RowFault::none;
    if (column == Column::bids) return decode_levels(value, market::Side::bid, fields);
    if (column == Column::asks) return decode_levels(value, market::Side::ask, fields);
    std::string_view text;
    // What cannot be a field's text is told as that field's fault: no number is written so.
    if (!scalar_text(value, text)) text = "{";
    return fields.take(column, text);
  }

  RowFormat format_;
  json::parser parser_;
};

}  // namespace

std::unique_ptr<RowDecoder> json_decoder(RowFormat format) {
  return std::make_unique<JsonDecoder>(std::move(format));
}

}  // namespace tapedeck::schemas
