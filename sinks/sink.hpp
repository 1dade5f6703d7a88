// sinks/sink.hpp -- the port of an output sink: where candles, metric rows, alerts and refusals
// leave the engine. Start here.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "market/output.hpp"
#include "market/result.hpp"
#include "market/units.hpp"

namespace tapedeck::sinks {

using market::Offset;
using market::Partition;

/// Views: what they show lives during the call.
struct Row {
  std::string_view symbol;
  const market::Output* output = nullptr;
};

/// What one partition has to say: exactly its outputs with emission offsets in [committed, upto),
/// each symbol's in the order of emission.
struct Delivery {
  Partition partition = 0;
  Offset upto = 0;
  std::vector<Row> rows;
};

/// Blocks; used by one thread at a time.
class OutputSink {
public:
  virtual ~OutputSink() = default;
  /// Of each partition: every output with a lower emission offset is out. Settles first what an
  /// earlier delivery left open, so the answer is final.
  [[nodiscard]] virtual Result<std::vector<Offset>> committed(
      std::span<const Partition> partitions) = 0;
  /// Rows and `upto` of all deliveries go out together. After an error it is not known what became
  /// of them: committed() tells.
  virtual Result<void> deliver(std::span<const Delivery> deliveries) = 0;
};

}  // namespace tapedeck::sinks
