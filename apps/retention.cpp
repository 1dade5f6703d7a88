#include "apps/retention.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

#include "apps/open_tape.hpp"
#include "storage/rocksdb_state.hpp"

namespace tapedeck::apps {

Result<replay::Trimmed> trim_tape(storage::TapeWriter& tape, const std::string& folder,
                                  const replay::Wanted& wanted,
                                  const replay::TrimOptions& options) {
  const market::FoldSettings defaults;
  const auto control = storage::open_control_reader(folder);
  if (!control && control.error().code != ErrorCode::not_found)
    return tl::unexpected(control.error());
  std::optional<market::FoldSettings> settings;
  std::vector<schemas::ControlRecord> records;
  if (control) {
    auto stored = (*control)->settings();
    if (!stored) return tl::unexpected(stored.error());
    settings = std::move(*stored);
    auto all = (*control)->records();
    if (!all) return tl::unexpected(all.error());
    records = std::move(*all);
  }
  const auto state = storage::open_state_reader(folder);
  if (!state && state.error().code != ErrorCode::not_found) return tl::unexpected(state.error());
  const replay::FoldRules rules(settings.value_or(defaults), records);
  return replay::trim(tape, state ? state->get() : nullptr, rules, records, wanted, options);
}

Retainer::Retainer(storage::TapeWriter& tape, std::string folder,
                   const config::RetentionSettings& settings, std::function<void()> before)
    : tape_(tape),
      folder_(std::move(folder)),
      settings_(settings),
      before_(std::move(before)),
      thread_([this] { run(); }) {}

Retainer::~Retainer() {
  stop_ = true;
  thread_.join();
}

void Retainer::run() {
  using Clock = std::chrono::steady_clock;
  const auto interval = std::chrono::nanoseconds(settings_.check_interval);
  auto next = Clock::now() + interval;
  while (!stop_) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (Clock::now() < next) continue;
    check();
    next = Clock::now() + interval;
  }
}

void Retainer::check() {
  const auto tell = [this](const std::string& why) {
    if (std::exchange(last_error_, why) != why && !why.empty())
      fmt::print(stderr, "tapedeck: tape.retention: {}\n", why);
  };
  const auto wanted = replay::wanted_by(tape_.reader(), {settings_.max_age, settings_.max_bytes});
  if (!wanted) return tell(wanted.error().message);
  if (before_) before_();
  replay::TrimOptions options;
  options.stop = [this] { return stop_.load(); };
  const auto trimmed = trim_tape(tape_, folder_, *wanted, options);
  tell(trimmed ? std::string() : trimmed.error().message);
}

std::unique_ptr<Retainer> start_retention(storage::TapeWriter& tape, const TapeOptions& options,
                                          const config::RetentionSettings& settings,
                                          std::function<void()> before) {
  if (options.directory.empty() || (settings.max_age == 0 && settings.max_bytes == 0))
    return nullptr;
  return std::make_unique<Retainer>(tape, options.directory, settings, std::move(before));
}

}  // namespace tapedeck::apps
