// market/quality_watch.hpp -- looks at one symbol's events: gaps, duplicates, outliers, stale and
// crossed quotes, skew. Integers only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "market/event.hpp"
#include "market/view.hpp"

namespace tapedeck::market {

/// What can be wrong with a message. Bit `1 << finding` in what take() returns.
enum class Finding : std::uint8_t {
  time_gap = 0,   ///< a symbol's events are further apart than the smallest scale
  backwards,      ///< event time before the symbol's highest so far
  duplicate,      ///< same content as a recent event of the symbol, sequence left aside
  outlier,        ///< trade further from the mean of the last trades than outlier_ppm
  crossed_quote,  ///< bid above ask, of L1 quotes
  locked_quote,   ///< bid equal to ask
  stale_quote,    ///< trade while the symbol's last quote is older than stale_after
  skew,           ///< received before its event time
  refused,        ///< by a rule of the fold
};
constexpr std::size_t kFindings = 9;
[[nodiscard]] std::string_view name(Finding finding) noexcept;
[[nodiscard]] constexpr std::uint32_t bit(Finding finding) noexcept {
  return 1U << static_cast<unsigned>(finding);
}

constexpr std::size_t kGapScales = 5;
struct QualitySettings {
  std::array<TimeNs, kGapScales> gap_scales = {kSecond, 10 * kSecond, 60 * kSecond, 600 * kSecond,
                                               3600 * kSecond};
  /// Events of a symbol that are compared; a power of two, or 0: no duplicates are looked for.
  std::uint32_t fingerprints = 4096;
  std::uint32_t outlier_trades = 64;  ///< trades of the mean; before them nothing is an outlier
  std::uint32_t outlier_ppm = 100'000;
  TimeNs stale_after = 60 * kSecond;
  std::uint32_t examples = 5;  ///< kept of each finding
  /// Event times that are looked at; all are folded.
  TimeNs from = kNoTime, to = kNever;
};

struct SymbolQuality {
  std::uint64_t events = 0, trades = 0, quotes = 0;
  TimeNs first_time = kNever, last_time = kNoTime;
  Price low = 0, high = 0;  ///< of its trades
  TimeNs longest_gap = 0, longest_gap_at = 0;
  std::array<std::uint64_t, kGapScales> gaps{};  ///< longer than each scale
  std::array<std::uint64_t, kFindings> findings{};
  Instrument instrument;
  EventCounts counts;         ///< the fold's
  IntegrityCounts integrity;  ///< the fold's: sequence gaps, crossed and locked books …
  friend bool operator==(const SymbolQuality&, const SymbolQuality&) = default;
};

/// What it knows begins with the first event that it is shown.
class QualityWatch {
public:
  /// `settings` outlives it.
  explicit QualityWatch(const QualitySettings& settings)
      : settings_(&settings), seen_(settings.fingerprints) {}

  /// All of them; those of kinds that say nothing of the market are passed over.
  void look_at(std::span<const Event> events);
  /// The findings as bits; value() of each is as FindingExample says.
  std::uint32_t look_at(const Event& event);
  [[nodiscard]] std::int64_t value(Finding finding) const noexcept {
    return values_[static_cast<std::size_t>(finding)];
  }
  /// One that was found elsewhere.
  void note(Finding finding) noexcept { ++quality_.findings[static_cast<std::size_t>(finding)]; }
  void set_instrument(const Instrument& instrument) noexcept { quality_.instrument = instrument; }
  [[nodiscard]] const SymbolQuality& quality() const noexcept { return quality_; }
  [[nodiscard]] const QualitySettings& settings() const noexcept { return *settings_; }
  /// Sessions, instruments and statuses say nothing of the market.
  [[nodiscard]] static bool is_market_event(EventKind kind) noexcept;

private:
  struct Seen {
    std::uint64_t print = 0, ordinal = 0;
  };
  [[nodiscard]] bool tells_only_time(const Event& event) const noexcept;
  void look_at_gaps(const Event& event);
  void look_at_trade(const Event& event);
  void look_at_quote(const Event& event);
  void found(Finding finding, std::int64_t value) noexcept;

  const QualitySettings* settings_;
  SymbolQuality quality_;
  std::uint64_t remarkable_gap_ = 0;  ///< shorter ones are no finding and not the longest
  std::uint32_t found_ = 0;           ///< of the event under way
  std::array<std::int64_t, kFindings> values_{};
  std::vector<Seen> seen_;  ///< direct-mapped: a newer event may take an older one's place
  std::vector<Price> recent_;
  std::size_t oldest_ = 0;
  Int128 recent_sum_ = 0;
  Price bid_ = 0, ask_ = 0;
  Size bid_size_ = 0, ask_size_ = 0;
  TimeNs quote_time_ = kNoTime;
};

/// What was seen of a symbol since it is watched; counts and integrity are the fold's, of all.
struct QualityView {
  std::string symbol;
  Position position;
  Trust trust = Trust::clean;
  std::optional<Position> trust_since;
  bool watched = false;  ///< else `quality` holds counts and integrity alone
  SymbolQuality quality;
  std::array<TimeNs, kGapScales> gap_scales{};
};

}  // namespace tapedeck::market
