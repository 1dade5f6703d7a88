#include "market/book_metrics.hpp"

namespace tapedeck::market {
namespace {

[[nodiscard]] Int128 weighted_volume(const Book& book, Side side, std::uint32_t levels) noexcept {
  const Ladder& ladder = book.ladder(side);
  Int128 volume = 0;
  for (std::uint32_t rank = 0; rank < std::min(levels, ladder.size()); ++rank) {
    volume += Int128{book.level(ladder.at_rank(rank)).size} * (levels - rank);
  }
  return volume;
}

}  // namespace

void fill_metrics(const Book& book, std::uint32_t levels, MetricsView& view) {
  const Int128 bid = book.top_volume(Side::bid);
  const Int128 ask = book.top_volume(Side::ask);
  view.levels = levels;
  view.imbalance = {bid - ask, bid + ask};
  const Int128 weighted_bid = weighted_volume(book, Side::bid, levels);
  const Int128 weighted_ask = weighted_volume(book, Side::ask, levels);
  view.weighted_imbalance = {weighted_bid - weighted_ask, weighted_bid + weighted_ask};
  const Touch best_bid = touch_of(book, Side::bid);
  const Touch best_ask = touch_of(book, Side::ask);
  view.vtob = {Int128{best_bid.size} + best_ask.size, bid + ask};
  if (best_bid.size == 0 || best_ask.size == 0) return;
  view.spread = best_ask.price - best_bid.price;
  // spread / ((bid + ask) / 2) * 10^4
  view.spread_bps = {Int128{*view.spread} * 20'000, Int128{best_bid.price} + best_ask.price};
  view.microprice = {Int128{best_bid.price} * best_ask.size + Int128{best_ask.price} * best_bid.size,
                     Int128{best_bid.size} + best_ask.size};
}

}  // namespace tapedeck::market
