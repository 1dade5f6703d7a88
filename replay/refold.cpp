#include "replay/refold.hpp"

#include <algorithm>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "replay/recovery.hpp"
#include "replay/release.hpp"

namespace tapedeck::replay {

namespace {

/// One partition's refold: reads polls, groups them by symbol, folds each group in one go.
class PartitionRefold {
public:
  PartitionRefold(const storage::TapeReader& tape, const FoldRules& rules,
                  const RefoldOptions& options, const RefoldListener& listener, Partition partition)
      : tape_(tape), rules_(rules), options_(options), listener_(listener), partition_(partition) {}

  Result<void> run() {
    const auto end = tape_.end(partition_);
    if (!end) return tl::unexpected(end.error());
    told_from_ = options_.told_from.empty() ? 0 : options_.told_from[partition_];
    const Offset to = options_.to.empty() ? *end : std::min(options_.to[partition_], *end);
    if (!options_.last_events.empty()) last_ = {to, options_.last_events[partition_]};
    if (auto begun = begin_with_bases(to); !begun) return begun;
    while (next_ < to) {
      if (listener_.go_on && !listener_.go_on(partition_, newest_)) break;
      auto limits = options_.poll;
      limits.records = std::min<std::size_t>(limits.records, to - next_);
      auto block = tape_.read(partition_, next_, limits);
      if (!block) return tl::unexpected(block.error());
      // Where offsets have holes, fewer records lie before `to` than offsets do.
      const auto below = std::ranges::partition_point(
          (*block)->records, [to](const storage::Record& r) { return r.offset < to; });
      limits.records = static_cast<std::size_t>(below - (*block)->records.begin());
      if (limits.records == 0) break;
      if (below != (*block)->records.end()) {
        block = tape_.read(partition_, next_, limits);
        if (!block) return tl::unexpected(block.error());
      }
      if (auto folded = fold(**block); !folded) return folded;
    }
    return close();
  }

  void hand_over(Refolded& result) {
    for (auto& entry : entries_) {
      result.counts += entry.fold.state().counts();
      result.symbols.emplace(entry.fold.state().symbol(), std::move(entry.fold));
    }
    result.counts.read += filtered_, result.counts.filtered += filtered_;
    result.records += records_, result.marks += marks_count_;
    result.next[partition_] = next_;
  }

private:
  struct Entry {
    SymbolFold fold;
    std::size_t marks_told = 0;
    bool ended = false;  ///< what follows is past the moment where the refold ends
    std::vector<const storage::Record*> records;
  };

  std::size_t entry_of(std::string_view symbol) {
    if (const auto found = by_symbol_.find(symbol); found != by_symbol_.end()) return found->second;
    entries_.push_back({SymbolFold(std::string(symbol), partition_, rules_), 0, false, {}});
    names_.push_back(std::make_unique<std::string>(symbol));
    by_symbol_.emplace(*names_.back(), entries_.size() - 1);
    return entries_.size() - 1;
  }

  /// Of a trimmed tape: where it begins.
  Result<void> begin_with_bases(Offset to) {
    const auto base = tape_.base(partition_);
    if (!base) return tl::unexpected(base.error());
    if (!*base) return {};
    if (to < (*base)->next)
      return tl::unexpected(
          trimmed("what is before " + place(partition_, to), partition_, (*base)->next));
    next_ = (*base)->next;
    const auto symbols = tape_.base_symbols(partition_);
    if (!symbols) return tl::unexpected(symbols.error());
    std::uint64_t wanted = 0;
    for (const auto& symbol : *symbols) {
      if (!options_.symbols.empty() && !options_.symbols.contains(symbol)) continue;
      const auto stored = tape_.base_of(symbol);
      if (!stored) return tl::unexpected(stored.error());
      if (!*stored) continue;
      if ((*stored)->snapshot.max_event_time > options_.instant) {
        return fail(
            ErrorCode::out_of_range,
            "the instant was trimmed: the first valid position is " + place(partition_, next_),
            "at");
      }
      auto fold = SymbolFold::restore((*stored)->snapshot, rules_);
      if (!fold) return tl::unexpected(fold.error());
      wanted += fold->state().counts().read;
      entries_[entry_of(symbol)].fold = std::move(*fold);
    }
    filtered_ += (*base)->events - wanted;
    return {};
  }

  Result<void> fold(const storage::RecordBlock& block) {
    touched_.clear();
    std::uint64_t events = 0;
    for (const auto& record : block.records) {
      newest_ = std::max(newest_, record.max_event_time);
      if (record.kind == storage::RecordKind::mark) {
        ++marks_count_;
        const auto mark = time_mark(record);
        if (!mark) return tl::unexpected(mark.error());
        if (options_.marks) marks_.push_back(*mark);
        continue;
      }
      ++records_;
      events += record.event_count;
      if (!options_.symbols.empty() && !options_.symbols.contains(std::string(record.symbol))) {
        filtered_ += record.event_count;
        continue;
      }
      const auto index = entry_of(record.symbol);
      if (entries_[index].records.empty()) touched_.push_back(index);
      entries_[index].records.push_back(&record);
    }
    for (const auto index : touched_) {
      for (const auto* record : entries_[index].records) {
        if (auto folded = fold_one(entries_[index], *record); !folded) return folded;
      }
      entries_[index].records.clear();
    }
    next_ = block.records.back().offset + 1;
    if (listener_.progress) listener_.progress(block.records.size(), events);
    return {};
  }

