// actors/sink_worker.hpp -- what a sink still has to deliver of each partition, and in which
// pieces. A plain object; the actor around it has a thread of its own, since sinks block.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "actors/messages.hpp"
#include "actors/options.hpp"
#include "sinks/sink.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::actors {

class SinkWorker {
public:
  SinkWorker(sinks::OutputSink& sink, const EngineOptions& options, telemetry::Metrics& metrics)
      : sink_(sink), options_(options), metrics_(metrics) {}

  /// Forgets what an earlier ingress of the partition handed over; up to where its outputs are out.
  /// Nothing where a later one has opened.
  [[nodiscard]] Result<std::optional<Offset>> open(Partition partition, std::uint64_t opening);
  void forget(Partition partition) { parts_.erase(partition); }
  /// Of another opening: nothing.
  void take(const SinkTake& message);

  struct Report {
    Partition partition = 0;
    Delivered delivered;
  };
  /// One delivery of what lies below the frontiers, of all partitions together. Empty: nothing
  /// waits, and nothing was out before. Error: nothing is known of it; the next call asks first
  /// what is out.
  [[nodiscard]] Result<std::vector<Report>> pump();

private:
  struct Waiting {
    SaidPtr said;
    std::uint32_t index = 0;
    [[nodiscard]] const market::Output& output() const { return said->outputs[index]; }
  };
  struct Part {
    std::uint64_t opening = 0;
    Offset committed = 0, frontier = 0, reported = 0;
    std::vector<Waiting> waiting;
    std::size_t done = 0;  ///< handed over, and out or there before; not yet reported
  };
  /// The delivery, and how many of the waiting it takes from the front.
  struct Piece {
    Part* part = nullptr;
    std::size_t count = 0;
  };

  Result<void> settle_doubt();
  [[nodiscard]] std::vector<Report> reports();
  static void forget_committed(Part& part);
  static void arrange(Part& part);
  [[nodiscard]] Piece cut(Partition partition, Part& part, sinks::Delivery& delivery) const;

  sinks::OutputSink& sink_;
  const EngineOptions& options_;
  telemetry::Metrics& metrics_;
  std::map<Partition, Part> parts_;
  bool doubt_ = false;  ///< it is not known what became of the last delivery
};

}  // namespace tapedeck::actors
