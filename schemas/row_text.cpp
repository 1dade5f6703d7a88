#include "schemas/row_text.hpp"

#include <charconv>
#include <chrono>

namespace tapedeck::schemas {
namespace {

constexpr std::uint64_t kLargest = 9'223'372'036'854'775'807;

/// Digits before and behind the point, and how many are behind it; `rest` is what follows them.
struct Digits {
  std::uint64_t value = 0;
  int count = 0, decimals = 0;
  bool too_many = false;
};

Digits take_digits(std::string_view& rest) noexcept {
  Digits digits;
  bool point = false;
  std::size_t i = 0;
  for (; i < rest.size(); ++i) {
    const char c = rest[i];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    if (digits.value > kLargest / 10) digits.too_many = true;
    if (!digits.too_many) digits.value = digits.value * 10 + static_cast<std::uint64_t>(c - '0');
    ++digits.count;
    if (point) ++digits.decimals;
  }
  rest.remove_prefix(i);
  return digits;
}

/// Exactly `size` digits off the front of `rest`; -1 if there are none such.
int take_fixed(std::string_view& rest, std::size_t size) noexcept {
  int value = 0;
  if (rest.size() < size) return -1;
  for (std::size_t i = 0; i < size; ++i) {
    if (rest[i] < '0' || rest[i] > '9') return -1;
    value = value * 10 + (rest[i] - '0');
  }
  rest.remove_prefix(size);
  return value;
}

bool take_char(std::string_view& rest, std::string_view one_of) noexcept {
  if (rest.empty() || one_of.find(rest.front()) == one_of.npos) return false;
  rest.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> take_fraction_ns(std::string_view& rest) noexcept {
  if (!take_char(rest, ".")) return 0;
  std::int64_t value = 0;
  std::size_t digits = 0;
  while (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') {
    if (++digits > 9) return std::nullopt;
    value = value * 10 + (rest.front() - '0');
    rest.remove_prefix(1);
  }
  if (digits == 0) return std::nullopt;
  return value * kPowersOfTen[9 - digits];
}

/// Seconds east of Greenwich.
std::optional<std::int64_t> take_offset(std::string_view rest) noexcept {
  if (rest == "Z" || rest == "z") return 0;
  const bool west = !rest.empty() && rest.front() == '-';
  if (!take_char(rest, "+-")) return std::nullopt;
  const int hours = take_fixed(rest, 2);
  if (!take_char(rest, ":")) return std::nullopt;
  const int minutes = take_fixed(rest, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || !rest.empty()) return std::nullopt;
  const std::int64_t seconds = hours * 3600 + minutes * 60;
  return west ? -seconds : seconds;
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_decimal(std::string_view text, int exponent) noexcept {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative || (!text.empty() && text.front() == '+')) text.remove_prefix(1);
  Digits digits = take_digits(text);
  if (digits.count == 0 || digits.too_many) return std::nullopt;
  std::int64_t power = 0;
  if (take_char(text, "eE")) {
    const auto written = parse_integer(text);
    if (!written || *written < -64 || *written > 64) return std::nullopt;
    power = *written;
  } else if (!text.empty()) {
    return std::nullopt;
  }
  for (power -= digits.decimals + exponent; power < 0; ++power) {
    if (digits.value % 10 != 0) return std::nullopt;
    digits.value /= 10;
  }
  for (; power > 0 && digits.value != 0; --power) {
    if (digits.value > kLargest / 10) return std::nullopt;
    digits.value *= 10;
  }
  if (digits.value > kLargest) return std::nullopt;
  const auto value = static_cast<std::int64_t>(digits.value);
  return negative ? -value : value;
}

std::optional<market::TimeNs> parse_rfc3339(std::string_view text) noexcept {
  const int year = take_fixed(text, 4);
  if (!take_char(text, "-")) return std::nullopt;
  const int month = take_fixed(text, 2);
  if (!take_char(text, "-")) return std::nullopt;
  const int day = take_fixed(text, 2);
  if (!take_char(text, "Tt ")) return std::nullopt;
  const int hour = take_fixed(text, 2);
  if (!take_char(text, ":")) return std::nullopt;
  const int minute = take_fixed(text, 2);
  if (!take_char(text, ":")) return std::nullopt;
  const int second = take_fixed(text, 2);
  const auto fraction = take_fraction_ns(text);
  const auto offset = take_offset(text);
  if (year < 1700 || year > 2200 || month < 1 || day < 1) return std::nullopt;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!fraction || !offset || !date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  const std::int64_t seconds = days * 86'400 + hour * 3600 + minute * 60 + second - *offset;
  return seconds * market::kSecond + *fraction;
}

}  // namespace tapedeck::schemas
