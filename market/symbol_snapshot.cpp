// Digest, snapshot and restore.
#include "market/digest.hpp"
#include "market/fold.hpp"
#include "market/restore_checks.hpp"

namespace tapedeck::market {
namespace {

[[nodiscard]] UInt128 joined(const Digest& digest) noexcept {
  return static_cast<UInt128>(digest.high) << 64 | digest.low;
}
[[nodiscard]] Digest split(UInt128 value) noexcept {
  return {static_cast<std::uint64_t>(value >> 64), static_cast<std::uint64_t>(value)};
}

constexpr std::uint64_t kDigestVersion = 1;

}  // namespace

void Fold::freeze() {
  if (marked_) return;
  frozen_ = digest();
  marked_ = true;
}

Digest Fold::digest() const {
  if (marked_) return frozen_;
  return compute_digest(book_.sum(), candles_.closed_sum(), candles_.kept().sum());
}

Digest Fold::recompute_digest() const {
  return compute_digest(book_.recompute_sum(), candles_.recompute_closed_sum(),
                        candles_.kept().recompute_sum());
}

/// docs/formats/digest.md lists these words.
Digest Fold::compute_digest(UInt128 book, UInt128 closed, UInt128 kept) const {
  DigestWriter w;
  w.put(kDigestVersion);
  w.put(emitter_.source);
  w.put(static_cast<std::uint64_t>(earlier_sources_.size()));
  for (const SourceId source : earlier_sources_) w.put(source);
  w.put(sequencing_);
  w.put(emitter_.trust);
  w.put(event_time_);
  w.put(max_event_time());
  w.put(counts_.folded);
  for (const std::uint64_t count :
       {integrity_.gaps, integrity_.crossed, integrity_.locked, integrity_.unknown_orders,
        integrity_.oversized_reductions, integrity_.late_trades, integrity_.late_breaks}) {
    w.put(count);
  }
  w.put(emitter_.instrument.price_exponent);
  w.put(emitter_.instrument.size_exponent);
  w.put(emitter_.instrument.round_lot);
  for (const StatusSnapshot& status : statuses_) {
    w.put(status.told);
    w.put(status.time);
    w.put(status.price);
    w.put(status.size);
    w.put(status.other);
  }
  for (const StreamSnapshot& stream : streams_) {
    w.put(stream.last);
    w.put(stream.pending_jump);
  }
  w.put(book);
  w.put(static_cast<std::uint64_t>(book_.order_count()));
  for (const Side side : {Side::bid, Side::ask}) w.put(book_.ladder(side).size());
  for (const QuoteSnapshot& quote : quotes_) {
    w.put(quote.price);
    w.put(quote.size);
  }
  w.put(depth_seen_);
  w.put(keeping_);
  w.put(in_snapshot_);
  w.put(static_cast<std::uint64_t>(crossing_));
  UInt128 updates = 0;
  for (const KeptUpdate& update : kept_updates_) {
    updates = mixing::chained(updates, mixing::event_hash(update.event) + update.message_index);
  }
  w.put(static_cast<std::uint64_t>(kept_updates_.size()));
  w.put(updates);
  w.put(closed);
  for (const CandleSeries& series : candles_.series()) {
    w.put(static_cast<std::uint64_t>(series.first_open - series.first));
    w.put(static_cast<std::uint64_t>(series.items.size() - series.first_open));
    for (std::size_t i = series.first_open; i < series.items.size(); ++i) put(w, series.items[i]);
  }
  for (const ActivitySeries& series : candles_.by_activity().series()) {
    const bool open = series.has_open();
    w.put(static_cast<std::uint64_t>(series.items.size() - (open ? 1 : 0)));
    w.put(open);
    if (open) put(w, series.items.back());
  }
  w.put(kept);
  w.put(static_cast<std::uint64_t>(candles_.kept().size()));
  w.put(trades_);
  w.put(session_trades_);
  w.put(last_trade_);
  w.put(window_.open());
  if (window_.open()) put(w, window_row());
  if (alerts_.on()) {
    w.put(silent_since_);
    alerts_.put(w);
  }
  w.put(chain_);
  // Last, so that a state with nothing of the kind keeps its digest.
  if (suspect_) w.put(suspect_);
  for (const auto& [width, after] : candles_.starts()) {
    w.put(width);
    w.put(after);
  }
  if (beyond_band_) w.put(price_beyond_), w.put(beyond_sequence_);
  return w.digest();
}

void Fold::snapshot_into(SymbolSnapshot& s) const {
  s.symbol = symbol_;
  s.source = emitter_.source;
  s.source_name = source_name_;
  s.earlier_sources = earlier_sources_;
  s.sequencing = sequencing_;
  s.position = position_;
  s.trust = emitter_.trust;
  if (emitter_.trust != Trust::clean) s.trust_since = trust_since_;
  s.suspect = suspect_;
  if (suspect_) s.suspect_since = suspect_since_;
  s.event_time = event_time_;
  s.max_event_time = max_event_time();
  s.feed_time = feed_time_;
  s.counts = counts_;
  s.integrity = integrity_;
  s.instrument = emitter_.instrument;
  s.statuses = statuses_;
  s.streams = streams_;
  s.orders.reserve(book_.order_count());
  for (const Side side : {Side::bid, Side::ask}) {
    const Ladder& ladder = book_.ladder(side);
    for (std::uint32_t rank = 0; rank < ladder.size(); ++rank) {
      const Level& level = book_.level(ladder.at_rank(rank));
      if (level.orders == 0) {
        s.levels.push_back({level.price(), level.size, side});
        continue;
      }
      for (std::uint32_t slot = level.head; slot != kNoOrder; slot = book_.order(slot).next) {
        const Order& order = book_.order(slot);
        s.orders.push_back({order.id, level.price(), order.size, order.joined, side});
      }
    }
  }
  s.quotes = quotes_;
  s.depth_seen = depth_seen_;
  s.in_snapshot = in_snapshot_;
  s.crossing = crossing_;
  s.kept_updates = kept_updates_;
  for (const CandleSeries& series : candles_.series()) {
    s.candles.insert(s.candles.end(),
                     series.items.begin() + static_cast<std::ptrdiff_t>(series.first),
                     series.items.end());
  }
  for (const ActivitySeries& series : candles_.by_activity().series()) {
    s.candles.insert(s.candles.end(), series.items.begin(), series.items.end());
  }
  s.width_starts = candles_.starts();
  s.kept_trades.reserve(candles_.kept().size());
  for (std::size_t age = 0; age < candles_.kept().size(); ++age) {
    s.kept_trades.push_back(candles_.kept()[age]);
  }
  s.trades = trades_;
  s.session_trades = session_trades_;
  s.last_trade = last_trade_;
  s.beyond_band = beyond_band_, s.price_beyond = price_beyond_;
  s.beyond_sequence = beyond_sequence_;
  s.window_open = window_.open();
  if (s.window_open) s.window = window_row();
  if (alerts_.on()) {
    s.alerts.silent_since = silent_since_;
    alerts_.snapshot_into(s.alerts);
  }
  s.chain = split(chain_);
  s.digest = digest();
  s.marked = marked_;
}

/// Empty if all is well, else what is wrong.
std::string Fold::restore_from(const SymbolSnapshot& s, Overdue overdue) {
  if (std::string wrong = check_fields(s, *settings_); !wrong.empty()) return wrong;
  if (std::string wrong = check_candles(s, *settings_, overdue == Overdue::allowed);
      !wrong.empty()) {
    return wrong;
  }
  if (std::string wrong = restore_book(s, *settings_, book_); !wrong.empty()) return wrong;
  emitter_.source = s.source;
  emitter_.trust = s.trust;
  source_name_ = s.source_name;
  earlier_sources_ = s.earlier_sources;
  sequencing_ = s.sequencing;
  position_ = s.position;
  trust_since_ = s.trust_since;
  suspect_ = s.suspect;
  suspect_since_ = s.suspect_since;
  event_time_ = s.event_time;
  earlier_event_time_ = s.max_event_time;
  feed_time_ = s.feed_time;
  counts_ = s.counts;
  integrity_ = s.integrity;
  emitter_.instrument = s.instrument;
  candles_.set_instrument(s.instrument);
  statuses_ = s.statuses;
  streams_ = s.streams;
  quotes_ = s.quotes;
  depth_seen_ = s.depth_seen;
  in_snapshot_ = s.in_snapshot;
  keeping_ = s.trust == Trust::resyncing;
  crossing_ = s.crossing;
  kept_updates_ = s.kept_updates;
  if (!candles_.restore(s.candles, s.kept_trades)) return "candles out of order";
  if (!candles_.restore_starts(s.width_starts)) return "a width that the settings do not have";
  trades_ = s.trades;
  session_trades_ = s.session_trades;
  last_trade_ = s.last_trade;
  beyond_band_ = s.beyond_band, price_beyond_ = s.price_beyond;
  beyond_sequence_ = s.beyond_sequence;
  if (s.window_open) {
    window_.restore(s.window);
    if (!further_.restore(s.window.further)) return "metric window does not fit the settings";
  }
  silent_since_ = s.alerts.silent_since;
  if (std::string wrong = alerts_.restore(s.alerts); !wrong.empty()) return wrong;
  chain_ = joined(s.chain);
  best_bid_ = touch_of(book_, Side::bid);
  best_ask_ = touch_of(book_, Side::ask);
  refresh_due();
  const TimeNs open_until = std::min(window_.end(), candles_.idle_due());
  const bool due = feed_time_ >= open_until || event_time_ >= next_close_;
  if (due && overdue == Overdue::refused) return "something due is still open";
  marked_ = s.marked;
  frozen_ = s.digest;
  if (!marked_ && digest() != s.digest) {
    return "digest " + s.digest.hex() + " does not match the state's, " + digest().hex();
  }
  return {};
}

Digest SymbolState::digest() const { return impl_->digest(); }
Digest SymbolState::recompute_digest() const { return impl_->recompute_digest(); }

SymbolSnapshot SymbolState::snapshot() const {
  SymbolSnapshot result;
  impl_->snapshot_into(result);
  return result;
}

Result<SymbolState> SymbolState::restore(const SymbolSnapshot& snapshot,
                                         const FoldSettings& settings) {
  SymbolState state(snapshot.symbol, settings);
  const std::string wrong = state.impl_->restore_from(snapshot, Fold::Overdue::refused);
  if (!wrong.empty()) {
    return fail(ErrorCode::corrupt, "snapshot of symbol '" + snapshot.symbol + "': " + wrong);
  }
  return state;
}

}  // namespace tapedeck::market
