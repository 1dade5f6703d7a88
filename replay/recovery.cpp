#include "replay/recovery.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "replay/release.hpp"

namespace tapedeck::replay {

namespace {

constexpr storage::ReadLimits kRefillLimits{std::size_t{4} << 20, 4096};

/// Tries the stored snapshots from the newest down; the first that restores wins.
Result<Restored> fall_back(const storage::StateReader& state, Restored restored,
                           std::string_view symbol, Partition partition, Offset at_most,
                           const FoldRules& rules) {
  auto rows = state.snapshots(symbol, partition);
  if (!rows) return tl::unexpected(rows.error());
  for (auto row = rows->rbegin(); row != rows->rend(); ++row) {
    if (row->key.next > at_most) continue;
    auto stored = state.newest_snapshot(symbol, partition, row->key.next);
    if (!stored && stored.error().code != ErrorCode::corrupt) return tl::unexpected(stored.error());
    if (!stored) {
      restored.bad_snapshots.push_back(stored.error().message);
      continue;
    }
    if (!*stored) break;
    auto fold = SymbolFold::restore(**stored, rules);
    if (!fold) {
      restored.bad_snapshots.push_back(fold.error().message);
      continue;
    }
    restored.fold = std::move(*fold);
    break;
  }
  return restored;
}

Result<Restored> newest_stored(const storage::StateReader* state, std::string_view symbol,
                               Partition partition, Offset at_most, const FoldRules& rules) {
  Restored restored{SymbolFold(std::string(symbol), partition, rules), {}};
  if (state == nullptr) return restored;
  const auto usable = usable_upto(*state, rules, partition, symbol);
  if (!usable) return tl::unexpected(usable.error());
  at_most = std::min(at_most, *usable);
  auto stored = state->newest_snapshot(symbol, partition, at_most);
  if (!stored && stored.error().code != ErrorCode::corrupt) return tl::unexpected(stored.error());
  if (stored && !*stored) return restored;
  if (stored) {
    if (auto fold = SymbolFold::restore(**stored, rules)) {
      restored.fold = std::move(*fold);
      return restored;
    }
  }
  return fall_back(*state, std::move(restored), symbol, partition, at_most, rules);
}

}  // namespace

Error trimmed(const std::string& what, Partition partition, Offset start) {
  return {
      ErrorCode::out_of_range,
      fmt::format("{} was trimmed: the first valid position is {}", what, place(partition, start)),
      "at"};
}

Result<Restored> newest_good(const storage::TapeReader& tape, const storage::StateReader* state,
                             std::string_view symbol, Partition partition, Offset at_most,
                             const FoldRules& rules) {
  auto restored = newest_stored(state, symbol, partition, at_most, rules);
  if (!restored) return restored;
  const auto start = tape.start(partition);
  if (!start) return tl::unexpected(start.error());
  if (restored->fold.next() >= *start) return restored;
  const auto base = tape.base_of(symbol);
  if (!base) return tl::unexpected(base.error());
  if (!*base) return restored;  // no record of it was trimmed
  const auto& snapshot = (*base)->snapshot;
  if (snapshot.key.next > at_most) {
    return tl::unexpected(
        trimmed("what is before " + place(partition, at_most), partition, *start));
  }
  auto fold = SymbolFold::restore(snapshot, rules);
  if (!fold) return tl::unexpected(fold.error());
  restored->fold = std::move(*fold);
  return restored;
}

Result<void> catch_up(SymbolFold& fold, const storage::TapeReader& tape, Offset to, Marks marks,
                      market::Outputs& outputs,
                      const std::function<void(const storage::Record&)>& before,
                      const storage::StateReader* state) {
  if (fold.next() >= to) return {};
  storage::RecordBlockPtr mark_block;
  if (marks == Marks::merged) {
    auto block = tape.marks(fold.partition(), fold.next(), to);
    if (!block) return tl::unexpected(block.error());
    mark_block = *block;
  }
  std::size_t next_mark = 0;
  const auto advance_to = [&](Offset offset) -> Result<void> {
    if (mark_block == nullptr) return {};
    const auto& records = mark_block->records;
    for (; next_mark < records.size() && records[next_mark].offset < offset; ++next_mark) {
      const auto mark = time_mark(records[next_mark]);
      if (!mark) return tl::unexpected(mark.error());
      fold.advance(*mark, outputs);
    }
    return {};
  };
  const auto meet_turns = [&](Offset offset) -> Result<void> {
    while (fold.next_turn() <= offset) {
      const auto at = fold.next_turn();
      if (auto advanced = advance_to(at); !advanced) return advanced;
      if (auto met = meet_turn(fold, tape, state, at, outputs); !met) return met;
    }
    return {};
  };
  while (fold.next() < to) {
    auto block = tape.read_symbol(fold.state().symbol(), fold.next(), to, kRefillLimits);
    if (!block) return tl::unexpected(block.error());
    if ((*block)->records.empty()) break;
    for (const auto& record : (*block)->records) {
      if (auto met = meet_turns(record.offset); !met) return met;
      if (auto advanced = advance_to(record.offset); !advanced) return advanced;
      if (before) before(record);
      if (auto applied = fold.apply(record, outputs); !applied) return applied;
    }
  }
  if (auto met = meet_turns(to - 1); !met) return met;
  if (auto advanced = advance_to(to); !advanced) return advanced;
  fold.pass(to);
  return {};
}

namespace {

/// There is no checkpoint to resume at: begins where the tape does.
Result<ResumePlan> from_the_beginning(const storage::TapeReader& tape, ResumePlan plan) {
  const auto partition = plan.checkpoint.partition;
  auto base = tape.base(partition);
  if (!base) return tl::unexpected(base.error());
  if (!*base) return plan;
  const auto start = (*base)->next;
  if (plan.cursor > 0 && plan.cursor < start) {
    return fail(ErrorCode::corrupt,
                fmt::format("state: partition {} was folded up to {}, and the tape was trimmed up "
                            "to {} since",
                            partition, plan.cursor, start));
  }
  auto symbols = tape.base_symbols(partition);
  if (!symbols) return tl::unexpected(symbols.error());
  plan.checkpoint = std::move(**base);
  plan.symbols = std::move(*symbols);
  plan.cursor = std::max(plan.cursor, start);
  plan.silent_below = std::max(plan.silent_below, start);
  return plan;
}

}  // namespace

Result<Offset> usable_upto(const storage::StateReader& state, const FoldRules& rules,
                           Partition partition, std::string_view symbol) {
  if (rules.outdated(partition).empty()) return storage::kNoOffset;
  const auto met = state.rules_met(partition);
  if (!met) return tl::unexpected(met.error());
  return rules.usable_upto(partition, *met, symbol);
}

Result<std::vector<storage::StateStore::Forget>> forget_of(const storage::TapeReader& tape,
                                                           Partition partition,
                                                           const Outdated& outdated) {
  const auto& [symbol, from] = outdated;
  if (!symbol.empty())
    return std::vector{storage::StateStore::Forget{partition, symbol, from, from}};
  std::vector<storage::StateStore::Forget> all;
  const auto symbols = tape.symbols();
  if (!symbols) return tl::unexpected(symbols.error());
  for (const auto& one : *symbols) {
    if (storage::partition_of(one, tape.partitions()) == partition)
      all.push_back({partition, one, from, from});
  }
  return all;
}

Result<storage::StateStore::Batch> forget_outdated(const storage::TapeReader& tape,
                                                   const storage::StateReader& state,
                                                   const FoldRules& rules, Partition partition) {
  storage::StateStore::Batch batch;
  const auto all = rules.outdated(partition);
  const auto met = state.rules_met(partition);
  if (!met) return tl::unexpected(met.error());
  if (*met > all.size()) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("state: partition {} was folded by {} control records, and there are {}",
                    partition, *met, all.size()));
  }
  if (*met == all.size()) return batch;
  for (const auto& one : all.subspan(*met)) {
    auto forget = forget_of(tape, partition, one);
    if (!forget) return tl::unexpected(forget.error());
    std::ranges::move(*forget, std::back_inserter(batch.forget));
  }
  batch.rules_met = {partition, all.size()};
  return batch;
}

