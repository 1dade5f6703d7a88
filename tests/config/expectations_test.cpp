#include "config/expectations.hpp"

#include <catch2/catch.hpp>

using namespace tapedeck;

TEST_CASE("a suite is read with its bounds, shares and overrides", "[expectations]") {
  const auto suite = config::parse_expectations(R"(
[[expect]]
name = "prices"
field = "price"
rule = "between"
min = "0.01"
max = 1000
share = "0.5%"
symbols.BTC = { max = "200000.5" }

[[expect]]
field = "time"
rule = "max_gap"
gap = "5s"
)",
                                                "suite.toml");
  REQUIRE(suite);
  REQUIRE(suite->size() == 2);
  const auto& prices = suite->front();
  CHECK(prices.bounds.min == 1'000'000);
  CHECK(prices.bounds.max == 100'000'000'000);
  CHECK(prices.share_ppm == 5000);
  CHECK(prices.overrides.at("BTC").min == 1'000'000);
  CHECK(prices.overrides.at("BTC").max == 20'000'050'000'000);
  CHECK(suite->back().name == "time max_gap");
  CHECK(suite->back().bounds.gap == 5 * market::kSecond);
}

TEST_CASE("what is wrong with a suite is named with its place", "[expectations]") {
  const std::vector<std::pair<std::string, std::string>> suites = {
      {"", "at least one"},
      {"[[expect]]\nfield = \"colour\"", "found colour"},
      {"[[expect]]\nfield = \"price\"", "rule: expected"},
      {"[[expect]]\nfield = \"price\"\nrule = \"between\"", "min, max or both"},
      {"[[expect]]\nfield = \"price\"\nrule = \"positive\"\nmaximum = 1", "unknown key maximum"},
      {"[[expect]]\nfield = \"price\"\nrule = \"between\"\nmax = 0.1", "in quotes"},
      {"[[expect]]\nfield = \"price\"\nrule = \"between\"\nmin = 2\nmax = 1", "min is above max"},
      {"[[expect]]\nfield = \"price\"\nrule = \"positive\"\nshare = \"101%\"", "share"},
      {"[[expect]]\nfield = \"price\"\nrule = \"max_gap\"\ngap = \"1s\"", "max_gap"},
      {"[[expect]]\nfield = \"side\"\nrule = \"positive\"", "side"},
      {"[[expect]]\nfield = \"price\"\nrule = \"positive\"\nsymbols.A = { share = \"1\" }",
       "symbols.A"},
      {"expect = 3", "at least one"},
      {"[[expect]\n", "suite.toml:1"},
  };
  for (const auto& [text, reason] : suites) {
    INFO(text);
    const auto suite = config::parse_expectations(text, "suite.toml");
    REQUIRE_FALSE(suite);
    INFO(suite.error().message);
    CHECK(suite.error().message.find(reason) != std::string::npos);
    CHECK(suite.error().message.starts_with("suite.toml:"));
  }
}
