// actors/fold_tap.hpp -- hears what the folds come to, while they do.
#pragma once

#include "market/output.hpp"
#include "replay/symbol_fold.hpp"

namespace tapedeck::actors {

/// Called by symbol actors on their threads, several at a time; of one symbol in order, but that
/// one that failed may say again what it said last. Changes nothing.
class FoldTap {
public:
  virtual ~FoldTap() = default;
  /// Whether told() is wanted now; cheap.
  [[nodiscard]] virtual bool listens() const noexcept = 0;
  /// A piece of work is done: the state after it, and what it said; outputs emitted below
  /// `said_below` were said before. Must return soon.
  virtual void told(const replay::SymbolFold& fold, const market::Outputs& outputs,
                    market::Offset said_below) = 0;
};

}  // namespace tapedeck::actors
