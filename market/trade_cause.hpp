// market/trade_cause.hpp -- what a trade or a break came with.
#pragma once

#include "market/event.hpp"

namespace tapedeck::market {

struct TradeCause {
  const Event& event;
  std::uint32_t message_index;
  TimeNs due;  ///< time of the corrections it makes: the feed time of the event that is folded
  TimeNs event_time;             ///< the symbol's, including this event
  TimeNs feed_time;              ///< the symbol's, including this event
  std::uint64_t earlier_trades;  ///< ordinal of the last trade of the sources before this one
};

}  // namespace tapedeck::market
