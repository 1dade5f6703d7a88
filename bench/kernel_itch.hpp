// bench/kernel_itch.hpp -- an ITCH 5.0 BinaryFILE as events in memory: only what the kernel's
// figures need.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "market/event.hpp"

namespace tapedeck::bench {

constexpr market::SourceId kSource = 1;

/// Events of one symbol that stand in a row.
struct Run {
  std::uint32_t symbol;
  std::size_t first, count;
};

struct Stream {
  std::vector<market::Event> events;
  std::vector<Run> runs;
  std::uint32_t symbols = 0;
};

/// Messages A F E C X D U P of the file, grouped by symbol within chunks of `chunk` messages; 1: as
/// they come. Throws std::runtime_error if the file cannot be read.
[[nodiscard]] Stream read_itch(const std::string& path, std::size_t chunk);

}  // namespace tapedeck::bench
