#include <fmt/format.h>
#include <algorithm>

#include "chaos/sim_state.hpp"
#include "replay/recovery.hpp"

namespace tapedeck::chaos {

namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

}  // namespace

StateChecker::StateChecker(const Reference& reference, SimDisk& disk, std::uint32_t partitions,
                           Verdict& verdict)
    : reference_(reference),
      disk_(disk),
      truth_(std::make_unique<storage::RowStateStore>(disk.rows(SimDisk::View::truth))),
      checked_(partitions, 0),
      verdict_(verdict) {}

void StateChecker::wrote(const storage::StateStore::Batch& batch) {
  if (told_) tell(batch);
  if (!batch.forget.empty()) look_again();
  for (const auto& some : batch.outputs) {
    const auto outputs = storage::decode_outputs(some);
    if (!outputs)
      return verdict_.broken("stored outputs do not decode: " + outputs.error().message);
    for (const auto& output : *outputs) check_output(some.symbol, output, false);
  }
  for (const auto& snapshot : batch.snapshots) check_snapshot(snapshot);
  if (batch.cursor) check_cursor(batch.cursor->first, batch.cursor->second);
  if (batch.checkpoint) check_checkpoint(*batch.checkpoint);
}

void StateChecker::tell(const storage::StateStore::Batch& batch) const {
  std::string text = "stored";
  for (const auto& snapshot : batch.snapshots)
    text += fmt::format(" {}@{}({})", snapshot.key.symbol, snapshot.key.next, snapshot.events);
  for (const auto& some : batch.outputs) text += fmt::format(" {} of {}", some.count, some.symbol);
  if (batch.checkpoint) {
    text += fmt::format(" checkpoint {}:{}", batch.checkpoint->partition, batch.checkpoint->next);
    for (const auto& behind : batch.checkpoint->behind)
      text += fmt::format(" but {}@{}", behind.symbol, behind.next);
  }
  if (batch.cursor) text += fmt::format(" cursor {}:{}", batch.cursor->first, batch.cursor->second);
  told_(text);
}

/// `newest`: as it was said last.
void StateChecker::check_output(const std::string& symbol, const market::Output& output,
                                bool newest) {
  auto identity = market::identity(output);
  const auto times = reference_.output(symbol, identity);
  if (times.empty())
    return verdict_.broken(
        fmt::format("{} stored an output of {} that an undisturbed fold never "
                    "says (kind {}, time {}, identity {})",
                    output.position.offset, symbol, static_cast<int>(output.kind()), output.time,
                    hex(identity)));
  const auto* expected = times.back();
  for (const auto* time : times)
    if (!newest && time->position == output.position) expected = time;
  if (!expected->same_content(output))
    verdict_.broken(
        fmt::format("an output of {} differs from the undisturbed fold's (kind {}, "
                    "time {}, emitted at {}:{}, said {} times there, the last at {}; {}content, "
                    "trust {} instead of {})",
                    symbol, static_cast<int>(output.kind()), output.time, output.position.partition,
                    output.position.offset, times.size(), times.back()->position.offset,
                    output.body == expected->body ? "the same " : "other ", name(output.trust),
                    name(expected->trust)));
  if (expected->position != output.position)
    verdict_.broken(fmt::format(
        "an output of {} (kind {}) was emitted at {}:{}.{}, by the "
        "undisturbed fold at offset {}.{}",
        symbol, static_cast<int>(output.kind()), output.position.partition, output.position.offset,
        output.position.index, expected->position.offset, expected->position.index));
  stored_[symbol].insert(std::move(identity));
}

void StateChecker::check_snapshot(const storage::StoredSnapshot& snapshot) {
  const auto* expected = reference_.state(snapshot.key.symbol, snapshot.key.next);
  const auto events = expected == nullptr ? 0 : expected->events;
  if (snapshot.events != events || (expected != nullptr && snapshot.digest != expected->digest))
    verdict_.broken(
        fmt::format("snapshot of {} at {}:{} holds {} events, the undisturbed fold {}{}",
                    snapshot.key.symbol, snapshot.key.partition, snapshot.key.next, snapshot.events,
                    events, snapshot.events == events ? " with another digest" : ""));
}

void StateChecker::check_cursor(Partition partition, Offset cursor) {
  const auto& said = reference_.said(partition);
  auto& checked = checked_[partition];
  for (; checked < said.size() && said[checked].output.position.offset < cursor; ++checked) {
    const auto& one = said[checked];
    const auto found = stored_.find(one.symbol);
    if (found == stored_.end() || !found->second.contains(one.identity))
      return verdict_.broken(
          fmt::format("cursor {}:{} is stored, but not the output of {} (kind "
                      "{}) emitted at {}",
                      partition, cursor, one.symbol, static_cast<int>(one.output.kind()),
                      one.output.position.offset));
  }
  if (cursor > reference_.next(partition))
    verdict_.broken(fmt::format("cursor {}:{} is past the tape's end", partition, cursor));
}

void StateChecker::check_checkpoint(const storage::Checkpoint& row) {
  if (row.next > reference_.next(row.partition))
    verdict_.broken(
        fmt::format("checkpoint {}:{} is past the tape's end", row.partition, row.next));
  auto times = row.feed_times;
  std::ranges::sort(times, {}, &storage::Checkpoint::FeedTime::source);
  if (times != reference_.feed_times(row.partition, row.next))
    verdict_.broken(fmt::format("checkpoint {}:{} has other feed times than its marks",
                                row.partition, row.next));
  if (row.events != reference_.events_before(row.partition, row.next))
    verdict_.broken(fmt::format("checkpoint {}:{} says {} events, the tape has {}", row.partition,
                                row.next, row.events,
                                reference_.events_before(row.partition, row.next)));
  check_covered(row);
}

