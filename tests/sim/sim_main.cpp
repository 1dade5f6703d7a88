// One line a broken seed: what scripts and mutations look at. With `all` the sums too.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <string>

#include "chaos/simulation.hpp"

using namespace tapedeck;

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: sim_seeds FIRST COUNT [verbose|all]\n");
    return 2;
  }
  const std::string mode = argc > 3 ? argv[3] : "";
  const auto first = std::stoull(argv[1]), count = std::stoull(argv[2]);
  chaos::SimOptions options;
  if (mode == "verbose") {
    options.log = [](std::string_view text) { fmt::print("{}\n", text); };
  } else {
    spdlog::set_level(spdlog::level::off);
  }
  int broken = 0;
  std::uint64_t steps = 0, starts = 0, kills = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (options.seed = first; options.seed < first + count; ++options.seed) {
    const auto outcome = chaos::simulate(options);
    steps += outcome.steps, starts += outcome.lives - 1;
    for (const auto fault : {chaos::Fault::crash, chaos::Fault::power_loss})
      kills += outcome.faults[static_cast<std::size_t>(fault)];
    if (!outcome.broken) continue;
    fmt::print("seed {}: BROKEN: {}\n", options.seed, *outcome.broken);
    if (++broken; mode != "all") return 1;
  }
  if (mode == "all") {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    fmt::print(
        "{} seeds, {} broken, {} steps in {:.1f} s, {} kills and power losses, {} restarts\n",
        count, broken, steps, spent.count(), kills, starts);
  }
  return broken == 0 ? 0 : 1;
}
