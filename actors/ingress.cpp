// Reading, grouping, handing out, and the account of what is in flight. Storing is in
// ingress_store.cpp.
#include "actors/ingress.hpp"

#include <algorithm>

namespace tapedeck::actors {

namespace {

void newest(std::vector<storage::Checkpoint::FeedTime>& times, const market::TimeMark& mark) {
  const auto found = std::ranges::find(times, mark.source, &storage::Checkpoint::FeedTime::source);
  if (found == times.end()) {
    times.push_back({mark.source, mark.feed_time});
  } else {
    found->feed_time = std::max(found->feed_time, mark.feed_time);
  }
}

}  // namespace

Ingress::Ingress(IngressContext context, IngressPort& port)
    : context_(context), port_(port), gathering_(std::make_shared<StoreRequest>()) {}

void Ingress::start(std::optional<Offset> committed) {
  auto plan = must(replay::plan_resume(*context_.tape, *context_.state, context_.partition,
                                       committed.value_or(storage::kNoOffset)));
  if (const auto end = must(context_.tape->end(context_.partition)); end < plan.cursor) {
    throw EngineFailure({ErrorCode::corrupt,
                         "state: partition " + std::to_string(context_.partition) +
                             " was folded up to " + std::to_string(plan.cursor) +
                             ", and the tape ends at " + std::to_string(end) +
                             ": it has lost its end since",
                         {}});
  }
  next_ = checkpoint_ = plan.checkpoint.next;
  cursor_ = plan.cursor;
  resume_cursor_ = plan.silent_below;
  committed_ = last_owner_upto_ = committed.value_or(0);
  context_.metrics->committed = static_cast<std::int64_t>(committed_);
  context_.metrics->stopped = 0;
  events_ = events_at_checkpoint_ = plan.checkpoint.events;
  newest_marks_ = plan.checkpoint.feed_times;
  for (const auto& time : newest_marks_) feed_time_ = std::max(feed_time_, time.feed_time);
  if (!newest_marks_.empty())
    context_.metrics->feed_time_ns = context_.metrics->newest_feed_time_ns = feed_time_;
  checkpoint_times_ =
      std::make_shared<const std::vector<storage::Checkpoint::FeedTime>>(newest_marks_);
  stored_at_ = checkpoint_at_ = port_.now();
  quarantine_known();
  if (context_.rules != nullptr)
    changes_met_ = context_.rules->rules().changes_before(context_.partition, next_ + 1);
  note_releases();
  const auto work = start_work_ = open_work(next_, 0);
  for (const auto& symbol : plan.symbols) {
    const auto index = entry_of(symbol);
    entries_[index].told = next_;
    send_work(index, work);
    port_.send(index, Restore{next_, resume_cursor_, next_, checkpoint_times_, work,
                              entries_[index].newest_snapshot, rules_now()});
  }
  release(work);
  if (context_.board != nullptr) context_.board->symbols_begin(context_.partition);
  publish();
  port_.wake_self();
}

bool Ingress::may_read() {
  if (draining_ && !drain_to_end_) return false;
  // What a release said where the ingress stands leaves only behind the next record.
  const bool delivered =
      undelivered_outputs_ < context_.options->max_undelivered_outputs || committed_ >= next_;
  const bool credit = inflight_bytes_ < context_.options->max_inflight_bytes &&
                      unstored_outputs_ < context_.options->max_unstored_outputs && delivered;
  if (!credit && !waiting_for_credit_) ++context_.metrics->credit_waits;
  tell_depths();
  waiting_for_credit_ = !credit;
  return credit;
}

void Ingress::wake() {
  idle_ = false;
  if (!may_read()) return;
  auto next = next_slice();
  if (!next) return stop_reading(next.error());
  auto slice = std::move(*next);
  if (slice.empty()) {
    idle_ = true;
    settle();
    publish();
    return;
  }
  dispatch(std::move(slice));
  maybe_checkpoint();
  if (gathering_->outputs >= 4096) flush(false);
  publish();
  port_.wake_self();
}

void Ingress::dispatch(Slice slice) {
  auto& metrics = *context_.metrics;
  metrics.poll_records.record(slice.last - slice.first);
  if (slice.first == 0) metrics.payload_bytes += slice.block->bytes;
  const auto poll = group(std::move(slice));
  next_ = poll->end;
  hand_out(poll);
  for (const auto index : std::exchange(waking_, {})) wake_up(index);
  if (!poll->marks.empty()) {
    std::ranges::copy(poll->marks, std::back_inserter(recent_marks_));
    tell_due(poll->marks);
  }
  meet_releases();
  meet_changes();
  prune_marks();
}

EntryIndex Ingress::entry_of(std::string_view symbol) {
  if (const auto found = by_symbol_.find(symbol); found != by_symbol_.end()) return found->second;
  const auto index = static_cast<EntryIndex>(entries_.size());
  names_.emplace_back(symbol);
  by_symbol_.emplace(names_.back(), index);
  auto& entry = entries_.emplace_back();
  entry.symbol = symbol;
  entry.seen = feed_time_;
  entry.accused = context_.attempts != nullptr && context_.attempts->accused(symbol);
  if (const auto bound = newest_snapshots_.find(symbol); bound != newest_snapshots_.end())
    entry.newest_snapshot = bound->second;
  port_.spawn(index, 0, names_.back(), resume_cursor_);
  context_.metrics->symbols = static_cast<std::int64_t>(entries_.size());
  return index;
}

void Ingress::note_record(const storage::Record& record, Poll& poll) {
  feed_time_ = std::max(feed_time_, record.max_event_time);
  if (record.kind == storage::RecordKind::mark) {
    ++context_.metrics->marks;
    poll.marks.push_back(must(replay::time_mark(record)));
    newest(newest_marks_, poll.marks.back());
    context_.metrics->newest_feed_time_ns = poll.marks.back().feed_time;
    return;
  }
  events_ += record.event_count;
  const auto index = entry_of(record.symbol);
  Entry& entry = entries_[index];
  entry.seen = feed_time_;
  if (entry.state == Entry::State::passive) {
    begin_waking(index, record.offset);
    waking_.push_back(index);
  }
  if (entry.state != Entry::State::live) {
    entry.missed = record.offset + 1;  // it is on the tape: the symbol refills from there
    return;
  }
  if (entry.poll_count++ == 0) touched_.push_back(index);
}

std::shared_ptr<Poll> Ingress::group(Slice slice) {
  auto poll = std::make_shared<Poll>();
  const auto& records = slice.block->records;
  poll->begin = records[slice.first].offset;
  poll->end = records[slice.last - 1].offset + 1;
  touched_.clear();
  std::vector<EntryIndex> of_record(records.size(), static_cast<EntryIndex>(-1));
  for (std::size_t i = slice.first; i < slice.last; ++i) {
    const auto& record = records[i];
    const auto touched = touched_.size();
    note_record(record, *poll);
    if (record.kind == storage::RecordKind::mark) continue;
    const auto index =
        touched_.size() > touched ? touched_.back() : by_symbol_.find(record.symbol)->second;
    if (entries_[index].state == Entry::State::live) of_record[i] = index;
  }
  // Counting sort: each touched entry's records together, in tape order.
  std::uint32_t at = 0;
  for (const auto index : touched_) at += std::exchange(entries_[index].poll_count, at);
  poll->order.resize(at);
  for (std::uint32_t i = 0; i < of_record.size(); ++i) {
    if (of_record[i] != static_cast<EntryIndex>(-1))
      poll->order[entries_[of_record[i]].poll_count++] = i;
  }
  context_.metrics->records += slice.last - slice.first - poll->marks.size();
  context_.metrics->feed_time_ns = feed_time_;
  poll->block = std::move(slice.block);
  return poll;
}

/// The first mark that the entry has not been told of. Only with something in flight may one of
/// them be due: what is due is not known then.
const market::TimeMark* Ingress::untold_mark(const Entry& entry) const {
  if (entry.works.empty()) return nullptr;
  const auto untold =
      std::ranges::lower_bound(recent_marks_, entry.told, {},
                               [](const market::TimeMark& mark) { return mark.position.offset; });
  return untold == recent_marks_.end() ? nullptr : &*untold;
}

void Ingress::hand_out(const std::shared_ptr<const Poll>& poll) {
  Offset begin = poll->begin;
  std::shared_ptr<const std::vector<market::TimeMark>> earlier;
  for (const auto index : touched_) {
    const auto* untold = untold_mark(entries_[index]);
    if (untold == nullptr) continue;
    begin =
        std::min(begin, untold->position.offset);  // what it makes due comes with this poll's acks
    if (!earlier) {
      earlier = std::make_shared<const std::vector<market::TimeMark>>(recent_marks_.begin(),
                                                                      recent_marks_.end());
    }
  }
  const auto work = open_work(begin, poll->block->bytes);
  std::uint32_t first = 0;
  for (const auto index : touched_) {
    Entry& entry = entries_[index];
    const std::uint32_t last = std::exchange(entry.poll_count, 0);
    const bool untold = untold_mark(entry) != nullptr;
    entry.told = poll->end;
    entry.changed = true;
    send_work(index, work);
    port_.send(index, FoldBatch{poll, untold ? earlier : nullptr, first, last - first, work});
    first = last;
  }
  release(work);
}

/// Symbols that were not in the poll, with nothing in flight, and for which something is due.
void Ingress::tell_due(const std::vector<market::TimeMark>& marks) {
  std::shared_ptr<const std::vector<market::TimeMark>> shared;
  std::uint64_t work = 0;
  std::vector<storage::Checkpoint::FeedTime> reached;  // by these marks
  for (const auto& mark : marks) newest(reached, mark);
  for (EntryIndex index = 0; index < entries_.size(); ++index) {
    Entry& entry = entries_[index];
    if (entry.state != Entry::State::live || entry.due == market::kNever || !entry.works.empty())
      continue;
    const auto due = [&](const storage::Checkpoint::FeedTime& time) {
      return time.source == entry.source && time.feed_time >= entry.due;
    };
    if (std::ranges::none_of(reached, due)) continue;
    if (!shared) {
      shared = std::make_shared<const std::vector<market::TimeMark>>(marks);
      work = open_work(marks.front().position.offset, 0);
    }
    entry.told = next_;
    entry.changed = true;
    send_work(index, work);
    port_.send(index, TellMarks{shared, next_, work});
  }
  if (shared) release(work);
}

/// After an ack: marks that came while the entry's batch was in flight may have made something due.
void Ingress::tell_later_marks(EntryIndex index) {
  Entry& entry = entries_[index];
  if (entry.due == market::kNever || !entry.works.empty() || entry.state != Entry::State::live)
    return;
  const auto due = std::ranges::find_if(recent_marks_, [&](const market::TimeMark& mark) {
    return mark.position.offset >= entry.told && mark.source == entry.source &&
           mark.feed_time >= entry.due;
  });
  if (due == recent_marks_.end()) return;
  const auto work = open_work(due->position.offset, 0);
  auto marks = std::make_shared<const std::vector<market::TimeMark>>(due, recent_marks_.end());
  entry.told = next_;
  entry.changed = true;
  send_work(index, work);
  port_.send(index, TellMarks{std::move(marks), next_, work});
  release(work);
}

/// Before a barrier: a snapshot's state is as of its offset, what marks before it made due
/// included. Else outputs of a symbol that restarts from it would be said later than by an
/// undisturbed fold.
void Ingress::tell_untold(EntryIndex index) {
  Entry& entry = entries_[index];
  const auto* untold = untold_mark(entry);
  if (untold == nullptr) return;
  const auto work = open_work(untold->position.offset, 0);
  auto marks = std::make_shared<const std::vector<market::TimeMark>>(recent_marks_.begin(),
                                                                     recent_marks_.end());
  entry.told = next_;
  send_work(index, work);
  port_.send(index, TellMarks{std::move(marks), next_, work});
  release(work);
}

void Ingress::prune_marks() {
  const auto floor = frontier();
  while (!recent_marks_.empty() && recent_marks_.front().position.offset < floor)
    recent_marks_.pop_front();
}

// ---- the account

std::uint64_t Ingress::open_work(Offset begin, std::size_t bytes) {
  const auto id = next_work_++;
  works_.emplace(id, Work{begin, 1, bytes});  // 1: until everything of it is sent
  floors_.insert(begin);
  inflight_bytes_ += bytes;
  return id;
}

void Ingress::send_work(EntryIndex index, std::uint64_t work) {
  ++works_.at(work).remaining;
  entries_[index].works.push_back(work);
  context_.metrics->inflight_batches = ++inflight_batches_;
}

void Ingress::release(std::uint64_t id) {
  const auto work = works_.find(id);
  if (--work->second.remaining > 0) return;
  floors_.erase(floors_.find(work->second.begin));
  inflight_bytes_ -= work->second.bytes;
  works_.erase(work);
  context_.metrics->inflight_bytes = static_cast<std::int64_t>(inflight_bytes_);
}

void Ingress::finish_work(EntryIndex index, std::uint64_t work) {
  auto& works = entries_[index].works;
  const auto found = std::ranges::find(works, work);
  if (found == works.end()) return;
  works.erase(found);
  context_.metrics->inflight_batches = --inflight_batches_;
  // Before the work is released, so that the frontier never runs past a mark that makes something
  // due.
  tell_later_marks(index);
  release(work);
}

Offset Ingress::frontier() const {
  return floors_.empty() ? next_ : std::min(next_, *floors_.begin());
}

void Ingress::count(Entry& entry, const market::EventCounts& counts) {
  counts_.read += counts.read - entry.counts.read;
  counts_.folded += counts.folded - entry.counts.folded;
  counts_.duplicates += counts.duplicates - entry.counts.duplicates;
  counts_.refused += counts.refused - entry.counts.refused;
  counts_.filtered += counts.filtered - entry.counts.filtered;
  entry.counts = counts;
  tell_counts();
}

/// An ingress before this one may have gone on a little after this one began.
void Ingress::tell_depths() {
  auto& metrics = *context_.metrics;
  metrics.inflight_bytes = static_cast<std::int64_t>(inflight_bytes_);
  metrics.inflight_batches = inflight_batches_;
  metrics.pending_outputs = static_cast<std::int64_t>(unstored_outputs_);
  metrics.undelivered = static_cast<std::int64_t>(undelivered_outputs_);
}

/// Since the tape's beginning, so that they balance after a restart too. Those of an ingress before
/// this one stay until its symbols are restored.
void Ingress::tell_counts() {
  if (works_.contains(start_work_)) return;
  auto& metrics = *context_.metrics;
  metrics.events = events_;
  metrics.folded = counts_.folded;
  metrics.duplicates = counts_.duplicates;
  metrics.dead_letters = counts_.refused;
  metrics.filtered = counts_.filtered;
}

void Ingress::on(const FoldAck& ack) {
  Entry& entry = entries_.at(ack.entry);
  if (ack.incarnation != entry.incarnation) return;  // of an actor that is gone
  if (entry.accused) no_longer_accused(entry, ack.folded);
  take_outputs(entry, ack);
  count(entry, ack.counts);
  entry.due = ack.due;
  entry.source = ack.source;
  if (entry.state == Entry::State::refilling) {
    refilled(ack.entry, entry, ack);
  } else {
    if (ack.unsaved) entry.changed = true;
    finish_work(ack.entry, ack.work);
  }
  if (waiting_for_credit_ && may_read()) port_.wake_self();
  settle();
}

/// At the tape's end with nothing in flight: caught up, and perhaps drained.
void Ingress::settle() {
  if (idle_ && works_.empty() && down_ == 0 && !caught_up_) {
    caught_up_ = true;
    publish();
  }
  maybe_drained();
}

// ---- symbols that fail

void Ingress::on(const SymbolDown& down) {
  Entry& entry = entries_.at(down.entry);
  if (down.incarnation != entry.incarnation) return;
  Offset missing_from = next_;
  for (const auto work : entry.works) missing_from = std::min(missing_from, works_.at(work).begin);
  if (entry.state == Entry::State::live) {
    ++down_;
    entry.down_since = port_.now();
    entry.missing_from = missing_from;
    floors_.insert(missing_from);
    entry.missed = entry.told;
  }
  entry.state = Entry::State::down;
  entry.waking = false;
  inflight_batches_ -= static_cast<std::int64_t>(entry.works.size());
  context_.metrics->inflight_batches = inflight_batches_;
  for (const auto work : std::exchange(entry.works, {})) release(work);
  if (entry.barrier != 0) {
    checkpointing_.row.behind.push_back({entry.symbol, entry.missing_from});
    entry.barrier = 0;
    barrier_done();
  }
  entry.accused = context_.attempts != nullptr;
  if (quarantine_poison(entry.symbol, entry.newest_snapshot)) port_.refund(down.entry);
  context_.metrics->symbols_down = down_;
  caught_up_ = false;
  if (waiting_for_credit_ && may_read()) port_.wake_self();
  publish();
}

void Ingress::on(const Revive& revive) {
  Entry& entry = entries_.at(revive.entry);
  if (entry.state != Entry::State::down) return;
  ++entry.incarnation;
  ++context_.metrics->symbol_restarts;
  port_.spawn(revive.entry, entry.incarnation, entry.symbol, resume_cursor_);
  begin_refill(revive.entry);
}

void Ingress::begin_refill(EntryIndex index) {
  Entry& entry = entries_[index];
  entry.state = Entry::State::refilling;
  const bool known =
      checkpoint_ <= entry.missing_from;  // the checkpoint's feed times are from before the failure
  port_.send(index,
             Restore{next_, std::max(entry.missing_from, resume_cursor_), known ? checkpoint_ : 0,
                     known ? checkpoint_times_ : nullptr, 0, entry.newest_snapshot, rules_now()});
}

void Ingress::refilled(EntryIndex index, Entry& entry, const FoldAck& ack) {
  entry.told = ack.folded;
  if (entry.missed > ack.folded) {
    begin_refill(index);  // more came meanwhile
    return;
  }
  entry.state = Entry::State::live;
  entry.newest_snapshot = ~Offset{0};
  entry.changed = true;
  --down_;
  context_.metrics->symbols_down = down_;
  const bool woken = std::exchange(entry.waking, false);
  const std::chrono::nanoseconds down = port_.now() - entry.down_since;
  auto& took = woken ? context_.metrics->wake_ns : context_.metrics->restart_ns;
  took.record(static_cast<std::uint64_t>(down.count()));
  tell_later_marks(index);
  if (const auto from = std::exchange(entry.new_rules_from, std::nullopt))
    apply_rules(index, *from);
  floors_.erase(floors_.find(entry.missing_from));
  if (context_.board != nullptr && !woken)
    context_.board->child("symbol " + entry.symbol, "running");
  publish();
  if (idle_) port_.wake_self();
}

}  // namespace tapedeck::actors
