// replay/dead_letters.hpp -- everything that was refused: by the recorder, by a rule of the fold,
// or because it killed the fold.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "market/output.hpp"
#include "market/quarantine.hpp"
#include "replay/fold_rules.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

struct DeadLetter {
  enum class Kind : std::uint8_t { recorder, refused, quarantined } kind = Kind::refused;
  /// `partition:offset:index`, for a due item with `/kind/width ns/time ns` behind it; of the
  /// recorder `SOURCE@byte offset`. Unique on its tape.
  std::string id;
  std::string symbol;                              ///< empty: of the recorder
  std::optional<market::FoldItem> item;            ///< none: of the recorder
  std::optional<market::Refusal> refusal;          ///< none: of the recorder
  std::optional<storage::RecorderDeadLetter> raw;  ///< of the recorder only
  std::vector<std::string> errors;                 ///< of each attempt, where it is quarantined
  Offset released_at = kNotReleased;               ///< in the item's partition
};
[[nodiscard]] std::string dead_letter_id(const market::FoldItem& item);

/// Those of the recorder, then the others by position. `symbol` empty: of all. `records` say what
/// is in quarantine. What `state` does not hold yet (all where it is null) is folded, if `fold`
/// says so.
[[nodiscard]] Result<std::vector<DeadLetter>> dead_letters(
    const storage::TapeReader& tape, const storage::StateReader* state, const FoldRules& rules,
    std::span<const schemas::ControlRecord> records, std::string_view symbol, bool fold);

}  // namespace tapedeck::replay
