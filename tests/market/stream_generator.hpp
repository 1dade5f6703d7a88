// tests/market/stream_generator.hpp -- seeded streams of messages, valid and not, for the property
// tests.
#pragma once

#include <cstdint>
#include <vector>

#include "market/event.hpp"
#include "market/settings.hpp"

namespace tapedeck::market {

/// From one seed to the next: sanitizers make each some twenty times as dear, so they get fewer.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kNextSeed = 7;
#elif defined(__has_feature)
constexpr std::uint64_t kNextSeed = __has_feature(address_sanitizer) ? 7 : 1;
#else
constexpr std::uint64_t kNextSeed = 1;
#endif

/// SplitMix64: the same numbers on every machine.
class Random {
public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// In [0, bound).
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool chance(std::uint64_t percent) { return below(100) < percent; }

private:
  std::uint64_t state_;
};

struct StreamOptions {
  std::size_t messages = 2000;
  bool invalid = true;    ///< unknown orders, bad values, duplicates, times ahead
  bool late = true;       ///< event times behind feed time
  bool sessions = false;  ///< several sources one after the other, and old ones again
  bool resync = false;    ///< depth snapshots
  Sequencing sequencing = Sequencing::message_number;
  bool levels = false;  ///< L2 updates and quotes among the orders
  Price middle = 1000;
  std::uint64_t spread_of_prices = 40;
};

struct Message {
  SourceId source = 0;
  std::vector<Event> events;
};

[[nodiscard]] std::vector<Message> generate(std::uint64_t seed, const StreamOptions& options);

/// Settings that make everything happen within few events.
[[nodiscard]] FoldSettings random_settings(std::uint64_t seed);

}  // namespace tapedeck::market
