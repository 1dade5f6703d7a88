#include "apps/snapshot_sharing.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "replay/recovery.hpp"
#include "replay/refold.hpp"

namespace tapedeck::apps {

namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(100);
constexpr auto kFillAgain = std::chrono::seconds(30);  ///< after a failure
/// What one write of the state takes over.
constexpr std::size_t kWriteBytes = std::size_t{32} << 20;
constexpr std::size_t kWriteOutputs = 4096;

void sleep_for(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any waiting;
  std::unique_lock lock(mutex);
  waiting.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

void SnapshotSharing::gain(market::Partition partition) {
  auto published = take_newest(partition);
  const std::scoped_lock lock(mutex_);
  owned_.insert_or_assign(partition, std::move(published));
}

void SnapshotSharing::adopt_newest(market::Partition partition) { (void)take_newest(partition); }

/// What the topic holds is not known, so the next set is whole.
void SnapshotSharing::take_over(market::Partition partition) {
  const std::scoped_lock lock(mutex_);
  owned_.insert_or_assign(partition, Published{});
}

SnapshotSharing::Published SnapshotSharing::take_newest(market::Partition partition) {
  Published published;
  const auto taken = [&]() -> Result<void> {
    const auto committed = parts_.group.committed(std::span(&partition, 1));
    if (!committed) return tl::unexpected(committed.error());
    auto set = parts_.topic->read(partition, committed->front());
    if (!set) return tl::unexpected(set.error());
    if (!*set) return {};
    published = {(*set)->checkpoint.next, (*set)->entries, {}};
    const auto wanted = worth_it(**set, committed->front());
    if (!wanted) return tl::unexpected(wanted.error());
    return *wanted ? adopt(**set) : Result<void>{};
  }();
  if (!taken) {
    ++parts_.metrics.partitions.at(partition)->sets_refused;
    spdlog::warn("partition {}: {}; it is folded on from this engine's own state", partition,
                 taken.error().message);
  }
  return published;
}

void SnapshotSharing::let_go(market::Partition partition) {
  const std::scoped_lock lock(mutex_);
  owned_.erase(partition);
}

bool SnapshotSharing::owned(market::Partition partition) const {
  const std::scoped_lock lock(mutex_);
  return owned_.contains(partition);
}

bool SnapshotSharing::here(market::Partition partition) const {
  const auto status = engine_->board().partitions().at(partition);
  return status.open ? owned(partition) : status.standby;
}

Result<bool> SnapshotSharing::worth_it(const storage::SnapshotSet& set,
                                       market::Offset committed) const {
  const auto rules = rules_now();
  if (!rules) return tl::unexpected(rules.error());
  const auto own =
      replay::plan_resume(parts_.tape, parts_.state, *rules, set.checkpoint.partition, committed);
  if (!own) return tl::unexpected(own.error());
  if (set.checkpoint.next <= own->checkpoint.next ||
      set.checkpoint.events < own->checkpoint.events + parts_.adopt_events)
    return false;
  const auto stale = quarantined_since(set);
  if (!stale) return stale;
  return !*stale;
}

/// Of any settings: what they are does not matter here.
Result<replay::FoldRules> SnapshotSharing::rules_now() const {
  static const market::FoldSettings kAny;
  const auto records = parts_.control.records();
  if (!records) return tl::unexpected(records.error());
  return replay::FoldRules(kAny, *records);
}

/// A snapshot from before a quarantine may hold what every fold leaves out since.
Result<bool> SnapshotSharing::quarantined_since(const storage::SnapshotSet& set) const {
  const auto records = parts_.control.records();
  if (!records) return tl::unexpected(records.error());
  return std::ranges::any_of(*records, [&](const schemas::ControlRecord& record) {
    return record.kind == schemas::ControlRecord::Kind::quarantine &&
           record.item.position.partition == set.checkpoint.partition &&
           record.at >= set.checkpoint.next;
  });
}

/// What is missing is told before what is there; the checkpoint comes last. The set is of the rules
/// of now: what the own state holds by older ones goes first.
Result<void> SnapshotSharing::adopt(storage::SnapshotSet& set) {
  const auto partition = set.checkpoint.partition;
  const auto next = set.checkpoint.next;
  // A state past what is known of the tape would look like a tape that has lost its end.
  if (auto ok = parts_.tape.refresh(); !ok) return ok;
  const auto end = parts_.tape.end(partition);
  if (!end) return tl::unexpected(end.error());
  if (*end < next)
    return fail(ErrorCode::environment, "the brokers do not show the tape as far as its snapshots");
  const auto cursor = parts_.state.cursor(partition);
  if (!cursor) return tl::unexpected(cursor.error());
  if (*cursor < next) {
    if (auto told = parts_.history.add(partition, {*cursor, next}); !told) return told;
  }
  const auto rules = rules_now();
  if (!rules) return tl::unexpected(rules.error());
  auto outdated = replay::forget_outdated(parts_.tape, parts_.state, *rules, partition);
  if (!outdated) return tl::unexpected(outdated.error());
  auto batch = std::move(*outdated);
  std::size_t bytes = 0;
  const auto symbols = set.snapshots.size();
  for (auto& snapshot : set.snapshots) {
    bytes += snapshot.bytes.size();
    batch.snapshots.push_back(std::move(snapshot));
    if (bytes < kWriteBytes) continue;
    if (auto written = parts_.state.write(std::exchange(batch, {})); !written) return written;
    bytes = 0;
  }
  batch.checkpoint = set.checkpoint;
  batch.cursor = {partition, std::max(*cursor, next)};
  if (auto written = parts_.state.write(batch); !written) return written;
  ++parts_.metrics.partitions.at(partition)->sets_adopted;
  tell_gap(partition);
  spdlog::info("partition {}: begins at {} symbols' published snapshots as of offset {}", partition,
               symbols, next);
  return {};
}

void SnapshotSharing::start(actors::Engine& engine) {
  engine_ = &engine;
  publisher_ = std::jthread([this](std::stop_token stop) { publish_due(stop); });
  filler_ = std::jthread([this](std::stop_token stop) { fill_gaps(stop); });
}

void SnapshotSharing::stop() {
  publisher_ = {};
  filler_ = {};
}

/// The newest checkpoint that the commit has passed, of each partition whose last set is old.
void SnapshotSharing::publish_due(std::stop_token stop) {
  const auto interval = std::chrono::nanoseconds(parts_.interval);
  while (!stop.stop_requested()) {
    const auto statuses = engine_->board().partitions();
    for (market::Partition p = 0; p < statuses.size() && !stop.stop_requested(); ++p) {
      market::Offset last = 0;
      {
        const std::scoped_lock lock(mutex_);
        const auto found = owned_.find(p);
        const bool due = found != owned_.end() && statuses[p].open &&
                         std::chrono::steady_clock::now() - found->second.at >= interval;
        if (!due) continue;
        last = found->second.next;
      }
      const auto checkpoints = parts_.state.checkpoints(p);
      if (!checkpoints) continue;  // the engine meets the same, and says so
      const auto upto = replay::usable_upto(parts_.state, engine_->rules(), p);
      if (!upto) continue;
      const auto usable = std::ranges::find_if(*checkpoints, [&](const auto& checkpoint) {
        return checkpoint.next <= std::min(statuses[p].committed, *upto) &&
               checkpoint.behind.empty();
      });
      if (usable == checkpoints->end() || usable->next <= last) continue;
      const auto done = publish(p, *usable);
      if (done || !owned(p)) continue;
      ++parts_.metrics.partitions.at(p)->sets_failed;
      spdlog::warn("partition {}: its snapshots are not published: {}", p, done.error().message);
    }
    sleep_for(stop, kLookEvery);
  }
}

Result<storage::SetEntries> SnapshotSharing::entries_at(
    const storage::Checkpoint& checkpoint) const {
  const auto symbols = parts_.state.symbols(checkpoint.partition);
  if (!symbols) return tl::unexpected(symbols.error());
  storage::SetEntries entries;
  for (const auto& symbol : *symbols) {
    const auto row = parts_.state.newest_row(symbol, checkpoint.partition, checkpoint.next);
    if (!row) return tl::unexpected(row.error());
    if (!*row) continue;  // it came later
    entries.emplace(symbol, storage::SetEntry{(*row)->key.next, (*row)->digest, 0});
  }
  return entries;
}

Result<void> SnapshotSharing::publish(market::Partition partition,
                                      const storage::Checkpoint& checkpoint) {
  storage::SetEntries before;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = owned_.find(partition);
    if (found == owned_.end()) return {};
    before = found->second.entries;
    found->second.at = std::chrono::steady_clock::now();
  }
  auto entries = entries_at(checkpoint);
  if (!entries) return tl::unexpected(entries.error());
  // What the topic holds of the same state stays; the number of pieces is known when it is read.
  std::vector<std::string> changed;
  for (auto& [symbol, entry] : *entries) {
    const auto there = before.find(symbol);
    const bool same = there != before.end() && there->second.next == entry.next &&
                      there->second.digest == entry.digest;
    if (same) {
      entry.chunks = there->second.chunks;
    } else {
      changed.push_back(symbol);
    }
  }
  std::size_t at = 0;
  const auto next = [&]() -> Result<std::optional<storage::StoredSnapshot>> {
    if (at == changed.size()) return std::optional<storage::StoredSnapshot>{};
    const auto& symbol = changed[at++];
    auto& entry = entries->find(symbol)->second;
    auto snapshot = parts_.state.newest_snapshot(symbol, partition, entry.next);
    if (!snapshot) return tl::unexpected(snapshot.error());
    if (!*snapshot || (*snapshot)->key.next != entry.next)
      return fail(ErrorCode::environment, "the snapshot of " + symbol + " was thinned meanwhile");
    entry = storage::entry_of(**snapshot);
    return snapshot;
  };
  if (auto done = parts_.topic->publish(checkpoint, *entries, before, next); !done) {
    const std::scoped_lock lock(mutex_);
    if (const auto found = owned_.find(partition); found != owned_.end())
      found->second.entries.clear();  // in doubt: the next set is whole
    return done;
  }
  ++parts_.metrics.partitions.at(partition)->sets_published;
  const std::scoped_lock lock(mutex_);
  const auto found = owned_.find(partition);
  if (found == owned_.end()) return {};
  found->second.next = checkpoint.next;
  found->second.entries = std::move(*entries);
  return {};
}

void SnapshotSharing::tell_gap(market::Partition partition) {
  parts_.metrics.partitions.at(partition)->history_gap =
      parts_.history.gap(partition).has_value() ? 1 : 0;
}

void SnapshotSharing::fill_gaps(std::stop_token stop) {
  std::map<market::Partition, std::chrono::steady_clock::time_point> not_before;
  while (!stop.stop_requested()) {
    const auto statuses = engine_->board().partitions();
    for (market::Partition p = 0; p < statuses.size() && !stop.stop_requested(); ++p) {
      if (!statuses[p].caught_up || !here(p)) continue;
      const auto gap = parts_.history.gap(p);
      tell_gap(p);
      if (!gap || std::chrono::steady_clock::now() < not_before[p]) continue;
      if (auto done = fill(p, *gap, stop); !done) {
        spdlog::warn("partition {}: its history is not filled: {}", p, done.error().message);
        not_before[p] = std::chrono::steady_clock::now() + kFillAgain;
      }
      tell_gap(p);
    }
    sleep_for(stop, kLookEvery);
  }
}

/// Folds the partition from its beginning beside the engine, which brings the index forward too.
Result<void> SnapshotSharing::fill(market::Partition partition, HistoryGap gap,
                                   const std::stop_token& stop) {
  storage::StateStore::Batch batch;
  std::size_t gathered = 0;
  std::optional<Error> error;
  bool whole = true;
  const auto write = [&] {
    if (error || gathered == 0) return;
    if (auto written = parts_.state.write(std::exchange(batch, {})); !written)
      error = written.error();
    gathered = 0;
  };
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
    auto encoded = storage::encode_outputs(fold.state().symbol(), outputs, gap.from);
    if (encoded.count == 0) return;
    gathered += encoded.count;
    batch.outputs.push_back(std::move(encoded));
    if (gathered >= kWriteOutputs) write();
  };
  listener.go_on = [&](market::Partition, market::TimeNs) {
    whole = whole && !stop.stop_requested() && !error && here(partition);
    return whole;
  };
  replay::RefoldOptions options;
  options.to.assign(parts_.tape.partitions(), 0);
  options.to[partition] = gap.to;
  const auto refolded = replay::refold(parts_.tape, engine_->rules(), options, listener);
  if (!refolded) return tl::unexpected(refolded.error());
  write();
  if (error) return tl::unexpected(*error);
  return whole ? parts_.history.filled(partition, gap) : Result<void>{};
}

}  // namespace tapedeck::apps
