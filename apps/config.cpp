// tapedeck config: what the settings are, and where they come from.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "apps/requests.hpp"
#include "apps/running.hpp"
#include "storage/rocksdb_state.hpp"

namespace tapedeck::apps {

namespace {

using schemas::ControlRecord;

constexpr auto kPatience = std::chrono::milliseconds(30'000);

struct ApplyArguments {
  TapeOptions tape;
  std::string file;
  std::vector<std::string> settings;  ///< KEY=VALUE
};

Result<config::Config> asked_for(const ApplyArguments& arguments) {
  config::Overrides overrides;
  for (const auto& text : arguments.settings) {
    const auto equals = text.find('=');
    if (equals == std::string::npos)
      return fail(ErrorCode::invalid, "expected KEY=VALUE, found '" + text + "'", "--set");
    overrides.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return load_config(arguments.file, overrides);
}

/// What a state may hold that the other settings would not let in.
Result<void> may_follow(const market::FoldSettings& now, const market::FoldSettings& next) {
  if (now.allow_negative_prices && !next.allow_negative_prices)
    return fail(ErrorCode::invalid,
                "it cannot be taken back: books may hold prices below zero already",
                "fold.allow_negative_prices");
  if (next.max_kept_updates < now.max_kept_updates)
    return fail(ErrorCode::invalid,
                fmt::format("{} is less than before, {}: as many may be kept already",
                            next.max_kept_updates, now.max_kept_updates),
                "fold.max_kept_updates");
  return {};
}

/// The newest mark of each source below `end`.
Result<std::vector<schemas::FeedTime>> feed_times(const storage::TapeReader& tape,
                                                  market::Partition partition, market::Offset end) {
  const auto marks = tape.marks(partition, 0, end);
  if (!marks) return tl::unexpected(marks.error());
  std::vector<schemas::FeedTime> times;
  for (const auto& record : (*marks)->records) {
    const auto mark = replay::time_mark(record);
    if (!mark) return tl::unexpected(mark.error());
    const auto at = std::ranges::find(times, mark->source, &schemas::FeedTime::source);
    if (at == times.end()) {
      times.push_back({mark->source, mark->feed_time});
    } else {
      at->feed_time = std::max(at->feed_time, mark->feed_time);
    }
  }
  return times;
}

/// No engine owns the state: the tape's end is where it takes effect.
Result<market::Offset> apply_here(const OpenTape& open, storage::ControlStore& control,
                                  ControlRecord record) {
  const auto partition = record.item.position.partition;
  const auto end = open.tape->end(partition);
  if (!end) return tl::unexpected(end.error());
  auto times = feed_times(*open.tape, partition, *end);
  if (!times) return tl::unexpected(times.error());
  record.at = *end;
  record.feed_times = std::move(*times);
  if (auto stored = control.append(record); !stored) return tl::unexpected(stored.error());
  return *end;
}

Result<std::unique_ptr<storage::ControlStore>> writable_control(const TapeOptions& tape) {
  const auto kafka = kafka_options(tape);
  if (!kafka) return tl::unexpected(kafka.error());
  return *kafka ? storage::open_kafka_control(**kafka)
                : storage::open_control_store(tape.directory);
}

/// Each partition's owner says where its folds go over; a partition that is there already is left.
int apply_to_partitions(const TapeOptions& tape, const OpenTape& open,
                        const market::FoldSettings& next, storage::ControlStore* control) {
  bool changed = false;
  for (market::Partition p = 0; p < open.tape->partitions(); ++p) {
    const auto changes = open.rules.changes_before(p, replay::kNoTurn);
    if (*open.rules.settings_after(p, changes) == next) continue;
    ControlRecord record{ControlRecord::Kind::settings, "", {{p, 0, 0}, {}}, 0};
    record.settings = next;
    const auto at = control != nullptr ? apply_here(open, *control, std::move(record))
                                       : request_control(tape.state_folder(), record, kPatience);
    if (!at) return report(at.error());
    fmt::print("partition {}: from offset {} on\n", p, *at);
    changed = true;
  }
  if (!changed) fmt::print("these settings are in force already\n");
  return kDone;
}

int run_apply(const ApplyArguments& arguments) {
  const auto asked = asked_for(arguments);
  if (!asked) return report(asked.error());
  if (arguments.tape.state_folder().empty()) {
    return report({ErrorCode::invalid,
                   "the engine on a topic keeps its state in a folder: expected --state DIR",
                   "--state"});
  }
  const auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  const auto next = changed_settings(open->rules.newest_settings(), *asked);
  if (auto may = may_follow(open->rules.newest_settings(), next); !may) return report(may.error());
  // Who holds the state's lock is the engine.
  const auto lock = storage::open_state_store(arguments.tape.state_folder());
  if (!lock && lock.error().code != ErrorCode::conflict) return report(lock.error());
  if (!lock) return apply_to_partitions(arguments.tape, *open, next, nullptr);
  const auto control = writable_control(arguments.tape);
  if (!control) return report(control.error());
  const auto stored = (*control)->settings();
  if (!stored) return report(stored.error());
  if (!*stored) {  // no engine ever opened the tape: they hold from its beginning
    const auto settled = (*control)->settle(next);
    if (!settled) return report(settled.error());
    fmt::print("from the tape's beginning on\n");
    return kDone;
  }
  return apply_to_partitions(arguments.tape, *open, next, control->get());
}

void add_apply(CLI::App& config, Chosen& chosen) {
  auto arguments = std::make_shared<ApplyArguments>();
  CLI::App* apply = config.add_subcommand(
      "apply",
      "Change the fold settings of a tape, from here on; where an engine runs, it does it");
  apply->footer(
      "Of [candles], [metrics], [alerts], [fold]: what the file, TAPEDECK_* variables and --set "
      "give; the rest stays as it is.\n"
      "Examples:\n  tapedeck config apply --tape day --set candles.widths=1s,1m,100t\n"
      "  tapedeck config apply --tape day --config new.toml");
  add_tape_options(apply, arguments->tape);
  if (apply->get_option_no_throw("--config") == nullptr)
    apply->add_option("--config", arguments->file, "Settings file")->type_name("FILE");
  apply->add_option("--set", arguments->settings, "One setting")->type_name("KEY=VALUE");
  run_with(apply, chosen, [arguments] {
    if (arguments->file.empty()) arguments->file = arguments->tape.config_file;
    return run_apply(*arguments);
  });
}

}  // namespace

void add_config(CLI::App& app, Chosen& chosen) {
  CLI::App* config = app.add_subcommand("config", "The settings: check, show, apply");
  config->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  CLI::App* check =
      config->add_subcommand("check", "Exit 2 and the place where a file or variable is wrong");
  check->add_option("--config", *file, "Settings file")->type_name("FILE");
  run_with(check, chosen, [file] {
    const auto loaded = load_config(*file, {});
    if (!loaded) return report(loaded.error());
    fmt::print("good\n");
    return static_cast<int>(kDone);
  });
  CLI::App* show =
      config->add_subcommand("show", "Every setting in force, and where it comes from");
  show->add_option("--config", *file, "Settings file")->type_name("FILE");
  run_with(show, chosen, [file] {
    const auto loaded = load_config(*file, {});
    if (!loaded) return report(loaded.error());
    fmt::print("{}", config::describe(*loaded));
    return static_cast<int>(kDone);
  });
  add_apply(*config, chosen);
}

}  // namespace tapedeck::apps
