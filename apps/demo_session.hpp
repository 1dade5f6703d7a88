// apps/demo_session.hpp -- the demo's tape: a synthetic session, recorded once.
#pragma once

#include <cstdint>
#include <string>

#include "apps/cli.hpp"

namespace tapedeck::apps {

struct DemoOptions {
  TapeOptions tape{"tapedeck-demo"};
  std::uint64_t seed = 1;
  std::uint32_t symbols = 200;
  std::uint64_t messages = 2'500'000;
};

/// Makes DIR/session.itch unless it is there, and records it onto the tape DIR unless it is on it.
/// Tells what it does. Returns the exit code; `interrupted` is set if a signal ended it before its
/// end.
[[nodiscard]] int prepare_demo(const DemoOptions& options, bool& interrupted);

}  // namespace tapedeck::apps
