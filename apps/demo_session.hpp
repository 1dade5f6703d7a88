// apps/demo_session.hpp -- the demo's tape: a synthetic session, recorded once, into a folder or a
// topic.
#pragma once

#include <cstdint>
#include <string>

#include "apps/cli.hpp"

namespace tapedeck::apps {

struct DemoOptions {
  std::string folder = "tapedeck-demo";  ///< of the session and, but for a topic, of the tape
  std::string brokers{}, topic{};
  [[nodiscard]] TapeOptions tape() const;
  std::uint64_t seed = 1;
  std::uint32_t symbols = 200;
  std::uint64_t messages = 2'500'000;
};

/// Makes FOLDER/session.itch unless it is there, and records it onto the tape unless it is on it.
/// Tells what it does. Returns the exit code; `interrupted` is set if a signal ended it before its
/// end.
[[nodiscard]] int prepare_demo(const DemoOptions& options, bool& interrupted);

}  // namespace tapedeck::apps
