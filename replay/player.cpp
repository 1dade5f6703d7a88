#include "replay/player.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <ranges>
#include <utility>

#include "replay/recovery.hpp"
#include "replay/release.hpp"

namespace tapedeck::replay {

std::string_view name(PlayState state) noexcept {
  switch (state) {
    case PlayState::paused: return "paused";
    case PlayState::playing: return "playing";
    case PlayState::ended: return "ended";
  }
  return "";
}

Result<StepUnit> parse_step(std::string_view text, std::string_view field) {
  if (text == "event") return StepUnit::event;
  if (text == "record") return StepUnit::record;
  if (text == "second") return StepUnit::second;
  return fail(ErrorCode::invalid, fmt::format("expected event, record or second, found '{}'", text),
              std::string(field));
}

Result<Player> Player::open(const storage::TapeReader& tape, const storage::StateReader* state,
                            const FoldRules& rules, PlayerOptions options) {
  auto merge = TapeMerge::open(tape, std::move(options.merge));
  if (!merge) return tl::unexpected(merge.error());
  Player player(tape, state, rules, std::move(*merge));
  player.folds_.resize(player.symbols().size());
  player.from_ = options.from;
  player.speed_ = options.speed;
  player.loop_ = options.loop;
  if (auto there = player.go_to(player.from_, TapeMerge::Side::before); !there)
    return tl::unexpected(there.error());
  return player;
}

// ---- transport

void Player::anchor(ClockNs now) {
  const auto& head = merge_.head();
  const auto first = head ? head->time : market::kNoTime;
  pace_ = {now, time_ == market::kNoTime ? first : time_, speed_};
}

void Player::play(ClockNs now) {
  if (state_ != PlayState::paused) return;
  state_ = PlayState::playing;
  anchor(now);
}

void Player::pause(ClockNs now) {
  if (state_ != PlayState::playing) return;
  state_ = PlayState::paused;
  const auto& head = merge_.head();
  if (!head || head->time == market::kNoTime) return;
  const auto reached = pace_.time_at(now);
  if (reached != market::kNever) time_ = std::max(time_, std::min(reached, head->time - 1));
}

void Player::set_speed(ClockNs now, Speed speed) {
  const bool playing = state_ == PlayState::playing;
  pause(now);
  speed_ = speed;
  if (playing) play(now);
}

Result<void> Player::seek(ClockNs now, const Moment& moment) {
  for (std::uint32_t i = 0; i < symbols().size(); ++i) {
    const auto partition = merge_.partition_of(i);
    const auto* at = std::get_if<AtOffset>(&moment);
    if (at != nullptr && at->partition != partition) continue;
    if (auto there = on_tape(*tape_, partition, moment); !there) return there;
  }
  const bool playing = state_ == PlayState::playing;
  if (auto there = go_to(moment, TapeMerge::Side::behind); !there) return there;
  if (playing) play(now);
  return {};
}

/// Stands paused there; the states are left open.
Result<void> Player::go_to(const std::optional<Moment>& moment, TapeMerge::Side side) {
  TimeNs time = market::kNoTime;
  Result<void> there;
  if (!moment) {
    there = merge_.seek_begin();
  } else if (const auto* at = std::get_if<AtOffset>(&*moment)) {
    const auto reached = merge_.seek(*at, side);
    if (!reached) return tl::unexpected(reached.error());
    time = side == TapeMerge::Side::behind ? *reached
                                           : *reached - (*reached == market::kNoTime ? 0 : 1);
  } else {
    const auto* instant = std::get_if<AtInstant>(&*moment);
    time = instant == nullptr ? merge_.last_time() : instant->time;
    there = merge_.seek(instant == nullptr ? market::kNever : instant->time);
  }
  if (!there) return there;
  bool begun = false;
  for (std::uint32_t i = 0; i < folds_.size(); ++i) {
    const auto next = merge_.next_of(i);
    begun = begun || next.before > 0 || next.index > 0;
    folds_[i] = {};
  }
  restored_ = 0;
  time_ = begun ? time : market::kNoTime;  // before the first event it begins with that
  position_.reset();
  state_ = merge_.head() ? PlayState::paused : PlayState::ended;
  return {};
}

Result<std::uint64_t> Player::step(ClockNs now, StepUnit unit, std::uint64_t count,
                                   const TellTo& tell) {
  pause(now);
  std::uint64_t done = 0;
  for (; done < count && merge_.head(); ++done) {
    const auto events = events_told_, records = records_told_;
    const auto from = time_ == market::kNoTime ? merge_.head()->time : time_;
    const auto to =
        from > market::kNever - market::kSecond ? market::kNever : from + market::kSecond;
    std::optional<market::Position> record;
    while (merge_.head()) {
      const auto& head = *merge_.head();
      if (unit == StepUnit::second && head.time > to) break;
      if (!record && !head.mark) record = head.position;
      if (auto told = tell_next(tell); !told) return tl::unexpected(told.error());
      if (unit == StepUnit::event && events_told_ > events) break;
      if (unit != StepUnit::record || records_told_ == records || !record) continue;
      const bool whole = ended_record_ && ended_record_->partition == record->partition &&
                         ended_record_->offset == record->offset;
      if (whole) break;
    }
    if (unit == StepUnit::second && merge_.head()) time_ = to;
  }
  if (!merge_.head()) state_ = PlayState::ended;
  return done;
}

ClockNs Player::next_due() const noexcept {
  if (state_ != PlayState::playing || !merge_.head()) return kNeverDue;
  return pace_.due(merge_.head()->time);
}

Result<std::size_t> Player::tell_due(ClockNs now, std::size_t most, const TellTo& tell) {
  std::size_t told = 0;
  while (state_ == PlayState::playing && told < most && next_due() <= now) {
    if (auto done = tell_next(tell); !done) return tl::unexpected(done.error());
    ++told;
    if (pace_.time == market::kNoTime) anchor(now);
    if (merge_.head()) continue;
    if (auto done = at_end(now); !done) return tl::unexpected(done.error());
    if (told > 0) break;  // a loop comes back to the caller
  }
  return told;
}

Result<void> Player::at_end(ClockNs now) {
  state_ = PlayState::ended;
  if (!loop_) return {};
  if (auto there = go_to(from_, TapeMerge::Side::before); !there) return there;
  ++loops_;
  play(now);
  return {};
}

// ---- states

Result<bool> Player::restore_one() {
  while (restored_ < folds_.size() && folds_[restored_].fold) ++restored_;
  if (restored_ == folds_.size()) return false;
  if (auto done = restore(static_cast<std::uint32_t>(restored_)); !done)
    return tl::unexpected(done.error());
  return true;
}

Result<const SymbolFold*> Player::fold(std::uint32_t symbol) {
  if (auto done = restore(symbol); !done) return tl::unexpected(done.error());
  return &*folds_[symbol].fold;
}

Result<void> Player::restore(std::uint32_t number) {
  auto& entry = folds_[number];
  if (entry.fold) return {};
  const auto& symbol = symbols()[number];
  const auto partition = merge_.partition_of(number);
  const auto next = merge_.next_of(number);
  // What is stored behind the last record may know more of the time than has been told.
  const auto to = next.index > 0 ? next.offset : next.before;
  auto restored = newest_good(*tape_, state_store_, symbol, partition, to, rules_);
  if (!restored) return tl::unexpected(restored.error());
  std::ranges::move(restored->bad_snapshots, std::back_inserter(bad_snapshots_));
  auto& fold = entry.fold.emplace(std::move(restored->fold));
  outputs_.clear();
  if (auto done = catch_up(fold, *tape_, to, Marks::left_out, outputs_, {}, state_store_); !done)
    return done;
  follow_source(number, to);
  if (next.index == 0) return advance(number, marks_due(number));
  if (auto met = meet_turns(number, next.offset); !met) return met;
  const auto block = tape_->read_symbol(symbol, next.offset, next.offset + 1, {});
  if (!block) return tl::unexpected(block.error());
  for (const auto& record : (*block)->records) {
    const auto done = fold.apply_until(record, next.index, market::kNever, outputs_);
    if (!done) return tl::unexpected(done.error());
  }
  follow_source(number, next.offset);
  return {};
}

/// Goes by its source's marks from now on; those before `offset` say nothing to it.
void Player::follow_source(std::uint32_t number, Offset offset) {
  auto& entry = folds_[number];
  entry.marks = merge_.marks_of(merge_.partition_of(number), entry.fold->state().source());
  entry.marks_told = 0;
  if (entry.marks == nullptr) return;
  const auto& marks = entry.marks->marks;
  while (entry.marks_told < marks.size() && marks[entry.marks_told].position.offset < offset)
    ++entry.marks_told;
}

/// How many of its marks have been taken and stand before the symbol's next event.
std::size_t Player::marks_due(std::uint32_t number) const {
  const auto& entry = folds_[number];
  if (entry.marks == nullptr) return 0;
  const auto next_event = merge_.next_of(number).offset;
  auto due = entry.marks->next;
  while (due > entry.marks_told && entry.marks->marks[due - 1].position.offset >= next_event) --due;
  return due;
}

Result<void> Player::restore_for_head() {
  const auto& head = *merge_.head();
  if (!head.mark) return restore(merge_.head_symbol());
  for (auto i = static_cast<std::uint32_t>(restored_); i < folds_.size(); ++i) {
    if (merge_.partition_of(i) != head.position.partition) continue;
    if (auto done = restore(i); !done) return done;
  }
  return {};
}

// ---- telling

/// Outputs of these three are added to outputs_.
Result<void> Player::meet_turns(std::uint32_t number, Offset upto) {
  auto& entry = folds_[number];
  while (entry.fold->next_turn() <= upto) {
    const auto at = entry.fold->next_turn();
    if (auto met = meet_turn(*entry.fold, *tape_, state_store_, at, outputs_); !met) return met;
  }
  return {};
}

/// Tells a symbol the first so many marks of its source.
Result<void> Player::advance(std::uint32_t number, std::size_t marks) {
  auto& entry = folds_[number];
  for (; entry.marks_told < marks; ++entry.marks_told) {
    const auto& mark = entry.marks->marks[entry.marks_told];
    if (auto met = meet_turns(number, mark.position.offset); !met) return met;
    if (mark.feed_time >= entry.fold->state().next_due()) entry.fold->advance(mark, outputs_);
  }
  return {};
}

Result<void> Player::tell_next(const TellTo& tell) {
  if (auto done = restore_for_head(); !done) return done;
  const auto due = next_due() == kNeverDue ? kDueAtOnce : next_due();
  const auto item = merge_.next();
  if (!item) return tl::unexpected(item.error());
  time_ = std::max(time_, (*item)->place.time);
  auto told = (*item)->place.mark ? tell_mark(**item, due, tell) : tell_message(**item, due, tell);
  return told && !merge_.head() ? tell_last_turns(tell) : told;
}

Result<void> Player::tell_message(const MergeItem& item, ClockNs due, const TellTo& tell) {
  const auto number = item.symbol;
  const auto offset = item.place.position.offset;
  auto& entry = folds_[number];
  outputs_.clear();
  if (entry.marks != nullptr) {
    const auto& marks = entry.marks->marks;
    auto before = entry.marks_told;
    while (before < marks.size() && marks[before].position.offset < offset) ++before;
    if (auto done = advance(number, before); !done) return done;
  }
  if (auto met = meet_turns(number, offset); !met) return met;
  auto& fold = *entry.fold;
  const auto source = fold.state().source();
  fold.apply(item.batch, item.ends_record, outputs_);
  if (fold.state().source() != source) follow_source(number, offset);
  // Where a source goes back in time its marks were taken before its events.
  if (entry.marks != nullptr && entry.marks->next > entry.marks_told) {
    if (auto done = advance(number, marks_due(number)); !done) return done;
  }
  position_ = item.place.position;
  events_told_ += item.batch.events.size();
  ended_record_.reset();
  if (item.ends_record) ended_record_ = position_, ++records_told_;
  tell({fold, number, item.place, item.batch.events, outputs_, item.batch.source,
        item.batch.source_name, due});
  return {};
}

Result<void> Player::tell_mark(const MergeItem& item, ClockNs due, const TellTo& tell) {
  const auto* lane = merge_.marks_of(item.mark.position.partition, item.mark.source);
  ended_record_.reset();
  for (std::uint32_t i = 0; i < folds_.size(); ++i) {
    auto& entry = folds_[i];
    if (entry.marks != lane || !entry.fold) continue;
    outputs_.clear();
    if (auto done = advance(i, marks_due(i)); !done) return done;
    if (!outputs_.empty()) tell({*entry.fold, i, item.place, {}, outputs_, 0, {}, due});
  }
  if (hear_mark_) hear_mark_(item.mark);
  return {};
}

/// At the tape's end all turns count, at an earlier end those before it.
Result<void> Player::tell_last_turns(const TellTo& tell) {
  for (std::uint32_t i = 0; i < folds_.size(); ++i) {
    const auto partition = merge_.partition_of(i);
    if (rules_.of(symbols()[i]) == nullptr && rules_.change(partition, 0) == nullptr) continue;
    const auto end = merge_.end_of(partition);
    if (merge_.next_of(i).index > 0 || end == 0) continue;
    if (auto done = restore(i); !done) return done;
    outputs_.clear();
    if (auto met = meet_turns(i, merge_.whole() ? end : end - 1); !met) return met;
    const MergePlace last{time_, true, {partition, end, 0}};
    if (!outputs_.empty()) tell({*folds_[i].fold, i, last, {}, outputs_, 0, {}, kDueAtOnce});
  }
  return {};
}

}  // namespace tapedeck::replay
