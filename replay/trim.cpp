#include "replay/trim.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <optional>

#include "replay/recovery.hpp"
#include "schemas/batch_codec.hpp"

namespace tapedeck::replay {

namespace {

using storage::Checkpoint;

struct Bound {
  Offset start = 0;
  std::string held;
  void lower(Offset to, const std::string& why) {
    if (to >= start) return;
    start = to;
    held = why;
  }
};

/// Offsets of the partition's marks and their feed times, ascending.
Result<std::vector<market::TimeMark>> marks_of(const storage::TapeReader& tape, Partition partition,
                                               Offset from, Offset to) {
  const auto block = tape.marks(partition, from, to);
  if (!block) return tl::unexpected(block.error());
  std::vector<market::TimeMark> marks;
  for (const auto& record : (*block)->records) {
    const auto mark = time_mark(record);
    if (!mark) return tl::unexpected(mark.error());
    marks.push_back(*mark);
  }
  return marks;
}

/// All marks of all partitions.
struct TapeMarks {
  std::vector<Offset> starts;
  std::vector<std::vector<market::TimeMark>> marks;

  static Result<TapeMarks> of(const storage::TapeReader& tape) {
    TapeMarks all;
    for (Partition p = 0; p < tape.partitions(); ++p) {
      const auto start = tape.start(p);
      if (!start) return tl::unexpected(start.error());
      const auto end = tape.end(p);
      if (!end) return tl::unexpected(end.error());
      auto marks = marks_of(tape, p, *start, *end);
      if (!marks) return tl::unexpected(marks.error());
      all.starts.push_back(*start);
      all.marks.push_back(std::move(*marks));
    }
    return all;
  }

  /// Of each partition the last mark in front of the first one that reaches `time`: what it closed
  /// may go.
  [[nodiscard]] Wanted before(TimeNs time) const {
    Wanted wanted = starts;
    for (std::size_t p = 0; p < marks.size(); ++p) {
      for (const auto& mark : marks[p]) {
        if (mark.feed_time >= time) break;
        wanted[p] = mark.position.offset;
      }
    }
    return wanted;
  }
};

Result<Bound> resume_bound(const storage::TapeReader& tape, const storage::StateReader* state,
                           const FoldRules& rules, Partition partition, Offset wanted) {
  Bound bound{wanted, {}};
  if (state == nullptr) {
    bound.lower(0, "no engine has folded this tape: run `tapedeck tape index`");
    return bound;
  }
  const auto plan = plan_resume(tape, *state, rules, partition);
  if (!plan) return tl::unexpected(plan.error());
  bound.lower(plan->checkpoint.next,
              fmt::format("the engine resumes at {}", place(partition, plan->checkpoint.next)));
  for (const auto& behind : plan->checkpoint.behind)
    bound.lower(behind.next,
                fmt::format("{} resumes at {}", behind.symbol, place(partition, behind.next)));
  return bound;
}

/// A release folds again from in front of what it puts through.
void release_bound(std::span<const schemas::ControlRecord> records, Partition partition,
                   Bound& bound) {
  for (bool moved = true; std::exchange(moved, false);) {
    for (const auto& record : records) {
      const auto& at = record.item.position;
      if (record.kind != schemas::ControlRecord::Kind::release || at.partition != partition ||
          record.at < bound.start || at.offset >= bound.start)
        continue;
      bound.lower(at.offset, fmt::format("the release at {} folds {} again from {}",
                                         place(partition, record.at), record.symbol,
                                         place(partition, at.offset)));
      moved = true;
    }
  }
}

class PartitionTrim {
public:
  PartitionTrim(storage::TapeWriter& tape, const storage::StateReader* state,
                const FoldRules& rules, Partition partition)
      : writer_(tape), tape_(tape.reader()), state_(state), rules_(rules), partition_(partition) {}

  Result<Bound> settle(std::span<const schemas::ControlRecord> records, Offset wanted) {
    const auto start = tape_.start(partition_);
    if (!start) return tl::unexpected(start.error());
    from_ = *start;
    auto bound = resume_bound(tape_, state_, rules_, partition_, wanted);
    if (!bound) return bound;
    release_bound(records, partition_, *bound);
    const auto mark = newest_mark();
    if (!mark) return tl::unexpected(mark.error());
    bound->lower(*mark, "the newest time mark stays");
    bound->start = to_ = std::max(bound->start, from_);
    return bound;
  }
  [[nodiscard]] bool moves() const { return to_ > from_; }
  [[nodiscard]] Offset from() const { return from_; }
  [[nodiscard]] Offset to() const { return to_; }
  [[nodiscard]] std::uint64_t records() const { return records_; }

