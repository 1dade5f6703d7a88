#include "feeds/session_time.hpp"

#include <date/tz.h>
#include <fmt/format.h>

#include <cctype>

namespace tapedeck::feeds {
namespace {

/// Exactly YYYY-MM-DD; an invalid day otherwise.
date::year_month_day parse_date(const std::string& text) {
  const date::year_month_day invalid{date::year{0}, date::month{0}, date::day{0}};
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return invalid;
  for (const std::size_t i : {0, 1, 2, 3, 5, 6, 8, 9}) {
    if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) return invalid;
  }
  return {date::year{std::stoi(text.substr(0, 4))},
          date::month{static_cast<unsigned>(std::stoi(text.substr(5, 2)))},
          date::day{static_cast<unsigned>(std::stoi(text.substr(8, 2)))}};
}

}  // namespace

Result<market::TimeNs> local_midnight(const std::string& date, const std::string& timezone) {
  if (date.empty()) {
    return fail(ErrorCode::invalid,
                "the input tells times of day only: its date is needed (YYYY-MM-DD)", "--date");
  }
  const date::year_month_day day = parse_date(date);
  if (!day.ok() || day.year() < date::year{1900} || day.year() > date::year{2200}) {
    return fail(ErrorCode::invalid, fmt::format("expected a date YYYY-MM-DD, found '{}'", date),
                "--date");
  }
  try {
    const date::time_zone* zone = date::locate_zone(timezone);
    const auto midnight = zone->to_sys(date::local_days{day}, date::choose::earliest);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(midnight.time_since_epoch())
        .count();
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid,
                fmt::format("unknown time zone '{}': {}", timezone, error.what()), "--timezone");
  }
}

}  // namespace tapedeck::feeds
