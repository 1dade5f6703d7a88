#include "api/position_text.hpp"

#include <charconv>
#include <utility>

#include "api/time_format.hpp"

namespace tapedeck::api {
namespace {

/// The whole of `text` as a number without sign.
template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<PositionText> parse_offset(std::string_view text) {
  const auto offset = number<market::Offset>(text);
  if (!offset) return std::nullopt;
  return AtOffset{*offset};
}

std::optional<PositionText> parse_triple(std::string_view text) {
  const auto first = text.find(':');
  const auto second = text.find(':', first + 1);
  const auto partition = number<market::Partition>(text.substr(0, first));
  const auto offset = number<market::Offset>(text.substr(first + 1, second - first - 1));
  if (!partition || !offset) return std::nullopt;
  if (second == text.npos) return AtPosition{*partition, *offset, std::nullopt};
  const auto index = number<std::uint32_t>(text.substr(second + 1));
  if (!index) return std::nullopt;
  return AtPosition{*partition, *offset, index};
}

bool looks_like_time(std::string_view text) {
  return text.size() > 4 && text[4] == '-' && number<std::uint32_t>(text.substr(0, 4)).has_value();
}

}  // namespace

Result<PositionText> parse_position(std::string_view text, std::string_view field) {
  if (text == "end") return AtEnd{};
  if (looks_like_time(text)) {
    return parse_time(text, field).map([](market::TimeNs time) -> PositionText {
      return AtInstant{time};
    });
  }
  constexpr std::string_view kOffset = "offset:";
  std::optional<PositionText> found;
  if (text.starts_with(kOffset)) {
    found = parse_offset(text.substr(kOffset.size()));
  } else if (text.find(':') != text.npos) {
    found = parse_triple(text);
  }
  if (found) return *found;
  return fail(
      ErrorCode::invalid,
      std::string(field)
          .append(
              ": expected end, offset:N, partition:offset[:index] or an RFC 3339 time, found \"")
          .append(text)
          .append("\""),
      std::string(field));
}

std::string format_position(const PositionText& position) {
  if (const auto* at = std::get_if<AtOffset>(&position))
    return "offset:" + std::to_string(at->offset);
  if (const auto* at = std::get_if<AtInstant>(&position)) return format_time(at->time);
  if (const auto* at = std::get_if<AtPosition>(&position)) {
    auto text = std::to_string(at->partition) + ':' + std::to_string(at->offset);
    return at->index ? text + ':' + std::to_string(*at->index) : text;
  }
  return "end";
}

}  // namespace tapedeck::api
