#include "api/json.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/api/sample_views.hpp"

using namespace tapedeck;
using api::to_json;

TEST_CASE("a book is written as the contract says", "[json]") {
  CHECK(
      to_json(test::sample_book("AAPL")) ==
      R"({"symbol":"AAPL","position":{"partition":2,"offset":17,"index":3},)"
      R"("event_time":"2012-06-21T13:30:00.004241176Z","trust":"clean","trust_since":null,)"
      R"("digest":"0123456789abcdef00000000000000ff",)"
      R"("bids":[{"price":"585.9400","size":"200","orders":2},{"price":"585.9300","size":"300","orders":2}],)"
      R"("asks":[{"price":"586.2300","size":"18","orders":null},{"price":"586.2400","size":"18","orders":null}]})");
}

TEST_CASE("an empty book that is not trusted says since when", "[json]") {
  market::BookView book;
  book.symbol = "X";
  book.trust = market::Trust::suspect;
  book.trust_since = market::Position{1, 2, 3};
  CHECK(
      to_json(book) ==
      R"({"symbol":"X","position":{"partition":0,"offset":0,"index":0},)"
      R"("event_time":"1970-01-01T00:00:00.000000000Z","trust":"suspect",)"
      R"("trust_since":{"partition":1,"offset":2,"index":3},"digest":"00000000000000000000000000000000",)"
      R"("bids":[],"asks":[]})");
}

TEST_CASE("a candle has an exact notional, a VWAP of four more digits and an exclusive end",
          "[json]") {
  CHECK(
      to_json(test::sample_candle("BTCUSDT", 60 * market::kSecond)) ==
      R"({"symbol":"BTCUSDT","width":"1m","open_time":"2012-06-21T13:30:00.000000000Z",)"
      R"("close_time":"2012-06-21T13:31:00.000000000Z","open":"50001.00","high":"50002.00","low":"49999.00",)"
      R"("close":"50000.00","volume":"3.00000","buy_volume":"1.00000","sell_volume":"2.00000",)"
      R"("notional":"150001.0000000","vwap":"50000.333333","trades":2,"revision":1,"state":"closed",)"
      R"("ohlc_exact":true,"trust":"clean","position":{"partition":0,"offset":9,"index":0}})");
}

TEST_CASE("a candle whose trades were all broken has no VWAP", "[json]") {
  auto view = test::sample_candle("A");
  view.candle.volume = 0;
  view.candle.closed = false;
  view.candle.ohlc_exact = false;
  const auto json = nlohmann::json::parse(to_json(view));
  CHECK(json["vwap"].is_null());
  CHECK(json["state"] == "open");
  CHECK(json["ohlc_exact"] == false);
}

TEST_CASE("candles of a range are a list", "[json]") {
  CHECK(to_json(std::vector<market::CandleView>{}) == "[]");
  const auto json = nlohmann::json::parse(
      to_json(std::vector{test::sample_candle("A"), test::sample_candle("B")}));
  REQUIRE(json.size() == 2);
  CHECK(json[1]["symbol"] == "B");
}

TEST_CASE("metrics have nine decimals, and null where undefined", "[json]") {
  CHECK(
      to_json(test::sample_metrics("A")) ==
      R"({"symbol":"A","position":{"partition":1,"offset":2,"index":3},)"
      R"("event_time":"1970-01-01T00:00:00.000000000Z","trust":"gapped",)"
      R"("trust_since":{"partition":1,"offset":1,"index":0},"levels":10,"imbalance":"-0.333333333",)"
      R"("weighted_imbalance":"0.500000000","spread":"0.2900","spread_bps":"4.948087735","vtob":null,)"
      R"("microprice":"586.085000000","order_flow_imbalance":"-42","bid_depth":"0",)"
      R"("ask_depth":"0"})");
}

TEST_CASE("quality has every finding by name, and null for times that never came", "[json]") {
  const auto json = nlohmann::json::parse(to_json(test::sample_quality("A")));
  CHECK(json["watched"] == true);
  CHECK(json["findings"].size() == market::kFindings);
  CHECK(json["findings"]["outlier"] == 1);
  CHECK(json["gaps"][0]["longer_than_ns"] == market::kSecond);
  CHECK(json["gaps"][0]["count"] == 4);
  CHECK(json["first_time"] == "1970-01-01T00:00:00.000000000Z");
  CHECK(json["last_time"].is_null());
  CHECK(json["integrity"]["gaps"] == 0);
}

