// Control records: what kills a symbol again and again is quarantined, and released on request;
// fold settings change on request. The ingress owns its partition, so it alone says at which offset
// they take effect: it stands still until they are stored.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "actors/ingress.hpp"

namespace tapedeck::actors {

namespace {

std::string describe(std::string_view symbol, const market::FoldItem& item) {
  const auto& at = item.position;
  return item.due ? fmt::format("what {} has due at {} ns", symbol, item.due->time)
                  : fmt::format("event {}:{}:{} of {}", at.partition, at.offset, at.index, symbol);
}

}  // namespace

/// True if something was quarantined. Where that cannot be stored, the symbol's budget is spent in
/// the end.
bool Ingress::quarantine_poison(const std::string& symbol, Offset said) {
  if (standby_) return false;  // the owner decides, and is heard of
  if (context_.rules == nullptr || !context_.rules->writable() || context_.attempts == nullptr)
    return false;
  auto poison = context_.attempts->poison(symbol);
  if (!poison) return false;
  const auto& item = poison->item;
  const auto stored = context_.rules->append(
      {schemas::ControlRecord::Kind::quarantine, symbol, item, next_, poison->errors});
  if (!stored) {
    spdlog::error("{} cannot be quarantined: {}", describe(symbol, item), stored.error().message);
    return false;
  }
  spdlog::error("{} is quarantined: it killed the fold {} times, last: {}", describe(symbol, item),
                poison->errors.size(), poison->errors.back());
  context_.attempts->settled(symbol, item);
  ++context_.metrics->quarantined;
  forget_by_newest_rule(said);
  return true;
}

/// Of what is stored, and of what is to be stored next. Until then restored symbols pass over it.
/// Outputs emitted before `said` are not said again: they stay.
void Ingress::forget_by_newest_rule(Offset said) {
  const auto rules = context_.rules->rules();
  const auto all = rules.outdated(context_.partition);
  const auto& [symbol, from] = all.back();
  auto& batch = gathering_->batch;
  for (auto& one : must(replay::forget_of(*context_.tape, context_.partition, all.back()))) {
    one.said_from = std::max(one.said_from, said);
    batch.forget.push_back(std::move(one));
  }
  std::erase_if(
      batch.snapshots, [&symbol = symbol, from = from](const storage::StoredSnapshot& snapshot) {
        return snapshot.key.next > from && (symbol.empty() || snapshot.key.symbol == symbol);
      });
  batch.rules_met = {context_.partition, all.size()};
}

/// A snapshot that it has given to the checkpoint under way may just have been forgotten.
void Ingress::leave_out_of_checkpoint(const Entry& entry) {
  auto& behind = checkpointing_.row.behind;
  const auto known = std::ranges::find(behind, entry.symbol, &storage::Checkpoint::Behind::symbol);
  if (checkpointing_.active && known == behind.end())
    behind.push_back({entry.symbol, entry.missing_from});
}

/// What it has folded after all is no longer held against it; what is put through only later is.
void Ingress::no_longer_accused(Entry& entry, Offset folded) {
  std::vector<market::FoldItem> ahead;
  const auto rules = context_.rules == nullptr ? nullptr : context_.rules->rules().of(entry.symbol);
  if (rules != nullptr) {
    for (const auto& item : rules->items) {
      if (item.released_at != replay::kNotReleased && item.released_at >= folded)
        ahead.push_back(item.what);
    }
  }
  context_.attempts->passed(entry.symbol, folded, ahead);
  entry.accused = context_.attempts->accused(entry.symbol);
}

/// What killed earlier processes.
void Ingress::quarantine_known() {
  if (context_.attempts == nullptr) return;
  for (const auto& symbol : context_.attempts->accused_symbols()) {
    if (storage::partition_of(symbol, context_.tape->partitions()) != context_.partition) continue;
    if (quarantine_poison(symbol, 0)) port_.refund(kNoEntry);
  }
}

Result<void> Ingress::may_release(const Release& release) const {
  if (standby_)
    return fail(ErrorCode::environment, "another engine owns the partition: ask that one");
  if (context_.rules == nullptr || !context_.rules->writable())
    return fail(ErrorCode::invalid, "this engine has no control store");
  const auto rules = context_.rules->rules().of(release.symbol);
  const auto held = [&](const auto& item) {
    return item.what == release.item && item.released_at == replay::kNotReleased;
  };
  if (rules == nullptr || std::ranges::none_of(rules->items, held))
    return fail(ErrorCode::not_found,
                describe(release.symbol, release.item) + " is not in quarantine");
  const auto start = context_.tape->start(context_.partition);
  if (!start) return tl::unexpected(start.error());
  // Each release of a symbol has an offset of its own, in the order in which they are asked for.
  for (const auto& item : rules->items) {
    if (item.released_at != replay::kNotReleased && item.released_at >= next_)
      return fail(
          ErrorCode::environment,
          fmt::format("{} is put through at {}:{}, where the engine stands: try again once "
                      "the tape has gone on",
                      describe(release.symbol, item.what), context_.partition, item.released_at));
  }
  if (release.item.position.offset < *start)
    return tl::unexpected(
        replay::trimmed(describe(release.symbol, release.item), context_.partition, *start));
  // Before it, what is stored or out of later offsets would be of another state.
  if (next_ <= release.item.position.offset || behind_what_is_out())
    return fail(ErrorCode::environment, "the engine has not read so far yet: try again");
  return {};
}

void Ingress::on(const Release& release) {
  if (auto allowed = may_release(release); !allowed) {
    release.reply(tl::unexpected(allowed.error()));
    return;
  }
  const auto stored = context_.rules->append(
      {schemas::ControlRecord::Kind::release, release.symbol, release.item, next_, {}});
  if (!stored) {
    release.reply(tl::unexpected(stored.error()));
    return;
  }
  spdlog::info("{} is released at {}:{}", describe(release.symbol, release.item),
               context_.partition, next_);
  ++context_.metrics->released;
  forget_by_newest_rule(next_);
  apply_release(release.symbol, next_);
  release.reply(next_);
}

void Ingress::apply_release(std::string_view symbol, Offset from) {
  const auto found = by_symbol_.find(symbol);
  if (found == by_symbol_.end()) return;
  auto& entry = entries_[found->second];
  const bool passive = entry.state == Entry::State::passive;
  if (passive) {
    begin_waking(found->second, from);
    wake_up(found->second);
  }
  if (entry.state == Entry::State::live) apply_rules(found->second, from);
  if (entry.state == Entry::State::refilling && !passive) note_rules(entry, from);
}

/// Those that the tape held already. A symbol without records there would not get so far by itself.
void Ingress::note_releases() {
  if (context_.rules == nullptr) return;
  for (const auto& record : context_.rules->records()) {
    if (record.kind == schemas::ControlRecord::Kind::release && record.at > next_ &&
        record.item.position.partition == context_.partition)
      releases_ahead_.emplace(record.at, record.symbol);
  }
}

void Ingress::meet_releases() {
  while (!releases_ahead_.empty() && releases_ahead_.begin()->first <= next_) {
    const auto [from, symbol] = *releases_ahead_.begin();
    releases_ahead_.erase(releases_ahead_.begin());
    apply_release(symbol, from);
  }
}

void Ingress::on(const ChangeSettings& change) {
  const auto refuse = [&](Error why) { change.reply(tl::unexpected(std::move(why))); };
  if (standby_)
    return refuse({ErrorCode::environment, "another engine owns the partition: ask that one", {}});
  if (context_.rules == nullptr || !context_.rules->writable())
    return refuse({ErrorCode::invalid, "this engine has no control store", {}});
  const auto rules = context_.rules->rules();
  const auto changes = rules.changes_before(context_.partition, replay::kNoTurn);
  const bool earlier = changes > 0 && next_ < rules.change(context_.partition, changes - 1)->at;
  // Before that, what is stored or out of later offsets would be of other settings.
  if (behind_what_is_out() || earlier)
    return refuse({ErrorCode::environment, "the engine has not read so far yet: try again", {}});
  schemas::ControlRecord record{
      schemas::ControlRecord::Kind::settings, "", {{context_.partition, 0, 0}, {}}, next_};
  record.settings = *change.settings;
  for (const auto& [source, feed_time] : newest_marks_)
    record.feed_times.push_back({source, feed_time});
  if (auto stored = context_.rules->append(record); !stored) return refuse(stored.error());
  spdlog::info("fold settings change at {}:{}", context_.partition, next_);
  forget_by_newest_rule(next_);
  changes_met_ = changes + 1;
  apply_rules_to_all(next_);
  change.reply(next_);
}

/// Changes that the tape held already: a symbol without records there may have something due by the
/// new settings that nobody knows of.
void Ingress::meet_changes() {
  if (context_.rules == nullptr) return;
  const auto rules = context_.rules->rules();
  const auto* first = rules.change(context_.partition, changes_met_);
  if (first == nullptr || first->at > next_) return;
  changes_met_ = rules.changes_before(context_.partition, next_ + 1);
  apply_rules_to_all(first->at);
}

void Ingress::apply_rules_to_all(Offset from) {
  for (EntryIndex index = 0; index < entries_.size(); ++index) {
    auto& entry = entries_[index];
    if (entry.state == Entry::State::passive) {
      begin_waking(index, from);  // what the new rules make it say is said there
      wake_up(index);
      continue;
    }
    if (entry.state == Entry::State::live) apply_rules(index, from);
    if (entry.state == Entry::State::refilling) note_rules(entry, from);
  }
}

void Ingress::note_rules(Entry& entry, Offset from) {
  entry.new_rules_from = std::min(entry.new_rules_from.value_or(from), from);
}

void Ingress::apply_rules(EntryIndex index, Offset from) {
  Entry& entry = entries_[index];
  const auto marks = std::make_shared<const std::vector<market::TimeMark>>(recent_marks_.begin(),
                                                                           recent_marks_.end());
  const auto* untold = untold_mark(entry);
  const auto begin = untold == nullptr ? from : std::min(from, untold->position.offset);
  const auto work = open_work(begin, 0);
  entry.told = next_;
  entry.changed = true;
  send_work(index, work);
  port_.send(index, ApplyRules{context_.rules->rules(), marks, next_, work});
  release(work);
}

}  // namespace tapedeck::actors
