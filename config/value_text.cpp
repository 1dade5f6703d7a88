#include "config/value_text.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <span>
#include <vector>

namespace tapedeck::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

// Ascending.
constexpr Unit kDurations[] = {{"ns", 1},
                               {"us", 1'000},
                               {"ms", 1'000'000},
                               {"s", 1'000'000'000},
                               {"m", 60'000'000'000},
                               {"h", 3'600'000'000'000},
                               {"d", 86'400'000'000'000}};
constexpr Unit kSizes[] = {{"B", 1},
                           {"KiB", std::int64_t{1} << 10},
                           {"MiB", std::int64_t{1} << 20},
                           {"GiB", std::int64_t{1} << 30}};

std::optional<std::int64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view suffix(rest, text.data() + text.size());
  for (const Unit& unit : units) {
    std::int64_t product = 0;
    if (suffix != unit.name) continue;
    if (__builtin_mul_overflow(number, unit.factor, &product)) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

std::string format_with_unit(std::int64_t value, std::span<const Unit> units,
                             std::string_view zero_unit) {
  if (value == 0) return "0" + std::string(zero_unit);
  const auto largest = std::find_if(units.rbegin(), units.rend(),
                                    [value](const Unit& unit) { return value % unit.factor == 0; });
  return std::to_string(value / largest->factor) + std::string(largest->name);
}

}  // namespace

std::optional<std::int64_t> parse_duration(std::string_view text) {
  return parse_with_unit(text, kDurations);
}

std::string format_duration(std::int64_t ns) { return format_with_unit(ns, kDurations, "s"); }

std::optional<std::int64_t> parse_size(std::string_view text) {
  if (const auto plain = parse_integer(text)) return plain;
  return parse_with_unit(text, kSizes);
}

std::string format_size(std::int64_t bytes) { return format_with_unit(bytes, kSizes, "B"); }

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> parse_ratio(std::string_view text) {
  constexpr std::size_t kPlaces = 6;
  const auto point = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, point));
  std::string_view places = text.substr(std::min(point + 1, text.size()));
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (places.size() > kPlaces || !std::all_of(places.begin(), places.end(), is_digit)) return {};
  if (point < text.size() && places.empty()) return {};
  digits += places;
  digits.append(kPlaces - places.size(), '0');
  return parse_integer(digits);
}

std::string format_ratio(std::int64_t millionths) {
  const std::string sign = millionths < 0 ? "-" : "";
  std::string digits = std::to_string(millionths < 0 ? -millionths : millionths);
  if (digits.size() < 7) digits.insert(0, 7 - digits.size(), '0');
  digits.insert(digits.size() - 6, 1, '.');
  while (digits.ends_with("0") && !digits.ends_with(".0")) digits.pop_back();
  return sign + digits;
}

std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t j = 0; j <= to.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[to.size()];
}

}  // namespace tapedeck::config
