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
bool Ingress::quarantine_poison(std::string_view symbol, Offset& newest_snapshot) {
  if (standby_) return false;  // the owner decides, and is heard of
  if (context_.rules == nullptr || !context_.rules->writable() || context_.attempts == nullptr)
    return false;
  auto poison = context_.attempts->poison(symbol);
  if (!poison) return false;
  const auto& item = poison->item;
  const auto stored = context_.rules->append(
      {schemas::ControlRecord::Kind::quarantine, std::string(symbol), item, next_, poison->errors});
  if (!stored) {
    spdlog::error("{} cannot be quarantined: {}", describe(symbol, item), stored.error().message);
    return false;
  }
  spdlog::error("{} is quarantined: it killed the fold {} times, last: {}", describe(symbol, item),
                poison->errors.size(), poison->errors.back());
  context_.attempts->settled(symbol, item);
  ++context_.metrics->quarantined;
  newest_snapshot = std::min(newest_snapshot, item.position.offset);
  gathering_->batch.forget.push_back(
      {context_.partition, std::string(symbol), item.position.offset});
  return true;
}

/// What killed earlier processes.
void Ingress::quarantine_known() {
  if (context_.attempts == nullptr) return;
  for (const auto& symbol : context_.attempts->accused_symbols()) {
    if (storage::partition_of(symbol, context_.tape->partitions()) != context_.partition) continue;
    Offset newest_snapshot = ~Offset{0};
    if (quarantine_poison(symbol, newest_snapshot)) newest_snapshots_[symbol] = newest_snapshot;
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
  if (release.item.position.offset < *start)
    return tl::unexpected(
        replay::trimmed(describe(release.symbol, release.item), context_.partition, *start));
  // Before it, what is stored of later offsets would be of another state.
  if (next_ <= release.item.position.offset || next_ < resume_cursor_)
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
  gathering_->batch.forget.push_back({context_.partition, release.symbol, next_});
  if (const auto found = by_symbol_.find(release.symbol); found != by_symbol_.end()) {
    auto& entry = entries_[found->second];
    const bool passive = entry.state == Entry::State::passive;
    if (passive) {
      begin_waking(found->second, next_);
      wake_up(found->second);
    }
    if (entry.state == Entry::State::live) apply_rules(found->second, next_);
    if (entry.state == Entry::State::refilling && !passive) entry.new_rules = true;
  }
  release.reply(next_);
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
  // Before that, what is stored of later offsets would be of other settings.
  if (next_ < resume_cursor_ || earlier)
    return refuse({ErrorCode::environment, "the engine has not read so far yet: try again", {}});
  schemas::ControlRecord record{
      schemas::ControlRecord::Kind::settings, "", {{context_.partition, 0, 0}, {}}, next_};
  record.settings = *change.settings;
  for (const auto& [source, feed_time] : newest_marks_)
    record.feed_times.push_back({source, feed_time});
  if (auto stored = context_.rules->append(record); !stored) return refuse(stored.error());
  spdlog::info("fold settings change at {}:{}", context_.partition, next_);
  for (const auto& entry : entries_)
    gathering_->batch.forget.push_back({context_.partition, entry.symbol, next_});
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
    if (entry.state == Entry::State::refilling) entry.new_rules = true;
  }
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
