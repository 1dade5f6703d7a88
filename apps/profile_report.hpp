// apps/profile_report.hpp -- a profile and the outcome of expectations, as text, JSON or a page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "market/expectations.hpp"
#include "market/quality.hpp"

namespace tapedeck::apps {

struct ProfileResult {
  std::string input;  ///< what was looked at
  market::QualitySettings settings;
  market::QualityReport quality;
  bool in_feed_order = false;  ///< gaps over all symbols mean something
  struct DeadLetter {
    std::uint64_t byte_offset = 0;
    std::string reason;
  };
  std::uint64_t dead_letters = 0;
  std::vector<DeadLetter> dead_letter_examples;
  std::vector<market::Expectation> expectations;
  std::vector<market::ExpectationResult> outcomes;  ///< of each expectation

  [[nodiscard]] bool expectations_kept() const;
  /// Symbols with most events first.
  [[nodiscard]] std::vector<const std::pair<const std::string, market::SymbolQuality>*>
  by_activity() const;
};
constexpr std::size_t kTopSymbols = 20;
constexpr std::size_t kDeadLetterExamples = 5;

/// One line about an example: symbol, time, sequence, price and what was wrong.
[[nodiscard]] std::string example_line(const ProfileResult& result, market::Finding finding,
                                       const market::FindingExample& example);
[[nodiscard]] std::string outcome_example_line(const ProfileResult& result, std::size_t expectation,
                                               const market::ExpectationResult::Example& example);
[[nodiscard]] std::string rule_text(const market::Expectation& expectation);

[[nodiscard]] std::string profile_text(const ProfileResult& result);
[[nodiscard]] std::string profile_json(const ProfileResult& result);
/// One file, nothing loaded from elsewhere; charts are inline SVG.
[[nodiscard]] std::string profile_html(const ProfileResult& result);

}  // namespace tapedeck::apps
