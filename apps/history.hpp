// apps/history.hpp -- which outputs DIR/state lacks: a partition that began at another engine's
// snapshots has none of what was said before them, until they are folded for.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "market/result.hpp"
#include "market/units.hpp"

namespace tapedeck::apps {

/// Outputs emitted in [from, to) are not in DIR/state.
struct HistoryGap {
  market::Offset from = 0, to = 0;
  friend bool operator==(const HistoryGap&, const HistoryGap&) = default;
};

/// Kept in the file DIR/history, a line a partition; safe from several threads. What is told is on
/// the disk when a call returns.
class History {
public:
  /// Error `corrupt` where the file cannot be understood.
  [[nodiscard]] static Result<std::map<market::Partition, HistoryGap>> read(const std::string& dir);
  [[nodiscard]] static Result<std::unique_ptr<History>> open(const std::string& dir);

  [[nodiscard]] std::optional<HistoryGap> gap(market::Partition partition) const;
  /// Joined with a gap that is there already.
  Result<void> add(market::Partition partition, HistoryGap gap);
  /// It is filled; one that has grown meanwhile stays.
  Result<void> filled(market::Partition partition, HistoryGap gap);

private:
  History(std::string dir, std::map<market::Partition, HistoryGap> gaps)
      : dir_(std::move(dir)), gaps_(std::move(gaps)) {}
  Result<void> write(std::map<market::Partition, HistoryGap> gaps);

  std::string dir_;
  mutable std::mutex mutex_;
  std::map<market::Partition, HistoryGap> gaps_;
};

}  // namespace tapedeck::apps
