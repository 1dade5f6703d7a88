// actors/fold_watch.hpp -- what every thread is folding right now, for those who must name it from
// outside: the signal handler of a crash, and the watchdog of a hang.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "actors/attempts.hpp"
#include "market/symbol_state.hpp"

namespace tapedeck::actors {

/// While it lives, this thread folds `state`. Costs a few stores; nothing per event.
class FoldScope {
public:
  explicit FoldScope(const market::SymbolState& state) noexcept;
  ~FoldScope();
  FoldScope(const FoldScope&) = delete;
  FoldScope& operator=(const FoldScope&) = delete;
  /// Another record: the fold does not hang.
  static void progress() noexcept;
  /// Who is to blame where the state cannot say: what is put through after a release. Null: nobody.
  static void blame(const market::FoldItem* item) noexcept;
  /// The fold goes on in another object.
  static void moved(const market::SymbolState& state) noexcept;
};

/// From now on a SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT in a FoldScope appends an attempt to
/// `descriptor` before the process dies of it as it would have. Once in a process; later calls only
/// change the descriptor (-1: nothing is appended).
void name_crashes(int descriptor);

/// What hangs, as far as it could be found out.
struct Hang {
  std::string symbol;
  market::FoldItem item;
  bool named = false;  ///< the item is known, and its attempt counted
  std::chrono::milliseconds since{0};
};

/// Looks after all threads that fold: one that made no progress for `budget` is told to `on_hang`,
/// on the watchdog's thread, once.
class Watchdog {
public:
  Watchdog(std::chrono::milliseconds budget, std::function<void(const Hang&)> on_hang);
  ~Watchdog();

private:
  void look(std::stop_token stop);
  std::chrono::milliseconds budget_;
  std::function<void(const Hang&)> on_hang_;
  std::jthread thread_;
};

}  // namespace tapedeck::actors
