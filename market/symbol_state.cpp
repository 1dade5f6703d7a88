// The path of nearly every event: book, candles, metrics and digest in one translation unit, so
// that they inline.
#include "market/symbol_state.hpp"

#include "market/fold.hpp"

namespace tapedeck::market {

// So many events touch most of a symbol's state, which lies cold since its last batch: it is asked
// for as a whole.
constexpr std::size_t kLongRun = 32;
// How many events ahead the id table's line is asked for.
constexpr std::size_t kLookAhead = 8;

constexpr auto kStreamOf = [] {
  std::array<std::uint8_t, 256> streams{};
  for (std::size_t kind = 0; kind < streams.size(); ++kind) {
    streams[kind] = static_cast<std::uint8_t>(stream_of(static_cast<EventKind>(kind)));
  }
  for (const auto kind : {EventKind::add, EventKind::quote, EventKind::trade})
    streams[static_cast<std::uint8_t>(marked_kind(kind))] =
        static_cast<std::uint8_t>(stream_of(kind));
  return streams;
}();

/// The stream of the kinds that a plain message may be of; kStreams for any other.
constexpr auto kPlainStreamOf = [] {
  std::array<std::uint8_t, 256> streams{};
  streams.fill(kStreams);
  for (const EventKind kind : {EventKind::add, EventKind::execute, EventKind::execute_price,
                               EventKind::reduce, EventKind::remove, EventKind::trade}) {
    streams[static_cast<std::size_t>(kind)] = kStreamOf[static_cast<std::size_t>(kind)];
  }
  return streams;
}();

Fold::Fold(std::string symbol_name, const FoldSettings& fold_settings)
    : lowest_price_(fold_settings.allow_negative_prices ? -kMaxPrice : 0),
      book_(fold_settings.metrics_levels),
      window_(fold_settings.metrics_window),
      further_(fold_settings.further_metrics, fold_settings.metrics_levels),
      candles_(fold_settings),
      alerts_(fold_settings, symbol_name),
      settings_(&fold_settings),
      symbol_(std::move(symbol_name)) {
  const RefusalSettings& refusals = fold_settings.refusals;
  if (refusals.time_lead != 0) time_lead_ = refusals.time_lead;
  known_ = refusals.symbols.empty() || is_known(refusals.symbols, symbol_);
  strict_ = refusals.zero_size || refusals.crossed_quotes || refusals.price_band != 0 || !known_;
}

/// What was due before an event, of which this is the feed time.
[[gnu::noinline]] void Fold::come_to(TimeNs feed_time) {
  // Events put silences off and move no due time else, so nearly always next_due_ is what silences
  // could have been due at long ago.
  const TimeNs standing = std::min(window_.end(), candles_.idle_due());
  if (feed_time < std::min(standing, alerts_.no_silence_before(silent_since_))) {
    const TimeNs last = std::max(silent_since_, feed_time);
    mark_due_ = next_due_ = std::min(standing, alerts_.no_silence_before(last));
    return;
  }
  (void)emitter();
  close_due(feed_time, By::event);
  silent_since_ = std::max(silent_since_, feed_time);
  feed_time_ = std::max(feed_time_, feed_time);
  refresh_due();
}

void Fold::advance(const TimeMark& mark, Outputs& outputs) {
  if (mark.source != emitter_.source || mark.feed_time <= feed_time_) return;
  const bool due = mark.feed_time >= mark_due_;
  if (due) {
    emitter_.outputs = &outputs;
    emitter_.position = mark.position;
    close_due(mark.feed_time, By::mark);
  }
  feed_time_ = mark.feed_time;
  if (due) refresh_due();
}

void Fold::apply(const Batch& batch, Outputs& outputs) {
  batch_ = &batch;
  first_ = batch.first;
  emitter_.outputs = &outputs;
  last_folded_ = 0;
  foreign_ = batch.source != emitter_.source || batch.source == 0;
  const Event* const events = batch.events.data();
  const std::size_t count = batch.events.size();
  counts_.read += count;
  std::uint32_t hashes[kLookAhead];
  for (std::size_t i = 0; i < std::min(kLookAhead, count); ++i) {
    hashes[i] = OrderTable::hash_of(events[i].id);
    book_.prefetch_entry(hashes[i]);
  }
  if (count >= kLongRun) book_.prefetch_all();
  bool ready = ready_for_plain();
  for (std::size_t i = 0; i < count;) {
    const Event& event = events[i];
    const std::uint8_t stream = kPlainStreamOf[static_cast<std::uint8_t>(event.kind)];
    if (!ready || stream == kStreams || !is_plain(event, streams_[stream])) [[unlikely]] {
      const std::size_t next = fold_message(i);
      for (; i < next; ++i) look_ahead(i, hashes);
      ready = ready_for_plain();
      continue;
    }
    __atomic_store_n(&at_, i, __ATOMIC_RELAXED);
    const std::uint32_t hash = hashes[i % kLookAhead];
    look_ahead(i, hashes);
    message_stream_ = &streams_[stream];
    message_sequence_ = event.sequence;
    fold_plain(event, hash);
    end_message();
    ++i;
  }
  if (last_folded_ != 0) position_ = position_at(last_folded_ - 1);
  batch_ = nullptr;
}

/// The event so far ahead takes this one's place in `hashes`, and its line of the id table is asked
/// for.
[[gnu::always_inline]] inline void Fold::look_ahead(std::size_t i, std::uint32_t* hashes) const {
  if (i + kLookAhead >= batch_->events.size()) [[unlikely]]
    return;
  const std::uint32_t hash = OrderTable::hash_of(batch_->events[i + kLookAhead].id);
  hashes[i % kLookAhead] = hash;
  book_.prefetch_entry(hash);
}

/// A message that is one event of the usual kinds, goes on in sequence and time, and that no rule
/// of judge_message() and fold_event() can hold against: nearly every one, so that it is folded
/// with few questions.
[[gnu::always_inline]] inline bool Fold::is_plain(const Event& event,
                                                  const StreamSnapshot& stream) const noexcept {
  constexpr std::uint64_t kLongAgo = std::uint64_t{1} << 62;
  const std::uint64_t age =
      static_cast<std::uint64_t>(event.feed_time) - static_cast<std::uint64_t>(event.time);
  return event.sequence > stream.last && event.feed_time >= feed_time_ &&
         static_cast<std::uint64_t>(event.feed_time) <= std::uint64_t{kLatestTime} &&
         age < kLongAgo && (event.flags & kMore) == 0 && !is_ahead(event);
}

/// Whether what is plain may be folded as such in this state.
bool Fold::ready_for_plain() noexcept {
  message_index_ = 0;
  flow_reset_ = message_special_ = false;
  return !foreign_ && !keeping_ && !strict_ && sequencing_ == Sequencing::message_number;
}

/// The whole message that begins there, whatever it is; returns the first event behind it.
[[gnu::noinline]] std::size_t Fold::fold_message(std::size_t begin) {
  const std::span<const Event> events = batch_->events;
  __atomic_store_n(&at_, begin, __ATOMIC_RELAXED);
  message_index_ = 0;
  const Verdict verdict = judge_message(events[begin]);
  std::size_t forbidden_from = events.size();
  if (verdict == Verdict::fold && (strict_ || time_lead_ != kNever))
    forbidden_from = forbidden(begin);
  std::size_t i = begin;
  for (;; ++message_index_) {
    const Event& event = events[i];
    if (verdict == Verdict::fold && i < forbidden_from) [[likely]] {
      fold_event(event);
    } else if (verdict == Verdict::duplicate) {
      ++counts_.duplicates;
    } else {
      refuse(refused_rule_, event);
    }
    if ((event.flags & kMore) == 0 || i + 1 == events.size()) break;
    __atomic_store_n(&at_, ++i, __ATOMIC_RELAXED);
  }
  if (verdict == Verdict::fold) end_message();
  return i + 1;
}

/// Duplicate, hole and jump rules, by the first event of a message for all of it.
[[gnu::always_inline]] inline Fold::Verdict Fold::judge_message(const Event& event) {
  flow_reset_ = false;
  message_special_ = false;
  message_sequence_ = event.sequence;
  StreamSnapshot& stream = streams_[kStreamOf[static_cast<std::uint8_t>(event.kind)]];
  message_stream_ = &stream;
  if (foreign_) [[unlikely]]
    return judge_foreign(event);
  if (event.kind == EventKind::session) [[unlikely]]
    return Verdict::duplicate;
  if (event.sequence <= stream.last) [[unlikely]] {
    return event.sequence == 0 ? Verdict::fold : Verdict::duplicate;
  }
  if (sequencing_ == Sequencing::per_symbol) return judge_hole(event);
  return Verdict::fold;
}

[[gnu::always_inline]] inline void Fold::fold_event(const Event& event) {
  if (event.time > event.feed_time || event.feed_time > kLatestTime || event.time < kEarliestTime)
      [[unlikely]] {
    if (event.kind != EventKind::session) {
      return refuse(event.time > event.feed_time ? Refused::time_ahead : Refused::bad_value, event);
    }
  }
  if (keeping_ && (event.flags & kInSnapshot) == 0) [[unlikely]] {
    const bool waits = (event.kind >= EventKind::add && event.kind <= EventKind::level) ||
                       event.kind == EventKind::gap;
    if (waits) return fold_kept(event);
  }
  const std::uint32_t hash = OrderTable::hash_of(event.id);
  switch (event.kind) {
    case EventKind::add: return fold_add<Path::any>(event, hash);
    case EventKind::remove: return fold_take<EventKind::remove, Path::any>(event, hash);
    case EventKind::execute: return fold_take<EventKind::execute, Path::any>(event, hash);
    case EventKind::execute_price:
      return fold_take<EventKind::execute_price, Path::any>(event, hash);
    case EventKind::reduce: return fold_take<EventKind::reduce, Path::any>(event, hash);
    case EventKind::trade: return fold_print<Path::any>(event);
    case EventKind::replace: return fold_replace(event);
    case EventKind::level: return fold_level(event);
    case EventKind::quote: return fold_quote(event);
    case EventKind::session: return fold_session(event);
    case EventKind::instrument: return fold_instrument(event);
    case EventKind::trade_break: return fold_break(event);
    case EventKind::snapshot_begin: return fold_snapshot_begin(event);
    case EventKind::snapshot_end: return fold_snapshot_end(event);
    case EventKind::clear: return fold_clear(event);
    case EventKind::status: return fold_status(event);
    case EventKind::gap: return fold_gap(event);
    case EventKind::undecodable: return refuse(Refused::undecodable, event);
  }
  refuse(Refused::bad_value, event);
}

[[gnu::always_inline]] inline void Fold::fold_plain(const Event& event, std::uint32_t hash) {
  // The two most frequent kinds by branches of their own: these are foreseen better than a jump
  // through a table.
  if (event.kind == EventKind::add) return fold_add<Path::plain>(event, hash);
  if (event.kind == EventKind::remove) {
    return fold_take<EventKind::remove, Path::plain>(event, hash);
  }
  if (event.kind == EventKind::execute) {
    return fold_take<EventKind::execute, Path::plain>(event, hash);
  }
  if (event.kind == EventKind::reduce) {
    return fold_take<EventKind::reduce, Path::plain>(event, hash);
  }
  if (event.kind == EventKind::trade) return fold_print<Path::plain>(event);
  fold_take<EventKind::execute_price, Path::plain>(event, hash);
}

/// No rule refuses the event: time goes on to it, it joins the chain, candles that it ends are
/// closed.
template <Fold::Path path>
[[gnu::always_inline]] inline void Fold::commit(const Event& event) {
  // next_due_ and next_close_ are always later than the times reached: one comparison tells whether
  // anything is due.
  if (event.feed_time >= next_due_) [[unlikely]]
    come_to(event.feed_time);
  due_feed_time_ = event.feed_time;
  marked_ = false;
  ++counts_.folded;
  // Here, not in a loop of its own: between what waits for memory and branches it costs nearly
  // nothing.
  chain_ = mixing::chained(chain_, mixing::event_hash(event));
  last_folded_ = at_ + 1;
  if constexpr (path == Path::plain) {
    // Not before feed_time_, nor so silent_since_, which never runs ahead of it.
    silent_since_ = feed_time_ = event.feed_time;
    message_stream_->last = event.sequence;
  } else {
    silent_since_ = std::max(silent_since_, event.feed_time);
    feed_time_ = std::max(feed_time_, event.feed_time);
    if (message_special_) [[unlikely]]
      settle_message();
    if (message_sequence_ != 0) message_stream_->last = message_sequence_;
  }
  event_time_ = std::max(event_time_, event.time);
  if (event.time >= next_close_) [[unlikely]]
    close_by_event(event);
}

[[gnu::noinline]] void Fold::commit_rare(const Event& event) { commit<Path::any>(event); }

template <Fold::Path path>
[[gnu::always_inline]] inline void Fold::fold_add(const Event& event, std::uint32_t hash) {
  const bool allowed =
      static_cast<unsigned>(event.side) - 1U <= 1U &&
      static_cast<std::uint64_t>(event.size) - 1 < static_cast<std::uint64_t>(kMaxSize) &&
      price_allowed(event.price);
  if (!allowed) [[unlikely]]
    return refuse(*broken_rule(event), event);
  if (!depth_seen_) [[unlikely]]
    start_depth();
  book_.reserve_order();
  const Book::Found where = book_.find(event.id, hash);
  if (where.slot != kNone) [[unlikely]]
    return refuse(Refused::duplicate_order, event);
  const Ladder::Place place = book_.find_level(event.side, event.price);
  if (book_.resting(event.side, place) > kMaxSize - event.size) [[unlikely]] {
    return refuse(Refused::size_too_large, event);
  }
  commit<path>(event);
  book_.add(event.id, event.side, event.price, event.size, join_stamp(), where, place);
}

template <EventKind kind, Fold::Path path>
[[gnu::always_inline]] inline void Fold::fold_take(const Event& event, std::uint32_t hash) {
  if constexpr (kind != EventKind::remove) {
    bool allowed =
        static_cast<std::uint64_t>(event.size) - 1 < static_cast<std::uint64_t>(kMaxSize);
    if constexpr (kind == EventKind::execute_price) allowed &= price_allowed(event.price);
    if (!allowed) [[unlikely]]
      return refuse(*broken_rule(event), event);
  }
  if (event.side > Side::ask) [[unlikely]]
    return refuse(Refused::bad_side, event);
  const Book::Found found = book_.find(event.id, hash);
  commit<path>(event);
  take<kind>(event, found);
}

/// A trade that no order of the book took part in.
template <Fold::Path path>
[[gnu::always_inline]] inline void Fold::fold_print(const Event& event) {
  const bool allowed = event.side <= Side::ask && event.size >= 0 && event.size <= kMaxSize &&
                       price_allowed(event.price);
  if (!allowed) [[unlikely]]
    return refuse(*broken_rule(event), event);
  if constexpr (path == Path::any) {
    if (strict_ && beyond_band(event)) return refuse(Refused::price_band, event);
  }
  commit<path>(event);
  if (event.size != 0) fold_trade(event, event.id, event.price, event.size, event.side);
}

/// What an execute, reduce or remove does to the book, and the trade it is.
template <EventKind kind>
[[gnu::always_inline]] inline void Fold::take(const Event& event, Book::Found found) {
  if (found.slot == kNone) [[unlikely]] {
    unknown_order();
    if (kind == EventKind::execute_price && (event.flags & kPrintable) != 0) {
      fold_trade(event, event.other, event.price, event.size, Side::none);
    }
    return;
  }
  if constexpr (kind == EventKind::remove) return book_.remove(found);
  const Order& order = book_.order(found.slot);
  if constexpr (kind == EventKind::execute || kind == EventKind::execute_price) {
    const Level& level = book_.level(order.level);
    if (kind == EventKind::execute || (event.flags & kPrintable) != 0) {
      fold_trade(event, event.other, kind == EventKind::execute ? level.price() : event.price,
                 event.size, level.side == Side::bid ? Side::ask : Side::bid);
    }
  }
  if (event.size < order.size) return book_.reduce(found, event.size);
  if (event.size > order.size) [[unlikely]]
    oversized_reduction();
  book_.remove(found);
}

[[gnu::noinline]] void Fold::fold_trade(const Event& event, std::uint64_t id, Price price,
                                        Size size, Side aggressor) {
  ++trades_;
  ++session_trades_;
  last_trade_ = price;
  const KeptTrades& kept = candles_.kept();
  if (alerts_.is_outlier(price, kept.price_sum(), kept.size())) [[unlikely]] {
    alerts_.judge_trade(price, aggressor, kept.price_sum(), kept.size(), alert_cause(), emitter());
  }
  const TradeSnapshot trade{trades_, id, event.time, price, size, aggressor, 0};
  if (candles_.add(trade, cause(event), emitter())) [[unlikely]]
    ++integrity_.late_trades;
  if (further_.wants_trades()) [[unlikely]] {
    if (!window_.open()) open_window();
    further_.trade(size, aggressor);
  }
  // Only a candle that it opened makes anything due earlier.
  if (candles_.idle_due() < mark_due_ || candles_.event_due() != next_close_) refresh_due();
}

/// Samples the book if the message changed its best N levels.
[[gnu::always_inline]] inline void Fold::end_message() {
  const std::uint8_t touched = book_.take_touched();
  if (touched == 0 || keeping_) return;
  std::int64_t order_flow = 0;
  if (touched == Book::kTouchedBest) order_flow = best_changed();
  if (!window_.open()) [[unlikely]] {
    if (best_bid_.size == 0 && best_ask_.size == 0 && order_flow == 0) return;
    open_window();
  }
  const bool other_spread = window_.sample(book_, best_bid_, best_ask_, order_flow);
  if (!further_.off()) [[unlikely]]
    further_.sample(book_, best_bid_, best_ask_);
  if (other_spread || alerts_.imbalance_moves(window_.imbalance())) [[unlikely]]
    judge_sample(other_spread);
}

[[gnu::noinline]] void Fold::judge_sample(bool other_spread) {
  if (best_bid_.size == 0 || best_ask_.size == 0) return;
  if (other_spread &&
      alerts_.spread_turns(window_.spread(), window_.spread_sum(), window_.spread_count())) {
    alerts_.judge_spread(window_.spread(), window_.spread_sum(), window_.spread_count(),
                         alert_cause(), emitter());
  }
  if (alerts_.imbalance_moves(window_.imbalance())) {
    alerts_.judge_imbalance(window_.imbalance(), alert_cause(), emitter());
  }
}

/// The best level of a side is another, or has another size: what that is as order flow; is the
/// book crossed now?
[[gnu::always_inline]] inline std::int64_t Fold::best_changed() {
  const Touch bid = touch_of(book_, Side::bid);
  const Touch ask = touch_of(book_, Side::ask);
  std::int64_t order_flow = 0;
  if (!flow_reset_) [[likely]]
    order_flow = flow(bid, best_bid_) - flow(ask, best_ask_);
  best_bid_ = bid;
  best_ask_ = ask;
  std::uint8_t crossing = 0;
  if (bid.size != 0 && ask.size != 0 && bid.key + ask.key >= 0) [[unlikely]] {
    crossing = bid.key + ask.key == 0 ? 1 : 2;
  }
  if (crossing != crossing_) [[unlikely]] {
    crossing_ = crossing;
    if (crossing == 1) ++integrity_.locked;
    if (crossing == 2) ++integrity_.crossed;
    if (crossing != 0) alerts_.book_crossed(bid.key + ask.key, alert_cause(), emitter());
  }
  return order_flow;
}

/// An update that waited for the depth snapshot: folded already, now it has its effect.
void Fold::apply_kept_event(const Event& event) {
  switch (event.kind) {
    case EventKind::add: return add_kept(event);
    case EventKind::execute: return take<EventKind::execute>(event, book_.find(event.id));
    case EventKind::execute_price:
      return take<EventKind::execute_price>(event, book_.find(event.id));
    case EventKind::reduce: return take<EventKind::reduce>(event, book_.find(event.id));
    case EventKind::remove: return take<EventKind::remove>(event, book_.find(event.id));
    case EventKind::replace: return replace(event, book_.find(event.id));
    case EventKind::level: return book_.set_level(event.side, event.price, event.size);
    default: return set_gapped();
  }
}

SymbolState::SymbolState(std::string symbol, const FoldSettings& settings)
    : impl_(std::make_unique<Impl>(std::move(symbol), settings)) {}
SymbolState::~SymbolState() = default;
SymbolState::SymbolState(SymbolState&&) noexcept = default;
SymbolState& SymbolState::operator=(SymbolState&&) noexcept = default;

void SymbolState::advance(const TimeMark& mark, Outputs& outputs) { impl_->advance(mark, outputs); }
void SymbolState::apply(const Batch& batch, Outputs& outputs) { impl_->apply(batch, outputs); }
void SymbolState::set_due_rules(std::vector<DueRule> rules) {
  impl_->due_rules_ = std::move(rules);
}
UnderWay SymbolState::under_way() const noexcept { return impl_->under_way(); }
void SymbolState::revise(std::span<const CandleRevision> revisions) {
  for (const CandleRevision& revision : revisions) impl_->candles_.set_revision(revision);
  impl_->marked_ = false;
}
TimeNs SymbolState::next_due() const noexcept { return impl_->next_due(); }
SourceId SymbolState::source() const noexcept { return impl_->emitter_.source; }
const std::string& SymbolState::symbol() const noexcept { return impl_->symbol_; }
const EventCounts& SymbolState::counts() const noexcept { return impl_->counts_; }
TimeNs SymbolState::max_event_time() const noexcept { return impl_->max_event_time(); }
void SymbolState::count_filtered(std::uint64_t events) noexcept {
  impl_->counts_.read += events;
  impl_->counts_.filtered += events;
}

}  // namespace tapedeck::market
