// tests/market/naive_alerts.hpp -- the oracle: keeps all that ever happened and looks it up.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "market/output.hpp"
#include "market/settings.hpp"

namespace tapedeck::market {

class NaiveAlerts {
public:
  using Say = std::function<void(TimeNs, const Alert&)>;
  /// Sets the causing event's fields.
  using Cause = std::function<void(Alert&)>;

  NaiveAlerts(const FoldSettings& settings, Say say)
      : all_(settings), settings_(settings.alerts), say_(std::move(say)) {}

  void event(TimeNs feed_time) {
    if (last_event_ && feed_time <= *last_event_) return;
    last_event_ = feed_time;
    asked_ = {};
  }
  /// The next silence that is to be looked at.
  [[nodiscard]] std::optional<TimeNs> silence_due() const {
    std::optional<TimeNs> due;
    for (std::size_t i = 0; last_event_ && i < settings_.silence.size(); ++i) {
      const TimeNs time = *last_event_ + settings_.silence[i];
      if (!asked_[i] && (!due || time < *due)) due = time;
    }
    return due;
  }
  void silence(TimeNs due) {
    for (std::size_t i = 0; i < settings_.silence.size(); ++i) {
      if (asked_[i] || *last_event_ + settings_.silence[i] != due) continue;
      asked_[i] = true;
      Alert alert;
      alert.rule = AlertRule::silence;
      alert.level = static_cast<AlertLevel>(i + 1);
      alert.value = alert.threshold = settings_.silence[i];
      tell(due, alert);
    }
  }

  void sample(TimeNs time, std::optional<std::int64_t> imbalance, std::optional<Price> spread,
              const Cause& cause) {
    if (!imbalance || !spread) {
      if (spread) window_.push_back(*spread);
      return;
    }
    if (window_.empty() || window_.back() != *spread) judge_spread(time, *spread, cause);
    window_.push_back(*spread);
    judge_imbalance(time, *imbalance, cause);
  }
  void window_closed() {
    if (!window_.empty()) last_window_ = window_;
    window_.clear();
  }

