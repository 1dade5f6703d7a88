#include "chaos/dice_plan.hpp"

#include <fmt/format.h>

namespace tapedeck::chaos {

namespace {

using Action = actors::FaultPoint::Action;

actors::FaultPoint point(std::string_view symbol, const market::Position& at, Action action) {
  actors::FaultPoint fault;
  fault.symbol = symbol, fault.position = at, fault.action = action;
  return fault;
}

}  // namespace

std::optional<actors::FaultPoint> DicePlan::fires(std::string_view symbol,
                                                  const storage::Record& record) {
  if (record.event_count == 0) return std::nullopt;
  auto& place = places_[{record.partition, record.offset}];
  const auto index = static_cast<std::uint32_t>(dice_.below(record.event_count));
  // Poison is so from the beginning; what is none must not look like it.
  const bool fresh = !std::exchange(place.seen, true);
  if (fresh && dice_.hit(Fault::poison)) {
    place.poison = index;
    place.hangs = dice_.below(4) == 0;
  }
  if (place.poison)
    return point(symbol, {record.partition, record.offset, *place.poison},
                 place.hangs ? Action::hang : Action::fail);
  if (place.thrown + 1 >= actors::kPoisonAttempts) return std::nullopt;
  const bool throws = dice_.hit(Fault::fold_throws);
  if (!throws && !dice_.hit(Fault::fold_hangs)) return std::nullopt;
  ++place.thrown;
  return point(symbol, {record.partition, record.offset, index},
               throws ? Action::fail : Action::hang);
}

void DicePlan::message(std::string_view) {
  if (dice_.hit(Fault::message_throws)) throw Injected("injected: a message failed");
}

void DicePlan::strike(const actors::FaultPoint& point) {
  if (point.action != Action::hang) return FaultPlan::strike(point);
  hung_ = true;
  throw Injected(fmt::format("hung at {}:{}:{}", point.position.partition, point.position.offset,
                             point.position.index));
}

void DicePlan::strike_release(std::string_view symbol, const market::FoldItem& item) {
  const auto found = released_.find(item);
  if (found == released_.end()) return;
  auto& [poison, thrown] = found->second;
  if (!poison) {
    if (thrown + 1 >= actors::kPoisonAttempts || !dice_.hit(Fault::fold_throws)) return;
    ++thrown;
  }
  const auto place = places_.find({item.position.partition, item.position.offset});
  const bool hangs = place != places_.end() && place->second.hangs;
  strike(point(symbol, item.position, hangs ? Action::hang : Action::fail));
}

void DicePlan::released(const market::FoldItem& item) {
  released_[item] = {dice_.hit(Fault::release_fails), 0};
}

}  // namespace tapedeck::chaos
