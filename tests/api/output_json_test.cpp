#include "api/output_json.hpp"

#include <catch2/catch.hpp>

using namespace tapedeck;

namespace {

constexpr market::TimeNs kNoon = 1'767'614'400'000'000'000;  // 2026-01-05T12:00:00Z

template <class Body>
market::Output output(const Body& body) {
  market::Output made;
  made.time = kNoon;
  made.source = 0xabc;
  made.trust = market::Trust::gapped;
  made.position = {1, 20, 3};
  made.body = body;
  made.scale = {-4, -2};
  return made;
}

}  // namespace

TEST_CASE("a candle goes out as HTTP answers it, in the exponents it was said with", "[json]") {
  market::Candle candle;
  candle.width = market::kSecond, candle.open_time = kNoon, candle.closed = true;
  candle.open = candle.low = 123'4500, candle.high = candle.close = 124'0000;
  candle.volume = candle.buy_volume = 300, candle.notional = 371'000'000, candle.trades = 2;
  CHECK(api::to_json("AAPL", output(candle)) ==
        R"({"symbol":"AAPL","width":"1s","open_time":"2026-01-05T12:00:00.000000000Z",)"
        R"("close_time":"2026-01-05T12:00:01.000000000Z","open":"123.4500","high":"124.0000",)"
        R"("low":"123.4500","close":"124.0000","volume":"3.00","buy_volume":"3.00",)"
        R"("sell_volume":"0.00","notional":"371.000000","vwap":"123.66666667","trades":2,)"
        R"("revision":0,"state":"closed","ohlc_exact":true,"trust":"gapped",)"
        R"("position":{"partition":1,"offset":20,"index":3}})");
}

TEST_CASE("a metric row tells summaries, null where there was no sample", "[json]") {
  market::MetricsRow row;
  row.width = 60 * market::kSecond, row.open_time = kNoon, row.samples = 3;
  row.imbalance_ppm = {-500'000, 250'000, 100'000, -150'000};
  row.order_flow_imbalance = -250;
  CHECK(api::to_json("AAPL", output(row)) ==
        R"({"symbol":"AAPL","width":"1m","open_time":"2026-01-05T12:00:00.000000000Z",)"
        R"("close_time":"2026-01-05T12:01:00.000000000Z","samples":3,"imbalance":)"
        R"({"min":"-0.500000","mean":"-0.050000000","max":"0.250000","last":"0.100000"},)"
        R"("spread":null,"spread_samples":0,"order_flow_imbalance":"-2.50","trust":"gapped",)"
        R"("position":{"partition":1,"offset":20,"index":3}})");
}

TEST_CASE("a candle by activity tells its number and its own end", "[json]") {
  market::Candle candle;
  candle.width = market::candle_width(market::CandleMeasure::ticks, 100);
  candle.open_time = kNoon, candle.number = 301, candle.end_time = kNoon + 5;
  CHECK_THAT(api::to_json("AAPL", output(candle)),
             Catch::Contains(R"("width":"100t","number":301,"open_time":"2026-01-05T12:00:00.)"
                             R"(000000000Z","close_time":"2026-01-05T12:00:00.000000005Z",)"));
}

TEST_CASE("further metrics tell summaries, trade flow and variance", "[json]") {
  using S = market::MetricSummary::Series;
  market::MetricsRow row;
  row.further = {
      {S::microprice, 2, {1'234'500'0001, 1'234'500'0003, 1'234'500'0003, 2'469'000'0004}},
      {S::buys, 2, {100, 200, 200, 300}},
      {S::sells, 1, {100, 100, 100, 100}},
      {S::mid, 2, {2'469'001, 2'469'003, 2'469'003, 4'938'004}},
      {S::mid_moves, 1, {2, 2, 2, 4}}};
  CHECK_THAT(
      api::to_json("AAPL", output(row)),
      Catch::Contains(R"("microprice":{"min":"123.45000001","mean":"123.450000020000",)"
                      R"("max":"123.45000003","last":"123.45000003"},"buys":2,)"
                      R"("buy_volume":"3.00","sells":1,"sell_volume":"1.00",)"
                      R"("trade_flow_imbalance":"0.500000",)"
                      R"("mid":{"min":"123.45005","mean":"123.450100000","max":"123.45015",)"
                      R"("last":"123.45015"},"mid_moves":1,"realised_variance":"0.0000000100")"));
}