TEST_CASE("a symbol says what was counted, and null where it was told nothing", "[json]") {
  CHECK(
      to_json(test::sample_symbol("A")) ==
      R"({"symbol":"A","position":{"partition":0,"offset":5,"index":1},)"
      R"("event_time":"1970-01-01T00:00:01.000000001Z","feed_time":"1970-01-01T00:00:02.000000000Z",)"
      R"("trust":"clean","trust_since":null,"digest":"00000000000000010000000000000002",)"
      R"("events":{"read":10,"folded":7,"duplicates":1,"refused":1,"filtered":1},)"
      R"("integrity":{"gaps":3,"crossed":0,"locked":0,"unknown_orders":0,"oversized_reductions":0,)"
      R"("late_trades":0,"late_breaks":0},)"
      R"("instrument":{"price_exponent":-4,"size_exponent":0,"round_lot":100},"trading_state":"T",)"
      R"("best_bid":{"price":"1.0000","size":"5","orders":1},"best_ask":null,"last_trade":"1.0100","trades":4})");
}

TEST_CASE("positions, supervision and health are written whole", "[json]") {
  api::PartitionPosition position;
  position.partition = 1, position.next = 2, position.end = 3, position.frontier = 4,
  position.cursor = 5;
  position.checkpoint = 6, position.feed_time = market::kNoTime;
  CHECK(
      to_json(std::vector{position}) ==
      R"([{"partition":1,"next":2,"end":3,"frontier":4,"cursor":5,"checkpoint":6,"committed":0,"standby":false,"feed_time":null,)"
      R"("stopped":null,"events":{"read":0,"folded":0,"duplicates":0,"refused":0,"filtered":0}}])");
  api::SupervisionNode root;
  root.name = "root", root.state = "running", root.children_running = 2;
  root.children.resize(1);
  root.children[0].name = "symbol \"Q\"", root.children[0].state = "restarting";
  root.children[0].restarts = 1, root.children[0].last_error = "line\nbreak";
  root.children[0].restarting = {"one_for_one", "escalate", 10, 9, 60'000, 250};
  CHECK(
      to_json(root) ==
      R"({"name":"root","state":"running","restarts":0,"last_error":null,)"
      R"("since":"1970-01-01T00:00:00.000000000Z","restarting":null,"children_running":2,"children":[)"
      R"({"name":"symbol \"Q\"","state":"restarting","restarts":1,"last_error":"line\nbreak",)"
      R"("since":"1970-01-01T00:00:00.000000000Z","restarting":{"strategy":"one_for_one","budget":10,)"
      R"("budget_left":9,"budget_window_ms":60000,"backoff_left_ms":250,"escalation":"escalate"},)"
      R"("children_running":0,"children":[]}]})");
  CHECK(to_json(api::Health{true, false, "recovering"}) ==
        R"({"live":true,"ready":false,"reason":"recovering"})");
  CHECK(to_json(api::Health{true, true, ""}) == R"({"live":true,"ready":true,"reason":null})");
}

TEST_CASE("an error names its code and the field, or null", "[json]") {
  CHECK(to_json(Error{ErrorCode::not_found, "no symbol \"Q\"", "symbol"}) ==
        R"({"error":{"code":"not_found","message":"no symbol \"Q\"","field":"symbol"}})");
  CHECK(to_json(Error{ErrorCode::corrupt, "m", ""}) ==
        R"({"error":{"code":"corrupt","message":"m","field":null}})");
}

TEST_CASE("any bytes in a name still give JSON that parses", "[json]") {
  for (const std::string& bytes :
       {std::string("\x00\x01\x1f\x7f", 4), std::string("\xff\xfe"), std::string("\xc3\x28"),
        std::string("\xed\xa0\x80"), std::string("\xf0\x9f\x98\x80 ok"), std::string("\xe2\x82"),
        std::string("\\\"/\n\t")}) {
    auto book = test::sample_book(bytes, 1);
    REQUIRE_NOTHROW(nlohmann::json::parse(to_json(book)));
  }
  CHECK(nlohmann::json::parse(to_json(test::sample_book("\xf0\x9f\x98\x80", 1)))["symbol"] ==
        "\xf0\x9f\x98\x80");
  CHECK(nlohmann::json::parse(to_json(test::sample_book("a\xff", 1)))["symbol"] == "a\xef\xbf\xbd");
  CHECK(nlohmann::json::parse(to_json(test::sample_book("\\\"/\n\t", 1)))["symbol"] == "\\\"/\n\t");
}
