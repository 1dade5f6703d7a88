#include "config/day_time.hpp"

#include <date/tz.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace tapedeck::config {
namespace {

using std::chrono::seconds;

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kDaySeconds = 86'400;

std::optional<int> digits(std::string_view text) {
  int number = 0;
  const auto good = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || !std::all_of(text.begin(), text.end(), good)) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} ? std::optional(number) : std::nullopt;
}

/// hh:mm or hh:mm:ss, in seconds.
std::optional<std::int64_t> clock(std::string_view text) {
  if ((text.size() != 5 && text.size() != 8) || text[2] != ':') return std::nullopt;
  if (text.size() == 8 && text[5] != ':') return std::nullopt;
  const auto hours = digits(text.substr(0, 2)), minutes = digits(text.substr(3, 2));
  const auto rest = text.size() == 8 ? digits(text.substr(6, 2)) : std::optional(0);
  if (!hours || !minutes || !rest || *hours > 23 || *minutes > 59 || *rest > 59)
    return std::nullopt;
  return *hours * 3600 + *minutes * 60 + *rest;
}

/// Seconds east of Greenwich of "+hh:mm" or "-hh:mm".
std::optional<std::int64_t> offset(std::string_view text) {
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const auto size = clock(text.substr(1));
  if (!size) return std::nullopt;
  return text[0] == '-' ? -*size : *size;
}

/// ... of "Zone/Name YYYY-MM-DD" at that local time.
std::optional<std::int64_t> zone_offset(std::string_view text, std::int64_t local) {
  const auto space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto day = text.substr(space + 1);
  if (day.size() != 10 || day[4] != '-' || day[7] != '-') return std::nullopt;
  const auto y = digits(day.substr(0, 4)), m = digits(day.substr(5, 2)), d = digits(day.substr(8));
  if (!y || !m || !d) return std::nullopt;
  const date::year_month_day date{date::year{*y}, date::month{static_cast<unsigned>(*m)},
                                  date::day{static_cast<unsigned>(*d)}};
  if (!date.ok()) return std::nullopt;
  try {
    const auto* zone = date::locate_zone(std::string(text.substr(0, space)));
    const auto at = date::local_days{date} + seconds(local);
    const auto utc = zone->to_sys(at, date::choose::earliest);
    return seconds(at.time_since_epoch() - utc.time_since_epoch()).count();
  } catch (const std::exception&) {  // no such zone
    return std::nullopt;
  }
}

}  // namespace

std::optional<std::int64_t> parse_day_time(std::string_view text) {
  const auto space = std::min(text.find(' '), text.size());
  const auto local = clock(text.substr(0, space));
  if (!local) return std::nullopt;
  std::optional<std::int64_t> east = 0;
  if (space < text.size()) {
    const auto zone = text.substr(space + 1);
    east = offset(zone);
    if (!east) east = zone_offset(zone, *local);
  }
  if (!east) return std::nullopt;
  return ((*local - *east) % kDaySeconds + kDaySeconds) % kDaySeconds * kSecondNs;
}

std::string format_day_time(std::int64_t ns) {
  const auto all = ns / kSecondNs;
  const auto text = fmt::format("{:02}:{:02}", all / 3600, all / 60 % 60);
  return all % 60 == 0 ? text : text + fmt::format(":{:02}", all % 60);
}

}  // namespace tapedeck::config
