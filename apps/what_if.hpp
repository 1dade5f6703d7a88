// apps/what_if.hpp -- `--set KEY=VALUE`: a tape folded with other settings than those stored with
// it.
#pragma once

#include <string>
#include <vector>

#include "apps/open_tape.hpp"

namespace tapedeck::apps {

/// The tape's rules with these fold settings changed. Error `invalid` names the key: unknown, not a
/// fold setting, out of its range. A tape that was trimmed is refused.
[[nodiscard]] Result<replay::FoldRules> changed_rules(const OpenTape& open,
                                                      const std::vector<std::string>& settings);
/// Error `invalid` where the tape's beginning is gone; `doing` needs it.
[[nodiscard]] Result<void> want_whole_tape(const storage::TapeReader& tape,
                                           const std::string& doing);
/// The option itself.
void add_set_option(CLI::App* command, std::vector<std::string>& settings);

}  // namespace tapedeck::apps
