#include "api/output_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "api/json.hpp"
#include "api/json_writer.hpp"
#include "api/metrics_json.hpp"

namespace tapedeck::api {
namespace {

constexpr int kPpm = -6;  ///< imbalances are counted in millionths
constexpr int kSpreadExtraDigits = 4;
constexpr std::size_t kGuess = 640;  ///< a first guess of a row's bytes

std::string_view name(market::Side side) {
  return side == market::Side::bid ? "bid" : side == market::Side::ask ? "ask" : "none";
}

void write_end(JsonWriter& out, const market::Output& output) {
  out.key("trust").string(market::name(output.trust));
  out.key("position").raw(to_json(output.position));
}

void write(JsonWriter& out, std::string_view symbol, const market::Output& output,
           const market::MetricsRow& row) {
  const int price = output.scale.price;
  out.key("symbol").string(symbol);
  out.key("width").string(format_duration(row.width));
  out.key("open_time").time(row.open_time);
  out.key("close_time").time(row.open_time + row.width);
  out.key("samples").integer(row.samples);
  out.key("imbalance"), write_summary(out, row.imbalance_ppm, row.samples, kPpm, kMeanDigits);
  out.key("spread"), write_summary(out, row.spread, row.spread_samples, price,
                                   std::max(0, -price) + kSpreadExtraDigits);
  out.key("spread_samples").integer(row.spread_samples);
  out.key("order_flow_imbalance").decimal(row.order_flow_imbalance, output.scale.size);
  write_further(out, row.further, price, output.scale.size);
}

void write(JsonWriter& out, std::string_view symbol, const market::Output& output,
           const market::LateTrade& late) {
  const auto& event = late.event;
  out.key("symbol").string(symbol);
  out.key("width").string(format_width(late.width));
  out.key("kind").string(market::name(event.kind));
  out.key("time").time(event.time);
  out.key("price").decimal(event.price, output.scale.price);
  out.key("size").decimal(event.size, output.scale.size);
  out.key("side").string(name(event.side));
  out.key("id").integer(event.id);
  out.key("sequence").integer(event.sequence);
}

void write(JsonWriter& out, std::string_view symbol, const market::Output& output,
           const market::Refusal& refusal) {
  const auto& event = refusal.event;
  out.key("symbol").string(symbol);
  out.key("rule").string(market::name(refusal.rule));
  out.key("source").string(fmt::format("{:016x}", output.source));
  out.key("event").open('{');
  out.key("kind").string(market::name(event.kind));
  out.key("side").string(name(event.side));
  out.key("time").time(event.time);
  out.key("feed_time").time(event.feed_time);
  out.key("receive_time").time(event.receive_time);
  out.key("sequence").integer(event.sequence);
  out.key("index").integer(refusal.message_index);
  out.key("id").integer(event.id);
  out.key("price_units").integer(event.price);
  out.key("size_units").integer(event.size);
  out.key("other").integer(event.other);
  out.key("flags").integer(static_cast<unsigned>(event.flags));
  out.key("code").integer(static_cast<unsigned>(event.code));
  out.close('}');
}

}  // namespace

std::string to_json(std::string_view symbol, const market::Output& output) {
  const market::Instrument instrument{output.scale.price, output.scale.size, 0};
  if (const auto* alert = std::get_if<market::Alert>(&output.body)) {
    return to_json(market::AlertView{std::string(symbol), output.time, *alert, instrument,
                                     output.trust, output.position});
  }
  if (const auto* candle = std::get_if<market::Candle>(&output.body)) {
    return to_json(market::CandleView{std::string(symbol), *candle, instrument, output.trust,
                                      output.position});
  }
  JsonWriter out(kGuess);
  out.open('{');
  std::visit(
      [&](const auto& body) {
        using Body = std::decay_t<decltype(body)>;
        constexpr bool kOwn =
            std::is_same_v<Body, market::Candle> || std::is_same_v<Body, market::Alert>;
        if constexpr (!kOwn) write(out, symbol, output, body);
      },
      output.body);
  write_end(out, output);
  out.close('}');
  return out.take();
}

}  // namespace tapedeck::api
