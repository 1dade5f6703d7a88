#include <catch2/catch.hpp>

#include "market/book_metrics.hpp"
#include "tests/market/fold_tester.hpp"
#include "tests/market/stream_generator.hpp"

using namespace tapedeck::market;

TEST_CASE("a window says its samples' minimum, maximum, last and sum when feed time passes its end",
          "[metrics]") {
  FoldTester fold;
  fold.apply({set_level(10, Side::bid, 100, 30)});
  fold.apply({set_level(20, Side::ask, 104, 10)});
  fold.apply({set_level(30, Side::bid, 101, 30)});
  CHECK(fold.state.next_due() == kSecond);
  fold.mark(kSecond);
  const MetricsRow row = fold.said<MetricsRow>().at(0);
  CHECK(row.open_time == 0);
  CHECK(row.samples == 3);
  CHECK(row.imbalance_ppm.max == 1'000'000);
  CHECK(row.imbalance_ppm.min == 500'000);
  CHECK(row.imbalance_ppm.last == 714'285);
  CHECK(row.imbalance_ppm.sum == 1'000'000 + 500'000 + 714'285);
  CHECK(row.spread_samples == 2);
  CHECK(row.spread.max == 4);
  CHECK(row.spread.min == 3);
  // bid 30 appears (+30), ask 10 appears (-10), bid rises to a level of 30 (+30)
  CHECK(row.order_flow_imbalance == 50);
  fold.mark(50 * kSecond);
  CHECK(fold.said<MetricsRow>().size() == 1);  // empty windows say nothing
}

TEST_CASE("one message is one sample, and only if the best N levels changed", "[metrics]") {
  FoldSettings settings = test_settings();
  settings.metrics_levels = 2;
  FoldTester fold(settings);
  Event first = set_level(1, Side::bid, 100, 1), second = set_level(1, Side::bid, 99, 1);
  first.flags = kMore;
  fold.apply({first, second});
  fold.apply({set_level(2, Side::bid, 98, 1)});   // third best
  fold.apply({set_level(3, Side::bid, 100, 1)});  // nothing new
  fold.mark(kSecond);
  CHECK(fold.said<MetricsRow>().at(0).samples == 1);
}

TEST_CASE("clearing the book is no order flow", "[metrics]") {
  FoldTester fold;
  fold.apply({set_level(1, Side::bid, 100, 10)});
  fold.apply({event_at(EventKind::clear, 2)});
  fold.apply({set_level(3, Side::bid, 90, 4)});
  fold.mark(kSecond);
  CHECK(fold.said<MetricsRow>().at(0).order_flow_imbalance == 14);
}

TEST_CASE("a view's metrics are the exact rationals of the book", "[metrics]") {
  FoldSettings settings = test_settings();
  settings.metrics_levels = 2;
  FoldTester fold(settings);
  fold.apply({set_level(1, Side::bid, 100, 30), set_level(1, Side::bid, 99, 20),
              set_level(1, Side::bid, 98, 1000), set_level(1, Side::ask, 103, 10)});
  const MetricsView view = fold.state.metrics();
  CHECK(view.levels == 2);
  CHECK(view.imbalance.numerator == 40);
  CHECK(view.imbalance.denominator == 60);
  CHECK(view.weighted_imbalance.numerator == 60 + 20 - 20);
  CHECK(view.weighted_imbalance.denominator == 60 + 20 + 20);
  CHECK(view.spread == 3);
  CHECK(view.spread_bps.numerator == 60'000);
  CHECK(view.spread_bps.denominator == 203);
  CHECK(view.vtob.numerator == 40);
  CHECK(view.vtob.denominator == 60);
  CHECK(view.microprice.numerator == 100 * 10 + 103 * 30);
  CHECK(view.microprice.denominator == 40);
}

TEST_CASE("metrics of an empty book are undefined, not zero", "[metrics]") {
  FoldTester fold;
  const MetricsView view = fold.state.metrics();
  CHECK(view.imbalance.denominator == 0);
  CHECK(view.microprice.denominator == 0);
  CHECK_FALSE(view.spread.has_value());
}

TEST_CASE("the imbalance in millionths is exact for any volumes", "[metrics]") {
  Random random(7);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t bid = random.next() >> (1 + random.below(60));
    const std::uint64_t ask = random.next() >> (1 + random.below(60));
    if (bid + ask == 0) continue;
    const Int128 exact = (Int128{bid} - ask) * 1'000'000 / (Int128{bid} + ask);
    REQUIRE(imbalance_ppm(bid, ask) == static_cast<std::int64_t>(exact));
  }
}
