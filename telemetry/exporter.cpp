#include "telemetry/exporter.hpp"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <string_view>
#include <utility>

namespace tapedeck::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using WallClock = std::chrono::system_clock;

constexpr double kNsPerSecond = 1e9;

double wall_seconds(WallClock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

/// Buckets [first, last] of a histogram are told, each bound the largest integer of its bucket;
/// lower ones are in the first, higher ones in +Inf.
struct Range {
  std::size_t first, last;
  double unit;  ///< what a value is divided by
};
constexpr Range kCount{0, 24, 1};                // 0 to 16 million
constexpr Range kSeconds{10, 36, kNsPerSecond};  // 1 us to 69 s

ClientMetric::Histogram convert(const Histogram& histogram, const Range& range) {
  ClientMetric::Histogram out;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    out.sample_count += histogram.count(i);
    if (i < range.first || i > range.last) continue;
    const auto highest = (std::uint64_t{1} << i) - 1;
    out.bucket.push_back({out.sample_count, static_cast<double>(highest) / range.unit});
  }
  out.bucket.push_back({out.sample_count, std::numeric_limits<double>::infinity()});
  out.sample_sum = static_cast<double>(histogram.sum()) / range.unit;
  return out;
}

/// Gathers families; one call for each name, in the order of the text.
class Collector final : public prometheus::Collectable {
public:
  Collector(const Metrics& metrics, WallClock::time_point now) : metrics_(metrics), now_(now) {
    tape();
    fold();
    findings();
    checkpoints();
    process();
    supervision();
    http();
    replays();
    stream();
  }
  [[nodiscard]] std::vector<MetricFamily> Collect() const override { return families_; }

private:
  void tape();
  void fold();
  void findings();
  void checkpoints();
  void process();
  void supervision();
  void http();
  void replays();
  void stream();

