#include "apps/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <cmath>

#include <algorithm>
#include <cstdio>

namespace tapedeck::apps {

namespace {

constexpr int kBarWidth = 24;
constexpr auto kRedraw = std::chrono::milliseconds(100);

std::string short_number(double value) {
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.1f} k", value / 1e3);
  return fmt::format("{:.0f} ", value);
}

std::string short_time(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

Progress::Progress(std::string label, std::string unit)
    : label_(std::move(label)), unit_(std::move(unit)), terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { finish(); }

void Progress::update(std::uint64_t done, std::uint64_t total, std::uint64_t count) {
  if (!terminal_) return;
  const auto now = Clock::now();
  if (!started_) {
    started_ = true;
    start_ = now, next_ = now + kRedraw;
    first_done_ = done, first_count_ = count;
  }
  if (now < next_) return;
  next_ = now + kRedraw;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::string line = fmt::format("\r\x1b[K{} ", label_);
  if (total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const int full = static_cast<int>(share * kBarWidth);
    line += fmt::format("[{:#<{}}{:.<{}}] {:3.0f} % ", "", full, "", kBarWidth - full, share * 100);
  }
  line += fmt::format(" {}{}/s", short_number(static_cast<double>(count - first_count_) / seconds),
                      unit_);
  if (total > done && done > first_done_)
    line += fmt::format("  {} left", short_time(seconds * static_cast<double>(total - done) /
                                                static_cast<double>(done - first_done_)));
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::finish() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace tapedeck::apps
