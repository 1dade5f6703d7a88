// apps/tape_info.hpp -- the summary that `tape info` prints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "market/result.hpp"
#include "storage/tape.hpp"

namespace tapedeck::apps {

struct TapeInfo {
  struct PartitionInfo {
    storage::Offset start = 0, end = 0;
    std::uint64_t symbols = 0, records = 0, events = 0,
                  payload_bytes = 0;              ///< of symbols: marks apart
    storage::TimeNs feed_time = market::kNoTime;  ///< of the newest mark; kNoTime: none
  };
  std::vector<PartitionInfo> partitions;
  std::vector<storage::SourceInfo> sources;
  std::vector<storage::RecorderDeadLetter> dead_letters;
};

/// Sums up the per-symbol index; reads no record.
[[nodiscard]] Result<TapeInfo> read_tape_info(const storage::TapeReader& tape);

/// One JSON object and a line end. Dead letters with their bytes in hexadecimal.
[[nodiscard]] std::string info_json(const TapeInfo& info);
[[nodiscard]] std::string info_table(const TapeInfo& info);

}  // namespace tapedeck::apps
