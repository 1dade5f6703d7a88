#include "api/metrics_json.hpp"

#include <algorithm>

#include "api/json.hpp"

namespace tapedeck::api {
namespace {

using Series = market::MetricSummary::Series;

constexpr int kRatioExponent = -6;
constexpr int kMicropriceDigits = 4;  ///< more than prices
constexpr int kExtraDigits = 4;       ///< of means

int mean_digits(int exponent) { return std::max(0, -exponent) + kExtraDigits; }

/// Twice the mid: half of it has one digit more.
void write_mid(JsonWriter& out, const market::Summary& twice, std::uint64_t count, int price) {
  market::Summary tenths = twice;  // times 10 / 2
  tenths.sum *= 5;
  const auto half = [&](std::int64_t value) {
    return decimal(market::Int128{value} * 5, price - 1);
  };
  out.key("mid");
  if (count == 0) return out.null();
  out.open('{');
  out.key("min").string(half(twice.min));
  out.key("mean").string(decimal_ratio(tenths.sum, count, price - 1, mean_digits(price - 1)));
  out.key("max").string(half(twice.max));
  out.key("last").string(half(twice.last));
  out.close('}');
}

/// (buys - sells) / (buys + sells).
void write_trade_flow(JsonWriter& out, market::Int128 buys, market::Int128 sells) {
  out.key("trade_flow_imbalance");
  if (buys + sells == 0) return out.null();
  out.string(decimal_ratio(buys - sells, buys + sells, 0, -kRatioExponent));
}

}  // namespace

void write_summary(JsonWriter& out, const market::Summary& summary, std::uint64_t samples,
                   int exponent, int digits) {
  if (samples == 0) return out.null();
  out.open('{');
  out.key("min").decimal(summary.min, exponent);
  out.key("mean").string(decimal_ratio(summary.sum, samples, exponent, digits));
  out.key("max").decimal(summary.max, exponent);
  out.key("last").decimal(summary.last, exponent);
  out.close('}');
}

void write_further(JsonWriter& out, const std::vector<market::MetricSummary>& further, int price,
                   int size) {
  market::Int128 buys = 0;
  for (const auto& [series, count, values] : further) {
    const auto plain = [&, count = count, &values = values](const char* name, int exponent,
                                                            int digits) {
      out.key(name), write_summary(out, values, count, exponent, digits);
    };
    switch (series) {
      case Series::weighted_imbalance:
        plain("weighted_imbalance", kRatioExponent, kMeanDigits);
        break;
      case Series::vtob: plain("vtob", kRatioExponent, kMeanDigits); break;
      case Series::microprice:
        plain("microprice", price - kMicropriceDigits, mean_digits(price - kMicropriceDigits));
        break;
      case Series::bid_depth: plain("bid_depth", size, mean_digits(size)); break;
      case Series::ask_depth: plain("ask_depth", size, mean_digits(size)); break;
      case Series::buys:
        buys = values.sum;
        out.key("buys").integer(count);
        out.key("buy_volume").decimal(values.sum, size);
        break;
      case Series::sells:
        out.key("sells").integer(count);
        out.key("sell_volume").decimal(values.sum, size);
        write_trade_flow(out, buys, values.sum);
        break;
      case Series::mid: write_mid(out, values, count, price); break;
      case Series::mid_moves:
        out.key("mid_moves").integer(count);
        // sum / 4 = 25 sum / 100
        out.key("realised_variance").decimal(values.sum * 25, 2 * price - 2);
        break;
    }
  }
}

}  // namespace tapedeck::api