TEST_CASE("a late trade and a refusal tell the event that caused them", "[json]") {
  market::Event event;
  event.time = event.feed_time = kNoon, event.sequence = 7, event.id = 9;
  event.price = 123'4500, event.size = 100;
  event.kind = market::EventKind::trade, event.side = market::Side::ask;
  CHECK(api::to_json("AAPL", output(market::LateTrade{market::kSecond, event, 0})) ==
        R"({"symbol":"AAPL","width":"1s","kind":"trade","time":"2026-01-05T12:00:00.000000000Z",)"
        R"("price":"123.4500","size":"1.00","side":"ask","id":9,"sequence":7,"trust":"gapped",)"
        R"("position":{"partition":1,"offset":20,"index":3}})");
  CHECK(api::to_json("AAPL", output(market::Refusal{market::Refused::bad_side, event, 2})) ==
        R"({"symbol":"AAPL","rule":"bad_side","source":"0000000000000abc","event":{"kind":"trade",)"
        R"("side":"ask","time":"2026-01-05T12:00:00.000000000Z",)"
        R"("feed_time":"2026-01-05T12:00:00.000000000Z",)"
        R"("receive_time":"1970-01-01T00:00:00.000000000Z","sequence":7,"index":2,"id":9,)"
        R"("price_units":1234500,"size_units":100,"other":0,"flags":0,"code":0},"trust":"gapped",)"
        R"("position":{"partition":1,"offset":20,"index":3}})");
}

TEST_CASE("an alert goes out as HTTP answers it, each value in its rule's unit", "[json]") {
  market::Alert alert;
  alert.rule = market::AlertRule::spread_widening;
  alert.value = 312, alert.threshold = 2'000'000;
  alert.mean_sum = 10'000, alert.mean_count = 300;
  const std::string end = R"("trust":"gapped","position":{"partition":1,"offset":20,"index":3}})";
  CHECK(api::to_json("AAPL", output(alert)) ==
        R"({"symbol":"AAPL","rule":"spread_widening","level":null,"side":null,)"
        R"("time":"2026-01-05T12:00:00.000000000Z","value":"0.0312","threshold":"2.000000",)"
        R"("mean":"0.00333333","pattern":null,)" +
            end);
  alert = {};
  alert.rule = market::AlertRule::extreme_imbalance, alert.level = market::AlertLevel::high;
  alert.side = market::Side::ask, alert.value = -812'345, alert.threshold = 700'000;
  CHECK(api::to_json("AAPL", output(alert)) ==
        R"({"symbol":"AAPL","rule":"extreme_imbalance","level":"high","side":"ask",)"
        R"("time":"2026-01-05T12:00:00.000000000Z","value":"-0.812345","threshold":"0.700000",)"
        R"("mean":null,"pattern":null,)" +
            end);
  alert.rule = market::AlertRule::pattern, alert.level = market::AlertLevel::none;
  alert.side = market::Side::none, alert.pattern = "toxic_flow";
  alert.value = market::kSecond / 2, alert.threshold = 5 * market::kSecond;
  CHECK(api::to_json("AAPL", output(alert)) ==
        R"({"symbol":"AAPL","rule":"pattern","level":null,"side":null,)"
        R"("time":"2026-01-05T12:00:00.000000000Z","value":"0.500000000",)"
        R"("threshold":"5.000000000","mean":null,"pattern":"toxic_flow",)" +
            end);
}
