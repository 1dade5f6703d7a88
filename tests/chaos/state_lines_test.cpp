// What `chaos run` compares runs by: whatever differs is noticed.
#include "chaos/state_lines.hpp"

#include <catch2/catch.hpp>

#include "chaos/observer.hpp"

namespace tapedeck::chaos {
namespace {

using Catch::Contains;

StateLines two_symbols() {
  StateLines lines;
  lines["A"] = {10, {}, {{"candle 1", "contents"}}};
  lines["B"] = {20, {}, {}};
  return lines;
}

}  // namespace

TEST_CASE("equal lines do not differ") { CHECK_FALSE(difference(two_symbols(), two_symbols())); }

TEST_CASE("every way to differ is named with its symbol") {
  auto found = two_symbols();
  SECTION("a lost symbol") { found.erase("B"); }
  SECTION("a lost event") { found["B"].events = 19; }
  SECTION("another digest") {
    market::DigestWriter writer;
    writer.put(1);
    found["B"].digest = writer.digest();
  }
  SECTION("an output too many") { found["B"].outputs["candle 2"] = "contents"; }
  const auto what = difference(two_symbols(), found);
  REQUIRE(what);
  CHECK_THAT(*what, Contains("B"));
}

TEST_CASE("an output with other contents, and a symbol from nowhere, are noticed") {
  auto found = two_symbols();
  found["A"].outputs["candle 1"] = "other contents";
  CHECK(difference(two_symbols(), found));
  found = two_symbols();
  found["C"].events = 1;
  CHECK_THAT(difference(two_symbols(), found).value(), Contains("C"));
}

TEST_CASE("a metric is summed over its labels and not mixed up with longer names") {
  const std::string text =
      "# HELP\ntapedeck_events_total{partition=\"0\"} 5\ntapedeck_events_total{partition=\"1\"} 7\n"
      "tapedeck_events_total_other 100\ntapedeck_http_errors_total 3\n";
  CHECK(metric(text, "events_total") == 12);
  CHECK(metric(text, "http_errors_total") == 3);
  CHECK(metric(text, "nothing") == 0);
}

}  // namespace tapedeck::chaos
