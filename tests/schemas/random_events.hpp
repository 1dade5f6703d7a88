// tests/schemas/random_events.hpp -- seeded events for the codec tests: a plausible flow, and
// arbitrary ones.
#pragma once

#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "market/event.hpp"

namespace tapedeck::schemas::test {

using Random = std::mt19937_64;

inline std::uint64_t below(Random& random, std::uint64_t bound) { return random() % bound; }

/// Small numbers, wide ones, extremes: whatever a column may have to hold.
inline std::uint64_t weird(Random& random) {
  constexpr auto kMin = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::min());
  constexpr std::uint64_t edges[] = {0,          1,          0xff, 0x100,    0xffff, 0x10000,
                                     0xffffffff, 1ull << 32, kMin, kMin - 1, ~0ull,  ~0ull - 1};
  switch (below(random, 4)) {
    case 0: return edges[below(random, std::size(edges))];
    case 1: return below(random, 1000);
    case 2: return random() >> below(random, 64);
    default: return 0 - below(random, 1000);
  }
}

/// Any kind, every field anything at all.
inline market::Event any_event(Random& random) {
  market::Event event;
  event.time = static_cast<std::int64_t>(weird(random));
  event.feed_time = static_cast<std::int64_t>(weird(random));
  event.receive_time = static_cast<std::int64_t>(weird(random));
  event.sequence = weird(random);
  event.id = weird(random);
  event.price = static_cast<std::int64_t>(weird(random));
  event.size = static_cast<std::int64_t>(weird(random));
  event.other = weird(random);
  event.kind = static_cast<market::EventKind>(below(random, market::kEventKinds));
  event.side = static_cast<market::Side>(below(random, 3));
  event.flags = static_cast<std::uint8_t>(random());
  event.code = static_cast<std::uint8_t>(random());
  return event;
}

/// Sets to 0 what the kind has no use for (see market/event.hpp).
inline void keep_used_fields(market::Event& event) {
  using enum market::EventKind;
  const auto kind = event.kind;
  const bool id = kind == add || kind == execute || kind == execute_price || kind == reduce ||
                  kind == remove || kind == replace || kind == trade || kind == trade_break;
  const bool price = kind == instrument || kind == add || kind == execute_price ||
                     kind == replace || kind == level || kind == quote || kind == trade ||
                     kind == status;
  const bool size = price || kind == execute || kind == reduce;
  const bool other = kind == session || kind == instrument || kind == execute ||
                     kind == execute_price || kind == replace || kind == snapshot_end ||
                     kind == status || kind == gap;
  if (!id) event.id = 0;
  if (!price) event.price = 0;
  if (!size) event.size = 0;
  if (!other) event.other = 0;
  if (kind != session && kind != status) event.code = 0;
}

/// A flow as a venue sends it: times and sequences go on, orders come and go, prices stay near each
/// other.
inline std::vector<market::Event> plausible(Random& random, std::size_t count) {
  std::vector<market::Event> events(count);
  std::uint64_t time = 1'340'285'400'000'000'000, sequence = 1, order = 1000, match = 5;
  std::int64_t price = 5'857'500;
  for (market::Event& event : events) {
    event = any_event(random);
    time += below(random, 3) == 0 ? below(random, 2'000'000'000) : below(random, 500'000);
    sequence += 1 + below(random, 5000);
    event.time = event.feed_time = static_cast<std::int64_t>(time);
    event.receive_time = 0;
    event.sequence = sequence;
    event.flags = 0;
    price += 100 * (static_cast<std::int64_t>(below(random, 41)) - 20);
    event.price = price;
    event.size = static_cast<std::int64_t>(100 * (1 + below(random, 5)));
    event.id = order + below(random, 500);
    event.other = match++;
    if (event.kind == market::EventKind::add) event.id = order += 500 + below(random, 3000);
    if (event.kind == market::EventKind::replace) event.other = order += 500 + below(random, 3000);
    keep_used_fields(event);
  }
  return events;
}

}  // namespace tapedeck::schemas::test
