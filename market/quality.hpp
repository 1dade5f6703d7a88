// market/quality.hpp -- what a stretch of events is worth: gaps, duplicates, outliers, stale and
// crossed quotes, skew, activity. Integers only; memory is bounded by symbols, not by events.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "market/quality_watch.hpp"
#include "market/symbol_state.hpp"

namespace tapedeck::market {

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
  void look_at_feed_gaps(const Event& event);
  void note(const Watch& watch, Finding finding, const Event& event, std::int64_t value);

  const QualitySettings* settings_;
  const FoldSettings* fold_;
  QualityReport report_;
  std::map<std::string, Watch, std::less<>> watches_;
  Outputs outputs_;
};

}  // namespace tapedeck::market
