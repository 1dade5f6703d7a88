// One line a broken seed: what scripts and mutations look at.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

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
  for (options.seed = first; options.seed < first + count; ++options.seed) {
    const auto outcome = chaos::simulate(options);
    if (!outcome.broken) continue;
    fmt::print("seed {}: BROKEN: {}\n", options.seed, *outcome.broken);
    if (++broken; mode != "all") return 1;
  }
  return broken == 0 ? 0 : 1;
}
