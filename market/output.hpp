// market/output.hpp -- what a fold says: candles, metric rows, late trades, refusals, alerts; each
// with an identity.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "market/candle_width.hpp"
#include "market/event.hpp"
#include "market/settings.hpp"
#include "market/trust.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// By time: trades of [open_time, open_time + width) by event time. By activity: trades in the
/// order of the tape.
struct Candle {
  CandleWidth width = 0;
  TimeNs open_time = 0;  ///< by activity: event time of its first trade
  Price open = 0, high = 0, low = 0, close = 0;
  Int128 volume = 0, buy_volume = 0, sell_volume = 0;  ///< size units; sides are the aggressor's
  Int128 notional = 0;  ///< sum of price * size: VWAP's numerator over volume
  std::uint64_t trades = 0;
  std::uint32_t revision = 0;  ///< 0 when first closed, n+1 with every correction
  bool closed = false;
  bool ohlc_exact = true;  ///< false once a break could not be taken out of open, high, low, close
  /// By activity: number of its first trade in the source, from 1. Else 0.
  std::uint64_t number = 0;
  TimeNs end_time = 0;  ///< by activity: highest event time of its trades, plus 1 ns. Else 0
  friend bool operator==(const Candle&, const Candle&) = default;
};

/// Exclusive.
[[nodiscard]] constexpr TimeNs close_time(const Candle& candle) noexcept {
  return by_activity(candle.width) ? candle.end_time : candle.open_time + candle.width;
}

/// min, max, last and exact sum over `count` samples; mean = sum / count.
struct Summary {
  std::int64_t min = 0, max = 0, last = 0;
  Int128 sum = 0;
  friend bool operator==(const Summary&, const Summary&) = default;
};

/// A further metric over a window. Stored: numbers never change meaning. Definitions and units:
/// market/further_metrics.hpp.
struct MetricSummary {
  enum class Series : std::uint8_t {
    weighted_imbalance = 0,
    vtob = 1,
    microprice = 2,
    bid_depth = 3,
    ask_depth = 4,
    buys = 5,
    sells = 6,
    mid = 7,
    mid_moves = 8,
  };
  Series series = Series::weighted_imbalance;
  std::uint64_t count = 0;
  Summary values;
  friend bool operator==(const MetricSummary&, const MetricSummary&) = default;
};
constexpr std::uint8_t kMetricSeries = 9;

/// Book metrics sampled after each message that changed the top N levels, over [open_time,
/// open_time + width) of feed time.
struct MetricsRow {
  TimeNs width = 0;
  TimeNs open_time = 0;
  std::uint64_t samples = 0;
  Summary imbalance_ppm;  ///< (bid - ask) / (bid + ask) of the top N volumes, in 10^-6, truncated
                          ///< toward zero
  Summary spread;         ///< best ask - best bid, price units; samples with both sides only
  std::uint64_t spread_samples = 0;
  Int128 order_flow_imbalance = 0;     ///< Cont, Kukanov, Stoikov 2014: sum of e_n over the window
  std::vector<MetricSummary> further;  ///< those that the settings ask for, ascending by series
  friend bool operator==(const MetricsRow&, const MetricsRow&) = default;
};

/// A trade, or a break, that came after its candle could still be corrected. Counted, not in any
/// candle of `width`.
struct LateTrade {
  CandleWidth width = 0;
  Event event;
  std::uint32_t message_index = 0;  ///< index of the event in its message
  friend bool operator==(const LateTrade&, const LateTrade&) = default;
};

/// Why the fold refused an event. Stored: numbers never change meaning.
enum class Refused : std::uint8_t {
  time_ahead = 0,  ///< event time beyond what its source's feed time supports
  size_not_positive = 1,
  size_too_large = 2,
  price_not_allowed = 3,  ///< negative where not allowed, or beyond kMaxPrice
  duplicate_order = 4,    ///< an add of an order that is on the book
  sequence_jump = 5,      ///< beyond max_sequence_jump and not yet confirmed by the next one
  bad_side = 6,
  unknown_source = 7,   ///< record of a source that no session event announced
  resync_overflow = 8,  ///< more updates than max_kept_updates while resyncing
  bad_value = 9,        ///< a field outside its range (kind, code, exponent)
  quarantined = 10,     ///< it killed the fold again and again: a control record leaves it out
  /// A due item left out likewise. Its event: time = due time, other = width, sequence = width,
  /// code = OutputKind.
  quarantined_due = 11,
};
constexpr std::uint8_t kRefusalRules = 12;
[[nodiscard]] std::string_view name(Refused rule) noexcept;

