// chaos/workload.hpp -- a seeded session, small and eventful: what is recorded, how it is folded,
// and how the engine is set up. Same seed, same session, on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/options.hpp"
#include "market/feed_batch.hpp"
#include "market/settings.hpp"
#include "storage/recorder.hpp"

namespace tapedeck::chaos {

/// One source, as its feed would hand it out.
struct SimSource {
  storage::RecorderOptions recording;
  std::vector<market::FeedBatch> batches;  ///< the last one says `end`
};

struct Workload {
  std::uint32_t partitions = 1;
  std::vector<SimSource> sources;  ///< recorded one after the other
  market::FoldSettings settings;
  actors::EngineOptions engine;
  bool sink = false;  ///< outputs are delivered too
};

[[nodiscard]] Workload make_workload(std::uint64_t seed);

}  // namespace tapedeck::chaos
