// chaos/simulation.hpp -- one seeded run of the whole engine with faults, and its verdict. Start
// here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "chaos/dice.hpp"

namespace tapedeck::chaos {

struct SimOptions {
  std::uint64_t seed = 1;
  /// Told what happens: faults, ends and beginnings, what is stored. May be empty.
  std::function<void(std::string_view)> log{};
};

struct SimOutcome {
  std::optional<std::string> broken;  ///< the first broken promise; none: all held
  std::uint64_t steps = 0;            ///< messages handled and other turns
  std::uint64_t trace = 0;            ///< equal for two runs of one seed
  std::uint64_t lives = 1;            ///< processes started
  std::uint64_t records = 0;          ///< on the tape in the end
  std::uint64_t releases = 0;         ///< of quarantined events
  std::uint64_t answers = 0;          ///< questions answered from a live fold, and compared
  std::array<std::uint64_t, kFaults> faults{};  ///< injected
};

/// Safety phase: a session is recorded, folded, asked, and disturbed as the seed says; everything
/// stored and answered is held against the undisturbed fold. Liveness phase: faults stop, and
/// within a bounded number of steps everything is folded, stored and equal.
[[nodiscard]] SimOutcome simulate(const SimOptions& options);

}  // namespace tapedeck::chaos