/// What is stored behind is of rules that hold no more: an engine passes over it, and has it
/// forgotten with its next write.
Offset StateChecker::usable_upto(Partition partition) const {
  return replay::usable_upto(*truth_, reference_.rules(), partition).value_or(0);
}

/// Every symbol's newest snapshot at or before the checkpoint is its state as of it.
void StateChecker::check_covered(const storage::Checkpoint& row) {
  if (row.next > usable_upto(row.partition)) return;
  for (const auto& symbol : reference_.symbols(row.partition)) {
    const auto* expected = reference_.state(symbol, row.next);
    const auto behind = std::ranges::find(row.behind, symbol, &storage::Checkpoint::Behind::symbol);
    if (expected == nullptr || behind != row.behind.end()) continue;
    const auto rows = truth_->snapshots(symbol, row.partition);
    if (!rows) return;  // rotten: the engine finds that out when it reads them
    std::uint64_t events = 0;
    for (const auto& snapshot : *rows)
      if (snapshot.key.next <= row.next) events = snapshot.events;
    if (events != expected->events)
      verdict_.broken(
          fmt::format("checkpoint {}:{}: the newest snapshot of {} holds {} of {} events",
                      row.partition, row.next, symbol, events, expected->events));
  }
}

Offset StateChecker::resumes_at(Partition partition) const {
  const auto rows = truth_->checkpoints(partition);
  const auto spoken = truth_->cursor(partition);
  if (!rows || !spoken) return 0;
  const auto stored = std::min(*spoken, usable_upto(partition));
  const auto out = committed_ ? std::min(stored, committed_(partition)) : stored;
  const auto usable = std::ranges::find_if(*rows, [&](const auto& row) { return row.next <= out; });
  return usable == rows->end() ? 0 : usable->next;
}

Offset StateChecker::cursor(Partition partition) const {
  return truth_->cursor(partition).value_or(0);
}

void StateChecker::thinned(Partition partition, Offset resumed_at) {
  const auto rows = truth_->checkpoints(partition);
  if (!rows) return;
  for (const auto& row : *rows) check_covered(row);
  if (resumes_at(partition) < resumed_at)
    verdict_.broken(
        fmt::format("partition {}: the checkpoint at {} was removed", partition, resumed_at));
}

void StateChecker::look_again() {
  stored_.clear();
  for (Partition p = 0; p < checked_.size(); ++p) {
    checked_[p] = 0;
    for (const auto& symbol : reference_.symbols(p)) {
      auto& identities = stored_[symbol];
      (void)truth_->outputs(symbol, "", "", [&](const market::Output& output) {
        identities.insert(market::identity(output));
        return true;
      });
    }
  }
}

void StateChecker::finish() {
  std::size_t found = 0;
  for (Partition p = 0; p < checked_.size(); ++p) {
    const auto end = reference_.next(p);
    if (cursor(p) != end)
      verdict_.broken(
          fmt::format("drained, but cursor {}:{} is not at the end, {}", p, cursor(p), end));
    check_cursor(p, end);
    if (usable_upto(p) != storage::kNoOffset)
      verdict_.broken(
          fmt::format("drained, but what control records of partition {} outdate is there", p));
    for (const auto& symbol : reference_.symbols(p)) {
      auto read = truth_->outputs(symbol, "", "", [&](const market::Output& output) {
        check_output(symbol, output, true);
        ++found;
        return true;
      });
      if (!read) verdict_.broken("stored outputs cannot be read: " + read.error().message);
      if (reference_.released(symbol, end) != nullptr) continue;  // not stored right there
      const auto* expected = reference_.state(symbol, end);
      const auto rows = truth_->digests(symbol, p);
      if (!rows || rows->empty() || rows->back().events != expected->events ||
          rows->back().digest != expected->digest)
        verdict_.broken(
            fmt::format("drained, but the last digest of {} is not the undisturbed one", symbol));
    }
  }
  if (found != reference_.outputs())
    verdict_.broken(fmt::format("{} outputs are stored, the undisturbed fold says {}", found,
                                reference_.outputs()));
}

SimState::SimState(SimDisk& disk, StateChecker& checker)
    : RowStateStore(disk.rows(SimDisk::View::faulty)), disk_(disk), checker_(checker) {}

Result<void> SimState::write(const Batch& batch) {
  const auto before = disk_.writes();
  try {
    auto written = RowStateStore::write(batch);
    if (disk_.writes() != before) checker_.wrote(batch);
    return written;
  } catch (const Injected&) {
    if (disk_.writes() != before) checker_.wrote(batch);
    throw;
  }
}

Result<std::uint64_t> SimState::thin(Partition partition, storage::TimeNs keep_after,
                                     std::size_t checkpoints, storage::Offset committed) {
  const auto resumed_at = checker_.resumes_at(partition);
  auto done = RowStateStore::thin(partition, keep_after, checkpoints, committed);
  checker_.thinned(partition, resumed_at);
  return done;
}

}  // namespace tapedeck::chaos
