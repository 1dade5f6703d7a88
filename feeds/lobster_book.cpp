#include "feeds/lobster_book.hpp"

#include <algorithm>

namespace tapedeck::feeds {

using market::Event;
using market::EventKind;
using market::OrderId;
using market::Price;
using market::Side;
using market::Size;

namespace {

constexpr std::int64_t kNoPrice = 9'999'999'999;  // LOBSTER's price of an empty level, either sign

Event& emit(std::vector<Event>& events, EventKind kind) {
  Event& event = events.emplace_back();
  event.kind = kind;
  return event;
}

void trade(const LobsterRow& row, Side aggressor, std::vector<Event>& events) {
  Event& event = emit(events, EventKind::trade);
  event.side = aggressor;
  event.price = row.price;
  event.size = row.size;
}

/// Type 7: the price tells what happens; as ITCH's trading states.
void halt(const LobsterRow& row, std::vector<Event>& events) {
  Event& event = emit(events, EventKind::status);
  event.code = static_cast<std::uint8_t>(market::StatusKind::trading_state);
  event.other = static_cast<unsigned char>(row.price < 0 ? 'H' : row.price == 0 ? 'Q' : 'T');
}

}  // namespace

void LobsterBook::step(const LobsterRow& row, Events& events) {
  const Side side = row.direction > 0 ? Side::bid : Side::ask;
  const auto id = static_cast<OrderId>(row.id);
  switch (row.type) {
    case 1:
      if (orders_.contains(id)) remove(id, events);
      return add(id, side, row.price, row.size, events);
    case 2:
    case 3: return cancel_row(row, side, events);
    case 4: return execute_row(row, side, events);
    case 5:  // a hidden order was hit: the aggressor is on the other side
      return trade(row, side == Side::bid ? Side::ask : Side::bid, events);
    case 6: return trade(row, Side::none, events);
    default: return halt(row, events);
  }
}

void LobsterBook::cancel_row(const LobsterRow& row, Side side, Events& events) {
  auto id = static_cast<OrderId>(row.id);
  if (!orders_.contains(id)) {
    id = unnamed(side, row.price, 1);
    if (id == 0) return;  // outside the window until now: nothing of it is on the book
  } else if (row.type == 3) {
    return remove(id, events);
  }
  reduce(id, row.size, events);
}

/// One execution a row, so that trades are counted as the venue did, even where the order itself
/// was never seen.
void LobsterBook::execute_row(const LobsterRow& row, Side side, Events& events) {
  auto id = static_cast<OrderId>(row.id);
  const auto found = orders_.find(id);
  if (found == orders_.end()) {
    id = unnamed(side, row.price, row.size);
  } else if (found->second.size < row.size) {
    remove(id, events);
    id = 0;
  }
  if (id == 0) {
    id = next_synthetic_++;
    add(id, side, row.price, row.size, events);
  }
  execute(id, row.size, events);
}

/// The first order at this price that LOBSTER has not named and that is large enough; 0 if there is
/// none.
OrderId LobsterBook::unnamed(Side side, Price price, Size at_least) {
  const auto level = levels(side).find(price);
  if (level == levels(side).end()) return 0;
  for (const OrderId id : level->second.queue) {
    if (id >= kSyntheticId && orders_[id].size >= at_least) return id;
  }
  return 0;
}

void LobsterBook::add(OrderId id, Side side, Price price, Size size, Events& events) {
  orders_[id] = {side, price, size};
  Level& level = levels(side)[price];
  level.queue.push_back(id);
  level.total += size;
  Event& event = emit(events, EventKind::add);
  event.id = id;
  event.side = side;
  event.price = price;
  event.size = size;
}

void LobsterBook::remove(OrderId id, Events& events) {
  emit(events, EventKind::remove).id = id;
  shrink(id, orders_[id].size);
}

void LobsterBook::reduce(OrderId id, Size size, Events& events) {
  if (size >= orders_[id].size) return remove(id, events);
  Event& event = emit(events, EventKind::reduce);
  event.id = id;
  event.size = size;
  shrink(id, size);
}

void LobsterBook::execute(OrderId id, Size size, Events& events) {
  Event& event = emit(events, EventKind::execute);
  event.id = id;
  event.size = size;
  shrink(id, size);
}

/// Takes `size`, at most the order's, off the order.
void LobsterBook::shrink(OrderId id, Size size) {
  const auto found = orders_.find(id);
  Order& order = found->second;
  const auto at = levels(order.side).find(order.price);
  Level& level = at->second;
  level.total -= size;
  order.size -= size;
  if (order.size > 0) return;
  level.queue.erase(std::find(level.queue.begin(), level.queue.end(), id));
  if (level.queue.empty()) levels(order.side).erase(at);
  orders_.erase(found);
}

void LobsterBook::reconcile(std::span<const std::int64_t> row, Events& events) {
  std::vector<std::pair<Price, Size>> window[2];  // asks, bids, as in the row; best first
  const std::size_t depth = row.size() / 4;
  for (std::size_t i = 0; i < 2 * depth; ++i) {
    const Price price = row[2 * i];
    const Size size = row[2 * i + 1];
    if (size > 0 && price > -kNoPrice && price < kNoPrice) window[i % 2].emplace_back(price, size);
  }
  constexpr Side sides[] = {Side::ask, Side::bid};
  for (const std::size_t i : {0, 1})
    drop_strangers(sides[i], window[i], window[i].size() < depth, events);
  for (const std::size_t i : {0, 1}) {
    for (const auto& [price, size] : window[i]) match_level(sides[i], price, size, events);
  }
}

/// Removes levels that the window would show if they existed; `whole`: it shows all of the side.
void LobsterBook::drop_strangers(Side side, std::span<const std::pair<Price, Size>> window,
                                 bool whole, Events& events) {
  std::vector<OrderId> gone;
  const auto look = [&](Price price, const Level& level) {
    const bool beyond = window.empty() || (side == Side::bid ? price < window.back().first
                                                             : price > window.back().first);
    if (beyond && !whole) return false;
    const auto shown = [&](const auto& entry) { return entry.first == price; };
    if (std::none_of(window.begin(), window.end(), shown)) {
      gone.insert(gone.end(), level.queue.begin(), level.queue.end());
    }
    return true;
  };
  if (side == Side::bid) {
    for (auto at = levels(side).rbegin(); at != levels(side).rend() && look(at->first, at->second);)
      ++at;
  } else {
    for (auto at = levels(side).begin(); at != levels(side).end() && look(at->first, at->second);)
      ++at;
  }
  for (const OrderId id : gone) remove(id, events);
}

/// Brings a level to the size shown: a missing part is an order without a name; a surplus is taken
/// from such orders first, then from the back of the queue.
void LobsterBook::match_level(Side side, Price price, Size size, Events& events) {
  const auto at = levels(side).find(price);
  Size surplus = (at == levels(side).end() ? 0 : at->second.total) - size;
  if (surplus < 0) return add(next_synthetic_++, side, price, -surplus, events);
  while (surplus > 0) {
    OrderId id = unnamed(side, price, 1);
    if (id == 0) id = levels(side)[price].queue.back();
    const Size part = std::min(surplus, orders_[id].size);
    reduce(id, part, events);
    surplus -= part;
  }
}

}  // namespace tapedeck::feeds
