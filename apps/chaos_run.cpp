#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>

#include "api/json_writer.hpp"
#include "apps/commands.hpp"
#include "chaos/scenarios.hpp"
#include "config/value_text.hpp"

namespace tapedeck::apps {

namespace {

namespace fs = std::filesystem;

struct RunArguments {
  std::uint64_t seed = 1;
  std::string scenario = "all", duration = "20s", report, directory, kafka = "scripts/kafka";
  bool keep = false, verbose = false;
};

struct Outcome {
  std::string_view scenario;
  std::uint64_t rounds = 0;
  double seconds = 0;
  std::map<std::string, std::uint64_t> faults, checks, figures;
  std::optional<std::string> broken, cannot_run;
};

/// Rounds until the time is over, one at least.
Outcome play(const chaos::Scenario& scenario, const RunArguments& arguments,
             const std::string& folder, std::chrono::nanoseconds duration) {
  fs::create_directories(folder);
  std::function<void(std::string_view)> log = [](std::string_view) {};
  const auto begin = std::chrono::steady_clock::now();
  if (arguments.verbose) {
    log = [begin](std::string_view text) {
      const std::chrono::duration<double> at = std::chrono::steady_clock::now() - begin;
      fmt::print("  {:8.3f} {}\n", at.count(), text);
    };
  }
  chaos::Scene scene(scenario.name, arguments.seed, folder, duration, log, arguments.kafka);
  Outcome outcome{scenario.name, 0, 0, {}, {}, {}, {}, {}};
  try {
    do {
      scene.next_round();
      scenario.round(scene);
    } while (scene.time_left());
    if (scene.faults().empty()) outcome.broken = "no fault happened at all: nothing was shown";
  } catch (const chaos::Broken& error) {
    outcome.broken = error.what();
  } catch (const chaos::CannotRun& error) {
    outcome.cannot_run = error.what();
  }
  outcome.rounds = scene.rounds();
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  outcome.faults = scene.faults(), outcome.checks = scene.checks();
  outcome.figures = scene.figures();
  return outcome;
}

std::string_view verdict(const Outcome& outcome) {
  return outcome.broken ? "BROKEN" : outcome.cannot_run ? "could not run" : "held";
}

void tell(const Outcome& outcome) {
  fmt::print("{}: {} ({} rounds, {:.1f} s)\n", outcome.scenario, verdict(outcome), outcome.rounds,
             outcome.seconds);
  const auto list = [](std::string_view title, const std::map<std::string, std::uint64_t>& lines) {
    if (lines.empty()) return;
    fmt::print("  {}\n", title);
    for (const auto& [what, count] : lines) fmt::print("    {:>10}  {}\n", count, what);
  };
  list("injected", outcome.faults);
  list("checked", outcome.checks);
  list("seen at most", outcome.figures);
  if (outcome.broken) fmt::print("  BROKEN: {}\n", *outcome.broken);
  if (outcome.cannot_run) fmt::print("  {}\n", *outcome.cannot_run);
}

void write(api::JsonWriter& out, std::string_view name,
           const std::map<std::string, std::uint64_t>& lines) {
  out.key(name).open('{');
  for (const auto& [what, count] : lines) out.key(what).integer(count);
  out.close('}');
}

std::string to_json(const RunArguments& arguments, const std::vector<Outcome>& outcomes,
                    bool held) {
  api::JsonWriter out;
  out.open('{');
  out.key("seed").integer(arguments.seed);
  out.key("duration").string(arguments.duration);
  out.key("held").boolean(held);
  out.key("scenarios").open('[');
  for (const auto& outcome : outcomes) {
    out.open('{');
    out.key("scenario").string(outcome.scenario);
    out.key("verdict").string(verdict(outcome));
    out.key("rounds").integer(outcome.rounds);
    out.key("milliseconds").integer(static_cast<std::int64_t>(outcome.seconds * 1000));
    write(out, "injected", outcome.faults);
    write(out, "checked", outcome.checks);
    write(out, "seen_at_most", outcome.figures);
    out.key("why");
    const auto& why = outcome.broken ? outcome.broken : outcome.cannot_run;
    why ? out.string(*why) : out.null();
    out.close('}');
  }
  out.close(']');
  out.close('}');
  return out.take() + "\n";
}

std::string names() {
  std::string all = "all";
  for (const auto& scenario : chaos::scenarios()) all += ", " + std::string(scenario.name);
  return all;
}

int run_chaos(const RunArguments& arguments) {
  const auto duration = config::parse_duration(arguments.duration);
  if (!duration || *duration <= 0)
    return report(fail(ErrorCode::invalid, "expected a duration like 20s", "--duration").value());
  std::vector<chaos::Scenario> chosen;
  for (const auto& scenario : chaos::scenarios()) {
    if (arguments.scenario == "all" || arguments.scenario == scenario.name)
      chosen.push_back(scenario);
  }
  if (chosen.empty())
    return report(fail(ErrorCode::invalid, "expected one of " + names(), "--scenario").value());
  const auto folder =
      arguments.directory.empty()
          ? (fs::temp_directory_path() / fmt::format("tapedeck-chaos-{}", ::getpid())).string()
          : arguments.directory;
  std::vector<Outcome> outcomes;
  bool held = true, ran = true;
  for (const auto& scenario : chosen) {
    const auto own = folder + "/" + std::string(scenario.name);
    outcomes.push_back(play(scenario, arguments, own, std::chrono::nanoseconds(*duration)));
    const auto& outcome = outcomes.back();
    tell(outcome);
    held &= !outcome.broken, ran &= !outcome.cannot_run;
    if (outcome.broken) {
      fmt::print(
          "  to repeat its plan: tapedeck chaos run --scenario {} --seed {} --duration {}\n"
          "  what it left: {}\n",
          outcome.scenario, arguments.seed, arguments.duration, own);
    } else if (!arguments.keep) {
      fs::remove_all(own);
    }
  }
  std::error_code not_empty;
  if (!arguments.keep) fs::remove(folder, not_empty);
  if (!arguments.report.empty()) {
    std::ofstream file(arguments.report);
    file << to_json(arguments, outcomes, held && ran);
    if (!file.flush())
      return report(
          fail(ErrorCode::environment, arguments.report + " cannot be written", "--report")
              .value());
  }
  fmt::print("{}\n", !held  ? "a promise was BROKEN"
                     : !ran ? "what could run held; not everything could"
                            : "every promise held");
  return !held ? kWorkFailed : !ran ? kEnvironment : kDone;
}

}  // namespace

void add_chaos_run(CLI::App* chaos_command, Chosen& chosen) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* run = chaos_command->add_subcommand(
      "run", "Real processes on a real disk: faults, what was checked, and a verdict");
  std::string footer = "Scenarios:\n";
  for (const auto& scenario : chaos::scenarios())
    footer += fmt::format("  {:<12} {}\n", scenario.name, scenario.what);
  run->footer(
      footer +
      "\nThe seed fixes the plan: sessions, faults and when they strike. Exit status 0 only if "
      "every promise held; 3: a scenario could not run here.\nExample:\n  tapedeck chaos run "
      "--seed 7 --duration 30s --report chaos.json");
  run->add_option("--seed", arguments->seed, "Of the plan")->capture_default_str();
  run->add_option("--scenario", arguments->scenario, "One of " + names())->capture_default_str();
  run->add_option("--duration", arguments->duration, "Of each scenario; a round is always finished")
      ->type_name("T")
      ->capture_default_str();
  run->add_option("--report", arguments->report, "Write the report there as JSON")
      ->type_name("FILE");
  run->add_option("--directory", arguments->directory, "Work there (default: a temporary folder)")
      ->type_name("DIR");
  run->add_option("--kafka", arguments->kafka,
                  "Script that starts a broker, for broker and network")
      ->type_name("SCRIPT")
      ->capture_default_str();
  run->add_flag("--keep", arguments->keep, "Keep what the runs leave");
  run->add_flag("--verbose", arguments->verbose, "Print what happens");
  run_with(run, chosen, [arguments] { return run_chaos(*arguments); });
}

}  // namespace tapedeck::apps
