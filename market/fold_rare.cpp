// What seldom happens to a symbol: sessions, snapshots, statuses, gaps, refusals, closings.
#include <algorithm>
#include <stdexcept>

#include "market/fold.hpp"

namespace tapedeck::market {
namespace {

constexpr std::uint8_t kLastSequencing = static_cast<std::uint8_t>(Sequencing::per_symbol);
constexpr std::uint64_t kMostKeptNumber = (std::uint64_t{1} << 20) - 1;

}  // namespace

/// The batch is of another source than the symbol's: an earlier one's again, or a new one, which
/// its session announces.
Fold::Verdict Fold::judge_foreign(const Event& event) {
  const SourceId source = batch_->source;
  if (std::find(earlier_sources_.begin(), earlier_sources_.end(), source) !=
      earlier_sources_.end()) {
    return Verdict::duplicate;
  }
  refused_rule_ = Refused::unknown_source;
  if (event.kind != EventKind::session) return Verdict::refuse;
  refused_rule_ = Refused::bad_value;
  if (source == 0 || event.other != source) return Verdict::refuse;
  if ((event.code & ~kStartsBySnapshot) > kLastSequencing) return Verdict::refuse;
  if (event.feed_time > kLatestTime) return Verdict::refuse;
  refused_rule_ = Refused::time_ahead;
  return event.time > event.feed_time ? Verdict::refuse : Verdict::fold;
}

/// Contiguous sequences: a hole is a gap; a jump is believed when the next message follows it.
Fold::Verdict Fold::judge_hole(const Event& event) {
  StreamSnapshot& stream = *message_stream_;
  const bool hole = stream.last != 0 && event.sequence != stream.last + 1;
  if (!hole && stream.pending_jump == 0) return Verdict::fold;
  const bool believed = stream.pending_jump != 0 && event.sequence == stream.pending_jump + 1;
  if (hole && !believed && event.sequence - stream.last > settings_->max_sequence_jump) {
    freeze();  // a refused event leaves the digest as it is
    stream.pending_jump = event.sequence;
    refused_rule_ = Refused::sequence_jump;
    return Verdict::refuse;
  }
  message_special_ = true;
  message_hole_ = hole;
  return Verdict::fold;
}

/// With the first folded event of a message after a hole or a jump.
void Fold::settle_message() {
  message_special_ = false;
  message_stream_->pending_jump = 0;
  if (!message_hole_) return;
  ++integrity_.gaps;
  set_gapped();
}

std::optional<Refused> Fold::broken_rule(const Event& event) const {
  const EventKind kind = event.kind;
  if (static_cast<std::uint8_t>(kind) >= kEventKinds) return Refused::bad_value;
  if (kind == EventKind::undecodable) return Refused::undecodable;
  const bool sided = kind == EventKind::add || kind == EventKind::level || kind == EventKind::quote;
  if (event.side > Side::ask || (sided && event.side == Side::none)) return Refused::bad_side;
  if (kind == EventKind::status || kind == EventKind::instrument) return std::nullopt;
  const bool sized = kind == EventKind::add || kind == EventKind::execute ||
                     kind == EventKind::execute_price || kind == EventKind::reduce ||
                     kind == EventKind::replace;
  const bool may_be_zero =
      kind == EventKind::level || kind == EventKind::quote || kind == EventKind::trade;
  if ((sized && event.size <= 0) || (may_be_zero && event.size < 0)) {
    return Refused::size_not_positive;
  }
  if ((sized || may_be_zero) && event.size > kMaxSize) return Refused::size_too_large;
  const bool priced = may_be_zero || kind == EventKind::add || kind == EventKind::execute_price ||
                      kind == EventKind::replace;
  if (priced && !price_allowed(event.price)) return Refused::price_not_allowed;
  return std::nullopt;
}

void Fold::refuse(Refused rule, const Event& event) {
  const auto mark = std::ranges::find(batch_->marks, at_, &EventMark::index);
  if (mark != batch_->marks.end()) [[unlikely]]
    return meet(*mark, event);
  say_refusal(rule, event);
}

void Fold::say_refusal(Refused rule, const Event& event) {
  ++counts_.refused;
  Output& output = emitter_.outputs->emplace_back();
  output.time = event.time;
  output.source = batch_->source;
  output.trust = emitter_.trust;
  output.position = position_at(at_);
  output.body = Refusal{rule, event, message_index_};
  output.scale = emitter_.scale();
}

void Fold::meet(const EventMark& mark, const Event& event) {
  if (mark.fault != nullptr) {
    (*mark.fault)();
    throw std::logic_error("a fault let the fold go on");
  }
  Event whole = event;
  whole.kind = mark.kind;
  leave_out(whole);
}

/// As if a refused event were the last one folded: time goes on to it, and the digest is of here.
void Fold::leave_out(const Event& event) {
  if (!foreign_ && event.feed_time <= kLatestTime) {
    if (event.feed_time >= next_due_) {
      (void)emitter();
      close_due(event.feed_time, By::event);
    }
    feed_time_ = std::max(feed_time_, event.feed_time);
  }
  become_suspect(position_at(at_));
  marked_ = false;
  say_refusal(Refused::quarantined, event);
}

void Fold::become_suspect(const Position& since) {
  if (!suspect_) suspect_since_ = since;
  suspect_ = true;
  if (emitter_.trust != Trust::resyncing) heal();
}

/// What heals a gap or ends a resync leaves a suspect state suspect.
void Fold::heal() noexcept {
  emitter_.trust = suspect_ ? Trust::suspect : Trust::clean;
  if (suspect_) trust_since_ = suspect_since_;
}

void Fold::unknown_order() {
  ++integrity_.unknown_orders;
  set_gapped();
}
void Fold::oversized_reduction() {
  ++integrity_.oversized_reductions;
  set_gapped();
}

void Fold::set_gapped() {
  if (emitter_.trust != Trust::clean) return;
  emitter_.trust = Trust::gapped;
  trust_since_ = position_at(at_);
  alerts_.gapped(alert_cause(), emitter());
}

/// The first depth event of a source whose book was made of quotes until now.
void Fold::start_depth() {
  if (depth_seen_) return;
  depth_seen_ = true;
  book_.clear();
}

/// Everything due up to `feed_time`, in the order of due time, then rule; the emitter has its
/// position.
void Fold::close_due(TimeNs feed_time, By by) {
  TimeNs now = feed_time_;
  const auto change = [&] {
    if (by == By::mark) freeze();  // a mark never changes the digest
  };
  for (;;) {
    const Candles::Due due = candles_.next_idle();
    const TimeNs window_end = window_.end();
    const TimeNs silent = alerts_.next_silence(silent_since_, now).due;
    if (due.series != nullptr && due.time <= feed_time && due.time <= window_end &&
        due.time <= silent) {
      change();
      close_candle(due);
    } else if (window_.open() && window_end <= feed_time && window_end <= silent) {
      change();
      close_window();
    } else if (silent <= feed_time && silent != kNever) {
      now = silent;
      if (!alerts_.silent_at(silent_since_, now)) continue;
      change();
      close_silence(now);
    } else {
      break;
    }
  }
  closing_due_ = false;
}

void Fold::close_candle(const Candles::Due& due) {
  if (meet_due({emitter_.source, OutputKind::candle, due.series->width, due.time}))
    return candles_.close(due, due.time, emitter_);
  candles_.drop(due);
}

void Fold::close_window() {
  if (meet_due({emitter_.source, OutputKind::metrics, settings_->metrics_window, window_.end()})) {
    const MetricsRow row = window_row();
    emitter_.say(window_.end(), row);
    window_.reset();
    further_.reset();
    return alerts_.window_closed(row.spread.sum, row.spread_samples);
  }
  window_.reset();
  further_.reset();
}

void Fold::open_window() {
  window_.open_at(feed_time_);
  refresh_due();
}

void Fold::close_silence(TimeNs due) {
  if (meet_due({emitter_.source, OutputKind::alert, 0, due}))
    return alerts_.say_silence(silent_since_, due, emitter_);
  alerts_.drop_silence(silent_since_, due);
}

/// Publishes what is closed now. False: it is left out, and that is said.
bool Fold::meet_due(const DueItem& item) {
  due_under_way_ = item;
  closing_due_ = true;
  const auto rule = std::ranges::find(due_rules_, item, &DueRule::item);
  if (rule == due_rules_.end()) return true;
  if (rule->fault != nullptr) (*rule->fault)();
  become_suspect(emitter_.position);
  Event event;
  event.time = event.feed_time = item.time;
  event.sequence = event.other = static_cast<std::uint64_t>(item.width);
  event.kind = EventKind::status;
  event.code = static_cast<std::uint8_t>(item.kind);
  emitter_.say(item.time, Refusal{Refused::quarantined_due, event, 0});
  return false;
}

void Fold::close_by_event(const Event& event) {
  for (;;) {
    const Candles::Due due = candles_.next_by_event();
    if (due.series == nullptr || due.time > event_time_) break;
    candles_.close(due, event.feed_time, emitter());
  }
  refresh_due();
}

void Fold::fold_session(const Event& event) {
  if (message_index_ != 0) return refuse(Refused::bad_value, event);
  (void)emitter();
  close_due(kNever, By::event);  // the old source's time has run out
  candles_.end_session(emitter_);
  earlier_event_time_ = max_event_time();
  if (emitter_.source != 0) earlier_sources_.push_back(emitter_.source);
  emitter_.source = event.other;
  foreign_ = false;
  source_name_ = batch_->source_name;
  sequencing_ = static_cast<Sequencing>(event.code & ~kStartsBySnapshot);
  keeping_ = depth_seen_ = (event.code & kStartsBySnapshot) != 0;
  emitter_.trust = keeping_ ? Trust::resyncing : Trust::clean;
  suspect_ = false;  // what was left out belonged to the old source
  trust_since_ = position_at(at_);

  book_.clear();
  (void)book_.take_touched();
  best_bid_ = best_ask_ = {};
  crossing_ = 0;
  flow_reset_ = true;
  in_snapshot_ = false;
  kept_updates_.clear();
  alerts_.clear();
  streams_ = {};
  statuses_ = {};
  quotes_ = {};
  emitter_.instrument = {};
  session_trades_ = 0;
  last_trade_ = 0;
  forget_beyond();
  feed_time_ = event_time_ = due_feed_time_ = silent_since_ = kNoTime;
  refresh_due();
  commit_rare(event);
}

void Fold::fold_instrument(const Event& event) {
  const auto in_range = [](std::int64_t exponent) { return exponent >= -18 && exponent <= 18; };
  if (!in_range(event.price) || !in_range(event.size)) return refuse(Refused::bad_value, event);
  commit_rare(event);
  emitter_.instrument = {static_cast<std::int32_t>(event.price),
                         static_cast<std::int32_t>(event.size), event.other};
  candles_.set_instrument(emitter_.instrument);
}

void Fold::fold_status(const Event& event) {
  if (event.code >= kStatusKinds) return refuse(Refused::bad_value, event);
  commit_rare(event);
  statuses_[event.code] = {true, event.time, event.price, event.size, event.other};
}

void Fold::fold_gap(const Event& event) {
  commit_rare(event);
  ++integrity_.gaps;
  set_gapped();
}

void Fold::fold_level(const Event& event) {
  if (const auto rule = broken_rule(event)) return refuse(*rule, event);
  commit_rare(event);
  start_depth();
  book_.set_level(event.side, event.price, event.size);
}

void Fold::fold_quote(const Event& event) {
  if (const auto rule = broken_rule(event)) return refuse(*rule, event);
  commit_rare(event);
  QuoteSnapshot& quote = quotes_[static_cast<std::size_t>(event.side) - 1];
  quote = event.size == 0 ? QuoteSnapshot{} : QuoteSnapshot{event.price, event.size};
  if (!depth_seen_) book_.set_quote(event.side, event.price, event.size);
}

void Fold::fold_break(const Event& event) {
  commit_rare(event);
  if (candles_.take_out(event.id, cause(event), emitter())) ++integrity_.late_breaks;
  refresh_due();
}

void Fold::fold_replace(const Event& event) {
  if (const auto rule = broken_rule(event)) return refuse(*rule, event);
  const Book::Found found = book_.find(event.id);
  if (found.slot != kNone) {
    if (event.other != event.id && book_.find(event.other).slot != kNone) {
      return refuse(Refused::duplicate_order, event);
    }
    const Order& order = book_.order(found.slot);
    const Level& level = book_.level(order.level);
    const Size leaves = level.price() == event.price ? order.size : 0;
    const Size resting =
        book_.resting(level.side, book_.find_level(level.side, event.price)) - leaves;
    if (resting > kMaxSize - event.size) return refuse(Refused::size_too_large, event);
  }
  commit_rare(event);
  replace(event, found);
}

/// Same side, back of the queue. The side of an unknown order is not known: nothing is added.
void Fold::replace(const Event& event, Book::Found found) {
  if (found.slot == kNone) return unknown_order();
  const Side side = book_.level(book_.order(found.slot).level).side;
  book_.remove(found);
  Event added = event;
  added.id = event.other;
  added.side = side;
  add_kept(added);
}

void Fold::add_kept(const Event& event) {
  book_.reserve_order();
  const Book::Found where = book_.find(event.id);
  const Ladder::Place place = book_.find_level(event.side, event.price);
  if (where.slot != kNone || book_.resting(event.side, place) > kMaxSize - event.size) {
    return set_gapped();  // it contradicts the snapshot
  }
  book_.add(event.id, event.side, event.price, event.size, join_stamp(), where, place);
}

void Fold::fold_clear(const Event& event) {
  commit_rare(event);
  book_.clear();
  quotes_ = {};
  best_bid_ = best_ask_ = {};
  if (keeping_) crossing_ = 0;  // of before the depth snapshot
  flow_reset_ = true;
  keeping_ = in_snapshot_ = false;
  kept_updates_.clear();
  heal();
}

void Fold::fold_snapshot_begin(const Event& event) {
  commit_rare(event);
  start_depth();
  book_.clear();
  flow_reset_ = true;
  keeping_ = in_snapshot_ = true;
  if (emitter_.trust == Trust::resyncing) return;
  emitter_.trust = Trust::resyncing;
  trust_since_ = position_at(at_);
}

void Fold::fold_kept(const Event& event) {
  if (const auto rule = broken_rule(event)) return refuse(*rule, event);
  if (kept_updates_.size() >= settings_->max_kept_updates) {
    return refuse(Refused::resync_overflow, event);
  }
  commit_rare(event);
  if (event.kind == EventKind::gap) ++integrity_.gaps;
  kept_updates_.push_back({event, message_index_});
}

/// Heals trust, then applies the kept updates that the snapshot does not hold yet.
void Fold::fold_snapshot_end(const Event& event) {
  commit_rare(event);
  start_depth();
  const Sequence valid = event.other != 0 ? event.other : event.sequence;
  const bool contiguous = sequencing_ == Sequencing::per_symbol && valid != 0;
  StreamSnapshot& depth = streams_[static_cast<std::size_t>(Stream::depth)];
  keeping_ = in_snapshot_ = false;
  heal();
  const std::uint32_t message_index = message_index_;
  Sequence reached = valid;
  bool hole = false;
  for (const KeptUpdate& kept : kept_updates_) {
    const Sequence sequence = kept.event.sequence;
    if (sequence != 0 && sequence <= valid) continue;
    if (sequence != 0 && sequence > reached + 1) hole = true;
    if (sequence != 0) reached = sequence;
    kept_number_ = std::min(kept_number_ + 1, kMostKeptNumber);
    message_index_ = kept.message_index;
    apply_kept_event(kept.event);
  }
  message_index_ = message_index;
  kept_number_ = 0;
  kept_updates_.clear();
  // Updates later than the snapshot that were folded into the book before it, and are lost with
  // that book.
  if (event.sequence == 0 && reached < depth.last) hole = true;
  if (contiguous && hole) {
    ++integrity_.gaps;
    set_gapped();
  }
  if (event.other != 0) depth.last = std::max(depth.last, event.other);
  book_.touch();
  flow_reset_ = true;
}

}  // namespace tapedeck::market
