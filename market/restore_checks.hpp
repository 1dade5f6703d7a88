// market/restore_checks.hpp -- what a snapshot must fulfil before a state is made of it. Private to
// market/.
#pragma once

#include <string>

#include "market/book.hpp"
#include "market/settings.hpp"
#include "market/snapshot.hpp"

namespace tapedeck::market {

// Each returns what is wrong, or nothing.
[[nodiscard]] std::string check_fields(const SymbolSnapshot& snapshot,
                                       const FoldSettings& settings);
/// `overdue`: candles may be open that should be closed.
[[nodiscard]] std::string check_candles(const SymbolSnapshot& snapshot,
                                        const FoldSettings& settings, bool overdue);
/// Fills an empty book.
[[nodiscard]] std::string restore_book(const SymbolSnapshot& snapshot, const FoldSettings& settings,
                                       Book& book);

}  // namespace tapedeck::market
