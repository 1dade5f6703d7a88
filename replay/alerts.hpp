// replay/alerts.hpp -- alerts of a range of time: what the output store holds, and what is newer.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "market/view.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::replay {

using market::TimeNs;

struct AlertRange {
  TimeNs from = market::kNoTime;  ///< by the alert's time, inclusive
  TimeNs to = market::kNever;     ///< exclusive
};

/// One symbol's alerts in the range, ascending by time. `newer` are outputs that are not in the
/// store yet.
[[nodiscard]] Result<std::vector<market::AlertView>> alerts(const storage::StateReader& state,
                                                            std::string_view symbol,
                                                            const market::Instrument& instrument,
                                                            const AlertRange& range,
                                                            const market::Outputs& newer);

}  // namespace tapedeck::replay
