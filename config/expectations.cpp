#include "config/expectations.hpp"

#include <toml++/toml.h>

#include <array>
#include <fstream>
#include <iterator>
#include <optional>

#include "config/value_text.hpp"

namespace tapedeck::config {
namespace {

using market::Expectation;
using market::ExpectedBounds;
using market::ExpectedField;
using market::ExpectedRule;

constexpr std::size_t kDecimals = 8;
constexpr std::size_t kMaxExpectations = 256;

/// A decimal number in 10^-decimals; none if it has more decimals or does not fit.
std::optional<std::int64_t> decimal(std::string_view text, std::size_t decimals) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, point));
  std::string_view fraction = point < text.size() ? text.substr(point + 1) : std::string_view();
  if (fraction.size() > decimals || text.find('-') != text.npos) return std::nullopt;
  digits += fraction;
  digits.append(decimals - fraction.size(), '0');
  const auto value = parse_integer(digits);
  if (!value || point == 0) return std::nullopt;
  return negative ? -*value : *value;
}

/// `1%`, `0.001`: how many of a million.
std::optional<std::uint32_t> share_ppm(std::string_view text) {
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  const auto ppm = decimal(text, percent ? 4 : 6);
  if (!ppm || *ppm < 0 || *ppm > 1'000'000) return std::nullopt;
  return static_cast<std::uint32_t>(*ppm);
}

/// Walks one suite.
class Suite {
public:
  explicit Suite(std::string path) : path_(std::move(path)) {}

  Result<std::vector<Expectation>> read(const toml::table& root) {
    for (const auto& [key, value] : root) {
      if (key.str() != "expect")
        return bad("unknown key " + std::string(key.str()) + ", expected [[expect]]");
    }
    const toml::array* list = root["expect"].as_array();
    if (list == nullptr || list->empty()) return bad("expected at least one [[expect]]");
    if (list->size() > kMaxExpectations)
      return bad("more than " + std::to_string(kMaxExpectations) + " expectations");
    std::vector<Expectation> expectations;
    for (const toml::node& node : *list) {
      const toml::table* table = node.as_table();
      if (table == nullptr) return bad("expect is not a list of tables");
      place_ = "expectation " + std::to_string(expectations.size() + 1);
      auto expectation = one(*table);
      if (!expectation) return tl::unexpected(expectation.error());
      expectations.push_back(std::move(*expectation));
    }
    return expectations;
  }

private:
  tl::unexpected<Error> bad(const std::string& what) const {
    return fail(ErrorCode::invalid, path_ + ": " + (place_.empty() ? "" : place_ + ": ") + what,
                "--expect");
  }

  Result<Expectation> one(const toml::table& table) {
    Expectation expectation;
    if (const auto text = table["name"].value<std::string>()) {
      expectation.name = *text;
      place_ += " (" + *text + ")";
    }
    if (auto done = words(table, expectation); !done) return tl::unexpected(done.error());
    if (auto done = bounds(table, expectation.bounds); !done) return tl::unexpected(done.error());
    for (const auto& [key, value] : table) {
      const std::string_view name = key.str();
      if (name == "name" || name == "field" || name == "rule" || is_bound(name)) continue;
      if (name == "share") {
        const auto text = value.value_exact<std::string>();
        const auto ppm = text ? share_ppm(*text) : std::nullopt;
        if (!ppm) return bad("share: expected a text such as \"0.5%\" or \"0.005\"");
        expectation.share_ppm = *ppm;
      } else if (name == "symbols" && value.is_table()) {
        if (auto done = overrides(*value.as_table(), expectation); !done)
          return tl::unexpected(done.error());
      } else {
        return bad("unknown key " + std::string(name) +
                   ", expected name, field, rule, min, max, gap, share or symbols");
      }
    }
    return checked(std::move(expectation));
  }

