// apps/retention.hpp -- [tape.retention] of an embedded tape, beside whoever records it.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "apps/cli.hpp"
#include "config/config.hpp"
#include "replay/trim.hpp"
#include "storage/tape.hpp"

namespace tapedeck::apps {

/// What the engine of the tape in `folder` knows, read from beside it.
[[nodiscard]] Result<replay::Trimmed> trim_tape(storage::TapeWriter& tape,
                                                const std::string& folder,
                                                const replay::Wanted& wanted,
                                                const replay::TrimOptions& options = {});

/// Trims by the configuration, every check_interval, on a thread of its own. What it did, or why it
/// could not, goes to stderr.
class Retainer {
public:
  /// `before` is called before each trim (may be empty). Tape outlives it.
  Retainer(storage::TapeWriter& tape, std::string folder, const config::RetentionSettings& settings,
           std::function<void()> before = {});
  ~Retainer();
  Retainer(const Retainer&) = delete;
  Retainer& operator=(const Retainer&) = delete;

private:
  void run();
  void check();

  storage::TapeWriter& tape_;
  std::string folder_;
  config::RetentionSettings settings_;
  std::function<void()> before_;
  std::atomic<bool> stop_ = false;
  std::string last_error_;
  std::thread thread_;
};

/// Nothing where there is no limit, or where the tape is no folder.
[[nodiscard]] std::unique_ptr<Retainer> start_retention(storage::TapeWriter& tape,
                                                        const TapeOptions& options,
                                                        const config::RetentionSettings& settings,
                                                        std::function<void()> before = {});

}  // namespace tapedeck::apps
