// apps/signals.hpp -- SIGINT and SIGTERM ask a command to end cleanly.
#pragma once

#include <atomic>
#include <csignal>

namespace tapedeck::apps {

/// Set by the first SIGINT or SIGTERM after watch_signals().
inline std::atomic<bool> stop_requested{false};

/// A second signal ends the process at once.
inline void watch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested.store(true, std::memory_order_relaxed); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace tapedeck::apps