  /// Sources that may be gone on with.
  Result<void> begin() {
    const auto sources = tape_.sources();
    if (!sources) return tl::unexpected(sources.error());
    for (const auto& source : *sources) {
      if (!source.complete) unfinished_.push_back(market::source_id(source.name));
    }
    const auto base = tape_.base(partition_);
    if (!base) return tl::unexpected(base.error());
    if (*base) start_ = **base;
    start_.partition = partition_;
    start_.next = to_;
    const auto marks = marks_of(tape_, partition_, from_, to_);
    if (!marks) return tl::unexpected(marks.error());
    records_ += marks->size();
    for (const auto& mark : *marks) note(mark);
    return {};
  }

  /// Its state at the new start, if it had a record before.
  Result<void> take(const std::string& symbol) {
    const auto old = tape_.base_of(symbol);
    if (!old) return tl::unexpected(old.error());
    const auto entries = tape_.index(symbol, from_, to_);
    if (!entries) return tl::unexpected(entries.error());
    if (!*old && entries->empty()) return {};
    auto restored = newest_good(tape_, state_, symbol, partition_, to_, rules_);
    if (!restored) return tl::unexpected(restored.error());
    market::Outputs said_already;
    if (auto done = catch_up(restored->fold, tape_, to_, Marks::merged, said_already, {}, state_);
        !done)
      return done;
    storage::SymbolBase base{restored->fold.take_snapshot(), {}};
    if (*old) base.recorded = (*old)->recorded;
    for (const auto& entry : *entries) start_.events += entry.event_count;
    records_ += entries->size();
    if (!unfinished_.empty() && !entries->empty()) {
      if (auto noted = note_recorded(symbol, base); !noted) return noted;
    }
    return writer_.put_base(base);
  }

  [[nodiscard]] const Checkpoint& start() const { return start_; }

private:
  Result<Offset> newest_mark() const {
    const auto end = tape_.end(partition_);
    if (!end) return end;
    constexpr Offset kWindow = 1u << 16;
    for (Offset to = *end; to > from_; to -= std::min(kWindow, to - from_)) {
      const auto from = std::max(from_, to - std::min(kWindow, to));
      const auto marks = tape_.marks(partition_, from, to);
      if (!marks) return tl::unexpected(marks.error());
      if (!(*marks)->records.empty()) return (*marks)->records.back().offset;
    }
    return from_;
  }

  void note(const market::TimeMark& mark) {
    auto& times = start_.feed_times;
    const auto found = std::ranges::find(times, mark.source, &Checkpoint::FeedTime::source);
    if (found == times.end()) {
      times.push_back({mark.source, mark.feed_time});
    } else {
      found->feed_time = std::max(found->feed_time, mark.feed_time);
    }
  }

  /// What the recorder of a source that is not read to its end would look up in these records.
  Result<void> note_recorded(const std::string& symbol, storage::SymbolBase& base) const {
    std::vector<market::Event> events(256);
    for (Offset from = from_; from < to_;) {
      const auto block = tape_.read_symbol(symbol, from, to_, {std::size_t{4} << 20, 4096});
      if (!block) return tl::unexpected(block.error());
      if ((*block)->records.empty()) break;
      for (const auto& record : (*block)->records) {
        schemas::BatchReader batch;
        if (auto opened = batch.open(record.payload); !opened) return opened;
        if (std::ranges::find(unfinished_, batch.source()) == unfinished_.end()) continue;
        auto one =
            std::ranges::find(base.recorded, batch.source(), &storage::RecordedBefore::source);
        if (one == base.recorded.end())
          one = base.recorded.insert(base.recorded.end(), {batch.source(), 0, 0});
        one->events += batch.size() - (batch.source_name().empty() ? 0 : 1);
        while (const std::size_t count = batch.next(events)) {
          for (std::size_t i = 0; i < count; ++i)
            one->highest_sequence =
                std::max<std::uint64_t>(one->highest_sequence, events[i].sequence);
        }
      }
      from = (*block)->records.back().offset + 1;
    }
    return {};
  }