  MetricFamily& family(std::string_view name, std::string_view help, MetricType type) {
    return families_.emplace_back(
        MetricFamily{"tapedeck_" + std::string(name), std::string(help), type, {}});
  }
  /// One sample a partition; `set(metric, partition metrics)` fills it.
  template <class Set>
  void each_partition(MetricFamily& out, Set set) {
    for (std::size_t i = 0; i < metrics_.partitions.size(); ++i) {
      ClientMetric metric;
      metric.label.push_back({"partition", std::to_string(i)});
      set(metric, *metrics_.partitions[i]);
      out.metric.push_back(std::move(metric));
    }
  }
  void counter(std::string_view name, std::string_view help, Counter PartitionMetrics::*field) {
    each_partition(family(name, help, MetricType::Counter), [field](ClientMetric& metric,
                                                                    const PartitionMetrics& from) {
      metric.counter.value = static_cast<double>((from.*field).load(std::memory_order_relaxed));
    });
  }
  void counter(std::string_view name, std::string_view help, const Counter& value) {
    ClientMetric metric;
    metric.counter.value = static_cast<double>(value.load(std::memory_order_relaxed));
    family(name, help, MetricType::Counter).metric.push_back(std::move(metric));
  }
  /// `value(partition metrics)` is a double.
  template <class Value>
  void derived(std::string_view name, std::string_view help, Value value) {
    each_partition(family(name, help, MetricType::Gauge),
                   [&](ClientMetric& metric, const PartitionMetrics& from) {
                     metric.gauge.value = value(from);
                   });
  }
  void gauge(std::string_view name, std::string_view help, Gauge PartitionMetrics::*field,
             double unit = 1) {
    derived(name, help, [=](const PartitionMetrics& from) {
      return static_cast<double>((from.*field).load(std::memory_order_relaxed)) / unit;
    });
  }
  void gauge(std::string_view name, std::string_view help, double value) {
    ClientMetric metric;
    metric.gauge.value = value;
    family(name, help, MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void histogram(std::string_view name, std::string_view help, Histogram PartitionMetrics::*field,
                 const Range& range) {
    each_partition(family(name, help, MetricType::Histogram),
                   [&](ClientMetric& metric, const PartitionMetrics& from) {
                     metric.histogram = convert(from.*field, range);
                   });
  }

  const Metrics& metrics_;
  WallClock::time_point now_;
  std::vector<MetricFamily> families_;
};

/// `newest` - `done`, never below zero: the two are read one after the other.
double lag(const Gauge& newest, const Gauge& done) {
  const auto there = newest.load(std::memory_order_relaxed),
             here = done.load(std::memory_order_relaxed);
  return there > here ? static_cast<double>(there - here) : 0.0;
}

void Collector::tape() {
  using P = PartitionMetrics;
  counter("records_total", "Records read from the tape.", &P::records);
  counter("marks_total", "Time marks read from the tape.", &P::marks);
  counter("events_total", "Events of the tape read, since its beginning.", &P::events);
  counter("payload_bytes_total", "Bytes of the records read.", &P::payload_bytes);
  gauge("next_offset", "First offset not yet read.", &P::next_offset);
  gauge("end_offset", "First offset not yet on the tape.", &P::end_offset);
  derived("lag_records", "Records on the tape that are not yet read.",
          [](const P& from) { return lag(from.end_offset, from.next_offset); });
  gauge("partition_stopped",
        "1: what comes next is not kept by the tape any more, see /v1/positions.", &P::stopped);
  gauge("feed_time_seconds", "Feed time of the newest record dispatched.", &P::feed_time_ns,
        kNsPerSecond);
  gauge("newest_feed_time_seconds", "Feed time of the tape's newest mark.", &P::newest_feed_time_ns,
        kNsPerSecond);
  derived("lag_seconds",
          "Feed time between the newest record dispatched and the tape's newest mark.",
          [](const P& from) {
            // Nothing dispatched yet: the difference to 1970 would say nothing.
            if (from.feed_time_ns.load(std::memory_order_relaxed) == 0) return 0.0;
            return lag(from.newest_feed_time_ns, from.feed_time_ns) / kNsPerSecond;
          });
  histogram("poll_records", "Records of one poll.", &P::poll_records, kCount);
}

void Collector::fold() {
  using P = PartitionMetrics;
  counter("folded_events_total", "Events of the tape folded, since its beginning.", &P::folded);
  counter("duplicate_events_total", "Events that were on the tape before.", &P::duplicates);
  counter("dead_letters_total", "Events refused.", &P::dead_letters);
  counter("filtered_events_total", "Events left out on request.", &P::filtered);
  counter("outputs_total", "Outputs delivered.", &P::outputs);
  histogram("batch_events", "Events of one batch, the message to one symbol.", &P::batch_events,
            kCount);
  histogram("fold_seconds", "Time to fold one batch.", &P::fold_ns, kSeconds);
  gauge("inflight_bytes", "Bytes between ingress and symbols.", &P::inflight_bytes);
  gauge("inflight_batches", "Batches between ingress and symbols.", &P::inflight_batches);
  counter("credit_waits_total", "Times the ingress waited for credit.", &P::credit_waits);
  gauge("pending_outputs", "Outputs between symbols and the output store.", &P::pending_outputs);
  counter("delivered_outputs_total", "Outputs that are out on Kafka.", &P::delivered);
  gauge("undelivered_outputs", "Outputs between symbols and the output topics.", &P::undelivered);
  gauge("committed_offset", "Outputs emitted below it are out on Kafka.", &P::committed);
  gauge("standby", "1: another engine owns the partition, here is a warm copy.", &P::standby);
  gauge("symbols", "Symbols known.", &P::symbols);
  gauge("symbols_passive", "Idle symbols without an actor.", &P::passive);
  counter("passivations_total", "Times that an idle symbol's actor went.", &P::passivated);
  histogram("symbol_wake_seconds",
            "From an idle symbol's next record or question until it is caught up.", &P::wake_ns,
            kSeconds);
  gauge("symbols_down", "Symbols that are restarting or catching up.", &P::symbols_down);
  counter("symbol_restarts_total", "Restarts of symbol actors.", &P::symbol_restarts);
  histogram("symbol_restart_seconds", "From a symbol's failure until it is caught up again.",
            &P::restart_ns, kSeconds);
  counter("quarantined_total", "Events and due items put into quarantine.", &P::quarantined);
  counter("released_total", "Events and due items released from quarantine.", &P::released);
  counter("ingress_restarts_total", "Restarts of the ingress.", &P::ingress_restarts);
}

void Collector::findings() {
  auto& out = family("quality_findings_total", "Events found wrong by quality.live, by finding.",
                     MetricType::Counter);
  for (std::size_t i = 0; i < market::kFindings; ++i) {
    each_partition(out, [i](ClientMetric& metric, const PartitionMetrics& from) {
      metric.label.push_back(
          {"finding", std::string(market::name(static_cast<market::Finding>(i)))});
      metric.counter.value = static_cast<double>(from.findings[i].load(std::memory_order_relaxed));
    });
  }
}

void Collector::checkpoints() {
  using P = PartitionMetrics;
  counter("checkpoints_total", "Checkpoints stored.", &P::checkpoints);
  counter("snapshots_total", "Snapshots stored.", &P::snapshots);
  counter("snapshot_bytes_total", "Bytes of the snapshots stored.", &P::snapshot_bytes);
  histogram("checkpoint_seconds", "Time from the barrier to the checkpoint stored.",
            &P::checkpoint_ns, kSeconds);
  gauge("checkpoint_timestamp_seconds",
        "When the newest checkpoint was stored; 0 before the first.", &P::checkpoint_wall_ns,
        kNsPerSecond);
  counter("sets_published_total", "Checkpoints published for a next owner.", &P::sets_published);
  counter("sets_failed_total", "Checkpoints that could not be published.", &P::sets_failed);
  counter("sets_adopted_total", "Published checkpoints that were taken over.", &P::sets_adopted);
  counter("sets_refused_total", "Published checkpoints that were not to be used.",
          &P::sets_refused);
  gauge("history_gap", "1: outputs before the state's beginning are still being folded for.",
        &P::history_gap);
  derived("checkpoint_age_seconds",
          "Time since the newest checkpoint was stored, or since the start before the first.",
          [this](const P& from) {
            const auto stored_ns = from.checkpoint_wall_ns.load(std::memory_order_relaxed);
            const auto since = stored_ns != 0 ? static_cast<double>(stored_ns) / kNsPerSecond
                                              : wall_seconds(metrics_.started);
            return std::max(0.0, wall_seconds(now_) - since);
          });
}

void Collector::process() {
  counter("checkpointer_restarts_total", "Restarts of the checkpointer.",
          metrics_.checkpointer_restarts);
  counter("sink_restarts_total", "Restarts of the output sink.", metrics_.sink_restarts);
  counter("deliveries_total", "Deliveries of outputs, transactions for one.", metrics_.deliveries);
  counter("delivery_failures_total", "Deliveries that failed and were tried again.",
          metrics_.delivery_failures);
  ClientMetric seconds;
  seconds.histogram = convert(metrics_.delivery_ns, kSeconds);
  family("delivery_seconds", "Time until a delivery's rows and offsets were out.",
         MetricType::Histogram)
      .metric.push_back(std::move(seconds));
  counter("gateway_restarts_total", "Restarts of the gateway.", metrics_.gateway_restarts);
  counter("recorder_events_total", "Events recorded.", metrics_.recorder_events);
  counter("recorder_records_total", "Records appended to the tape.", metrics_.recorder_records);
  counter("recorder_dead_letters_total", "Inputs the recorder could not decode.",
          metrics_.recorder_dead_letters);
  gauge("start_time_seconds", "When the process started.", wall_seconds(metrics_.started));
  gauge("uptime_seconds", "Time since the process started.",
        std::max(0.0, wall_seconds(now_) - wall_seconds(metrics_.started)));
  auto& build = family("build_info", "What is running; always 1.", MetricType::Gauge);
  ClientMetric one;
  one.label = {{"compiler", __VERSION__}, {"version", TAPEDECK_VERSION}};
  one.gauge.value = 1;
  build.metric.push_back(std::move(one));
}

void Collector::supervision() {
  const auto each = [this](std::string_view name, std::string_view help,
                           Counter NodeMetrics::*field) {
    auto& out = family(name, help, MetricType::Counter);
    for (std::size_t i = 0; i < kNodes; ++i) {
      ClientMetric metric;
      metric.label.push_back({"node", kNodeNames[i]});
      metric.counter.value =
          static_cast<double>((metrics_.nodes[i].*field).load(std::memory_order_relaxed));
      out.metric.push_back(std::move(metric));
    }
  };
  each("supervision_failures_total", "Failures of supervised nodes.", &NodeMetrics::failures);
  each("supervision_budgets_spent_total",
       "Failures of supervised nodes that their restart budget did not cover.",
       &NodeMetrics::budgets_spent);
}

void Collector::http() {
  counter("http_requests_total", "Requests answered.", metrics_.http_requests);
  counter("http_errors_total", "Requests answered with a status of 400 or more.",
          metrics_.http_errors);
  counter("http_forwarded_total", "Questions forwarded to the owner of their symbol.",
          metrics_.http_forwarded);
  counter("http_forward_failures_total",
          "Of these, not answered in time, or refused because too many waited.",
          metrics_.http_forward_failures);
  gauge("http_connections", "Connections open.",
        static_cast<double>(metrics_.http_connections.load(std::memory_order_relaxed)));
  ClientMetric seconds;
  seconds.histogram = convert(metrics_.http_ns, kSeconds);
  family("http_request_seconds", "Time from a request read to its answer made.",
         MetricType::Histogram)
      .metric.push_back(std::move(seconds));
}

void Collector::replays() {
  gauge("replays", "Replays open.",
        static_cast<double>(metrics_.replays.load(std::memory_order_relaxed)));
  counter("replays_refused_total", "Replays refused because there were as many as may be.",
          metrics_.replays_refused);
  counter("replays_expired_total", "Replays ended because nobody used them.",
          metrics_.replays_expired);
  ClientMetric seconds;
  seconds.histogram = convert(metrics_.replay_late_ns, kSeconds);
  family("replay_late_seconds", "From when a replay's event was due until it was told.",
         MetricType::Histogram)
      .metric.push_back(std::move(seconds));
}

void Collector::stream() {
  gauge("stream_subscribers", "Subscribers of the live stream.",
        static_cast<double>(metrics_.stream_subscribers.load(std::memory_order_relaxed)));
  counter("stream_messages_total", "Messages of the live stream.", metrics_.stream_messages);
  counter("stream_gaps_total", "Gaps told to subscribers of the live stream.",
          metrics_.stream_gaps);
}

}  // namespace

std::string to_prometheus(const Metrics& metrics, WallClock::time_point now) {
  return prometheus::TextSerializer().Serialize(Collector(metrics, now).Collect());
}

}  // namespace tapedeck::telemetry
