#include "replay/release.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "replay/recovery.hpp"

namespace tapedeck::replay {

namespace {

using market::Candle;
// width, open time, source, number
using CandleKey = std::tuple<market::CandleWidth, TimeNs, market::SourceId, std::uint64_t>;

/// What a stretch of the tape made a fold say: of each candle the newest revision.
struct Summed {
  std::map<CandleKey, market::Output> candles;
  std::map<std::string, market::Output> others;  // by identity

  explicit Summed(const market::Outputs& outputs) {
    for (const auto& output : outputs) {
      if (const auto* candle = std::get_if<Candle>(&output.body)) {
        candles.insert_or_assign({candle->width, candle->open_time, output.source, candle->number},
                                 output);
      } else {
        others.insert_or_assign(market::identity(output), output);
      }
    }
  }
};

bool same_values(Candle a, Candle b) {
  a.revision = b.revision = 0;
  return a == b;
}

std::optional<Candle> kept_candle(const market::SymbolState& state, const CandleKey& key) {
  if (state.source() != std::get<2>(key)) return std::nullopt;
  for (const auto& candle : state.candles(std::get<0>(key))) {
    if (candle.open_time == std::get<1>(key) && candle.number == std::get<3>(key)) return candle;
  }
  return std::nullopt;
}

/// A candle that should never have been: told without a trade.
Candle emptied(Candle candle) {
  Candle empty;
  empty.width = candle.width, empty.open_time = candle.open_time;
  empty.number = candle.number, empty.end_time = candle.end_time;
  empty.open = empty.high = empty.low = empty.close = candle.close;
  empty.closed = true;
  return empty;
}

struct Changes {
  market::Outputs outputs;
  std::vector<market::CandleRevision> revisions;
};

/// One candle that was told: what it is in the new state, and what must be said of it.
void compare_candle(const CandleKey& key, const market::Output& before, const Summed& now,
                    const market::SymbolState& base, const market::SymbolState& state,
                    Changes& changes) {
  const auto& was = std::get<Candle>(before.body);
  const auto kept = kept_candle(state, key);
  market::Output output = before;
  Candle is = emptied(was);
  if (const auto told = now.candles.find(key); told != now.candles.end()) {
    output = told->second;
    is = std::get<Candle>(output.body);
  } else if (kept) {
    is = *kept;
  } else if (const auto earlier = kept_candle(base, key)) {
    is = *earlier;
  }
  const bool same = same_values(was, is);
  const auto revision = was.revision + (same ? 0 : 1);
  // The state's candles are of its own source: one of another may have the same time.
  if (state.source() == std::get<2>(key))
    changes.revisions.push_back({was.width, was.open_time, was.number, revision});
  if (same || !is.closed) return;
  is.revision = revision;
  output.body = is;
  output.time = market::close_time(is);  // not what caused it: that may lie before the stretch
  output.trust = state.view().trust;
  changes.outputs.push_back(std::move(output));
}

Changes compare(const Summed& before, const Summed& now, const market::SymbolState& base,
                const market::SymbolState& state) {
  Changes changes;
  for (const auto& [key, output] : before.candles)
    compare_candle(key, output, now, base, state, changes);
  for (const auto& [key, output] : now.candles) {
    if (before.candles.contains(key)) continue;
    if (const auto earlier = kept_candle(base, key); earlier && earlier->closed) {
      market::Output told = output;  // before the stretch
      told.body = *earlier;
      compare_candle(key, told, now, base, state, changes);
    } else {
      changes.outputs.push_back(output);
    }
  }
  for (const auto& [identity, output] : now.others) {
    const auto found = before.others.find(identity);
    if (found == before.others.end() || !(found->second.body == output.body))
      changes.outputs.push_back(output);
  }
  // Their order must not depend on how much was known as told.
  std::ranges::stable_sort(changes.outputs, {}, [](const auto& one) { return identity(one); });
  return changes;
}

}  // namespace

Result<void> meet_turn(SymbolFold& fold, const storage::TapeReader& tape,
                       const storage::StateReader* state, Offset at, market::Outputs& outputs) {
  if (fold.next_release() == at) {
    if (auto met = meet_release(fold, tape, state, at, outputs); !met) return met;
  }
  const auto* change = fold.next_change();
  if (change != nullptr && change->at == at) {
    fold.pass(at);
    fold.change_settings(outputs);
  }
  return {};
}

Result<void> meet_release(SymbolFold& fold, const storage::TapeReader& tape,
                          const storage::StateReader* state, Offset at, market::Outputs& outputs) {
  const auto& symbol = fold.state().symbol();
  const auto base_of = [&](Offset at_most) {
    return newest_good(tape, state, symbol, fold.partition(), at_most, fold.rules());
  };
  const auto first = fold.first_released(at);
  auto base = base_of(first), old = base_of(first), now = base_of(first);
  // A snapshot that could be read once only: all three begin at the same one.
  while (base && old && now) {
    const auto lowest = std::min({base->fold.next(), old->fold.next(), now->fold.next()});
    if (base->fold.next() == lowest && old->fold.next() == lowest && now->fold.next() == lowest)
      break;
    base = base_of(lowest), old = base_of(lowest), now = base_of(lowest);
  }
  if (!base) return tl::unexpected(base.error());
  if (!old) return tl::unexpected(old.error());
  if (!now) return tl::unexpected(now.error());
  market::Outputs old_outputs, now_outputs;
  if (auto done = catch_up(old->fold, tape, at, Marks::merged, old_outputs, {}, state); !done)
    return done;
  now->fold.enter(at + 1);
  if (auto done = catch_up(now->fold, tape, at, Marks::merged, now_outputs, {}, state); !done)
    return done;
  auto changes =
      compare(Summed(old_outputs), Summed(now_outputs), base->fold.state(), now->fold.state());
  now->fold.state().revise(changes.revisions);
  now->fold.pass(at);
  fold = std::move(now->fold);
  for (auto& output : changes.outputs) {
    output.position = {fold.partition(), at, 0};
    outputs.push_back(std::move(output));
  }
  return {};
}

}  // namespace tapedeck::replay
