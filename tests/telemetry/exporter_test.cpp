#include "telemetry/exporter.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace tapedeck::telemetry;
using namespace std::chrono_literals;
namespace market = tapedeck::market;

namespace {

/// Samples by name with labels; fails the test on a line that is not of the format.
struct Parsed {
  std::map<std::string, double> samples;
  std::map<std::string, std::string> types;
};

Parsed parse(const std::string& text) {
  static const std::regex comment(R"(# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+))");
  static const std::regex sample(
      R"rx(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? ([-+0-9.eE]+|\+Inf|NaN))rx");
  Parsed out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    INFO(line);
    if (line.starts_with('#')) {
      REQUIRE(std::regex_match(line, match, comment));
      if (match[1] == "TYPE") {
        const bool first = out.types.emplace(match[2], match[3]).second;
        REQUIRE(first);
      }
    } else {
      REQUIRE(std::regex_match(line, match, sample));
      const bool first =
          out.samples.emplace(match[1].str() + match[2].str(), std::stod(match[3])).second;
      REQUIRE(first);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("every line is a comment or a sample, and every name begins with tapedeck_",
          "[exporter]") {
  const Metrics metrics(2);
  const auto parsed = parse(to_prometheus(metrics));
  CHECK(parsed.types.size() > 40);
  for (const auto& [name, type] : parsed.types) {
    INFO(name);
    CHECK(name.starts_with("tapedeck_"));
    CHECK((type == "counter") == name.ends_with("_total"));
  }
}

TEST_CASE("every counter of a partition is told, under its partition", "[exporter]") {
  Metrics metrics(2);
  auto& one = *metrics.partitions[1];
  std::uint64_t value = 1000;
  for (Counter* counter :
       {&one.records,        &one.marks,           &one.events,           &one.payload_bytes,
        &one.folded,         &one.duplicates,      &one.dead_letters,     &one.filtered,
        &one.outputs,        &one.credit_waits,    &one.checkpoints,      &one.snapshots,
        &one.snapshot_bytes, &one.symbol_restarts, &one.ingress_restarts, &one.delivered,
        &one.quarantined,    &one.released,        &one.sets_published,   &one.sets_failed,
        &one.sets_adopted,   &one.sets_refused}) {
    counter->store(++value);
  }
  for (Gauge* gauge :
       {&one.next_offset, &one.end_offset, &one.inflight_bytes, &one.inflight_batches,
        &one.pending_outputs, &one.symbols, &one.symbols_down, &one.undelivered, &one.committed,
        &one.stopped, &one.standby, &one.history_gap}) {
    gauge->store(static_cast<std::int64_t>(++value));
  }
  const auto parsed = parse(to_prometheus(metrics));
  std::uint64_t expected = 1000;
  for (const std::string name : {"records_total",
                                 "marks_total",
                                 "events_total",
                                 "payload_bytes_total",
                                 "folded_events_total",
                                 "duplicate_events_total",
                                 "dead_letters_total",
                                 "filtered_events_total",
                                 "outputs_total",
                                 "credit_waits_total",
                                 "checkpoints_total",
                                 "snapshots_total",
                                 "snapshot_bytes_total",
                                 "symbol_restarts_total",
                                 "ingress_restarts_total",
                                 "delivered_outputs_total",
                                 "quarantined_total",
                                 "released_total",
                                 "sets_published_total",
                                 "sets_failed_total",
                                 "sets_adopted_total",
                                 "sets_refused_total",
                                 "next_offset",
                                 "end_offset",
                                 "inflight_bytes",
                                 "inflight_batches",
                                 "pending_outputs",
                                 "symbols",
                                 "symbols_down",
                                 "undelivered_outputs",
                                 "committed_offset",
                                 "partition_stopped",
                                 "standby",
                                 "history_gap"}) {
    INFO(name);
    CHECK(parsed.samples.at("tapedeck_" + name + "{partition=\"1\"}") ==
          static_cast<double>(++expected));
    CHECK(parsed.samples.at("tapedeck_" + name + "{partition=\"0\"}") == 0);
  }
}

TEST_CASE("every counter of the process is told", "[exporter]") {
  Metrics metrics(1);
  std::uint64_t value = 0;
  for (Counter* counter :
       {&metrics.checkpointer_restarts, &metrics.gateway_restarts, &metrics.http_requests,
        &metrics.http_errors, &metrics.recorder_events, &metrics.recorder_records,
        &metrics.recorder_dead_letters, &metrics.sink_restarts, &metrics.deliveries,
        &metrics.delivery_failures, &metrics.replays_refused, &metrics.replays_expired,
        &metrics.stream_messages, &metrics.stream_gaps, &metrics.http_forwarded,
        &metrics.http_forward_failures}) {
    counter->store(++value);
  }
  metrics.http_connections = 17, metrics.replays = 18, metrics.stream_subscribers = 19;
  const auto parsed = parse(to_prometheus(metrics));
  std::uint64_t expected = 0;
  for (const std::string name :
       {"checkpointer_restarts_total", "gateway_restarts_total", "http_requests_total",
        "http_errors_total", "recorder_events_total", "recorder_records_total",
        "recorder_dead_letters_total", "sink_restarts_total", "deliveries_total",
        "delivery_failures_total", "replays_refused_total", "replays_expired_total",
        "stream_messages_total", "stream_gaps_total", "http_forwarded_total",
        "http_forward_failures_total", "http_connections", "replays", "stream_subscribers"}) {
    INFO(name);
    CHECK(parsed.samples.at("tapedeck_" + name) == static_cast<double>(++expected));
  }
}

TEST_CASE("findings are told by partition and name", "[exporter]") {
  Metrics metrics(2);
  metrics.partitions[1]->findings[static_cast<std::size_t>(market::Finding::outlier)] = 7;
  const auto parsed = parse(to_prometheus(metrics));
  const auto value = [&](const std::string& partition, const std::string& finding) {
    return parsed.samples.at("tapedeck_quality_findings_total{partition=\"" + partition +
                             "\",finding=\"" + finding + "\"}");
  };
  CHECK(value("1", "outlier") == 7);
  CHECK(value("0", "outlier") == 0);
  CHECK(value("1", "time_gap") == 0);
}

TEST_CASE("no field of the metrics was added without being told here", "[exporter]") {
  // A new field changes a size; add it to the exporter, to the tests above, and then here.
  STATIC_REQUIRE(sizeof(PartitionMetrics) ==
                 8 * (22 + 15 + 2 + market::kFindings) + 6 * sizeof(Histogram));
  STATIC_REQUIRE(sizeof(Metrics) == sizeof(std::vector<int>) + 8 * (17 + 3) +
                                        3 * sizeof(Histogram) + kNodes * sizeof(NodeMetrics));
  STATIC_REQUIRE(sizeof(NodeMetrics) == 8 * 2);
}

TEST_CASE("failures and spent budgets are told for each kind of supervised node", "[exporter]") {
  Metrics metrics(1);
  std::uint64_t value = 0;
  for (auto& node : metrics.nodes) node.failures = ++value, node.budgets_spent = ++value;
  const auto samples = parse(to_prometheus(metrics)).samples;
  double expected = 0;
  for (const std::string name : kNodeNames) {
    INFO(name);
    const auto label = "{node=\"" + name + "\"}";
    CHECK(samples.at("tapedeck_supervision_failures_total" + label) == ++expected);
    CHECK(samples.at("tapedeck_supervision_budgets_spent_total" + label) == ++expected);
  }
}

TEST_CASE("idle symbols are told by partition", "[exporter]") {
  Metrics metrics(2);
  metrics.partitions[1]->passive = 5;
  metrics.partitions[1]->passivated = 7;
  metrics.partitions[1]->wake_ns.record(1000);
  const auto samples = parse(to_prometheus(metrics)).samples;
  CHECK(samples.at("tapedeck_symbols_passive{partition=\"1\"}") == 5);
  CHECK(samples.at("tapedeck_passivations_total{partition=\"1\"}") == 7);
  CHECK(samples.at("tapedeck_symbol_wake_seconds_count{partition=\"1\"}") == 1);
}

TEST_CASE("lag is what is between the tape's end and what was read, never negative", "[exporter]") {
  Metrics metrics(1);
  auto& partition = *metrics.partitions[0];
  partition.end_offset = 100, partition.next_offset = 40;
  partition.newest_feed_time_ns = 5'500'000'000, partition.feed_time_ns = 3'000'000'000;
  auto samples = parse(to_prometheus(metrics)).samples;
  CHECK(samples.at("tapedeck_lag_records{partition=\"0\"}") == 60);
  CHECK(samples.at("tapedeck_lag_seconds{partition=\"0\"}") == 2.5);
  CHECK(samples.at("tapedeck_feed_time_seconds{partition=\"0\"}") == 3);
  partition.next_offset = 101, partition.feed_time_ns = 6'000'000'000;
  samples = parse(to_prometheus(metrics)).samples;
  CHECK(samples.at("tapedeck_lag_records{partition=\"0\"}") == 0);
  CHECK(samples.at("tapedeck_lag_seconds{partition=\"0\"}") == 0);
}

TEST_CASE("age of the checkpoint and uptime go by the time given", "[exporter]") {
  Metrics metrics(1);
  const auto now = metrics.started + 90s;
  auto samples = parse(to_prometheus(metrics, now)).samples;
  CHECK(samples.at("tapedeck_uptime_seconds") == Approx(90).margin(0.01));
  CHECK(samples.at("tapedeck_checkpoint_age_seconds{partition=\"0\"}") == Approx(90).margin(0.01));
  metrics.partitions[0]->checkpoint_wall_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>((now - 7s).time_since_epoch()).count();
  samples = parse(to_prometheus(metrics, now)).samples;
  CHECK(samples.at("tapedeck_checkpoint_age_seconds{partition=\"0\"}") == Approx(7).margin(0.01));
}

TEST_CASE("histograms are cumulative, their bounds inclusive, times in seconds", "[exporter]") {
  Metrics metrics(1);
  auto& partition = *metrics.partitions[0];
  for (const std::uint64_t value : {0, 1, 3, 4, 64}) partition.batch_events.record(value);
  partition.fold_ns.record(1'500'000'000);
  partition.fold_ns.record(100);
  partition.restart_ns.record(3'000'000);
  partition.checkpoint_ns.record(std::uint64_t{1} << 45);
  const auto samples = parse(to_prometheus(metrics)).samples;
  const auto at = [&](const std::string& name, const std::string& bound) {
    return samples.at("tapedeck_" + name + "_bucket{partition=\"0\",le=\"" + bound + "\"}");
  };
  CHECK(at("batch_events", "0") == 1);
  CHECK(at("batch_events", "1") == 2);
  CHECK(at("batch_events", "3") == 3);
  CHECK(at("batch_events", "7") == 4);
  CHECK(at("batch_events", "63") == 4);
  CHECK(at("batch_events", "127") == 5);
  CHECK(at("batch_events", "+Inf") == 5);
  CHECK(samples.at("tapedeck_batch_events_sum{partition=\"0\"}") == 72);
  CHECK(samples.at("tapedeck_batch_events_count{partition=\"0\"}") == 5);
  CHECK(at("fold_seconds", "1.023e-06") == 1);
  CHECK(at("fold_seconds", "1.073741823") == 1);
  CHECK(at("fold_seconds", "2.147483647") == 2);
  CHECK(samples.at("tapedeck_fold_seconds_sum{partition=\"0\"}") == Approx(1.5000001));
  CHECK(samples.at("tapedeck_symbol_restart_seconds_sum{partition=\"0\"}") == Approx(0.003));
  CHECK(at("checkpoint_seconds", "68.719476735") == 0);
  CHECK(at("checkpoint_seconds", "+Inf") == 1);
  CHECK(samples.contains("tapedeck_poll_records_bucket{partition=\"0\",le=\"0\"}"));
  CHECK(samples.contains("tapedeck_http_request_seconds_bucket{le=\"+Inf\"}"));
}
