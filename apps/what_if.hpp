// apps/what_if.hpp -- `--set KEY=VALUE`: a tape folded with other settings than those stored with
// it.
#pragma once

#include <string>
#include <vector>

#include "apps/open_tape.hpp"

namespace tapedeck::apps {

/// The tape's rules with these fold settings changed. Error `invalid` names the key: unknown, not a
/// fold setting, out of its range.
[[nodiscard]] Result<replay::FoldRules> changed_rules(const replay::FoldRules& rules,
                                                      const std::vector<std::string>& settings);
/// The option itself.
void add_set_option(CLI::App* command, std::vector<std::string>& settings);

}  // namespace tapedeck::apps
