// market/alerts.hpp -- which conditions of book, trades and silence a symbol tells of, and patterns
// of them. docs/alerts.md
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "market/digest.hpp"
#include "market/emitter.hpp"
#include "market/mixing.hpp"
#include "market/settings.hpp"
#include "market/snapshot.hpp"

namespace tapedeck::market {

/// Of one symbol. Goes by feed time alone; an alert's time is its due time.
///
///   extreme_imbalance  |imbalance| of a sample of the book reaches a level's threshold, coming
///   from
///                      a lower level or the other side; it leaves a level below threshold minus
///                      hysteresis. Samples of a book with both sides only.
///   imbalance_flip     the imbalance reaches `flip` on one side, having last reached it on the
///                      other.
///   spread_widening    the spread becomes at least `spread_factor` times its mean over the samples
///                      of the open metric window and of the last one before it that held spreads.
///   outlier            a trade's price deviates from the mean of the kept trades' prices by at
///                      least `outlier` of it.
///   silence            no event was folded for a time.
///   crossed_book, locked_book, gap   become so.
///
/// Dues of the same time are told in the order of their levels.
class Alerts {
public:
  /// The event that is folded. `time`: its feed time.
  struct Cause {
    TimeNs time = 0;
    std::uint8_t stream = 0;
    Sequence sequence = 0;
    std::uint32_t message_index = 0;
  };

  /// `settings` must outlive this.
  Alerts(const FoldSettings& settings, std::string_view symbol);

  /// Whether any alert can ever be given.
  [[nodiscard]] bool on() const noexcept { return on_; }

  /// Whether judge_imbalance() may do anything about this value.
  [[gnu::always_inline]] [[nodiscard]] inline bool imbalance_moves(
      std::int64_t ppm) const noexcept {
    return static_cast<std::uint64_t>(ppm - quiet_from_) > quiet_span_;
  }
  void judge_imbalance(std::int64_t ppm, const Cause& cause, const Emitter& emitter);
  /// Whether judge_spread() would do anything about this spread: nearly always not, and this is
  /// asked of every spread that differs from the one before.
  [[gnu::always_inline]] [[nodiscard]] inline bool spread_turns(
      Price spread, Int128 sum, std::uint64_t count) const noexcept {
    return settings_->spread_factor != 0 && is_wide(spread, wrapping_add(sum, spread_sum_),
                                                    count + spread_count_) != spread_is_wide_;
  }
  /// A spread that differs from the one before. `sum`, `count`: samples of the open window so far.
  void judge_spread(Price spread, Int128 sum, std::uint64_t count, const Cause& cause,
                    const Emitter& emitter);
  void window_closed(Int128 spread_sum, std::uint64_t spread_samples) noexcept;
  /// Whether judge_trade() would say something. `sum`, `count`: of the prices of the trades before
  /// it.
  [[nodiscard]] bool is_outlier(Price price, Int128 sum, std::size_t count) const noexcept {
    const std::int64_t ratio = settings_->outlier;
    if (ratio == 0 || count < std::max<std::size_t>(settings_->outlier_trades, 1) || sum <= 0) {
      return false;
    }
    const Int128 deviation = Int128{price} * static_cast<std::int64_t>(count) - sum;
    // |price - mean| >= ratio * mean, times the count
    return (deviation < 0 ? -deviation : deviation) * 1'000'000 >= sum * ratio;
  }
  void judge_trade(Price price, Side aggressor, Int128 sum, std::size_t count, const Cause& cause,
                   const Emitter& emitter);
  void book_crossed(Price by, const Cause& cause, const Emitter& emitter);
  void gapped(const Cause& cause, const Emitter& emitter);

  struct Silence {
    TimeNs due = kNever;    ///< nothing happens before; it may turn out that nothing happens then
    bool on_event = false;  ///< ask again after the next event
  };
  /// What is next, with all said that was due up to `now`. `last`: highest feed time of an event.
  [[nodiscard]] Silence next_silence(TimeNs last, TimeNs now) const noexcept;
  /// No silence that begins at `last` or later is due before this.
  [[nodiscard]] TimeNs no_silence_before(TimeNs last) const noexcept {
    return settings_->silence.empty() ? kNever : later(last, settings_->silence.front());
  }
  /// Whether anything is said at `now`, a time that next_silence() gave.
  [[nodiscard]] bool silent_at(TimeNs last, TimeNs now) const noexcept;
  void say_silence(TimeNs last, TimeNs now, const Emitter& emitter);
  /// As if it had been said.
  void drop_silence(TimeNs last, TimeNs now) noexcept;

  void clear();
  void snapshot_into(AlertSnapshot& snapshot) const;
  /// What is wrong with it, or nothing.
  [[nodiscard]] std::string restore(const AlertSnapshot& snapshot);
  void put(DigestWriter& writer) const;

private:
  static constexpr std::size_t slot(AlertRule rule, AlertLevel level) noexcept {
    return static_cast<std::size_t>(rule) * kAlertLevels + static_cast<std::size_t>(level);
  }
  [[gnu::always_inline]] [[nodiscard]] inline bool is_wide(Price spread, Int128 sum,
                                                           std::uint64_t count) const noexcept {
    const std::int64_t factor = settings_->spread_factor;
    if (count < std::max<std::uint64_t>(settings_->spread_samples, 1) || sum <= 0) {
      return false;
    }
    // spread >= factor * sum / count without a division, where the products fit.
    constexpr std::uint64_t kFits = std::uint64_t{1} << 43;
    const auto distance = static_cast<std::uint64_t>(spread);
    if (distance < kFits && static_cast<UInt128>(sum) >> 64 == 0) [[likely]] {
      return mixing::product(distance * 1'000'000, count) >=
             mixing::product(static_cast<std::uint64_t>(factor), static_cast<std::uint64_t>(sum));
    }
    return is_wide_by_division(spread, sum, count);
  }
  [[nodiscard]] bool is_wide_by_division(Price spread, Int128 sum,
                                         std::uint64_t count) const noexcept;
  [[nodiscard]] TimeNs quiet_until(AlertRule rule, AlertLevel level) const noexcept;
  [[nodiscard]] int level_of(std::int64_t ppm) const noexcept;
  void refresh_quiet() noexcept;
  void say(TimeNs time, Alert alert, const Emitter& emitter);
  void match_patterns(AlertRule rule, TimeNs time, const Alert& cause, const Emitter& emitter);

  const AlertSettings* settings_;
  const std::vector<AlertPattern>* patterns_;
  bool on_;

  // Samples with quiet_from_ <= imbalance <= quiet_from_ + quiet_span_ change nothing here.
  std::int64_t quiet_from_ = 0;
  std::uint64_t quiet_span_ = ~std::uint64_t{0};
  int imbalance_level_ = 0;  ///< as AlertSnapshot's
  int flip_side_ = 0;
  bool spread_is_wide_ = false;
  Int128 spread_sum_ = 0;
  std::uint64_t spread_count_ = 0;
  std::array<TimeNs, static_cast<std::size_t>(AlertRule::pattern) * kAlertLevels> told_;
  std::vector<AlertSnapshot::Pattern> pattern_states_;
};

}  // namespace tapedeck::market
