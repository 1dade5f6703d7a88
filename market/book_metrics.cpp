#include "market/book_metrics.hpp"

namespace tapedeck::market {

Int128 weighted_volume(const Book& book, Side side, std::uint32_t levels) noexcept {
  const Ladder& ladder = book.ladder(side);
  Int128 volume = 0;
  for (std::uint32_t rank = 0; rank < std::min(levels, ladder.size()); ++rank) {
    volume += Int128{book.level(ladder.at_rank(rank)).size} * (levels - rank);
  }
  return volume;
}

void fill_metrics(const Book& book, std::uint32_t levels, MetricsView& view) {
  const Int128 bid = book.top_volume(Side::bid);
  const Int128 ask = book.top_volume(Side::ask);
  view.levels = levels;
  view.imbalance = {bid - ask, bid + ask};
  view.bid_depth = bid, view.ask_depth = ask;
  const Int128 weighted_bid = weighted_volume(book, Side::bid, levels);
  const Int128 weighted_ask = weighted_volume(book, Side::ask, levels);
  view.weighted_imbalance = {weighted_bid - weighted_ask, weighted_bid + weighted_ask};
  const Level* const best_bid = book.best(Side::bid);
  const Level* const best_ask = book.best(Side::ask);
  const Int128 bid_size = best_bid == nullptr ? 0 : best_bid->size;
  const Int128 ask_size = best_ask == nullptr ? 0 : best_ask->size;
  view.vtob = {bid_size + ask_size, bid + ask};
  if (best_bid == nullptr || best_ask == nullptr) return;
  const Int128 bid_price = best_bid->price(), ask_price = best_ask->price();
  view.spread = best_ask->price() - best_bid->price();
  // spread / ((bid + ask) / 2) * 10^4
  view.spread_bps = {(ask_price - bid_price) * 20'000, bid_price + ask_price};
  view.microprice = {bid_price * ask_size + ask_price * bid_size, bid_size + ask_size};
}

}  // namespace tapedeck::market
