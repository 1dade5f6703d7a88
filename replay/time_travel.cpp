#include "replay/time_travel.hpp"

#include <date/date.h>
#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <ranges>
#include <sstream>

#include "replay/release.hpp"

namespace tapedeck::replay {

namespace {

constexpr storage::ReadLimits kTravelLimits{std::size_t{256} << 10, 256};

std::string rfc3339(TimeNs time) {
  std::ostringstream text;
  text << date::format("%FT%TZ",
                       date::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(time)));
  return text.str();
}

/// The newest offset at or below which a snapshot may be taken for `time`: no event later than it
/// is folded there.
Result<Offset> snapshot_bound(const storage::StateReader* state, std::string_view symbol,
                              Partition partition, TimeNs time) {
  if (state == nullptr) return Offset{0};
  const auto rows = state->snapshots(symbol, partition);
  if (!rows) return tl::unexpected(rows.error());
  const auto late = std::ranges::partition_point(
      *rows, [time](const auto& row) { return row.max_event_time <= time; });
  return late == rows->begin() ? Offset{0} : std::prev(late)->key.next;
}

struct Target {
  Offset to = 0;              ///< exclusive
  Offset snapshot_bound = 0;  ///< newest snapshot that may be taken
  std::uint32_t last_events = SymbolFold::kWholeRecord;
  TimeNs instant = market::kNever;
  bool at_end = false;  ///< releases at `to` count
};

/// Folds the symbol's records below `to`, at most `event_count` events of the last one, up to the
/// first event later than `instant`.
Result<void> fold_up_to(SymbolFold& fold, const storage::TapeReader& tape,
                        const storage::StateReader* state, const Target& target) {
  const auto& [to, snapshot_bound, last_events, instant, at_end] = target;
  market::Outputs unheard;
  const auto meet_turns = [&](Offset upto) -> Result<void> {
    while (fold.next_turn() <= upto) {
      if (auto met = meet_turn(fold, tape, state, fold.next_turn(), unheard); !met) return met;
    }
    return {};
  };
  while (fold.next() < to) {
    const auto block = tape.read_symbol(fold.state().symbol(), fold.next(), to, kTravelLimits);
    if (!block) return tl::unexpected(block.error());
    if ((*block)->records.empty()) break;
    for (const auto& record : (*block)->records) {
      if (auto met = meet_turns(record.offset); !met) return met;
      const auto events = record.offset + 1 == to ? last_events : SymbolFold::kWholeRecord;
      const auto whole = fold.apply_until(
          record, events, record.max_event_time > instant ? instant : market::kNever, unheard);
      if (!whole) return tl::unexpected(whole.error());
      if (!*whole) return {};
      unheard.clear();
    }
  }
  if (to == 0) return {};
  fold.pass(to);
  return meet_turns(at_end ? to : to - 1);
}

/// An instant before a snapshot is one of the base's, or lies before it.
Result<void> begin_with_base(const storage::TapeReader& tape, std::string_view symbol, TimeNs time,
                             Target& target) {
  const auto base = tape.base_of(symbol);
  if (!base) return tl::unexpected(base.error());
  if (!*base) return {};
  const auto& snapshot = (*base)->snapshot;
  if (snapshot.max_event_time > time) {
    return fail(ErrorCode::out_of_range,
                fmt::format("{} was trimmed: the first valid instant of {} is {}, the first valid "
                            "position {}",
                            rfc3339(time), symbol, rfc3339(snapshot.max_event_time),
                            place(snapshot.key.partition, snapshot.key.next)),
                "at");
  }
  target.snapshot_bound = std::max(target.snapshot_bound, snapshot.key.next);
  return {};
}

Result<Target> resolve(const storage::TapeReader& tape, const storage::StateReader* state,
                       std::string_view symbol, Partition partition, const Moment& moment) {
  const auto end = tape.end(partition);
  if (!end) return tl::unexpected(end.error());
  Target target;
  target.to = target.snapshot_bound = *end;
  target.at_end = std::holds_alternative<AtEnd>(moment);
  if (const auto* at = std::get_if<AtOffset>(&moment)) {
    if (at->partition && *at->partition != partition) {
      return fail(
          ErrorCode::invalid,
          fmt::format("{} is in partition {}, not in {}", symbol, partition, *at->partition), "at");
    }
    target.to = target.snapshot_bound = at->offset + 1;
    if (at->index) {
      target.last_events = *at->index + 1;
      target.snapshot_bound = at->offset;
    }
  } else if (const auto* instant = std::get_if<AtInstant>(&moment)) {
    target.instant = instant->time;
    const auto bound = snapshot_bound(state, symbol, partition, instant->time);
    if (!bound) return tl::unexpected(bound.error());
    target.snapshot_bound = std::min(*bound, target.snapshot_bound);
    if (auto raised = begin_with_base(tape, symbol, instant->time, target); !raised)
      return tl::unexpected(raised.error());
  }
  if (auto there = on_tape(tape, partition, moment); !there)
    return tl::unexpected(std::move(there.error()));
  return target;
}

}  // namespace

