// replay/release.hpp -- a quarantined item is put through in its place: the symbol is folded again
// from before it.
#pragma once

#include "market/output.hpp"
#include "replay/symbol_fold.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

/// `fold` stands at its next turn: all its records below are folded. What is released there comes
/// first, then the settings change.
Result<void> meet_turn(SymbolFold& fold, const storage::TapeReader& tape,
                       const storage::StateReader* state, Offset at, market::Outputs& outputs);

/// `fold` stands at the first release that it has not met, `at`: all its records below are folded.
/// Afterwards its state is as if what is released there had never been left out, but for the
/// revisions of candles that were told otherwise. `outputs` get those candles, one revision higher,
/// and whatever else would have been told: emitted at `at`. A function of tape and rules alone;
/// `state` (may be null) only saves time.
Result<void> meet_release(SymbolFold& fold, const storage::TapeReader& tape,
                          const storage::StateReader* state, Offset at, market::Outputs& outputs);

}  // namespace tapedeck::replay