  Result<void> words(const toml::table& table, Expectation& expectation) {
    const auto field = table["field"].value<std::string>();
    const auto rule = table["rule"].value<std::string>();
    bool known_field = false, known_rule = false;
    for (std::size_t i = 0; i < market::kExpectedFields; ++i) {
      if (!field || name(static_cast<ExpectedField>(i)) != *field) continue;
      expectation.field = static_cast<ExpectedField>(i);
      known_field = true;
    }
    for (std::size_t i = 0; i < market::kExpectedRules; ++i) {
      if (!rule || name(static_cast<ExpectedRule>(i)) != *rule) continue;
      expectation.rule = static_cast<ExpectedRule>(i);
      known_rule = true;
    }
    if (!known_field)
      return bad("field: expected price, size, side, bid, ask, spread or time, found " +
                 field.value_or("none"));
    if (!known_rule)
      return bad("rule: expected between, positive, known, increasing or max_gap, found " +
                 rule.value_or("none"));
    if (expectation.name.empty()) expectation.name = *field + " " + *rule;
    return {};
  }

  static bool is_bound(std::string_view key) {
    return key == "min" || key == "max" || key == "gap";
  }

  /// Only what the table has: an override keeps the rest.
  Result<void> bounds(const toml::table& table, ExpectedBounds& bounds) const {
    const std::array<std::pair<const char*, std::optional<std::int64_t>*>, 2> numbers = {
        {{"min", &bounds.min}, {"max", &bounds.max}}};
    for (const auto& [key, to] : numbers) {
      const toml::node* node = table.get(key);
      if (node == nullptr) continue;
      auto text = node->value_exact<std::string>();
      if (const auto whole = node->value_exact<std::int64_t>()) text = std::to_string(*whole);
      *to = text ? decimal(*text, kDecimals) : std::nullopt;
      if (!*to) {
        return bad(std::string(key) +
                   ": expected a whole number or a decimal in quotes (\"0.01\"), of at most 8 "
                   "decimals");
      }
    }
    const toml::node* gap = table.get("gap");
    if (gap == nullptr) return {};
    const auto text = gap->value_exact<std::string>();
    bounds.gap = text ? parse_duration(*text) : std::nullopt;
    if (!bounds.gap || *bounds.gap <= 0) return bad("gap: expected a duration such as \"5s\"");
    return {};
  }

  Result<void> overrides(const toml::table& symbols, Expectation& expectation) {
    for (const auto& [symbol, value] : symbols) {
      const toml::table* table = value.as_table();
      if (table == nullptr) return bad("symbols." + std::string(symbol.str()) + ": no table");
      for (const auto& [key, unused] : *table) {
        if (!is_bound(key.str()))
          return bad("symbols." + std::string(symbol.str()) + ": expected min, max or gap, found " +
                     std::string(key.str()));
      }
      ExpectedBounds own = expectation.bounds;
      if (auto done = bounds(*table, own); !done) return done;
      expectation.overrides.emplace(symbol.str(), own);
    }
    return {};
  }

  Result<Expectation> checked(Expectation expectation) const {
    const ExpectedBounds& bounds = expectation.bounds;
    if (expectation.rule == ExpectedRule::between && !bounds.min && !bounds.max)
      return bad("between: expected min, max or both");
    if (bounds.min && bounds.max && *bounds.min > *bounds.max) return bad("min is above max");
    if (expectation.rule == ExpectedRule::max_gap &&
        (!bounds.gap || expectation.field != ExpectedField::time))
      return bad("max_gap: expected field = \"time\" and a gap");
    if (expectation.field == ExpectedField::time && expectation.rule != ExpectedRule::max_gap &&
        expectation.rule != ExpectedRule::increasing)
      return bad("time: expected rule increasing or max_gap");
    if ((expectation.rule == ExpectedRule::known) != (expectation.field == ExpectedField::side))
      return bad("the rule of side is known, and of nothing else");
    return expectation;
  }

  std::string path_, place_;
};

}  // namespace

Result<std::vector<Expectation>> parse_expectations(const std::string& text,
                                                    const std::string& path) {
  try {
    const toml::table root = toml::parse(text, path);
    return Suite(path).read(root);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::invalid,
                path + ":" + std::to_string(error.source().begin.line) + ": " +
                    std::string(error.description()),
                "--expect");
  }
}

Result<std::vector<Expectation>> load_expectations(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file && text.empty()) return fail(ErrorCode::environment, "cannot read " + path, "--expect");
  return parse_expectations(text, path);
}

}  // namespace tapedeck::config