Result<ResumePlan> plan_resume(const storage::TapeReader& tape, const storage::StateReader& state,
                               const FoldRules& rules, Partition partition, Offset committed) {
  ResumePlan plan;
  plan.checkpoint.partition = partition;
  const auto cursor = state.cursor(partition);
  if (!cursor) return tl::unexpected(cursor.error());
  plan.cursor = *cursor;
  plan.silent_below = std::min(plan.cursor, committed);
  const auto checkpoints = state.checkpoints(partition);
  if (!checkpoints) return tl::unexpected(checkpoints.error());
  const auto upto = usable_upto(state, rules, partition);
  if (!upto) return tl::unexpected(upto.error());
  const auto usable = std::ranges::find_if(
      *checkpoints, [&](const auto& c) { return c.next <= std::min(plan.silent_below, *upto); });
  if (usable == checkpoints->end()) return from_the_beginning(tape, std::move(plan));
  if (const auto start = tape.start(partition); !start || usable->next < *start) {
    if (!start) return tl::unexpected(start.error());
    return fail(ErrorCode::corrupt,
                fmt::format("state: partition {} resumes at {}, and the tape was trimmed up to {}",
                            partition, usable->next, *start));
  }
  plan.checkpoint = *usable;
  auto symbols = state.symbols(partition);
  if (!symbols) return tl::unexpected(symbols.error());
  plan.symbols = std::move(*symbols);
  // One that was down before it ever had a snapshot has no digest either: its records below the
  // checkpoint are not read again, so it has to be known from here.
  for (const auto& behind : plan.checkpoint.behind) {
    const auto at = std::ranges::lower_bound(plan.symbols, behind.symbol);
    if (at == plan.symbols.end() || *at != behind.symbol) plan.symbols.insert(at, behind.symbol);
  }
  return plan;
}

}  // namespace tapedeck::replay
