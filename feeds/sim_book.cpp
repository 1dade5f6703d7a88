#include "feeds/sim_book.hpp"

namespace tapedeck::feeds {

/// Index of the first level, from the best, that is not better than `price`, plus one; 0 if all are
/// better.
std::size_t SimBook::find(std::uint8_t side, std::int32_t price) const {
  const auto& levels = levels_[side];
  std::size_t i = levels.size();
  if (side == 0) {
    while (i > 0 && levels[i - 1].price > price) --i;
  } else {
    while (i > 0 && levels[i - 1].price < price) --i;
  }
  return i;
}

std::uint32_t SimBook::add(std::uint64_t id, std::uint8_t side, std::int32_t price,
                           std::uint32_t size) {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(orders_.size());
    orders_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  auto& levels = levels_[side];
  std::size_t i = find(side, price);
  if (i == 0 || levels[i - 1].price != price) {
    levels.insert(levels.begin() + static_cast<std::ptrdiff_t>(i), Level{price, kNone, kNone, 0});
    ++i;
  }
  Level& level = levels[i - 1];
  orders_[slot] = {id,  price, size, level.last, kNone, static_cast<std::uint32_t>(live_.size()),
                   side};
  (level.last == kNone ? level.first : orders_[level.last].next) = slot;
  level.last = slot;
  ++level.count;
  live_.push_back(slot);
  return slot;
}

void SimBook::remove(std::uint32_t slot) {
  const Order order = orders_[slot];
  auto& levels = levels_[order.side];
  const std::size_t i = find(order.side, order.price) - 1;
  Level& level = levels[i];
  (order.previous == kNone ? level.first : orders_[order.previous].next) = order.next;
  (order.next == kNone ? level.last : orders_[order.next].previous) = order.previous;
  if (--level.count == 0) levels.erase(levels.begin() + static_cast<std::ptrdiff_t>(i));
  const std::uint32_t moved = live_.back();
  live_[order.place] = moved;
  orders_[moved].place = order.place;
  live_.pop_back();
  free_.push_back(slot);
}

}  // namespace tapedeck::feeds
