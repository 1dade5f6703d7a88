#include <catch2/catch.hpp>

#include "tests/market/fold_tester.hpp"
#include "tests/market/naive_fold.hpp"
#include "tests/market/stream_generator.hpp"

using namespace tapedeck::market;

namespace {

std::vector<OrderId> queue_order(const SymbolState& state) {
  std::vector<OrderId> ids;
  for (const OrderSnapshot& order : state.snapshot().orders) ids.push_back(order.id);
  return ids;
}

void compare_outputs(const Outputs& outputs, const Outputs& expected) {
  for (std::size_t i = 0; i < std::min(outputs.size(), expected.size()); ++i) {
    INFO("output " << i << " of kind " << int(outputs[i].kind()) << " at " << outputs[i].time
                   << ", expected kind " << int(expected[i].kind()) << " at " << expected[i].time);
    REQUIRE(outputs[i].same_content(expected[i]));
  }
  REQUIRE(outputs.size() == expected.size());
}

/// Folds a random stream beside the oracle and compares after every message.
void compare_with_naive(std::uint64_t seed, const StreamOptions& options) {
  INFO("seed " << seed);
  const FoldSettings settings = random_settings(seed);
  SymbolState state("ABC", settings);
  NaiveFold naive(settings);
  Outputs outputs;
  Offset offset = 0;
  for (const Message& message : generate(seed, options)) {
    state.apply({message.source, "source", {0, offset++, 0}, message.events}, outputs);
    naive.message(message);
    INFO("message " << offset);
    const BookView view = state.book(0);
    REQUIRE(view.bids == naive.book.view(Side::bid));
    REQUIRE(view.asks == naive.book.view(Side::ask));
    REQUIRE(view.trust == naive.trust);
    REQUIRE(state.counts() == naive.counts);
    if (offset % 16 == 0) REQUIRE(queue_order(state) == naive.book.queue_order());
    if (outputs.size() != naive.outputs.size()) compare_outputs(outputs, naive.outputs);
  }
  compare_outputs(outputs, naive.outputs);
  const IntegrityCounts integrity = state.view().integrity;
  CHECK(integrity == IntegrityCounts{naive.gaps, naive.crossed, naive.locked,
                                     naive.book.unknown_orders, naive.book.oversized,
                                     naive.late_trades, naive.late_breaks});
  CHECK(state.counts().read ==
        state.counts().folded + state.counts().duplicates + state.counts().refused);
}

}  // namespace

TEST_CASE("the fold says and holds what a naive one does, over valid streams of orders", "[book]") {
  for (std::uint64_t seed = 1; seed <= 30; seed += kNextSeed) {
    compare_with_naive(seed, {.messages = 1500, .invalid = false, .late = false});
  }
}

TEST_CASE("the fold says and holds what a naive one does, over invalid and late streams",
          "[book]") {
  for (std::uint64_t seed = 100; seed <= 140; seed += kNextSeed)
    compare_with_naive(seed, {.messages = 1500});
}

TEST_CASE(
    "the fold says and holds what a naive one does, when levels and quotes stand among orders",
    "[book]") {
  for (std::uint64_t seed = 200; seed <= 230; seed += kNextSeed) {
    compare_with_naive(seed, {.messages = 1500, .levels = true});
  }
}

TEST_CASE("a deep book is the naive book too", "[book]") {
  for (std::uint64_t seed = 300; seed <= 305; seed += kNextSeed) {
    compare_with_naive(
        seed, {.messages = 3000, .invalid = false, .middle = 5000, .spread_of_prices = 3000});
  }
}

TEST_CASE("orders of a level keep the order in which they came; a reduced one keeps its place",
          "[book]") {
  FoldTester fold;
  fold.apply({add_order(1, 1, Side::bid, 100, 10), add_order(1, 2, Side::bid, 100, 20),
              add_order(1, 3, Side::bid, 100, 30), take_order(EventKind::reduce, 2, 1, 5)});
  Event replaced = take_order(EventKind::replace, 3, 2, 25);
  replaced.other = 4;
  replaced.price = 100;
  fold.apply({replaced});
  const SymbolSnapshot snapshot = fold.state.snapshot();
  REQUIRE(snapshot.orders.size() == 3);
  CHECK(snapshot.orders[0].id == 1);
  CHECK(snapshot.orders[0].size == 5);
  CHECK(snapshot.orders[1].id == 3);
  CHECK(snapshot.orders[2].id == 4);
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{100, 60, 3}});
}

TEST_CASE("quotes make the book until depth is seen; then they no longer do", "[book]") {
  FoldTester fold;
  fold.apply({set_quote(1, Side::bid, 100, 5), set_quote(1, Side::ask, 102, 6)});
  fold.apply({set_quote(2, Side::bid, 101, 7)});
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{101, 7, {}}});
  fold.apply({set_level(3, Side::bid, 99, 4)});
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{99, 4, {}}});
  CHECK(fold.state.book(0).asks.empty());
  fold.apply({set_quote(4, Side::bid, 100, 5)});
  CHECK(fold.state.book(0).bids == std::vector<LevelView>{{99, 4, {}}});
}

TEST_CASE("a view has at most as many levels as were asked for", "[book]") {
  FoldTester fold;
  for (Price price = 1; price <= 20; ++price) fold.apply({set_level(1, Side::ask, price, 1)});
  CHECK(fold.state.book(5).asks.size() == 5);
  CHECK(fold.state.book(5).asks[4].price == 5);
  CHECK(fold.state.book(0).asks.size() == 20);
}

TEST_CASE("many orders with ids that collide stay apart", "[book]") {
  FoldTester fold;
  Random random(42);
  std::vector<OrderId> ids;
  for (int i = 0; i < 20'000; ++i) {
    if (ids.size() < 4000 || random.chance(50)) {
      const OrderId id = random.below(1U << 20) << 32 | random.below(4);
      if (std::find(ids.begin(), ids.end(), id) != ids.end()) continue;
      ids.push_back(id);
      fold.apply({add_order(1, id, Side::bid, 100 + static_cast<Price>(random.below(50)), 1)});
    } else {
      const std::size_t at = random.below(ids.size());
      fold.apply({take_order(EventKind::remove, 1, ids[at])});
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  CHECK(fold.state.view().integrity.unknown_orders == 0);
  CHECK(fold.state.counts().refused == 0);
  std::vector<OrderId> held = queue_order(fold.state);
  std::sort(held.begin(), held.end());
  std::sort(ids.begin(), ids.end());
  CHECK(held == ids);
}
