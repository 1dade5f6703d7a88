// telemetry/exporter.hpp -- the counters as Prometheus text (format 0.0.4), through prometheus-cpp.
#pragma once

#include <chrono>
#include <string>

#include "telemetry/metrics.hpp"

namespace tapedeck::telemetry {

/// Everything in `metrics`, names beginning with `tapedeck_`, partitions as a label. Counters end
/// in `_total`, times are in seconds. Beside what is counted: lag in records and seconds, age of
/// the checkpoint, uptime, build. Each value is read once and atomically, the whole is not a
/// snapshot. Thread safe.
[[nodiscard]] std::string to_prometheus(const Metrics& metrics,
                                        std::chrono::system_clock::time_point now);
[[nodiscard]] inline std::string to_prometheus(const Metrics& metrics) {
  return to_prometheus(metrics, std::chrono::system_clock::now());
}

}  // namespace tapedeck::telemetry
