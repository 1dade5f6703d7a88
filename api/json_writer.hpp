// api/json_writer.hpp -- appends JSON to a string, commas included. No tree: big books are written
// in one pass.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/decimal.hpp"
#include "api/time_format.hpp"
#include "market/units.hpp"

namespace tapedeck::api {

/// The caller opens and closes in pairs. Keys are written as they are; string values are escaped,
/// and bytes that are not UTF-8 become U+FFFD.
class JsonWriter {
public:
  explicit JsonWriter(std::size_t reserve = 0) { text_.reserve(reserve); }

  JsonWriter& open(char bracket) {
    separate();
    text_.push_back(bracket);
    comma_ = false;
    return *this;
  }
  JsonWriter& close(char bracket) {
    text_.push_back(bracket);
    comma_ = true;
    return *this;
  }
  JsonWriter& key(std::string_view name) {
    separate();
    text_.push_back('"');
    text_.append(name).append("\":");
    comma_ = false;
    return *this;
  }
  void string(std::string_view value);
  void integer(std::integral auto value) { raw(std::to_string(value)); }
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void null() { raw("null"); }
  void decimal(market::Int128 units, int exponent) {
    quote();
    append_decimal(text_, units, exponent);
    text_.push_back('"');
  }
  /// null where there is no time (market::kNoTime, market::kNever).
  void time(market::TimeNs time) {
    if (time == market::kNoTime || time == market::kNever) return null();
    quote();
    append_time(text_, time);
    text_.push_back('"');
  }
  /// A value that is JSON already.
  void raw(std::string_view json) {
    separate();
    text_.append(json);
    comma_ = true;
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

private:
  void separate() {
    if (comma_) text_.push_back(',');
  }
  void quote() {
    separate();
    text_.push_back('"');
    comma_ = true;
  }

  std::string text_;
  bool comma_ = false;
};

}  // namespace tapedeck::api