  Result<void> fold_one(Entry& entry, const storage::Record& record) {
    if (entry.ended) return {};
    outputs_.clear();
    if (auto met = meet_turns(entry, record.offset); !met) return met;
    tell_marks(entry, record.offset);
    if (listener_.before) listener_.before(entry.fold, record.offset);
    const auto events = record.offset + 1 == last_.to ? last_.events : SymbolFold::kWholeRecord;
    const auto instant =
        record.max_event_time > options_.instant ? options_.instant : market::kNever;
    const auto whole = entry.fold.apply_until(record, events, instant, outputs_);
    if (!whole) return tl::unexpected(whole.error());
    entry.ended = !*whole;
    tell(entry);
    return {};
  }

  Result<void> meet_turns(Entry& entry, Offset upto) {
    while (entry.fold.next_turn() <= upto) {
      const auto at = entry.fold.next_turn();
      tell_marks(entry, at);
      if (listener_.before) listener_.before(entry.fold, at);
      if (auto met = meet_turn(entry.fold, tape_, nullptr, at, outputs_); !met) return met;
    }
    return {};
  }

  void tell(const Entry& entry) {
    std::erase_if(outputs_, [this](const market::Output& output) {
      return output.position.offset < told_from_;
    });
    if (listener_.said && !outputs_.empty()) listener_.said(entry.fold, outputs_);
  }

  void tell_marks(Entry& entry, Offset before) {
    for (; entry.marks_told < marks_.size() && marks_[entry.marks_told].position.offset < before;
         ++entry.marks_told) {
      const auto time = marks_[entry.marks_told].feed_time;
      if (time < entry.fold.state().next_due() || time > options_.instant) continue;
      entry.fold.advance(marks_[entry.marks_told], outputs_);
    }
  }

  Result<void> close() {
    for (auto& entry : entries_) {
      outputs_.clear();
      // At the tape's end all releases count, at a position before it those below.
      if (!entry.ended && next_ > 0) {
        if (auto met = meet_turns(entry, next_ - 1); !met) return met;
      }
      tell_marks(entry, next_);
      if (listener_.before) listener_.before(entry.fold, next_);
      if (!entry.ended) entry.fold.pass(next_);
      if (!entry.ended && whole_tape()) {
        if (auto met = meet_turns(entry, next_); !met) return met;
      }
      tell(entry);
    }
    return {};
  }

  [[nodiscard]] bool whole_tape() const {
    return options_.to.empty() && options_.instant == market::kNever;
  }

  const storage::TapeReader& tape_;
  const FoldRules& rules_;
  const RefoldOptions& options_;
  const RefoldListener& listener_;
  Partition partition_;
  Offset next_ = 0, told_from_ = 0;
  struct {
    Offset to = 0;
    std::uint32_t events = SymbolFold::kWholeRecord;
  } last_;
  TimeNs newest_ = market::kNoTime;
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<std::string>> names_;
  std::unordered_map<std::string_view, std::size_t> by_symbol_;
  std::vector<std::size_t> touched_;
  std::vector<market::TimeMark>
      marks_;  ///< of this stretch; a mark a second, told to each symbol once
  market::Outputs outputs_;
  std::uint64_t filtered_ = 0, records_ = 0, marks_count_ = 0;
};

}  // namespace

Result<Refolded> refold(const storage::TapeReader& tape, const FoldRules& rules,
                        const RefoldOptions& options, const RefoldListener& listener) {
  const std::uint32_t partitions = tape.partitions();
  std::vector<PartitionRefold> work;
  work.reserve(partitions);
  for (Partition p = 0; p < partitions; ++p) work.emplace_back(tape, rules, options, listener, p);
  std::atomic<Partition> next_partition = 0;
  std::atomic<bool> failed = false;
  std::mutex mutex;
  std::optional<Error> error;
  const auto run = [&] {
    for (Partition p = next_partition++; p < partitions && !failed; p = next_partition++) {
      if (auto done = work[p].run(); !done) {
        const std::scoped_lock lock(mutex);
        if (!error) error = done.error();
        failed = true;
      }
    }
  };
  std::vector<std::thread> threads;
  for (std::uint32_t t = 1; t < std::min(std::max(options.threads, 1u), partitions); ++t)
    threads.emplace_back(run);
  run();
  for (auto& thread : threads) thread.join();
  if (error) return tl::unexpected(*error);
  Refolded result;
  result.next.resize(partitions);
  for (auto& partition : work) partition.hand_over(result);
  return result;
}

}  // namespace tapedeck::replay
