// market/snapshot.hpp -- a plain, complete copy of a SymbolState: what is stored, and what
// restore() takes back.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "market/event.hpp"
#include "market/output.hpp"
#include "market/trust.hpp"
#include "market/units.hpp"
#include "market/view.hpp"

namespace tapedeck::market {

/// A live order. `joined`: the symbol's folded event count when it joined the back of its queue
/// (from 1), shifted left by 20, plus the number of the kept update that a depth snapshot let
/// through (0 otherwise).
struct OrderSnapshot {
  OrderId id = 0;
  Price price = 0;
  Size size = 0;
  std::uint64_t joined = 0;
  Side side = Side::none;
  friend bool operator==(const OrderSnapshot&, const OrderSnapshot&) = default;
};

/// A price level without orders (L2, L1).
struct LevelSnapshot {
  Price price = 0;
  Size size = 0;
  Side side = Side::none;
  friend bool operator==(const LevelSnapshot&, const LevelSnapshot&) = default;
};

/// A candle, open or correctable, and the event times of the trades that are its open and its
/// close.
struct CandleSnapshot {
  Candle candle;
  TimeNs first_time = 0;
  TimeNs last_time = 0;
  friend bool operator==(const CandleSnapshot&, const CandleSnapshot&) = default;
};

/// A trade that a trade_break can still take out of its candles.
struct TradeSnapshot {
  std::uint64_t ordinal = 0;  ///< number of the trade in the symbol, from 1: tape order
  std::uint64_t id = 0;       ///< venue trade id or match number; 0: none, no break finds it
  TimeNs time = 0;
  Price price = 0;
  Size size = 0;
  Side aggressor = Side::none;
  std::uint16_t in_candles = 0;  ///< bit w: counted in the candle of width number w
  friend bool operator==(const TradeSnapshot&, const TradeSnapshot&) = default;
};

/// The last status of one StatusKind.
struct StatusSnapshot {
  bool told = false;
  TimeNs time = 0;
  Price price = 0;
  Size size = 0;
  std::uint64_t other = 0;
  friend bool operator==(const StatusSnapshot&, const StatusSnapshot&) = default;
};

/// Last quote of one side (L1); size 0: none.
struct QuoteSnapshot {
  Price price = 0;
  Size size = 0;
  friend bool operator==(const QuoteSnapshot&, const QuoteSnapshot&) = default;
};

/// An update that waits for the depth snapshot. `event.receive_time` is not covered by the digest.
struct KeptUpdate {
  Event event;
  std::uint32_t message_index = 0;
  friend bool operator==(const KeptUpdate&, const KeptUpdate&) = default;
};

struct StreamSnapshot {
  Sequence last = 0;          ///< sequence of the last folded message, 0: none yet
  Sequence pending_jump = 0;  ///< refused as a jump, believed when the next one follows it; 0: none
  friend bool operator==(const StreamSnapshot&, const StreamSnapshot&) = default;
};

/// What the alerts remember. As new where the settings give no alerts.
struct AlertSnapshot {
  TimeNs silent_since = kNoTime;    ///< highest feed time of a folded event
  std::int8_t imbalance_level = 0;  ///< 0 none, 1 medium, 2 high; negative: the asks' side
  std::int8_t flip_side = 0;        ///< of the last imbalance beyond the flip's threshold: 1, -1
  bool spread_is_wide = false;
  Int128 spread_sum = 0;  ///< of the last metric window that held spreads
  std::uint64_t spread_count = 0;
  struct Told {
    AlertRule rule = AlertRule::gap;
    AlertLevel level = AlertLevel::none;
    TimeNs time = 0;  ///< due time of the last one said
    friend bool operator==(const Told&, const Told&) = default;
  };
  std::vector<Told> told;  ///< ascending by rule, then level
  /// Of each pattern in the order of the settings. `starts[k]`: latest first time of the alerts
  /// that match its first k + 1 steps; kNoTime: none do.
  struct Pattern {
    TimeNs told = kNoTime;
    std::vector<TimeNs> starts;  ///< one less than its steps
    friend bool operator==(const Pattern&, const Pattern&) = default;
  };
  std::vector<Pattern> patterns;
  friend bool operator==(const AlertSnapshot&, const AlertSnapshot&) = default;
};

struct SymbolSnapshot {
  std::string symbol;

  // The source, and those before it.
  SourceId source = 0;
  std::string source_name;
  std::vector<SourceId> earlier_sources;  ///< in the order of their sessions
  Sequencing sequencing = Sequencing::message_number;

  // Where and when. Positions, feed time and the name are outside the digest.
  Position position;  ///< last event folded
  Trust trust = Trust::clean;
  Position trust_since;             ///< meaningless while clean
  bool suspect = false;             ///< an event was left out: nothing but its release heals that
  Position suspect_since;           ///< meaningless unless suspect
  TimeNs event_time = kNoTime;      ///< highest event time folded of this source
  TimeNs max_event_time = kNoTime;  ///< ... of all sources
  TimeNs feed_time = kNoTime;       ///< of this source

  EventCounts counts;  ///< counts.folded is the event count; the others are outside the digest
  IntegrityCounts integrity;
  Instrument instrument;
  std::array<StatusSnapshot, kStatusKinds> statuses;
  std::array<StreamSnapshot, kStreams> streams;

  // The book. Bids then asks; levels best first, a level's orders in queue order.
  std::vector<OrderSnapshot> orders;
  std::vector<LevelSnapshot> levels;
  std::array<QuoteSnapshot, 2> quotes;   ///< bid, ask
  bool depth_seen = false;               ///< the source has L2 or L3: quotes do not make the book
  bool in_snapshot = false;              ///< between snapshot_begin and snapshot_end
  std::uint8_t crossing = 0;             ///< 0 neither, 1 locked, 2 crossed; as of the last message
  std::vector<KeptUpdate> kept_updates;  ///< while resyncing, in tape order

  // Candles of all widths: by width as in the settings, then by open time. Closed ones can still be
  // corrected.
  std::vector<CandleSnapshot> candles;
  /// Widths that the settings have since a change: their first interval begins after `after`.
  struct WidthStart {
    CandleWidth width = 0;
    TimeNs after = 0;
    friend bool operator==(const WidthStart&, const WidthStart&) = default;
  };
  std::vector<WidthStart> width_starts;    ///< ascending; times only
  std::vector<TradeSnapshot> kept_trades;  ///< oldest first
  std::uint64_t trades = 0;                ///< ordinal of the last trade of the symbol
  std::uint64_t session_trades = 0;        ///< trades of this source
  Price last_trade = 0;                    ///< meaningless while session_trades is 0
  /// Of the last print, where that was refused as beyond the price band.
  bool beyond_band = false;
  Price price_beyond = 0;        ///< 0 unless beyond_band
  Sequence beyond_sequence = 0;  ///< of its message; 0 unless beyond_band

  // The metric window that is open, if any.
  bool window_open = false;
  MetricsRow window;

  AlertSnapshot alerts;

  Digest chain;         ///< of the folded events
  Digest digest;        ///< as of the last folded event
  bool marked = false;  ///< a mark or a refusal moved the state since `digest` was taken: it cannot
                        ///< be recomputed

  friend bool operator==(const SymbolSnapshot&, const SymbolSnapshot&) = default;
};

}  // namespace tapedeck::market
