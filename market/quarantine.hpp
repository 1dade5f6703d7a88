// market/quarantine.hpp -- what a fold leaves out because it killed the fold again and again.
#pragma once

#include <functional>
#include <optional>

#include "market/output.hpp"
#include "market/units.hpp"

namespace tapedeck::market {

/// Something that advance() brings about: an open candle closes (kind candle, its width), or the
/// metric window (kind metrics, its width), or silence is said (kind alert, width 0), at the feed
/// time when it is due.
struct DueItem {
  SourceId source = 0;
  OutputKind kind = OutputKind::candle;
  TimeNs width = 0;
  TimeNs time = 0;
  friend auto operator<=>(const DueItem&, const DueItem&) = default;
};

/// One event, or one due item. `position` is the event's, or that of the event or mark that made
/// the item due.
struct FoldItem {
  Position position;
  std::optional<DueItem> due;
  friend auto operator<=>(const FoldItem&, const FoldItem&) = default;
};

/// Tests only: called in the middle of the fold, never returns to it in order.
using Fault = std::function<void()>;

/// A due item that is not closed in the usual way: left out, or, in tests, where a fault strikes.
struct DueRule {
  DueItem item;
  const Fault* fault = nullptr;
};

/// A candle whose next correction must have a revision above `revision`.
struct CandleRevision {
  TimeNs width = 0;
  TimeNs open_time = 0;
  std::uint64_t number = 0;
  std::uint32_t revision = 0;
};

}  // namespace tapedeck::market
