// tapedeck tape trim: what is old goes, what is needed stays.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "apps/progress.hpp"
#include "apps/retention.hpp"
#include "apps/running.hpp"
#include "apps/signals.hpp"
#include "replay/trim.hpp"

namespace tapedeck::apps {

namespace {

struct TrimArguments {
  TapeOptions tape;
  std::string before;
};

Result<replay::Wanted> wanted(const TrimArguments& arguments, const storage::TapeReader& tape) {
  if (!arguments.before.empty()) {
    const auto moment = parse_moment(arguments.before, "--before");
    if (!moment) return tl::unexpected(moment.error());
    return replay::wanted_before(tape, *moment);
  }
  const auto config = load_config(arguments.tape.config_file, {});
  if (!config) return tl::unexpected(config.error());
  const auto& retention = config->retention;
  if (retention.max_age == 0 && retention.max_bytes == 0) {
    return fail(ErrorCode::invalid,
                "expected --before P, or a limit in tape.retention.max_age or "
                "tape.retention.max_bytes",
                "--before");
  }
  return replay::wanted_by(tape, {retention.max_age, retention.max_bytes});
}

void tell(const replay::Trimmed& trimmed) {
  for (const auto& part : trimmed.parts) {
    const auto held = part.held.empty() ? std::string() : " (" + part.held + ")";
    if (part.start > part.from) {
      fmt::print("partition {} begins at {}, it began at {}{}\n", part.partition, part.start,
                 part.from, held);
    } else {
      fmt::print("partition {} begins at {} as before{}\n", part.partition, part.start, held);
    }
  }
  fmt::print("trimmed {} records\n", trimmed.records);
  if (trimmed.interrupted) fmt::print("interrupted: nothing was trimmed\n");
}

int run_trim(const TrimArguments& arguments) {
  if (arguments.tape.directory.empty()) {
    return report({ErrorCode::invalid,
                   "an embedded tape is trimmed; on Kafka the topic's retention does that",
                   "--tape"});
  }
  watch_signals();
  {
    // A tape that is not there is not made.
    const auto there = open_reader(arguments.tape);
    if (!there) return report(there.error());
  }
  const auto tape = open_writer(arguments.tape, Linger::live);
  if (!tape) return report(tape.error());
  const auto offsets = wanted(arguments, (*tape)->reader());
  if (!offsets) return report(offsets.error());
  Progress progress("trimming", "symbols");
  replay::TrimOptions options;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    progress.update(done, total, done);
  };
  options.stop = [] { return stop_requested.load(); };
  const auto trimmed = trim_tape(**tape, arguments.tape.directory, *offsets, options);
  progress.finish();
  if (!trimmed) return report(with_state_remedy(trimmed.error(), arguments.tape));
  tell(*trimmed);
  return kDone;
}

}  // namespace

void add_trim(CLI::App* tape, Chosen& chosen) {
  auto arguments = std::make_shared<TrimArguments>();
  CLI::App* command = tape->add_subcommand("trim", "Let the oldest records of a tape go");
  command->footer(
      "The state of every symbol at the new start is stored with the tape first. Never past what\n"
      "the engine needs to resume; an engine may run meanwhile, a recording may not.\n"
      "Examples:\n"
      "  tapedeck tape trim --tape day --before 2012-06-21T12:00:00-04:00\n"
      "  tapedeck tape trim --tape day --before 2:100000\n"
      "  tapedeck tape trim --tape day       as [tape.retention] says");
  add_tape_options(command, arguments->tape);
  command
      ->add_option("--before", arguments->before,
                   "Records in front of it go: partition:offset, a time, or end")
      ->type_name("P");
  run_with(command, chosen, [arguments] { return run_trim(*arguments); });
}

}  // namespace tapedeck::apps
