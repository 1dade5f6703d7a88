#include "replay/symbol_fold.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "market/quality_watch.hpp"
#include "schemas/state_codec.hpp"

namespace tapedeck::replay {

namespace {

constexpr std::size_t kFoldedAtOnce = 256;

/// Events of `chunk` before the first one that is later than `instant`; an event too far ahead to
/// be believed (the fold refuses it) does not count as later.
std::size_t events_until(std::span<const market::Event> chunk, TimeNs instant) {
  const auto later = [instant](const market::Event& event) {
    return event.time > instant && event.time <= event.feed_time;
  };
  return static_cast<std::size_t>(std::ranges::find_if(chunk, later) - chunk.begin());
}

/// Events before the first one whose message goes on behind the chunk.
std::size_t whole_messages(std::span<const market::Event> chunk) {
  std::size_t whole = chunk.size();
  while (whole > 0 && (chunk[whole - 1].flags & market::kMore) != 0) --whole;
  return whole;
}

}  // namespace

std::string place(Partition partition, Offset offset) {
  return fmt::format("{}:{}", partition, offset);
}

SymbolFold::SymbolFold(std::string symbol, Partition partition, const FoldRules& rules)
    : settings_(rules.settings_after(partition, 0)),
      state_(std::move(symbol), *settings_),
      rules_(rules),
      partition_(partition) {
  set_rules(rules);
}

SymbolFold::SymbolFold(market::SymbolState state, SettingsPtr settings, Partition partition,
                       Offset next, std::uint64_t snapshot_bytes, const FoldRules& rules)
    : settings_(std::move(settings)),
      state_(std::move(state)),
      rules_(rules),
      met_below_(next),
      changes_met_(rules.changes_before(partition, next)),
      settings_below_(next),
      partition_(partition),
      next_(next),
      snapshot_bytes_(snapshot_bytes) {
  set_rules(rules);
}

void SymbolFold::set_rules(const FoldRules& rules) {
  rules_ = rules;
  own_rules_ = rules.of(state_.symbol());
  refresh_due_rules();
}

void SymbolFold::change_settings(market::Outputs& outputs) {
  const SettingsChange& change = *next_change();
  const market::Position at{partition_, change.at, 0};
  std::vector<market::TimeMark> marks;
  for (const auto& [source, feed_time] : change.feed_times)
    marks.push_back({source, feed_time, at});
  auto before = std::exchange(settings_, change.settings);  // until the state has left it
  settings_below_ = change.at + 1;
  ++changes_met_;
  state_.change_settings(*settings_, marks, at, outputs);
}

void SymbolFold::enter(Offset met_below) {
  met_below_ = met_below;
  refresh_due_rules();
}

void SymbolFold::set_fault(const market::FoldItem& item, market::Fault fault) {
  fault_ = std::make_unique<PlannedFault>(PlannedFault{item, std::move(fault)});
  refresh_due_rules();
}

Offset SymbolFold::first_released(Offset at) const noexcept {
  Offset first = at;
  if (own_rules_ == nullptr) return first;
  for (const auto& item : own_rules_->items) {
    if (item.released_at <= at) first = std::min(first, item.what.position.offset);
  }
  return first;
}

market::FoldItem SymbolFold::released_item(Offset at) const noexcept {
  const auto found = std::ranges::find(own_rules_->items, at, &SymbolRules::Item::released_at);
  return found->what;
}

void SymbolFold::refresh_due_rules() {
  std::vector<market::DueRule> rules;
  if (own_rules_ != nullptr) {
    for (const auto& item : own_rules_->items) {
      if (item.what.due && item.released_at >= met_below_)
        rules.push_back({*item.what.due, nullptr});
    }
  }
  if (fault_ != nullptr && fault_->item.due) rules.push_back({*fault_->item.due, &fault_->strike});
  state_.set_due_rules(std::move(rules));
}

/// Marks what of these events is left out, or where a fault strikes.
void SymbolFold::mark_items(const market::Position& first, std::span<market::Event> events,
                            std::vector<market::EventMark>& marks) const {
  marks.clear();
  const auto mark = [&](const market::FoldItem& item, const market::Fault* fault) {
    const auto& at = item.position;
    if (item.due || at.offset != first.offset || at.index < first.index) return;
    const std::size_t index = at.index - first.index;
    if (index >= events.size()) return;
    if (std::ranges::find(marks, index, &market::EventMark::index) != marks.end()) return;
    marks.push_back({index, events[index].kind, fault});
    events[index].kind = market::marked_kind(events[index].kind);
  };
  if (own_rules_ != nullptr) {
    for (const auto& item : own_rules_->items) {
      if (item.released_at >= met_below_) mark(item.what, nullptr);
    }
  }
  if (fault_ != nullptr) mark(fault_->item, &fault_->strike);
}

Result<SymbolFold> SymbolFold::restore(const storage::StoredSnapshot& stored,
                                       const FoldRules& rules) {
  const auto bad = [&](const std::string& why) {
    return fail(ErrorCode::corrupt, fmt::format("snapshot of {} at {}: {}", stored.key.symbol,
                                                place(stored.key.partition, stored.key.next), why));
  };
  const auto snapshot = schemas::decode_snapshot(std::as_bytes(std::span(stored.bytes)));
  if (!snapshot) return bad(snapshot.error().message);
  if (snapshot->symbol != stored.key.symbol) return bad("holds the state of " + snapshot->symbol);
  auto settings = rules.settings_after(stored.key.partition,
                                       rules.changes_before(stored.key.partition, stored.key.next));
  auto state = market::SymbolState::restore(*snapshot, *settings);
  if (!state) return bad(state.error().message);
  if (state->digest() != stored.digest) return bad("its digest is not the one recorded with it");
  return SymbolFold(std::move(*state), std::move(settings), stored.key.partition, stored.key.next,
                    stored.bytes.size(), rules);
}

Result<bool> SymbolFold::apply_until(const storage::Record& record, std::uint32_t event_count,
                                     TimeNs instant, market::Outputs& outputs) {
  if (record.offset < next_) return true;
  if (next_turn() <= record.offset)
    throw std::logic_error(state_.symbol() + ": a release or new settings were passed over");
  schemas::BatchReader reader;
  if (auto opened = reader.open(record.payload); !opened) {
    return fail(ErrorCode::corrupt,
                fmt::format("record {} of {}: {}", place(record.partition, record.offset),
                            state_.symbol(), opened.error().message));
  }
  thread_local std::vector<market::Event> chunk(kFoldedAtOnce);
  market::Batch batch;
  batch.source = reader.source();
  batch.source_name = reader.source_name();
  batch.first = {record.partition, record.offset, 0};
  std::vector<market::EventMark> marks;
  std::size_t held = 0;  // events of a message whose end is not decoded yet
  while (true) {
    const std::size_t decoded = reader.next(std::span(chunk).subspan(held));
    const std::size_t available = held + decoded;
    if (available == 0) break;
    // The fold takes whole messages: what follows the chunk's last end waits for the next chunk.
    std::size_t whole = available;
    if (available == chunk.size()) whole = whole_messages(chunk);
    if (whole == 0) {
      held = available;
      chunk.resize(2 * chunk.size());
      continue;
    }
    std::size_t count = std::min<std::size_t>(whole, event_count - batch.first.index);
    if (instant != market::kNever)
      count = std::min(count, events_until({chunk.data(), whole}, instant));
    if (own_rules_ != nullptr || fault_ != nullptr) [[unlikely]] {
      mark_items(batch.first, std::span(chunk).first(count), marks);
      batch.marks = marks;
    }
    batch.events = {chunk.data(), count};
    if (count > 0) state_.apply(batch, outputs);
    if (watch_ != nullptr) watch_->look_at(batch.events);
    events_since_ += count;
    if (count < whole) return false;
    batch.first.index += static_cast<std::uint32_t>(count);
    held = available - whole;
    std::copy_n(chunk.begin() + static_cast<std::ptrdiff_t>(whole), held, chunk.begin());
  }
  next_ = record.offset + 1;
  ++records_since_;
  bytes_since_ += record.payload.size();
  return true;
}

void SymbolFold::apply(const market::Batch& messages, bool ends_record, market::Outputs& outputs) {
  if (next_turn() <= messages.first.offset)
    throw std::logic_error(state_.symbol() + ": a release or new settings were passed over");
  if (own_rules_ == nullptr && fault_ == nullptr) {
    state_.apply(messages, outputs);
  } else {
    std::vector<market::Event> events(messages.events.begin(), messages.events.end());
    std::vector<market::EventMark> marks;
    mark_items(messages.first, events, marks);
    market::Batch marked = messages;
    marked.events = events, marked.marks = marks;
    state_.apply(marked, outputs);
  }
  events_since_ += messages.events.size();
  if (!ends_record) return;
  next_ = messages.first.offset + 1;
  ++records_since_;
}

bool SymbolFold::wants_snapshot(const SnapshotPolicy& policy) const noexcept {
  const bool due = events_since_ >= policy.events || records_since_ >= policy.records;
  return due && bytes_since_ >= snapshot_bytes_ && may_store();
}

storage::StoredSnapshot SymbolFold::take_snapshot() {
  storage::StoredSnapshot stored;
  stored.key = {partition_, state_.symbol(), next_};
  stored.max_event_time = state_.max_event_time();
  stored.events = state_.counts().folded;
  stored.digest = state_.digest();
  stored.bytes = schemas::encode(state_.snapshot());
  events_since_ = records_since_ = bytes_since_ = 0;
  snapshot_bytes_ = stored.bytes.size();
  return stored;
}

Result<market::TimeMark> time_mark(const storage::Record& record) {
  const auto mark = schemas::decode_mark(record.payload);
  if (!mark) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("mark {}: {}", place(record.partition, record.offset), mark.error().message));
  }
  return market::TimeMark{mark->source, mark->feed_time, {record.partition, record.offset, 0}};
}

}  // namespace tapedeck::replay