Result<void> on_tape(const storage::TapeReader& tape, Partition partition, const Moment& moment) {
  const auto end = tape.end(partition);
  if (!end) return tl::unexpected(end.error());
  if (const auto* at = std::get_if<AtOffset>(&moment); at != nullptr && at->offset >= *end) {
    return fail(ErrorCode::out_of_range,
                *end == 0 ? fmt::format("partition {} has no record", partition)
                          : fmt::format("offset {} is past the end of partition {}: its last "
                                        "offset is {}",
                                        at->offset, partition, *end - 1),
                "at");
  }
  const auto start = tape.start(partition);
  if (!start) return tl::unexpected(start.error());
  if (const auto* at = std::get_if<AtOffset>(&moment); at != nullptr && at->offset < *start)
    return tl::unexpected(trimmed(place(partition, at->offset), partition, *start));
  const auto* instant = std::get_if<AtInstant>(&moment);
  if (instant == nullptr || *end == 0) return {};
  const auto mark = tape.last_mark(partition);
  if (!mark) return tl::unexpected(mark.error());
  if (*mark && (*mark)->feed_time >= instant->time) return {};
  const auto last = *mark ? "the last time mark of partition " + std::to_string(partition) +
                                " is " + rfc3339((*mark)->feed_time)
                          : "partition " + std::to_string(partition) + " has no time mark yet";
  return fail(ErrorCode::out_of_range, rfc3339(instant->time) + " is not on the tape yet: " + last,
              "at");
}

Result<StateAt> state_at(const storage::TapeReader& tape, const storage::StateReader* state,
                         std::string_view symbol, const Moment& moment, const FoldRules& rules) {
  const auto last = tape.last_of(symbol);
  if (!last) return tl::unexpected(last.error());
  const auto base = tape.base_of(symbol);
  if (!base) return tl::unexpected(base.error());
  if (!*last && !*base) {
    return fail(ErrorCode::not_found, fmt::format("no record of symbol '{}' on this tape", symbol),
                "symbol");
  }
  const Partition partition = storage::partition_of(symbol, tape.partitions());
  const auto target = resolve(tape, state, symbol, partition, moment);
  if (!target) return tl::unexpected(target.error());
  auto restored = newest_good(tape, state, symbol, partition, target->snapshot_bound, rules);
  if (!restored) return tl::unexpected(restored.error());
  StateAt result{std::move(restored->fold), std::move(restored->bad_snapshots), 0};
  const auto before = result.fold.state().counts().read;
  if (auto folded = fold_up_to(result.fold, tape, state, *target); !folded) {
    return tl::unexpected(folded.error());
  }
  if (result.fold.state().counts().read == 0) {
    return fail(ErrorCode::out_of_range,
                fmt::format("{} has no event yet there: its first record is later", symbol), "at");
  }
  result.refolded_events = result.fold.state().counts().read - before;
  return result;
}

}  // namespace tapedeck::replay
