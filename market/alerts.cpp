#include "market/alerts.hpp"

#include <algorithm>

#include "market/mixing.hpp"

namespace tapedeck::market {
namespace {

constexpr std::int64_t kMillion = 1'000'000;

[[nodiscard]] bool any(const AlertSettings& s) noexcept {
  return s.imbalance_high != 0 || s.imbalance_medium != 0 || s.flip != 0 || s.spread_factor != 0 ||
         s.outlier != 0 || !s.silence.empty() || s.crossed || s.gap;
}

[[nodiscard]] const AlertSettings& settings_of(const FoldSettings& settings,
                                               std::string_view symbol) {
  const auto& own = settings.symbol_alerts;
  const auto at = std::lower_bound(
      own.begin(), own.end(), symbol,
      [](const SymbolAlerts& one, std::string_view name) { return one.symbol < name; });
  return at != own.end() && at->symbol == symbol ? at->settings : settings.alerts;
}

[[nodiscard]] AlertLevel silence_level(std::size_t i) noexcept {
  return static_cast<AlertLevel>(static_cast<std::size_t>(AlertLevel::low) + i);
}

void fill_cause(Alert& alert, const Alerts::Cause& cause) noexcept {
  alert.stream = cause.stream;
  alert.sequence = cause.sequence;
  alert.message_index = cause.message_index;
}

[[nodiscard]] Alert alert_of(AlertRule rule, AlertLevel level, Side side, std::int64_t value,
                             std::int64_t threshold, const Alerts::Cause& cause) {
  Alert alert;
  alert.rule = rule, alert.level = level, alert.side = side;
  alert.value = value, alert.threshold = threshold;
  fill_cause(alert, cause);
  return alert;
}

}  // namespace

Alerts::Alerts(const FoldSettings& settings, std::string_view symbol)
    : settings_(&settings_of(settings, symbol)), patterns_(&settings.patterns) {
  on_ = any(*settings_);
  clear();
}

void Alerts::clear() {
  imbalance_level_ = flip_side_ = 0;
  spread_is_wide_ = false;
  spread_sum_ = 0;
  spread_count_ = 0;
  told_.fill(kNoTime);
  pattern_states_.clear();
  if (on_) {
    for (const AlertPattern& pattern : *patterns_) {
      pattern_states_.push_back({kNoTime, std::vector<TimeNs>(pattern.steps.size() - 1, kNoTime)});
    }
  }
  refresh_quiet();
}

TimeNs Alerts::quiet_until(AlertRule rule, AlertLevel level) const noexcept {
  const TimeNs told = told_[slot(rule, level)];
  if (told == kNoTime) return kNoTime;
  return later(told, settings_->cooldown[static_cast<std::size_t>(rule)]);
}

/// Signed level of an imbalance, given the one before.
int Alerts::level_of(std::int64_t ppm) const noexcept {
  const int side = ppm < 0 ? -1 : 1;
  const std::int64_t size = ppm < 0 ? -ppm : ppm;
  const int before = imbalance_level_ * side > 0 ? imbalance_level_ * side : 0;
  const auto within = [&](std::int64_t threshold, int level) {
    const std::int64_t leave = before >= level ? settings_->imbalance_hysteresis : 0;
    return threshold != 0 && size >= threshold - leave;
  };
  if (within(settings_->imbalance_high, 2)) return 2 * side;
  if (within(settings_->imbalance_medium, 1)) return side;
  return 0;
}

/// The imbalances that leave level and flip side as they are.
void Alerts::refresh_quiet() noexcept {
  const AlertSettings& s = *settings_;
  std::int64_t low = -2 * kMillion, high = 2 * kMillion;
  const int level = imbalance_level_ < 0 ? -imbalance_level_ : imbalance_level_;
  if (level == 0) {
    std::int64_t enter = high;
    if (s.imbalance_high != 0) enter = s.imbalance_high;
    if (s.imbalance_medium != 0) enter = std::min(enter, s.imbalance_medium);
    low = -enter + 1, high = enter - 1;
  } else {
    const std::int64_t threshold = level == 2 ? s.imbalance_high : s.imbalance_medium;
    const std::int64_t leave = threshold - s.imbalance_hysteresis;
    const std::int64_t rise = level == 1 && s.imbalance_high != 0 ? s.imbalance_high : high + 1;
    low = imbalance_level_ > 0 ? leave : -rise + 1;
    high = imbalance_level_ > 0 ? rise - 1 : -leave;
  }
  if (s.flip != 0) {
    if (flip_side_ != -1) low = std::max(low, -s.flip + 1);
    if (flip_side_ != 1) high = std::min(high, s.flip - 1);
  }
  // An empty range becomes one that no imbalance is in.
  quiet_from_ = low <= high ? low : 2 * kMillion;
  quiet_span_ = low <= high ? static_cast<std::uint64_t>(high - low) : 0;
}

void Alerts::judge_imbalance(std::int64_t ppm, const Cause& cause, const Emitter& emitter) {
  const AlertSettings& s = *settings_;
  const int before = imbalance_level_, after = level_of(ppm);
  imbalance_level_ = after;
  const Side side = ppm < 0 ? Side::ask : Side::bid;
  const int height = after < 0 ? -after : after;
  const int height_before = before * after > 0 ? (before < 0 ? -before : before) : 0;
  if (height > height_before) {
    const AlertLevel level = height == 2 ? AlertLevel::high : AlertLevel::medium;
    const std::int64_t threshold = height == 2 ? s.imbalance_high : s.imbalance_medium;
    say(cause.time, alert_of(AlertRule::extreme_imbalance, level, side, ppm, threshold, cause),
        emitter);
  }
  if (s.flip != 0 && (ppm >= s.flip || ppm <= -s.flip)) {
    const int now = ppm < 0 ? -1 : 1;
    const bool flipped = flip_side_ == -now;
    flip_side_ = now;
    if (flipped) {
      say(cause.time,
          alert_of(AlertRule::imbalance_flip, AlertLevel::none, side, ppm, s.flip, cause), emitter);
    }
  }
  refresh_quiet();
}

/// Whether spread * 10^6 >= factor * sum / count, for all spreads below 2^62.
bool Alerts::is_wide_by_division(Price spread, Int128 sum, std::uint64_t count) const noexcept {
  const Int128 factor = settings_->spread_factor;
  const Int128 whole = sum / count, rest = sum % count;
  return Int128{spread} * kMillion - whole * factor >= (rest * factor + (count - 1)) / count;
}

void Alerts::judge_spread(Price spread, Int128 sum, std::uint64_t count, const Cause& cause,
                          const Emitter& emitter) {
  if (!spread_turns(spread, sum, count)) return;
  spread_is_wide_ = !spread_is_wide_;
  if (!spread_is_wide_) return;
  Alert alert = alert_of(AlertRule::spread_widening, AlertLevel::none, Side::none, spread,
                         settings_->spread_factor, cause);
  alert.mean_sum = wrapping_add(sum, spread_sum_), alert.mean_count = count + spread_count_;
  say(cause.time, std::move(alert), emitter);
}

void Alerts::window_closed(Int128 spread_sum, std::uint64_t spread_samples) noexcept {
  if (settings_->spread_factor == 0 || spread_samples == 0) return;
  spread_sum_ = spread_sum;
  spread_count_ = spread_samples;
}

void Alerts::judge_trade(Price price, Side aggressor, Int128 sum, std::size_t count,
                         const Cause& cause, const Emitter& emitter) {
  if (!is_outlier(price, sum, count)) return;
  Alert alert =
      alert_of(AlertRule::outlier, AlertLevel::none, aggressor, price, settings_->outlier, cause);
  alert.mean_sum = sum, alert.mean_count = count;
  say(cause.time, std::move(alert), emitter);
}

void Alerts::book_crossed(Price by, const Cause& cause, const Emitter& emitter) {
  if (!settings_->crossed) return;
  const AlertRule rule = by == 0 ? AlertRule::locked_book : AlertRule::crossed_book;
  say(cause.time, alert_of(rule, AlertLevel::none, Side::none, by, 0, cause), emitter);
}

void Alerts::gapped(const Cause& cause, const Emitter& emitter) {
  if (!settings_->gap) return;
  say(cause.time, alert_of(AlertRule::gap, AlertLevel::none, Side::none, 0, 0, cause), emitter);
}

Alerts::Silence Alerts::next_silence(TimeNs last, TimeNs now) const noexcept {
  Silence next;
  if (last == kNoTime) {
    next.on_event = !settings_->silence.empty();
    return next;
  }
  for (std::size_t i = 0; i < settings_->silence.size(); ++i) {
    const AlertLevel level = silence_level(i);
    const TimeNs due = later(last, settings_->silence[i]);
    const TimeNs quiet = quiet_until(AlertRule::silence, level);
    if (told_[slot(AlertRule::silence, level)] == due) {
      next.on_event = true;  // of this silence, all is said
    } else if (due >= quiet) {
      next.due = std::min(next.due, due);
    } else if (now < quiet) {
      next.due = std::min(next.due, quiet);  // a silence that begins later may be due then
    } else {
      next.on_event = true;
    }
  }
  return next;
}

bool Alerts::silent_at(TimeNs last, TimeNs now) const noexcept {
  for (std::size_t i = 0; i < settings_->silence.size(); ++i) {
    if (later(last, settings_->silence[i]) == now &&
        now >= quiet_until(AlertRule::silence, silence_level(i))) {
      return true;
    }
  }
  return false;
}

void Alerts::say_silence(TimeNs last, TimeNs now, const Emitter& emitter) {
  for (std::size_t i = 0; i < settings_->silence.size(); ++i) {
    const TimeNs silence = settings_->silence[i];
    if (later(last, silence) != now) continue;
    say(now, alert_of(AlertRule::silence, silence_level(i), Side::none, silence, silence, {}),
        emitter);
  }
}

void Alerts::drop_silence(TimeNs last, TimeNs now) noexcept {
  for (std::size_t i = 0; i < settings_->silence.size(); ++i) {
    if (later(last, settings_->silence[i]) == now)
      told_[slot(AlertRule::silence, silence_level(i))] = now;
  }
}

void Alerts::say(TimeNs time, Alert alert, const Emitter& emitter) {
  if (time < quiet_until(alert.rule, alert.level)) return;
  told_[slot(alert.rule, alert.level)] = time;
  emitter.say(time, alert);
  if (!pattern_states_.empty()) match_patterns(alert.rule, time, alert, emitter);
}

/// Each pattern keeps, for every length, the latest first time of the alerts that match so much of
/// it: who began last has the most time left.
void Alerts::match_patterns(AlertRule rule, TimeNs time, const Alert& cause,
                            const Emitter& emitter) {
  for (std::size_t p = 0; p < pattern_states_.size(); ++p) {
    const AlertPattern& pattern = (*patterns_)[p];
    AlertSnapshot::Pattern& state = pattern_states_[p];
    const std::size_t last = pattern.steps.size() - 1;
    for (std::size_t k = last + 1; k-- > 0;) {
      if (pattern.steps[k] != rule) continue;
      TimeNs begun = time;
      if (k > 0) {
        begun = state.starts[k - 1];
        if (begun == kNoTime || later(begun, pattern.within) < time) continue;
      }
      if (k < last) {
        state.starts[k] = begun;
        continue;
      }
      std::fill(state.starts.begin(), state.starts.end(), kNoTime);
      if (state.told != kNoTime && time < later(state.told, pattern.cooldown)) break;
      state.told = time;
      Alert alert = cause;
      alert.rule = AlertRule::pattern, alert.level = AlertLevel::none, alert.side = Side::none;
      alert.value = time - begun, alert.threshold = pattern.within;
      alert.mean_sum = 0, alert.mean_count = 0;
      alert.pattern = pattern.name;
      emitter.say(time, alert);
      break;
    }
  }
}

void Alerts::snapshot_into(AlertSnapshot& s) const {
  s.imbalance_level = static_cast<std::int8_t>(imbalance_level_);
  s.flip_side = static_cast<std::int8_t>(flip_side_);
  s.spread_is_wide = spread_is_wide_;
  s.spread_sum = spread_sum_;
  s.spread_count = spread_count_;
  for (std::size_t i = 0; i < told_.size(); ++i) {
    if (told_[i] == kNoTime) continue;
    s.told.push_back({static_cast<AlertRule>(i / kAlertLevels),
                      static_cast<AlertLevel>(i % kAlertLevels), told_[i]});
  }
  s.patterns = pattern_states_;
}

std::string Alerts::restore(const AlertSnapshot& s) {
  if (!on_) return s == AlertSnapshot{} ? "" : "alerts that the settings do not give";
  if (s.imbalance_level < -2 || s.imbalance_level > 2 || s.flip_side < -1 || s.flip_side > 1) {
    return "an alert's level is impossible";
  }
  std::size_t before = 0;
  for (const auto& [rule, level, time] : s.told) {
    if (rule >= AlertRule::pattern || static_cast<std::uint8_t>(level) >= kAlertLevels ||
        slot(rule, level) + 1 <= before || time == kNoTime) {
      return "alerts out of order";
    }
    before = slot(rule, level) + 1;
    told_[slot(rule, level)] = time;
  }
  bool fits = s.patterns.size() == pattern_states_.size();
  for (std::size_t p = 0; fits && p < s.patterns.size(); ++p) {
    fits = s.patterns[p].starts.size() == pattern_states_[p].starts.size();
  }
  if (!fits) return "alert patterns do not fit the settings";
  pattern_states_ = s.patterns;
  imbalance_level_ = s.imbalance_level;
  flip_side_ = s.flip_side;
  spread_is_wide_ = s.spread_is_wide;
  spread_sum_ = s.spread_sum;
  spread_count_ = s.spread_count;
  refresh_quiet();
  return {};
}

void Alerts::put(DigestWriter& w) const {
  w.put(static_cast<std::int64_t>(imbalance_level_));
  w.put(static_cast<std::int64_t>(flip_side_));
  w.put(spread_is_wide_);
  w.put(spread_sum_);
  w.put(spread_count_);
  for (const TimeNs time : told_) w.put(time);
  w.put(static_cast<std::uint64_t>(pattern_states_.size()));
  for (const AlertSnapshot::Pattern& pattern : pattern_states_) {
    w.put(pattern.told);
    w.put(static_cast<std::uint64_t>(pattern.starts.size()));
    for (const TimeNs start : pattern.starts) w.put(start);
  }
}

}  // namespace tapedeck::market
