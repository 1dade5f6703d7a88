#include "market/expectations.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace tapedeck::market {
namespace {

constexpr std::array<std::string_view, kExpectedFields> kFieldNames = {
    "price", "size", "side", "bid", "ask", "spread", "time"};
constexpr std::array<std::string_view, kExpectedRules> kRuleNames = {"between", "positive", "known",
                                                                     "increasing", "max_gap"};
constexpr int kBoundExponent = -8;

Int128 times_ten(Int128 value, int power) {
  for (; power > 0; --power) value *= 10;
  return value;
}

/// value * 10^exponent against bound * 10^-8: negative, 0, positive.
int compare(std::int64_t value, int exponent, std::int64_t bound) {
  const Int128 left = times_ten(value, std::max(0, exponent - kBoundExponent));
  const Int128 right = times_ten(bound, std::max(0, kBoundExponent - exponent));
  return left < right ? -1 : static_cast<int>(left > right);
}

int exponent_of(ExpectedField field, const Instrument& instrument) {
  if (field == ExpectedField::size) return instrument.size_exponent;
  return instrument.price_exponent;
}

}  // namespace

std::string_view name(ExpectedField field) noexcept {
  return kFieldNames[static_cast<std::size_t>(field)];
}
std::string_view name(ExpectedRule rule) noexcept {
  return kRuleNames[static_cast<std::size_t>(rule)];
}

ExpectationSuite::ExpectationSuite(std::vector<Expectation> expectations)
    : expectations_(std::move(expectations)), results_(expectations_.size()) {}

std::optional<std::int64_t> ExpectationSuite::value_of(ExpectedField field,
                                                       const SymbolMemory& memory,
                                                       const Event& event) {
  const bool trade = event.kind == EventKind::trade;
  const bool quote = event.kind == EventKind::quote;
  switch (field) {
    case ExpectedField::price: return trade ? std::optional(event.price) : std::nullopt;
    case ExpectedField::size: return trade ? std::optional(event.size) : std::nullopt;
    case ExpectedField::side:
      return trade ? std::optional(static_cast<std::int64_t>(event.side)) : std::nullopt;
    case ExpectedField::bid:
      return quote && event.side == Side::bid ? std::optional(event.price) : std::nullopt;
    case ExpectedField::ask:
      return quote && event.side == Side::ask ? std::optional(event.price) : std::nullopt;
    case ExpectedField::spread:
      if (!quote || memory.bid_size <= 0 || memory.ask_size <= 0 || (event.flags & kMore) != 0)
        return std::nullopt;
      return memory.ask - memory.bid;
    case ExpectedField::time: return event.time;
  }
  return std::nullopt;
}

bool ExpectationSuite::keeps(const Expectation& expectation, const ExpectedBounds& bounds,
                             std::int64_t value, int exponent, std::optional<std::int64_t>& last) {
  switch (expectation.rule) {
    case ExpectedRule::between:
      return (!bounds.min || compare(value, exponent, *bounds.min) >= 0) &&
             (!bounds.max || compare(value, exponent, *bounds.max) <= 0);
    case ExpectedRule::positive: return value > 0;
    case ExpectedRule::known: return value != 0;
    case ExpectedRule::increasing: {
      const bool kept = !last || value >= *last;
      last = last ? std::max(*last, value) : value;
      return kept;
    }
    case ExpectedRule::max_gap: {
      const bool kept = !last || !bounds.gap || value - *last <= *bounds.gap;
      last = last ? std::max(*last, value) : value;
      return kept;
    }
  }
  return false;
}

bool ExpectationSuite::take(std::string_view symbol, const Instrument& instrument,
                            const Event& event) {
  if (event.kind == EventKind::session || event.kind == EventKind::instrument) return false;
  auto found = memories_.find(symbol);
  if (found == memories_.end()) {
    found = memories_.try_emplace(std::string(symbol)).first;
    found->second.last.resize(expectations_.size());
  }
  SymbolMemory& memory = found->second;
  if (event.kind == EventKind::quote && event.side == Side::bid)
    memory.bid = event.price, memory.bid_size = event.size;
  if (event.kind == EventKind::quote && event.side == Side::ask)
    memory.ask = event.price, memory.ask_size = event.size;
  bool broke = false;
  for (std::size_t i = 0; i < expectations_.size(); ++i) {
    const Expectation& expectation = expectations_[i];
    const auto value = value_of(expectation.field, memory, event);
    if (!value) continue;
    const auto own = expectation.overrides.find(symbol);
    const ExpectedBounds& bounds =
        own == expectation.overrides.end() ? expectation.bounds : own->second;
    ExpectationResult& result = results_[i];
    ++result.checked;
    const std::optional<std::int64_t> before = memory.last[i];
    if (keeps(expectation, bounds, *value, exponent_of(expectation.field, instrument),
              memory.last[i])) {
      continue;
    }
    broke = true;
    ++result.failed;
    const bool gap = expectation.rule == ExpectedRule::max_gap;
    if (result.examples.size() < ExpectationResult::kExamples)
      result.examples.push_back(
          {std::string(symbol), event.time, event.sequence, gap ? *value - *before : *value});
  }
  return broke;
}

}  // namespace tapedeck::market
