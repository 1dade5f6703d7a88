// market/expectations.hpp -- rules that events are expected to keep, each with the share of events
// that may break it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "market/event.hpp"
#include "market/view.hpp"

namespace tapedeck::market {

/// What is looked at. price, size, side: of trades; bid, ask: of quotes; spread: after each quote,
/// where both sides are there; time: of all.
enum class ExpectedField : std::uint8_t { price, size, side, bid, ask, spread, time };
constexpr std::size_t kExpectedFields = 7;
[[nodiscard]] std::string_view name(ExpectedField field) noexcept;

/// between: min <= value <= max, either may be left out. positive: > 0. known: a side is told.
/// increasing: never below the symbol's value before. max_gap: at most so long after it (time).
enum class ExpectedRule : std::uint8_t { between, positive, known, increasing, max_gap };
constexpr std::size_t kExpectedRules = 5;
[[nodiscard]] std::string_view name(ExpectedRule rule) noexcept;

/// Bounds are decimals in 10^-8, whatever the instrument's exponents are.
struct ExpectedBounds {
  std::optional<std::int64_t> min, max;
  std::optional<TimeNs> gap;
};

struct Expectation {
  std::string name;
  ExpectedField field = ExpectedField::price;
  ExpectedRule rule = ExpectedRule::between;
  ExpectedBounds bounds;
  std::uint32_t share_ppm = 0;  ///< of the events looked at, how many may fail
  std::map<std::string, ExpectedBounds, std::less<>> overrides;  ///< by symbol
};

struct ExpectationResult {
  struct Example {
    std::string symbol;
    TimeNs time = 0;
    Sequence sequence = 0;
    std::int64_t value = 0;  ///< in the instrument's units; ns for times; max_gap: the gap
  };
  static constexpr std::size_t kExamples = 5;
  std::uint64_t checked = 0, failed = 0;
  std::vector<Example> examples;  ///< the first that failed
  /// Nothing to look at is no proof: it passes, and says 0 checked.
  [[nodiscard]] bool passed(const Expectation& expectation) const noexcept {
    return UInt128{failed} * 1'000'000 <= UInt128{checked} * expectation.share_ppm;
  }
};

/// Checks event by event; memory grows with symbols only.
class ExpectationSuite {
public:
  explicit ExpectationSuite(std::vector<Expectation> expectations);
  /// Event of a symbol in its order. True if it broke one.
  bool take(std::string_view symbol, const Instrument& instrument, const Event& event);
  [[nodiscard]] const std::vector<Expectation>& expectations() const noexcept {
    return expectations_;
  }
  [[nodiscard]] const std::vector<ExpectationResult>& results() const noexcept { return results_; }

private:
  struct SymbolMemory {
    Price bid = 0, ask = 0;
    Size bid_size = 0, ask_size = 0;
    std::vector<std::optional<std::int64_t>> last;  ///< by expectation
  };
  [[nodiscard]] static std::optional<std::int64_t> value_of(ExpectedField field,
                                                            const SymbolMemory& memory,
                                                            const Event& event);
  [[nodiscard]] static bool keeps(const Expectation& expectation, const ExpectedBounds& bounds,
                                  std::int64_t value, int exponent,
                                  std::optional<std::int64_t>& last);

  std::vector<Expectation> expectations_;
  std::vector<ExpectationResult> results_;
  std::map<std::string, SymbolMemory, std::less<>> memories_;
};

}  // namespace tapedeck::market
