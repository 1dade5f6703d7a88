#include <spdlog/spdlog.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "chaos/simulation.hpp"

using namespace tapedeck;

namespace {

std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::stoull(text);
}

/// Every seed twice: the same trace, and no broken promise. TAPEDECK_SIM_SEED and TAPEDECK_SIM_RUNS
/// choose others.
void run_seeds(std::uint64_t first) {
  spdlog::set_level(spdlog::level::off);
  first = number("TAPEDECK_SIM_SEED", first);
  const auto count = number("TAPEDECK_SIM_RUNS", 500);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const auto outcome = chaos::simulate({seed});
    INFO("seed " << seed << "; to repeat it: tapedeck chaos sim --seed " << seed << " --runs 1");
    INFO(outcome.broken.value_or("kept all promises"));
    REQUIRE_FALSE(outcome.broken);
    REQUIRE(chaos::simulate({seed}).trace == outcome.trace);
  }
}

}  // namespace

TEST_CASE("promises hold under seeded faults, seeds 1 to 500", "[sim]") { run_seeds(1); }
TEST_CASE("promises hold under seeded faults, seeds 501 to 1000", "[sim]") { run_seeds(501); }
TEST_CASE("promises hold under seeded faults, seeds 1001 to 1500", "[sim]") { run_seeds(1001); }
TEST_CASE("promises hold under seeded faults, seeds 1501 to 2000", "[sim]") { run_seeds(1501); }

TEST_CASE("every fault that a simulation knows of does happen", "[sim]") {
  spdlog::set_level(spdlog::level::off);
  std::array<std::uint64_t, chaos::kFaults> faults{};
  std::uint64_t answers = 0, releases = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const auto outcome = chaos::simulate({seed});
    answers += outcome.answers;
    releases += outcome.releases;
    for (std::size_t i = 0; i < chaos::kFaults; ++i) faults[i] += outcome.faults[i];
  }
  for (std::size_t i = 0; i < chaos::kFaults; ++i) {
    INFO(chaos::name(static_cast<chaos::Fault>(i)));
    CHECK(faults[i] > 0);
  }
  CHECK(answers > 100);
  CHECK(releases > 0);
}
