// api/metrics_json.hpp -- metrics of a window as JSON members.
#pragma once

#include <cstdint>
#include <vector>

#include "api/json_writer.hpp"
#include "market/output.hpp"

namespace tapedeck::api {

constexpr int kMeanDigits = 9;  ///< of a mean of millionths

/// {"min","mean","max","last"}, null without samples; values count 10^exponent, the mean has
/// `mean_digits` decimals.
void write_summary(JsonWriter& out, const market::Summary& summary, std::uint64_t samples,
                   int exponent, int mean_digits);
/// Members of the open object: nothing where `further` is empty. market/further_metrics.hpp says
/// what they are; docs/metrics.md, how they are called.
void write_further(JsonWriter& out, const std::vector<market::MetricSummary>& further, int price,
                   int size);

}  // namespace tapedeck::api
