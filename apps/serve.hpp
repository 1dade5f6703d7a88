// apps/serve.hpp -- runs the engine, the API and the page over a tape; with a feed it records as
// well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli.hpp"
#include "apps/recording.hpp"
#include "feeds/feed.hpp"

namespace tapedeck::apps {

struct ServeOptions {
  TapeOptions tape;  ///< its config_file holds all settings
  /// Settings given as flags: configuration key, value.
  std::vector<std::pair<std::string, std::string>> overrides;
  /// Recorded beside serving; the tape is made if there is none.
  struct Recording {
    std::string feed;
    feeds::FeedOptions input;
    std::uint32_t partitions = 0;
    RecordingOptions options;
  };
  std::optional<Recording> recording;
  std::string greeting;  ///< printed once it listens, after the address
};

/// Until SIGINT, SIGTERM or a failure. Returns the exit code.
int serve(const ServeOptions& options);

/// Folds the tape once to its end and stores what `serve` would: `tape index`.
struct IndexOptions {
  TapeOptions tape;
  std::vector<std::pair<std::string, std::string>> overrides;
};
int index_tape(const IndexOptions& options);

}  // namespace tapedeck::apps
