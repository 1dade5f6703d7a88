// tests/actors/agreement.hpp -- a small engine with control records, and whether what it left
// behind is what they say.
#pragma once

#include <catch2/catch.hpp>

#include "../replay/sessions.hpp"
#include "actors/engine.hpp"
#include "replay/verify.hpp"
#include "storage/memory_state_store.hpp"

namespace tapedeck::tests {

inline actors::EngineOptions small_engine(storage::ControlStore& control) {
  actors::EngineOptions options;
  options.poll_bytes = 32 << 10;
  options.max_inflight_bytes = 128 << 10;
  options.checkpoint_events = 3'000;
  options.snapshots = {1'000, 16};
  options.supervision.symbol.backoff_min = std::chrono::milliseconds(1);
  options.store_interval = std::chrono::milliseconds(5);
  options.control = &control;
  options.control_records = control.records().value();
  return options;
}

/// What an engine left behind is what a plain refold by the control records gives.
inline void check_agrees(const storage::TapeReader& tape, const storage::StateReader& state,
                         const storage::ControlStore& control,
                         const market::FoldSettings& settings) {
  const replay::FoldRules rules(settings, control.records().value());
  OutputMap expected, found;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
    for (const auto& output : outputs)
      expected.insert_or_assign({fold.state().symbol(), market::identity(output)}, output);
  };
  REQUIRE(replay::refold(tape, rules, {}, listener));
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    REQUIRE(state.outputs(symbol, "", "", [&](const market::Output& output) {
      found.emplace(std::pair(symbol, market::identity(output)), output);
      return true;
    }));
  }
  check_same_outputs(found, expected, true);
  const auto verified = replay::verify(tape, state, rules, 2, {});
  REQUIRE(verified);
  CHECK(verified->digests > 0);
  CHECK(verified->mismatches.empty());
  CHECK(verified->bad_snapshots.empty());
}

}  // namespace tapedeck::tests
