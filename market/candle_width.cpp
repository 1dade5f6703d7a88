#include "market/candle_width.hpp"

#include <charconv>

namespace tapedeck::market {
namespace {

constexpr std::string_view kLetters = "?tvni";  ///< by measure
constexpr std::size_t kPlaces = 6;

[[nodiscard]] std::optional<std::int64_t> number_of(std::string_view digits) {
  std::int64_t number = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
  }
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<CandleWidth> parse_activity(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  const auto letter = kLetters.find(text.back(), 1);
  if (letter == std::string_view::npos) return std::nullopt;
  const auto measure = static_cast<CandleMeasure>(letter);
  text.remove_suffix(1);
  std::optional<std::int64_t> amount;
  if (measure == CandleMeasure::ticks) {
    amount = number_of(text);
  } else {
    const auto point = text.find('.');
    const bool whole = point == std::string_view::npos;
    const std::string_view places = whole ? "" : text.substr(point + 1);
    if (point == 0 || places.size() > kPlaces || (!whole && places.empty())) return std::nullopt;
    std::string digits(text.substr(0, point));
    digits.append(places).append(kPlaces - places.size(), '0');
    amount = number_of(digits);
  }
  if (!amount || *amount <= 0 || *amount > kMaxAmount) return std::nullopt;
  return candle_width(measure, *amount);
}

std::string activity_text(CandleWidth width) {
  const auto measure = static_cast<std::size_t>(measure_of(width));
  const std::int64_t amount = amount_of(width);
  const char letter = measure < kLetters.size() ? kLetters[measure] : '?';
  if (measure_of(width) == CandleMeasure::ticks) return std::to_string(amount) + letter;
  std::string text = std::to_string(amount / kMillionth);
  if (const std::int64_t rest = amount % kMillionth; rest != 0) {
    std::string places = std::to_string(kMillionth + rest);
    places[0] = '.';
    while (places.back() == '0') places.pop_back();
    text += places;
  }
  return text + letter;
}

}  // namespace tapedeck::market
