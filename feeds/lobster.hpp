// feeds/lobster.hpp -- LOBSTER: a message file and the orderbook file beside it, of one symbol and
// day.
#pragma once

#include <memory>
#include <string>

#include "feeds/feed.hpp"

namespace tapedeck::feeds {

/// Opens `SYMBOL_…_message_N.csv` (plain, .gz or .zst) and the `_orderbook_` file of the same name.
/// Row k of the message file is message k; after its events the book's first N levels equal row k
/// of the orderbook file: orders that enter or leave LOBSTER's window without a message are added
/// (with ids from 2^63 on), reduced or removed. Errors name the path.
[[nodiscard]] Result<std::unique_ptr<Feed>> open_lobster(const std::string& path,
                                                         market::TimeNs midnight);

}  // namespace tapedeck::feeds