  void trade(TimeNs time, Price price, Side aggressor, std::uint64_t id, const Cause& cause) {
    const std::size_t n = trades_.size();
    Int128 sum = 0;
    for (const auto& [other_id, other] : trades_) sum += other;
    if (settings_.outlier != 0 && n >= settings_.outlier_trades && n > 0 && sum > 0) {
      Int128 off = Int128{price} * static_cast<Int128>(n) - sum;
      if (off < 0) off = -off;
      if (off * 1'000'000 >= sum * settings_.outlier) {
        Alert alert;
        alert.rule = AlertRule::outlier, alert.side = aggressor;
        alert.value = price, alert.threshold = settings_.outlier;
        alert.mean_sum = sum, alert.mean_count = n;
        cause(alert);
        tell(time, alert);
      }
    }
    trades_.emplace_back(id, price);
    if (trades_.size() > all_.kept_trades) trades_.erase(trades_.begin());
  }
  void trade_break(std::uint64_t id) {
    for (std::size_t i = trades_.size(); id != 0 && i-- > 0;) {
      if (trades_[i].first != id) continue;
      trades_.erase(trades_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
  }

  void crossed(TimeNs time, Price by, const Cause& cause) {
    if (!settings_.crossed) return;
    Alert alert;
    alert.rule = by == 0 ? AlertRule::locked_book : AlertRule::crossed_book;
    alert.value = by;
    cause(alert);
    tell(time, alert);
  }
  void gapped(TimeNs time, const Cause& cause) {
    if (!settings_.gap) return;
    Alert alert;
    alert.rule = AlertRule::gap;
    cause(alert);
    tell(time, alert);
  }

private:
  void judge_spread(TimeNs time, Price spread, const Cause& cause) {
    Int128 sum = 0, count = 0;
    for (const auto* window : {&last_window_, &window_}) {
      for (const Price one : *window) sum += one, ++count;
    }
    const bool wide = settings_.spread_factor != 0 && count > 0 &&
                      count >= settings_.spread_samples && sum > 0 &&
                      Int128{spread} * count * 1'000'000 >= sum * settings_.spread_factor;
    const bool widened = wide && !wide_;
    wide_ = wide;
    if (!widened) return;
    Alert alert;
    alert.rule = AlertRule::spread_widening;
    alert.value = spread, alert.threshold = settings_.spread_factor;
    alert.mean_sum = sum, alert.mean_count = static_cast<std::uint64_t>(count);
    cause(alert);
    tell(time, alert);
  }

  void judge_imbalance(TimeNs time, std::int64_t ppm, const Cause& cause) {
    const bool bids = ppm >= 0;
    const std::int64_t size = std::abs(ppm);
    if (bids != bid_heavy_) height_ = 0;
    bid_heavy_ = bids;
    const auto holds = [&](std::int64_t threshold, int height) {
      return threshold != 0 &&
             (size >= threshold ||
              (height_ >= height && size >= threshold - settings_.imbalance_hysteresis));
    };
    const int height = holds(settings_.imbalance_high, 2)     ? 2
                       : holds(settings_.imbalance_medium, 1) ? 1
                                                              : 0;
    Alert alert;
    alert.side = bids ? Side::bid : Side::ask;
    alert.value = ppm;
    cause(alert);
    if (height > height_) {
      alert.rule = AlertRule::extreme_imbalance;
      alert.level = height == 2 ? AlertLevel::high : AlertLevel::medium;
      alert.threshold = height == 2 ? settings_.imbalance_high : settings_.imbalance_medium;
      tell(time, alert);
    }
    height_ = height;
    if (settings_.flip == 0 || size < settings_.flip) return;
    if (flipped_to_ && *flipped_to_ != bids) {
      alert.rule = AlertRule::imbalance_flip;
      alert.level = AlertLevel::none;
      alert.threshold = settings_.flip;
      tell(time, alert);
    }
    flipped_to_ = bids;
  }

  void tell(TimeNs time, const Alert& alert) {
    const TimeNs cooldown = settings_.cooldown[static_cast<std::size_t>(alert.rule)];
    for (const auto& [when, said] : said_) {
      const bool same = said.rule == alert.rule && said.level == alert.level;
      if (same && time < when + cooldown) return;
    }
    said_.emplace_back(time, alert);
    say_(time, alert);
    for (std::size_t p = 0; p < all_.patterns.size(); ++p) match(p, time, alert);
  }

  /// Every choice of earlier alerts for the steps before the last, none of them from before the
  /// pattern last matched.
  void match(std::size_t p, TimeNs time, const Alert& alert) {
    const AlertPattern& pattern = all_.patterns[p];
    patterns_.resize(all_.patterns.size());
    auto& [begin, told] = patterns_[p];
    if (pattern.steps.back() != alert.rule) return;
    // The latest start: match backwards, greedily.
    std::size_t step = pattern.steps.size() - 1;
    std::size_t i = said_.size() - 1;
    while (step > 0 && i > begin) {
      --i;
      if (said_[i].second.rule == pattern.steps[step - 1]) --step;
    }
    if (step > 0 || time - said_[i].first > pattern.within) return;
    begin = said_.size();
    if (told && time < *told + pattern.cooldown) return;
    told = time;
    Alert match = alert;
    match.rule = AlertRule::pattern, match.level = AlertLevel::none, match.side = Side::none;
    match.value = time - said_[i].first, match.threshold = pattern.within;
    match.mean_sum = 0, match.mean_count = 0;
    match.pattern = pattern.name;
    say_(time, match);
  }

  FoldSettings all_;
  AlertSettings settings_;
  Say say_;
  std::optional<TimeNs> last_event_;
  std::array<bool, 3> asked_{};
  std::vector<Price> window_, last_window_;
  bool wide_ = false;
  std::vector<std::pair<std::uint64_t, Price>> trades_;
  bool bid_heavy_ = true;
  int height_ = 0;
  std::optional<bool> flipped_to_;
  std::vector<std::pair<TimeNs, Alert>> said_;
  struct PatternState {
    std::size_t begin = 0;
    std::optional<TimeNs> told;
  };
  std::vector<PatternState> patterns_;
};

}  // namespace tapedeck::market
