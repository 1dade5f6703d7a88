#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>

#include "apps/commands.hpp"
#include "chaos/simulation.hpp"

namespace tapedeck::apps {

namespace {

struct SimArguments {
  std::uint64_t seed = 1;
  std::uint64_t runs = 100;
  bool once = false, verbose = false;
};

struct Totals {
  std::uint64_t runs = 0, steps = 0, records = 0, answers = 0, lives = 0;
  std::array<std::uint64_t, chaos::kFaults> faults{};
  void add(const chaos::SimOutcome& outcome) {
    ++runs, steps += outcome.steps, records += outcome.records, answers += outcome.answers;
    lives += outcome.lives;
    for (std::size_t i = 0; i < chaos::kFaults; ++i) faults[i] += outcome.faults[i];
  }
};

void tell(const Totals& totals, double seconds) {
  fmt::print(
      "{} runs, {} steps in {:.1f} s ({:.2f} million a minute), {} records, {} answers "
      "compared, {} processes\n",
      totals.runs, totals.steps, seconds, static_cast<double>(totals.steps) * 60e-6 / seconds,
      totals.records, totals.answers, totals.lives);
  for (std::size_t i = 0; i < chaos::kFaults; ++i)
    fmt::print("  {:<26}{:>10}\n", chaos::name(static_cast<chaos::Fault>(i)), totals.faults[i]);
}

int run_sim(const SimArguments& arguments) {
  if (!arguments.verbose) spdlog::set_level(spdlog::level::off);  // what is injected is no news
  std::function<void(std::string_view)> log;
  if (arguments.verbose) log = [](std::string_view text) { fmt::print("{}\n", text); };
  const auto begin = std::chrono::steady_clock::now();
  Totals totals;
  for (std::uint64_t seed = arguments.seed; seed < arguments.seed + arguments.runs; ++seed) {
    const auto outcome = chaos::simulate({seed, log});
    totals.add(outcome);
    if (outcome.broken) {
      fmt::print("seed {}: BROKEN: {}\nto repeat it: tapedeck chaos sim --seed {} --runs 1\n", seed,
                 *outcome.broken, seed);
      return kWorkFailed;
    }
    if (arguments.once) continue;
    if (const auto again = chaos::simulate({seed}); again.trace != outcome.trace) {
      fmt::print("seed {}: BROKEN: two runs of it differ ({:016x}, {:016x})\n", seed, outcome.trace,
                 again.trace);
      return kWorkFailed;
    }
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  tell(totals, spent.count());
  fmt::print("every promise held\n");
  return kDone;
}

}  // namespace

void add_chaos(CLI::App& app, Chosen& chosen) {
  CLI::App* chaos_command =
      app.add_subcommand("chaos", "Break the engine on purpose, and say whether it kept its word");
  chaos_command->require_subcommand(1);
  auto arguments = std::make_shared<SimArguments>();
  CLI::App* sim = chaos_command->add_subcommand(
      "sim", "The whole actor system in virtual time, with faults drawn from a seed");
  sim->footer(
      "Every seed is run twice, and both runs must leave the same trace. Exit status 1: a promise "
      "was broken.\nExample:\n  tapedeck chaos sim --seed 1 --runs 2000");
  sim->add_option("--seed", arguments->seed, "First seed")->capture_default_str();
  sim->add_option("--runs", arguments->runs, "Seeds, one after the other")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
  sim->add_flag("--once", arguments->once, "Run each seed once only: twice as fast");
  sim->add_flag("--verbose", arguments->verbose, "Print what happens");
  add_chaos_run(chaos_command, chosen);
  run_with(sim, chosen, [arguments] { return run_sim(*arguments); });
}

}  // namespace tapedeck::apps
