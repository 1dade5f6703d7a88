// telemetry/metrics.hpp -- counters that the engine touches: plain atomics, once per batch, never
// per event.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "market/quality_watch.hpp"

namespace tapedeck::telemetry {

using Counter = std::atomic<std::uint64_t>;
using Gauge = std::atomic<std::int64_t>;

/// Powers of two: bucket k counts values in [2^(k-1), 2^k). Thread safe.
class Histogram {
public:
  static constexpr std::size_t kBuckets = 48;
  void record(std::uint64_t value) noexcept {
    const auto bucket = std::min<std::size_t>(std::bit_width(value), kBuckets - 1);
    buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count(std::size_t bucket) const noexcept {
    return buckets_[bucket].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t sum() const noexcept { return sum_.load(std::memory_order_relaxed); }

private:
  std::array<Counter, kBuckets> buckets_{};
  Counter sum_{};
};

/// Of one partition. Written by its ingress, its symbol actors and the checkpointer.
struct PartitionMetrics {
  Counter records{}, marks{}, events{}, payload_bytes{};  ///< read
  Counter folded{}, duplicates{}, dead_letters{}, filtered{};
  Counter outputs{};
  Gauge next_offset{}, end_offset{};  ///< lag in records = end - next
  Gauge feed_time_ns{};               ///< of the newest record dispatched
  Gauge newest_feed_time_ns{};        ///< of the tape's newest mark: lag in time = this - feed_time
  Gauge inflight_bytes{}, inflight_batches{};  ///< queue depth between ingress and symbols
  Counter credit_waits{};                      ///< times the ingress waited for credit
  Gauge pending_outputs{};                     ///< queue depth between symbols and the output store
  Counter delivered{};                         ///< outputs that are out on Kafka
  Gauge undelivered{};       ///< queue depth between symbols and the output topics
  Gauge committed{};         ///< every output with a lower emission offset is out
  Gauge stopped{};           ///< 1: what comes next on the tape is gone, it is not read on
  Gauge standby{};           ///< 1: another engine owns it, and it is followed here
  Histogram batch_events{};  ///< events a batch (one message to one symbol)
  Histogram fold_ns{};       ///< time to fold one batch
  Histogram poll_records{};  ///< records a poll
  Counter checkpoints{}, snapshots{}, snapshot_bytes{};
  Histogram checkpoint_ns{};   ///< barrier to stored
  Gauge checkpoint_wall_ns{};  ///< when the newest was stored; age = now - this
  /// Checkpoints for other engines: ours, and others' that were taken or not to be used.
  Counter sets_published{}, sets_failed{}, sets_adopted{}, sets_refused{};
  Gauge history_gap{};  ///< 1: outputs before the state's beginning are still folded for
  Counter symbol_restarts{}, ingress_restarts{};
  Counter quarantined{}, released{};
  Histogram restart_ns{};  ///< from a symbol's failure until it is caught up again
  Gauge symbols{}, symbols_down{};
  Gauge passive{};       ///< idle symbols without an actor
  Counter passivated{};  ///< times that a symbol went so
  Histogram wake_ns{};   ///< from its next record or question until it is caught up
  std::array<Counter, market::kFindings> findings{};  ///< by number
};

/// Kinds of supervised nodes.
enum class Node : std::uint8_t { root, partition, symbol, checkpointer, sink, gateway, count_ };
constexpr std::size_t kNodes = static_cast<std::size_t>(Node::count_);
constexpr std::array<const char*, kNodes> kNodeNames = {"root",         "partition", "symbol",
                                                        "checkpointer", "sink",      "gateway"};
struct NodeMetrics {
  Counter failures{};
  Counter budgets_spent{};  ///< failures that the restart budget did not cover
};

/// One for the process; partitions are fixed at start.
struct Metrics {
  explicit Metrics(std::size_t partition_count) {
    for (std::size_t i = 0; i < partition_count; ++i)
      partitions.push_back(std::make_unique<PartitionMetrics>());
  }
  std::vector<std::unique_ptr<PartitionMetrics>> partitions;
  std::array<NodeMetrics, kNodes> nodes;
  [[nodiscard]] NodeMetrics& of(Node node) noexcept {
    return nodes[static_cast<std::size_t>(node)];
  }
  Counter checkpointer_restarts{}, gateway_restarts{};
  Counter sink_restarts{}, deliveries{}, delivery_failures{};
  Histogram delivery_ns{};  ///< one delivery: its rows and offsets are out
  Counter http_requests{}, http_errors{};
  Counter http_forwarded{}, http_forward_failures{};  ///< questions to other engines
  Gauge http_connections{};
  Histogram http_ns{};
  Gauge replays{};
  Counter replays_refused{}, replays_expired{};
  Gauge stream_subscribers{};
  Counter stream_messages{}, stream_gaps{};
  Histogram replay_late_ns{};  ///< from when something was due until it was told
  Counter recorder_events{}, recorder_records{}, recorder_dead_letters{};
  const std::chrono::system_clock::time_point started =
      std::chrono::system_clock::now();  ///< uptime = now - this
};

}  // namespace tapedeck::telemetry
