#include "replay/pace.hpp"

#include <fmt/format.h>
#include <charconv>

namespace tapedeck::replay {

using market::Int128;

namespace {

constexpr std::size_t kPlaces = 3;

ClockNs within_clock(Int128 value) {
  if (value >= kNeverDue) return kNeverDue - 1;
  return value <= kDueAtOnce ? kDueAtOnce : static_cast<ClockNs>(value);
}

}  // namespace

Result<Speed> parse_speed(std::string_view text, std::string_view field) {
  if (text == "max") return Speed{0};
  const auto dot = text.find('.');
  const auto whole = text.substr(0, dot);
  std::string places(dot == text.npos ? "" : text.substr(dot + 1));
  const bool shaped = !whole.empty() && whole.size() <= 4 && places.size() <= kPlaces &&
                      (dot == text.npos || !places.empty());
  places.resize(kPlaces, '0');
  const auto digits = std::string(whole) + places;
  std::uint32_t thousandths = 0;
  const auto* const last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, thousandths);
  if (shaped && error == std::errc{} && end == last && thousandths >= Speed::kSlowest &&
      thousandths <= Speed::kFastest) {
    return Speed{thousandths};
  }
  return fail(
      ErrorCode::invalid,
      fmt::format("expected max or a number from 0.1 to 1000 with at most 3 places, found '{}'",
                  text),
      std::string(field));
}

std::string format_speed(Speed speed) {
  if (speed.thousandths == 0) return "max";
  auto text = fmt::format("{}.{:03}", speed.thousandths / 1000, speed.thousandths % 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

ClockNs Pace::due(market::TimeNs at) const noexcept {
  if (speed.thousandths == 0 || time == market::kNoTime || at <= time) return kDueAtOnce;
  const Int128 gap = (Int128{at} - time) * 1000;
  // Rounded up: never before its time.
  return within_clock(clock + (gap + speed.thousandths - 1) / speed.thousandths);
}

market::TimeNs Pace::time_at(ClockNs now) const noexcept {
  if (speed.thousandths == 0 || time == market::kNoTime) return market::kNever;
  return within_clock(time + (Int128{now} - clock) * speed.thousandths / 1000);
}

}  // namespace tapedeck::replay
