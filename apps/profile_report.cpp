#include "apps/profile_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/decimal.hpp"
#include "api/time_format.hpp"
#include "apps/tape_json.hpp"

namespace tapedeck::apps {

using market::Finding;

namespace {

using Json = nlohmann::ordered_json;

const market::Instrument& instrument_of(const ProfileResult& result, const std::string& symbol) {
  static const market::Instrument none;
  const auto found = result.quality.symbols.find(symbol);
  return found == result.quality.symbols.end() ? none : found->second.instrument;
}

std::string price_text(const ProfileResult& result, const std::string& symbol,
                       market::Price price) {
  return api::decimal(price, instrument_of(result, symbol).price_exponent);
}

std::string bound_text(std::int64_t bound) {
  std::string text = api::decimal(bound, -8);
  text.resize(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

/// Seconds with three decimals: gaps are told to people.
std::string seconds_text(std::int64_t ns) { return api::decimal(ns / 1'000'000, -3) + " s"; }

std::string outcome_text(const ProfileResult& result, std::size_t i) {
  const auto& outcome = result.outcomes[i];
  const auto& expectation = result.expectations[i];
  return fmt::format("{}  {}: {} of {} failed, {} ppm allowed",
                     outcome.passed(expectation) ? "ok    " : "FAILED", expectation.name,
                     outcome.failed, outcome.checked, expectation.share_ppm);
}

void append_symbols(std::string& text, const ProfileResult& result) {
  const auto symbols = result.by_activity();
  text += fmt::format("\n{:<24} {:>12} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>12}\n", "symbol",
                      "events", "trades", "quotes", "seq gaps", "crossed", "dup", "outlier",
                      "longest gap");
  for (std::size_t i = 0; i < std::min(symbols.size(), kTopSymbols); ++i) {
    const auto& [symbol, quality] = *symbols[i];
    const auto found = [&quality = quality](Finding finding) {
      return quality.findings[static_cast<std::size_t>(finding)];
    };
    text += fmt::format("{:<24} {:>12} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>12}\n", symbol,
                        quality.events, quality.trades, quality.quotes, quality.integrity.gaps,
                        quality.integrity.crossed + found(Finding::crossed_quote),
                        found(Finding::duplicate), found(Finding::outlier),
                        seconds_text(quality.longest_gap));
  }
  if (symbols.size() > kTopSymbols)
    text += fmt::format("… and {} more symbols (--format json has all)\n",
                        symbols.size() - kTopSymbols);
}

Json example_json(const ProfileResult& result, const market::FindingExample& example) {
  return {{"symbol", example.symbol},
          {"time", api::format_time(example.time)},
          {"sequence", example.sequence},
          {"price", price_text(result, example.symbol, example.price)},
          {"value", example.value}};
}

Json symbol_json(const std::string& symbol, const market::SymbolQuality& quality) {
  Json json = {{"symbol", symbol},
               {"events", quality.events},
               {"trades", quality.trades},
               {"quotes", quality.quotes}};
  if (quality.last_time != market::kNoTime) {
    json["first_time"] = api::format_time(quality.first_time);
    json["last_time"] = api::format_time(quality.last_time);
  }
  const int exponent = quality.instrument.price_exponent;
  json["low"] = api::decimal(quality.low, exponent);
  json["high"] = api::decimal(quality.high, exponent);
  json["longest_gap_ns"] = quality.longest_gap;
  json["gaps"] = quality.gaps;
  for (std::size_t i = 0; i < market::kFindings; ++i)
    json["findings"][std::string(name(static_cast<Finding>(i)))] = quality.findings[i];
  json["fold"] = {{"folded", quality.counts.folded},
                  {"duplicates", quality.counts.duplicates},
                  {"refused", quality.counts.refused},
                  {"sequence_gaps", quality.integrity.gaps},
                  {"crossed", quality.integrity.crossed},
                  {"locked", quality.integrity.locked},
                  {"unknown_orders", quality.integrity.unknown_orders},
                  {"oversized_reductions", quality.integrity.oversized_reductions},
                  {"late_trades", quality.integrity.late_trades}};
  return json;
}

Json expectations_json(const ProfileResult& result) {
  Json list = Json::array();
  for (std::size_t i = 0; i < result.expectations.size(); ++i) {
    const auto& expectation = result.expectations[i];
    const auto& outcome = result.outcomes[i];
    Json examples = Json::array();
    for (const auto& example : outcome.examples)
      examples.push_back(outcome_example_line(result, i, example));
    list.push_back({{"name", expectation.name},
                    {"rule", rule_text(expectation)},
                    {"passed", outcome.passed(expectation)},
                    {"checked", outcome.checked},
                    {"failed", outcome.failed},
                    {"allowed_ppm", expectation.share_ppm},
                    {"examples", examples}});
  }
  return list;
}

}  // namespace

bool ProfileResult::expectations_kept() const {
  for (std::size_t i = 0; i < expectations.size(); ++i) {
    if (!outcomes[i].passed(expectations[i])) return false;
  }
  return true;
}

std::vector<const std::pair<const std::string, market::SymbolQuality>*> ProfileResult::by_activity()
    const {
  std::vector<const std::pair<const std::string, market::SymbolQuality>*> symbols;
  for (const auto& each : quality.symbols) symbols.push_back(&each);
  std::ranges::stable_sort(
      symbols, [](const auto* a, const auto* b) { return a->second.events > b->second.events; });
  return symbols;
}

std::string rule_text(const market::Expectation& expectation) {
  std::string text = fmt::format("{} {}", name(expectation.field), name(expectation.rule));
  const auto& bounds = expectation.bounds;
  if (bounds.min) text += " from " + bound_text(*bounds.min);
  if (bounds.max) text += " to " + bound_text(*bounds.max);
  if (bounds.gap) text += " " + api::format_duration(*bounds.gap);
  if (!expectation.overrides.empty())
    text += fmt::format(", {} symbols with bounds of their own", expectation.overrides.size());
  return text;
}

std::string example_line(const ProfileResult& result, Finding finding,
                         const market::FindingExample& example) {
  std::string text = fmt::format("{} at {}, sequence {}", example.symbol,
                                 api::format_time(example.time), example.sequence);
  const std::string price = price_text(result, example.symbol, example.price);
  switch (finding) {
    case Finding::time_gap: return text + ", after " + seconds_text(example.value);
    case Finding::backwards: return text + ", " + seconds_text(-example.value) + " back";
    case Finding::duplicate: return text + ", price " + price;
    case Finding::outlier:
      return text + ", price " + price + ", mean before " +
             price_text(result, example.symbol, example.value);
    case Finding::crossed_quote:
      return text + ", bid above ask by " + price_text(result, example.symbol, example.value);
    case Finding::locked_quote: return text + ", price " + price;
    case Finding::stale_quote:
      return text + ", price " + price + ", quote " + seconds_text(example.value) + " old";
    case Finding::skew:
      return text + fmt::format(", received {} ns before its event time", -example.value);
    case Finding::refused:
      return text + ", price " + price + ", rule " +
             std::string(name(static_cast<market::Refused>(example.value)));
  }
  return text;
}

std::string outcome_example_line(const ProfileResult& result, std::size_t expectation,
                                 const market::ExpectationResult::Example& example) {
  using market::ExpectedField;
  const ExpectedField field = result.expectations[expectation].field;
  const auto& instrument = instrument_of(result, example.symbol);
  std::string value;
  if (result.expectations[expectation].rule == market::ExpectedRule::max_gap) {
    value = "after " + seconds_text(example.value);
  } else if (field == ExpectedField::size) {
    value = api::decimal(example.value, instrument.size_exponent);
  } else if (field == ExpectedField::time) {
    value = api::format_time(example.value);
  } else if (field != ExpectedField::side) {
    value = api::decimal(example.value, instrument.price_exponent);
  } else {
    value = "not told";
  }
  return fmt::format("{} at {}, sequence {}: {} {}", example.symbol, api::format_time(example.time),
                     example.sequence, name(field), value);
}

std::string profile_text(const ProfileResult& result) {
  const auto& quality = result.quality;
  std::string text = fmt::format("{}: {} events in {} messages of {} symbols\n", result.input,
                                 quality.events, quality.messages, quality.symbols.size());
  if (quality.last_time != market::kNoTime)
    text += fmt::format("from {} to {}\n", api::format_time(quality.first_time),
                        api::format_time(quality.last_time));
  text += "\nby kind:";
  for (std::size_t i = 0; i < market::kEventKinds; ++i) {
    if (quality.kinds[i] > 0)
      text +=
          fmt::format(" {} {}", market::name(static_cast<market::EventKind>(i)), quality.kinds[i]);
  }
  text += fmt::format("\ndead letters: {}\n", result.dead_letters);
  for (const auto& letter : result.dead_letter_examples)
    text += fmt::format("  byte {}: {}\n", letter.byte_offset, letter.reason);
  std::array<std::uint64_t, market::kGapScales> gaps{};
  for (const auto& [symbol, each] : quality.symbols) {
    for (std::size_t i = 0; i < gaps.size(); ++i) gaps[i] += each.gaps[i];
  }
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    text += fmt::format("gaps above {}: {} of a symbol",
                        api::format_duration(result.settings.gap_scales[i]), gaps[i]);
    text +=
        result.in_feed_order ? fmt::format(", {} of the whole feed\n", quality.feed_gaps[i]) : "\n";
  }
  const auto& skew = quality.skew;
  if (skew.count > 0)
    text += fmt::format("received after event time: min {} ns, mean {} ns, max {} ns\n", skew.min,
                        static_cast<std::int64_t>(skew.sum / static_cast<std::int64_t>(skew.count)),
                        skew.max);
  for (std::size_t i = 0; i < market::kFindings; ++i) {
    const auto finding = static_cast<Finding>(i);
    text += fmt::format("{}: {}\n", name(finding), quality.findings[i]);
    for (const auto& example : quality.examples[i])
      text += "  " + example_line(result, finding, example) + "\n";
  }
  append_symbols(text, result);
  if (!result.expectations.empty()) text += "\nexpectations:\n";
  for (std::size_t i = 0; i < result.expectations.size(); ++i) {
    text += outcome_text(result, i) + "\n";
    for (const auto& example : result.outcomes[i].examples)
      text += "          " + outcome_example_line(result, i, example) + "\n";
  }
  return text;
}

std::string profile_json(const ProfileResult& result) {
  const auto& quality = result.quality;
  Json json = {{"input", result.input},
               {"events", quality.events},
               {"messages", quality.messages},
               {"dead_letters", result.dead_letters}};
  if (quality.last_time != market::kNoTime) {
    json["first_time"] = api::format_time(quality.first_time);
    json["last_time"] = api::format_time(quality.last_time);
  }
  for (std::size_t i = 0; i < market::kEventKinds; ++i) {
    if (quality.kinds[i] > 0)
      json["kinds"][std::string(market::name(static_cast<market::EventKind>(i)))] =
          quality.kinds[i];
  }
  for (std::size_t i = 0; i < market::kGapScales; ++i) {
    std::uint64_t count = 0;
    for (const auto& [symbol, each] : quality.symbols) count += each.gaps[i];
    Json gap = {{"above", api::format_duration(result.settings.gap_scales[i])}, {"symbols", count}};
    if (result.in_feed_order) gap["feed"] = quality.feed_gaps[i];
    json["gaps"].push_back(gap);
  }
  if (quality.skew.count > 0)
    json["skew"] = {
        {"events", quality.skew.count}, {"min_ns", quality.skew.min}, {"max_ns", quality.skew.max}};
  for (std::size_t i = 0; i < market::kFindings; ++i) {
    Json& finding = json["findings"][std::string(name(static_cast<Finding>(i)))];
    finding["count"] = quality.findings[i];
    finding["examples"] = Json::array();
    for (const auto& example : quality.examples[i])
      finding["examples"].push_back(example_json(result, example));
  }
  json["symbols"] = Json::array();
  for (const auto* each : result.by_activity())
    json["symbols"].push_back(symbol_json(each->first, each->second));
  json["expectations"] = expectations_json(result);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tapedeck::apps
