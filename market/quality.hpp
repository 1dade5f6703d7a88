// market/quality.hpp -- what a stretch of events is worth: gaps, duplicates, outliers, stale and
// crossed quotes, skew, activity. Integers only; memory is bounded by symbols, not by events.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "market/symbol_state.hpp"

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
  std::uint32_t fingerprints = 4096;  ///< events of a symbol that are compared; a power of two
  std::uint32_t outlier_trades = 64;  ///< trades of the mean; before them nothing is an outlier
  std::uint32_t outlier_ppm = 100'000;
  TimeNs stale_after = 60 * kSecond;
  std::uint32_t examples = 5;  ///< kept of each finding
  /// Event times that are looked at; all are folded.
  TimeNs from = kNoTime, to = kNever;
};

/// Where a finding was met. `value`: the gap, the skew, the age of the quote (ns), the mean price.
struct FindingExample {
  std::string symbol;
  TimeNs time = 0;
  Sequence sequence = 0;
  Price price = 0;
  std::int64_t value = 0;
};

struct SkewStats {
  std::uint64_t count = 0;  ///< events with a receive time
  std::int64_t min = 0, max = 0;
  Int128 sum = 0;
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
};

/// Events in spans of `width`, which doubles whenever there would be more than kMaxSpans of them.
struct Activity {
  static constexpr std::size_t kMaxSpans = 512;
  TimeNs width = kSecond;
  std::map<TimeNs, std::uint64_t> spans;  ///< by begin, aligned to the epoch
  void add(TimeNs time);
};

struct QualityReport {
  std::uint64_t events = 0, messages = 0;
  std::array<std::uint64_t, kEventKinds> kinds{};
  std::array<std::uint64_t, kFindings> findings{};
  std::array<std::uint64_t, kGapScales> feed_gaps{};  ///< no event of any symbol for longer
  TimeNs first_time = kNever, last_time = kNoTime;
  TimeNs longest_feed_gap = 0, longest_feed_gap_at = 0;
  SkewStats skew;
  Activity activity;
  std::array<std::vector<FindingExample>, kFindings> examples;
  std::map<std::string, SymbolQuality, std::less<>> symbols;
};

/// Looks at every event, and folds it: what the fold counts is part of the report. Gaps between
/// symbols count only where events come in the order of the feed.
class QualityProfile {
public:
  /// Both must outlive it.
  QualityProfile(const QualitySettings& settings, const FoldSettings& fold);
  ~QualityProfile();
  QualityProfile(const QualityProfile&) = delete;
  QualityProfile& operator=(const QualityProfile&) = delete;

  /// Whole messages of one symbol from one source. Returns the findings as bits.
  std::uint32_t take(std::string_view symbol, const Batch& batch);
  /// The symbol's exponents, as far as its events told them.
  [[nodiscard]] Instrument instrument(std::string_view symbol) const;
  [[nodiscard]] QualityReport report() const;

private:
  struct Watch;
  std::uint32_t look_at(Watch& watch, const Event& event);
  std::uint32_t look_at_trade(Watch& watch, const Event& event);
  std::uint32_t look_at_quote(Watch& watch, const Event& event);
  void look_at_gaps(Watch& watch, const Event& event, std::uint32_t& found);
  void note(Watch& watch, Finding finding, const Event& event, std::int64_t value,
            std::uint32_t& found);

  const QualitySettings* settings_;
  const FoldSettings* fold_;
  QualityReport report_;
  std::map<std::string, Watch, std::less<>> watches_;
  Outputs outputs_;
};

}  // namespace tapedeck::market
