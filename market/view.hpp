// market/view.hpp -- answers about one symbol, ready to be printed. Copies: they outlive the state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "market/output.hpp"
#include "market/trust.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// Exponents by which integers become decimals; ITCH: -4, 0. Between -18 and 18.
struct Instrument {
  std::int32_t price_exponent = 0;
  std::int32_t size_exponent = 0;
  std::uint64_t round_lot = 0;
  friend bool operator==(const Instrument&, const Instrument&) = default;
};

struct LevelView {
  Price price = 0;
  Size size = 0;
  std::optional<std::uint32_t> orders;  ///< none where the feed has no orders
  friend bool operator==(const LevelView&, const LevelView&) = default;
};

/// The book as of `position`, best level first on both sides.
struct BookView {
  std::string symbol;
  Position position;      ///< last event folded
  TimeNs event_time = 0;  ///< highest event time folded for this source
  Trust trust = Trust::clean;
  std::optional<Position> trust_since;  ///< none while clean
  Digest digest;
  std::uint64_t events = 0;  ///< folded
  Instrument instrument;
  std::vector<LevelView> bids, asks;
};

/// Values as of `position`; rationals as numerator / denominator, denominator 0: undefined (a side
/// is empty).
struct Rational {
  Int128 numerator = 0, denominator = 0;
};
struct MetricsView {
  std::string symbol;
  Position position;
  TimeNs event_time = 0;
  Trust trust = Trust::clean;
  std::optional<Position> trust_since;
  Instrument instrument;
  std::uint32_t levels = 0;
  Rational imbalance;           ///< (B - A) / (B + A), B and A the top N volumes
  Rational weighted_imbalance;  ///< the same with level k (1 = best) weighted N + 1 - k
  std::optional<Price> spread;  ///< best ask - best bid
  Rational spread_bps;          ///< spread / mid * 10^4
  Rational vtob;                ///< volume at the touch / volume in N levels, both sides
  Rational microprice;  ///< (bid * ask volume + ask * bid volume) / (bid volume + ask volume),
                        ///< price units
  Int128 order_flow_imbalance = 0;      ///< since the current window opened
  Int128 bid_depth = 0, ask_depth = 0;  ///< volume of the best `levels` levels
  std::vector<MetricSummary> further;   ///< since the current window opened
};

/// Counted in events: read = folded + duplicates + refused + filtered.
struct EventCounts {
  std::uint64_t read = 0, folded = 0, duplicates = 0, refused = 0, filtered = 0;
  EventCounts& operator+=(const EventCounts& other) noexcept {
    read += other.read, folded += other.folded, duplicates += other.duplicates;
    refused += other.refused, filtered += other.filtered;
    return *this;
  }
  friend bool operator==(const EventCounts&, const EventCounts&) = default;
};

/// What went wrong, counted.
struct IntegrityCounts {
  std::uint64_t gaps = 0, crossed = 0, locked = 0, unknown_orders = 0, oversized_reductions = 0,
                late_trades = 0, late_breaks = 0;
  friend bool operator==(const IntegrityCounts&, const IntegrityCounts&) = default;
};

struct SymbolView {
  std::string symbol;
  Position position;
  TimeNs event_time = 0;
  TimeNs feed_time = 0;
  Trust trust = Trust::clean;
  std::optional<Position> trust_since;
  Digest digest;
  EventCounts events;
  IntegrityCounts integrity;
  Instrument instrument;
  std::string trading_state;  ///< ITCH state character, empty if never told
  std::optional<LevelView> best_bid, best_ask;
  std::optional<Price> last_trade;
  std::uint64_t trades = 0;
};

/// An alert with what an answer needs beside it.
struct AlertView {
  std::string symbol;
  TimeNs time = 0;  ///< due time
  Alert alert;
  Instrument instrument;
  Trust trust = Trust::clean;
  Position position;
};

/// A candle with what an answer needs beside it.
struct CandleView {
  std::string symbol;
  Candle candle;
  Instrument instrument;
  Trust trust = Trust::clean;
  Position position;
};

}  // namespace tapedeck::market
