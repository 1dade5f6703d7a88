// replay/output_diff.hpp -- what if: one tape folded by two sets of rules, and what they say that
// differs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "market/output.hpp"
#include "replay/fold_rules.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

/// Of one symbol. Outputs are the same where identity, position and content are.
struct OutputDifference {
  std::string symbol;
  std::uint64_t equal = 0;                    ///< outputs before the first one that differs
  market::Position position;                  ///< of the first one
  std::optional<market::Output> left, right;  ///< what is said there; none: nothing
  std::uint64_t only_left = 0, only_right = 0, changed = 0;  ///< in all
};

/// Symbols (empty: all) that differ, ascending. Holds the outputs of one symbol at a time.
/// `progress` hears how many symbols are done, of how many; false stops.
[[nodiscard]] Result<std::vector<OutputDifference>> diff_outputs(
    const storage::TapeReader& tape, const FoldRules& left, const FoldRules& right,
    const std::vector<std::string>& symbols,
    const std::function<bool(std::size_t, std::size_t)>& progress = {});

}  // namespace tapedeck::replay
