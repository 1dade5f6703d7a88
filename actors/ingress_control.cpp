// Control records: what kills a symbol again and again is quarantined, and released on request. The
// ingress owns its partition, so it alone says at which offset they take effect: it stands still
// until they are stored.
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

/// The partition's last owner may have quarantined or released something.
void Ingress::refresh_rules() {
  if (context_.rules == nullptr) return;
  if (auto known = context_.rules->refresh(); !known) throw EngineFailure(std::move(known.error()));
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
  if (context_.rules == nullptr || !context_.rules->writable())
    return fail(ErrorCode::invalid, "this engine has no control store");
  const auto rules = context_.rules->rules().of(release.symbol);
  const auto held = [&](const auto& item) {
    return item.what == release.item && item.released_at == replay::kNotReleased;
  };
  if (rules == nullptr || std::ranges::none_of(rules->items, held))
    return fail(ErrorCode::not_found,
                describe(release.symbol, release.item) + " is not in quarantine");
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
    if (entry.state == Entry::State::live) apply_rules(found->second);
    if (entry.state == Entry::State::refilling) entry.new_rules = true;
  }
  release.reply(next_);
}

void Ingress::apply_rules(EntryIndex index) {
  Entry& entry = entries_[index];
  const auto marks = std::make_shared<const std::vector<market::TimeMark>>(recent_marks_.begin(),
                                                                           recent_marks_.end());
  const auto* untold = untold_mark(entry);
  const auto work = open_work(untold == nullptr ? next_ : untold->position.offset, 0);
  entry.told = next_;
  entry.changed = true;
  send_work(index, work);
  port_.send(index, ApplyRules{context_.rules->rules(), marks, next_, work});
  release(work);
}

}  // namespace tapedeck::actors
