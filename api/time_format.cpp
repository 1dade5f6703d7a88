#include "api/time_format.hpp"

#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>

namespace tapedeck::api {
namespace {

using market::Int128;
using market::TimeNs;

constexpr std::int64_t kDay = 86'400 * market::kSecond;

void put_digits(char* at, std::uint64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i, value /= 10) at[i] = static_cast<char>('0' + value % 10);
}

/// Takes things off the front of a text; the first that does not match makes it failed for good.
class Scanner {
public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  int digits(std::size_t count) {
    if (rest_.size() < count) return failed_ = true, 0;
    int value = 0;
    for (const char c : rest_.substr(0, count)) {
      if (c < '0' || c > '9') return failed_ = true, 0;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  /// The character taken, 0 if it is none of `any`.
  char one_of(std::string_view any) {
    if (rest_.empty() || any.find(rest_.front()) == any.npos) return failed_ = true, '\0';
    const char taken = rest_.front();
    rest_.remove_prefix(1);
    return taken;
  }
  [[nodiscard]] bool next_is(char c) const { return !rest_.empty() && rest_.front() == c; }
  /// One to nine digits after a point, scaled to nanoseconds.
  int fraction() {
    std::size_t count = 0;
    while (count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9') ++count;
    if (count == 0 || count > 9) return failed_ = true, 0;
    int value = digits(count);
    for (; count < 9; ++count) value *= 10;
    return value;
  }
  [[nodiscard]] bool done() const { return !failed_ && rest_.empty(); }

private:
  std::string_view rest_;
  bool failed_ = false;
};

tl::unexpected<Error> bad_time(std::string_view text, std::string_view field,
                               std::string_view why) {
  std::string message(field);
  message.append(
      ": expected an RFC 3339 time such as 2012-06-21T09:30:00.004241176-04:00, found \"");
  message.append(text).append("\"");
  if (!why.empty()) message.append(" (").append(why).append(")");
  return fail(ErrorCode::invalid, std::move(message), std::string(field));
}

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
constexpr Unit kUnits[] = {{"d", kDay},
                           {"h", 3600 * market::kSecond},
                           {"m", 60 * market::kSecond},
                           {"s", market::kSecond},
                           {"ms", 1'000'000},
                           {"us", 1'000},
                           {"ns", 1}};

std::optional<std::int64_t> unit_ns(std::string_view name) {
  for (const auto& unit : kUnits) {
    if (unit.name == name) return unit.ns;
  }
  return std::nullopt;
}

}  // namespace

void append_time(std::string& out, TimeNs time) {
  auto days = time / kDay;
  auto in_day = time % kDay;
  if (in_day < 0) in_day += kDay, --days;
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  const auto seconds = static_cast<std::uint64_t>(in_day / market::kSecond);
  char text[] = "0000-00-00T00:00:00.000000000Z";
  put_digits(text, static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
  put_digits(text + 5, static_cast<unsigned>(date.month()), 2);
  put_digits(text + 8, static_cast<unsigned>(date.day()), 2);
  put_digits(text + 11, seconds / 3600, 2);
  put_digits(text + 14, seconds / 60 % 60, 2);
  put_digits(text + 17, seconds % 60, 2);
  put_digits(text + 20, static_cast<std::uint64_t>(in_day % market::kSecond), 9);
  out.append(text, sizeof text - 1);
}

std::string format_time(TimeNs time) {
  std::string out;
  append_time(out, time);
  return out;
}

Result<TimeNs> parse_time(std::string_view text, std::string_view field) {
  Scanner in(text);
  const int year = in.digits(4);
  in.one_of("-");
  const int month = in.digits(2);
  in.one_of("-");
  const int day = in.digits(2);
  in.one_of("Tt");
  const int hour = in.digits(2);
  in.one_of(":");
  const int minute = in.digits(2);
  in.one_of(":");
  const int second = in.digits(2);
  int fraction = 0;
  if (in.next_is('.')) in.one_of("."), fraction = in.fraction();
  const char zone = in.one_of("Zz+-");
  int zone_hour = 0, zone_minute = 0;
  if (zone == '+' || zone == '-') {
    zone_hour = in.digits(2);
    in.one_of(":");
    zone_minute = in.digits(2);
  }
  if (!in.done()) return bad_time(text, field, "");
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return bad_time(text, field, "there is no such day");
  if (hour > 23 || minute > 59 || second > 59)
    return bad_time(text, field, "there is no such time of day");
  if (zone_hour > 23 || zone_minute > 59) return bad_time(text, field, "there is no such offset");
  const int offset_minutes = (zone == '-' ? -1 : 1) * (zone_hour * 60 + zone_minute);
  const Int128 days = std::chrono::sys_days{date}.time_since_epoch().count();
  const Int128 seconds = days * 86'400 + hour * 3600 + minute * 60 + second - offset_minutes * 60;
  const Int128 ns = seconds * market::kSecond + fraction;
  // The two extreme values mean "no time" and "never".
  if (ns <= market::kNoTime || ns >= market::kNever)
    return bad_time(text, field, "beyond the years 1677 to 2262");
  return static_cast<TimeNs>(ns);
}

std::string format_duration(std::int64_t duration_ns) {
  if (duration_ns == 0) return "0s";
  for (const auto& unit : kUnits) {
    if (duration_ns % unit.ns == 0) return std::to_string(duration_ns / unit.ns).append(unit.name);
  }
  return {};  // not reached: every number is a multiple of one nanosecond
}

Result<std::int64_t> parse_duration(std::string_view text, std::string_view field) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const auto ns = unit_ns(text.substr(static_cast<std::size_t>(end - text.data())));
  const bool fits =
      ns && count <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / *ns);
  if (error != std::errc{} || !fits || count == 0) {
    return fail(
        ErrorCode::invalid,
        std::string(field)
            .append(
                ": expected a duration such as 250ms, 10s or 1m (units ns us ms s m h d), found \"")
            .append(text)
            .append("\""),
        std::string(field));
  }
  return static_cast<std::int64_t>(count) * *ns;
}

std::string format_width(market::CandleWidth width) {
  return market::by_activity(width) ? market::activity_text(width) : format_duration(width);
}

Result<market::CandleWidth> parse_width(std::string_view text, std::string_view field) {
  if (const auto activity = market::parse_activity(text)) return *activity;
  auto duration = parse_duration(text, field);
  if (duration && *duration <= market::kMaxAmount) return duration;
  return fail(ErrorCode::invalid,
              std::string(field) + ": expected a duration like 10s or an amount of trading like " +
                  "100t, 5000v, 1000000n, 500i, found \"" + std::string(text) + "\"",
              std::string(field));
}

}  // namespace tapedeck::api
