// chaos/state_lines.hpp -- what is said of a tape's symbols, in a form that two runs are compared
// by: what an engine left in its state, and what a plain refold gives.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "market/digest.hpp"
#include "market/result.hpp"
#include "replay/fold_rules.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::chaos {

struct StateLine {
  std::uint64_t events = 0;  ///< folded
  market::Digest digest;
  std::map<std::string, std::string> outputs;  ///< identity, content without its position
  friend bool operator==(const StateLine&, const StateLine&) = default;
};
using StateLines = std::map<std::string, StateLine>;

[[nodiscard]] Result<StateLines> refolded_lines(const storage::TapeReader& tape,
                                                const replay::FoldRules& rules);
/// By each symbol's newest snapshot.
[[nodiscard]] Result<StateLines> stored_lines(const storage::TapeReader& tape,
                                              const storage::StateReader& state);
/// The rules of an embedded tape: default settings where no engine opened it.
[[nodiscard]] Result<replay::FoldRules> rules_of(const std::string& directory);

/// The first thing in which the two differ, for a person; none: they are equal.
[[nodiscard]] std::optional<std::string> difference(const StateLines& expected,
                                                    const StateLines& found);

}  // namespace tapedeck::chaos
