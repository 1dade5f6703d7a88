// feeds/sim_flow.cpp -- what happens to one symbol of the synthetic session. See sim_market.hpp.
#include <algorithm>

#include "feeds/sim_market.hpp"

namespace tapedeck::feeds {
namespace {

constexpr std::size_t kMaxSideLevels = 180;
constexpr std::int32_t kFarTicks = 110;  // orders further from the fair price are tidied up
constexpr std::uint8_t kBid = 0, kAsk = 1;

}  // namespace

/// Second by second: the anchor trends in regimes, the fair price wanders and reverts to it.
void SimMarket::drift(Symbol& symbol, std::uint64_t second) {
  for (; symbol.second < second; ++symbol.second) {
    if (symbol.regime_left == 0) {
      symbol.regime_left = 300 + random_.below32(2400);
      symbol.trend = random_.noise(symbol.base / 120'000);
    }
    --symbol.regime_left;
    symbol.anchor += symbol.trend + random_.noise(symbol.base / 30'000);
    symbol.anchor = std::clamp(symbol.anchor, symbol.base / 2, symbol.base * 2);
    symbol.fair += (symbol.anchor - symbol.fair) / 32 + random_.noise(symbol.base / 10'000);
    symbol.fair = std::clamp(symbol.fair, symbol.base / 2, symbol.base * 2);
  }
}

/// One message of a symbol.
void SimMarket::act(ItchWriter& write, std::uint32_t index) {
  Symbol& symbol = symbols_[index];
  locate_ = static_cast<std::uint16_t>(1 + index);
  drift(symbol, now_ / kSecondNs);
  const bool trading = !symbol.halted && !symbol.book.empty(kBid) && !symbol.book.empty(kAsk);
  if (trading && symbol.sweep > 0) {
    --symbol.sweep;
    return execute(write, symbol, symbol.sweep_side);
  }
  const std::uint64_t dice = random_.below(100'000);
  if (trading && dice < 900) {
    symbol.sweep = random_.chance(1, 2) ? 0 : 1 + random_.below32(3);
    symbol.sweep_side = aggressed_side(symbol);
    return execute(write, symbol, symbol.sweep_side);
  }
  if (trading && dice < 1700) return hidden_trade(write, symbol);
  if (dice < 1701 && symbol.last_match != 0) {
    write.broken_trade(place(), symbol.last_match);
    symbol.last_match = 0;
    return;
  }
  if (dice < 3700 && !symbol.book.live().empty()) return cancel(write, symbol);
  if (dice < 17'000 && !symbol.book.live().empty())
    return replace(write, symbol, pick_order(symbol));
  add_or_remove(write, symbol);
}

/// Tidies up the side whose best price the fair price has run past; else adds or deletes.
void SimMarket::add_or_remove(ItchWriter& write, Symbol& symbol) {
  SimBook& book = symbol.book;
  const std::int32_t fair = static_cast<std::int32_t>(symbol.fair / kFine);
  for (const std::uint8_t side : {kBid, kAsk}) {
    if (book.empty(side)) continue;
    const bool stale = side == kBid ? book.best(side) > fair : book.best(side) < fair;
    if (!stale || random_.chance(1, 8)) continue;
    const std::uint32_t slot = book.levels(side).back().first;
    if (random_.chance(1, 3)) return replace(write, symbol, slot);
    if (!keep(symbol, slot)) return remove(write, symbol, slot);
  }
  const std::size_t live = book.live().size();
  const std::uint64_t lean = live * 500 / symbol.target;  // 500 at the target
  if (random_.below(1000) >= std::clamp<std::uint64_t>(lean, 50, 950))
    return add(write, symbol, short_side(symbol));
  const std::uint32_t slot = pick_order(symbol);
  if (slot == SimBook::kNone || keep(symbol, slot)) return add(write, symbol, short_side(symbol));
  remove(write, symbol, slot);
}

/// Buyers come (and hit asks) more often while the fair price is above the middle of the market.
std::uint8_t SimMarket::aggressed_side(const Symbol& symbol) {
  const std::int64_t middle =
      (std::int64_t{symbol.book.best(kBid)} + symbol.book.best(kAsk)) / 2 * kFine;
  const bool with = random_.chance(2, 3);
  return (symbol.fair > middle) == with ? kAsk : kBid;
}

/// Where an order is wanted: the side with fewer of its levels filled, mostly.
std::uint8_t SimMarket::short_side(const Symbol& symbol) {
  const std::size_t bids = symbol.book.levels(kBid).size(), asks = symbol.book.levels(kAsk).size();
  if (bids + 10 < asks) return kBid;
  if (asks + 10 < bids) return kAsk;
  return static_cast<std::uint8_t>(random_.below(2));
}

/// True if the order must stay, or its side would have too few levels.
bool SimMarket::keep(Symbol& symbol, std::uint32_t slot) const {
  SimBook& book = symbol.book;
  return book.alone(slot) && book.levels(book.order(slot).side).size() <= min_levels_;
}

/// Young orders more often than old ones; now and then one that was left far behind.
std::uint32_t SimMarket::pick_order(Symbol& symbol) {
  const auto& live = symbol.book.live();
  if (live.empty()) return SimBook::kNone;
  const std::uint64_t dice = random_.below(8);
  if (dice == 0) {
    const auto side = static_cast<std::uint8_t>(random_.below(2));
    const auto& levels = symbol.book.levels(side);
    if (!levels.empty()) {
      const std::int64_t far = levels.front().price - symbol.fair / kFine;
      if (far > kFarTicks * kTick || far < -kFarTicks * kTick) return levels.front().first;
    }
  }
  const std::size_t window = dice < 6 ? std::min<std::size_t>(live.size(), 16) : live.size();
  return live[live.size() - 1 - random_.below(window)];
}

std::uint32_t SimMarket::size() {
  const std::uint64_t dice = random_.below(100);
  if (dice < 70) return 100 * (1 + random_.below32(5));
  if (dice < 90) return 1 + random_.below32(99);
  return 100 * (1 + random_.below32(50));
}

/// Near the fair price, sometimes far from it; never at or through the other side's best.
std::int32_t SimMarket::price_for(Symbol& symbol, std::uint8_t side) {
  const std::uint64_t dice = random_.below(100);
  std::int32_t distance = 0;
  if (dice >= 40) distance = 1;
  if (dice >= 60) distance = static_cast<std::int32_t>(2 + random_.below(8));
  if (dice >= 90) distance = static_cast<std::int32_t>(10 + random_.below(80));
  const std::int32_t away = symbol.half_spread + distance * kTick;
  const SimBook& book = symbol.book;
  const std::uint8_t other = 1 - side;
  const auto fair = static_cast<std::int32_t>(symbol.fair / kFine / kTick * kTick);
  std::int32_t price = side == kBid ? fair - away : fair + away;
  if (!book.empty(other)) {
    price = side == kBid ? std::min(price, book.best(other) - kTick)
                         : std::max(price, book.best(other) + kTick);
  }
  // A side that has its levels takes orders at them only.
  if (book.levels(side).size() >= kMaxSideLevels) {
    const auto& levels = book.levels(side);
    price = levels[random_.below(levels.size())].price;
  }
  return std::max(price, kTick);
}

void SimMarket::add(ItchWriter& write, Symbol& symbol, std::uint8_t side) {
  place_order(write, symbol, side, price_for(symbol, side));
}

/// The first orders: each a tick behind the one before, so that the book has its levels at once.
void SimMarket::lay(ItchWriter& write, Symbol& symbol, std::uint8_t side, std::int32_t depth) {
  const auto fair = static_cast<std::int32_t>(symbol.fair / kFine / kTick * kTick);
  const std::int32_t away = symbol.half_spread + depth * kTick;
  place_order(write, symbol, side, side == kBid ? fair - away : fair + away);
}

void SimMarket::place_order(ItchWriter& write, Symbol& symbol, std::uint8_t side,
                            std::int32_t price) {
  const std::uint32_t shares = size();
  const std::uint64_t id = next_id_++;
  symbol.book.add(id, side, price, shares);
  if (random_.chance(1, 64)) {
    write.add_attributed(place(), id, side == kBid, shares, symbol.name,
                         static_cast<std::uint32_t>(price), "SIMU");
  } else {
    write.add(place(), id, side == kBid, shares, symbol.name, static_cast<std::uint32_t>(price));
  }
}

void SimMarket::remove(ItchWriter& write, Symbol& symbol, std::uint32_t slot) {
  write.remove(place(), symbol.book.order(slot).id);
  symbol.book.remove(slot);
}

void SimMarket::cancel(ItchWriter& write, Symbol& symbol) {
  SimBook::Order& order = symbol.book.order(pick_order(symbol));
  if (order.size < 2) return add(write, symbol, short_side(symbol));
  const std::uint32_t off = 1 + random_.below32(order.size - 1);
  order.size -= off;
  write.cancel(place(), order.id, off);
}

void SimMarket::replace(ItchWriter& write, Symbol& symbol, std::uint32_t slot) {
  const SimBook::Order order = symbol.book.order(slot);
  if (keep(symbol, slot)) return add(write, symbol, order.side);
  symbol.book.remove(slot);
  const std::int32_t price = price_for(symbol, order.side);
  const std::uint32_t shares = random_.chance(3, 4) ? order.size : size();
  const std::uint64_t id = next_id_++;
  symbol.book.add(id, order.side, price, shares);
  write.replace(place(), order.id, id, shares, static_cast<std::uint32_t>(price));
}

/// The order at the front of the best level meets an aggressor.
void SimMarket::execute(ItchWriter& write, Symbol& symbol, std::uint8_t side) {
  const std::uint32_t slot = symbol.book.levels(side).back().first;
  SimBook::Order& order = symbol.book.order(slot);
  std::uint32_t shares = order.size;
  if (shares > 1 && (keep(symbol, slot) || random_.chance(2, 5)))
    shares = 1 + random_.below32(shares - 1);
  if (shares == order.size && keep(symbol, slot)) return add(write, symbol, side);
  symbol.last_match = next_match_;
  if (random_.chance(1, 20)) {
    const std::int32_t price = std::max(kTick, order.price + (side == kBid ? kTick : -kTick));
    write.executed_price(place(), order.id, shares, next_match_++, random_.chance(9, 10),
                         static_cast<std::uint32_t>(price));
  } else {
    write.executed(place(), order.id, shares, next_match_++);
  }
  if (shares == order.size) return symbol.book.remove(slot);
  order.size -= shares;
}

/// Hidden liquidity between the best prices, or at one of them.
void SimMarket::hidden_trade(ItchWriter& write, Symbol& symbol) {
  const std::int32_t bid = symbol.book.best(kBid), ask = symbol.book.best(kAsk);
  const auto ticks = static_cast<std::uint32_t>((ask - bid) / kTick);
  const std::int32_t price = bid + static_cast<std::int32_t>(random_.below32(ticks + 1)) * kTick;
  const std::uint32_t shares = size();
  symbol.last_match = next_match_;
  write.trade(place(), random_.chance(1, 2), shares, symbol.name, static_cast<std::uint32_t>(price),
              next_match_++);
}

}  // namespace tapedeck::feeds