/// A dead letter of the fold: the event whole.
struct Refusal {
  Refused rule = Refused::time_ahead;
  Event event;
  std::uint32_t message_index = 0;  ///< index of the event in its message
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

/// Stored: numbers never change meaning.
enum class AlertLevel : std::uint8_t { none = 0, low = 1, medium = 2, high = 3 };
constexpr std::uint8_t kAlertLevels = 4;
[[nodiscard]] std::string_view name(AlertRule rule) noexcept;
[[nodiscard]] std::string_view name(AlertLevel level) noexcept;

/// A rule's condition came true. What `value`, `threshold` and the mean are depends on the rule:
///
///   extreme_imbalance  imbalance and threshold in millionths; side of the larger volume
///   imbalance_flip     the same; side that is the larger now
///   spread_widening    spread (price units), factor in millionths, mean of the spreads
///   outlier            trade's price, deviation in millionths, mean of the prices; its aggressor
///   silence            both: the silence (ns)
///   crossed_book       best bid - best ask (price units; 0 for locked_book), threshold 0
///   gap                0
///   pattern            time from the first to the last alert, `within` (ns)
struct Alert {
  /// `stream` where the source numbers nothing: `sequence` is the symbol's count of folded events.
  static constexpr std::uint8_t kByCount = kStreams;

  AlertRule rule = AlertRule::gap;
  AlertLevel level = AlertLevel::none;
  Side side = Side::none;
  std::int64_t value = 0, threshold = 0;
  Int128 mean_sum = 0;           ///< mean = sum / count
  std::uint64_t mean_count = 0;  ///< 0: the rule has no mean
  // The event that caused it; 0 for a silence.
  std::uint8_t stream = 0;
  Sequence sequence = 0;
  std::uint32_t message_index = 0;
  std::string pattern;  ///< name of the pattern
  friend bool operator==(const Alert&, const Alert&) = default;
};

enum class OutputKind : std::uint8_t {
  candle = 1,
  metrics = 2,
  late_trade = 3,
  refusal = 4,
  alert = 5,
};
/// As JSON and headers call it.
[[nodiscard]] std::string_view name(OutputKind kind) noexcept;

/// Exponents that an output's integers are counted in: 10^price, 10^size.
struct Scale {
  std::int8_t price = 0, size = 0;
  friend bool operator==(const Scale&, const Scale&) = default;
};

struct Output {
  TimeNs time = 0;      ///< due time (candle, metrics, alert) or event time: never that of telling
  SourceId source = 0;  ///< the symbol's source when it was said
  Trust trust = Trust::clean;
  Position position;  ///< emission position: the record (event or mark) that made it due. Not part
                      ///< of its content
  std::variant<Candle, MetricsRow, LateTrade, Refusal, Alert> body;
  Scale scale{};  ///< the instrument's when it was said; neither stored nor part of its content

  [[nodiscard]] OutputKind kind() const noexcept {
    return static_cast<OutputKind>(body.index() + 1);
  }
  /// Everything but position and scale.
  [[nodiscard]] bool same_content(const Output& other) const;
};

using Outputs = std::vector<Output>;

/// What an identity begins with.
struct IdentityHead {
  OutputKind kind = OutputKind::candle;
  TimeNs width = 0;
  TimeNs time = 0;
  friend bool operator==(const IdentityHead&, const IdentityHead&) = default;
};
[[nodiscard]] IdentityHead identity_head(const Output& output) noexcept;

/// Order-preserving key: kind, rule (width), time or causing event, source, revision. Same on every
/// tape; the symbol goes before it in a store. Layout: docs/formats/outputs.md
///   candle:     kind | width be64 | open_time be64 (sign flipped) | source be64 | revision be32;
///               by activity the number, be64, stands before the revision
///   metrics:    kind | width be64 | open_time | source | 0
///   late_trade: kind | width be64 | event time | source | stream u8 | sequence be64 | index be32
///   refusal:    kind | 0 be64 | event time | source | stream u8 | sequence be64 | index be32
///   alert:      kind | 0 be64 | due time | source | rule u8 | level u8 | stream u8 | sequence be64
///               | index be32 | pattern
/// `index` is the event's in its message.
[[nodiscard]] std::string identity(const Output& output);

}  // namespace tapedeck::market
