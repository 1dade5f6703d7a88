// apps/progress.hpp -- a progress bar with rate and time left, on stderr, only on a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tapedeck::apps {

/// Thread safe only in that one thread uses it. update() may be called as often as one likes: it
/// draws ten times a second. The line is taken away by finish() or the destructor.
class Progress {
public:
  /// `unit` is what the rate counts, e.g. "events".
  Progress(std::string label, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` (0: unknown) decide bar and time left; `count` decides the rate.
  void update(std::uint64_t done, std::uint64_t total, std::uint64_t count);
  void finish();

private:
  using Clock = std::chrono::steady_clock;
  std::string label_, unit_;
  bool terminal_ = false;
  bool drawn_ = false;
  Clock::time_point start_, next_;
  std::uint64_t first_done_ = 0, first_count_ = 0;
  bool started_ = false;
};

}  // namespace tapedeck::apps