  storage::TapeWriter& writer_;
  const storage::TapeReader& tape_;
  const storage::StateReader* state_;
  const FoldRules& rules_;
  Partition partition_;
  Offset from_ = 0, to_ = 0;
  std::vector<market::SourceId> unfinished_;
  Checkpoint start_;
  std::uint64_t records_ = 0;
};

}  // namespace

Result<Wanted> wanted_before(const storage::TapeReader& tape, const Moment& before) {
  if (const auto* instant = std::get_if<AtInstant>(&before)) {
    return TapeMarks::of(tape).map(
        [&](const TapeMarks& marks) { return marks.before(instant->time); });
  }
  Wanted wanted(tape.partitions(), 0);
  const auto* at = std::get_if<AtOffset>(&before);
  if (at != nullptr && (!at->partition || at->index)) {
    return fail(ErrorCode::invalid,
                "expected partition:offset, an instant or end: a tape is trimmed in front of a "
                "record",
                "--before");
  }
  if (at != nullptr && *at->partition >= tape.partitions()) {
    return fail(ErrorCode::out_of_range,
                fmt::format("the tape has partitions 0 to {}", tape.partitions() - 1), "--before");
  }
  for (Partition p = 0; p < tape.partitions(); ++p) {
    if (at != nullptr && *at->partition != p) continue;
    const auto end = tape.end(p);
    if (!end) return tl::unexpected(end.error());
    wanted[p] = at == nullptr ? *end : at->offset;
    if (wanted[p] <= *end) continue;
    return fail(ErrorCode::out_of_range,
                fmt::format("offset {} is past the end of partition {}, {}", wanted[p], p, *end),
                "--before");
  }
  return wanted;
}

Result<Wanted> wanted_by(const storage::TapeReader& tape, const Retention& retention) {
  const auto all = TapeMarks::of(tape);
  if (!all) return tl::unexpected(all.error());
  TimeNs oldest = market::kNever, newest = market::kNoTime;
  for (const auto& marks : all->marks) {
    for (const auto& mark : marks) {
      oldest = std::min(oldest, mark.feed_time);
      newest = std::max(newest, mark.feed_time);
    }
  }
  if (newest == market::kNoTime) return all->starts;
  TimeNs keep_from = oldest;
  if (retention.age > 0) keep_from = std::max(keep_from, newest - retention.age);
  if (retention.bytes == 0) return all->before(keep_from);
  // The earliest instant from which on everything fits.
  for (TimeNs high = newest; keep_from < high;) {
    const TimeNs middle = keep_from + (high - keep_from) / 2;
    const auto wanted = all->before(middle);
    std::uint64_t bytes = 0;
    for (Partition p = 0; p < tape.partitions(); ++p) {
      const auto part = tape.stored_bytes(p, wanted[p]);
      if (!part) return tl::unexpected(part.error());
      bytes += *part;
    }
    bytes <= retention.bytes ? high = middle : keep_from = middle + 1;
  }
  return all->before(keep_from);
}

Result<Trimmed> trim(storage::TapeWriter& tape, const storage::StateReader* state,
                     const FoldRules& rules, std::span<const schemas::ControlRecord> records,
                     const Wanted& wanted, const TrimOptions& options) {
  const auto& reader = tape.reader();
  Trimmed result;
  std::vector<std::optional<PartitionTrim>> parts;
  bool moves = false;
  for (Partition p = 0; p < reader.partitions(); ++p) {
    auto& part = parts.emplace_back(PartitionTrim(tape, state, rules, p)).value();
    auto bound = part.settle(records, wanted[p]);
    if (!bound) return tl::unexpected(bound.error());
    result.parts.push_back({p, part.from(), part.to(), bound->held});
    moves |= part.moves();
  }
  if (!moves) return result;
  if (auto ready = tape.forget_bases(); !ready) return tl::unexpected(ready.error());
  const auto symbols = reader.symbols();
  if (!symbols) return tl::unexpected(symbols.error());
  for (auto& part : parts) {
    if (!part->moves()) continue;
    if (auto begun = part->begin(); !begun) return tl::unexpected(begun.error());
  }
  for (std::size_t i = 0; i < symbols->size(); ++i) {
    if (options.stop && options.stop()) {
      result.interrupted = true;
      for (auto& part : result.parts) part.start = part.from;
      return result;
    }
    auto& part = *parts[storage::partition_of((*symbols)[i], reader.partitions())];
    if (part.moves()) {
      if (auto taken = part.take((*symbols)[i]); !taken) return tl::unexpected(taken.error());
    }
    if (options.progress) options.progress(i + 1, symbols->size());
  }
  std::vector<Checkpoint> starts;
  for (const auto& part : parts) {
    if (!part->moves()) continue;
    starts.push_back(part->start());
    result.records += part->records();
  }
  result.symbols = symbols->size();
  if (auto done = tape.trim(starts); !done) return tl::unexpected(done.error());
  return result;
}

}  // namespace tapedeck::replay
