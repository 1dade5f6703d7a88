// chaos/scenarios.hpp -- what `tapedeck chaos run` can do to real processes.
#pragma once

#include <span>
#include <string_view>

#include "chaos/scene.hpp"

namespace tapedeck::chaos {

struct Scenario {
  std::string_view name, what;
  void (*round)(Scene&);  ///< throws Broken or CannotRun
};
/// In the order of `all`.
[[nodiscard]] std::span<const Scenario> scenarios();

void actors_round(Scene& scene);
void kill_round(Scene& scene);
void corrupt_round(Scene& scene);
void disk_round(Scene& scene);
void bitrot_round(Scene& scene);
void slow_reader_round(Scene& scene);
void broker_round(Scene& scene);
void network_round(Scene& scene);

}  // namespace tapedeck::chaos
