// replay/refold.hpp -- folds a stretch of the tape in plain loops, without actors: replay, verify,
// bench.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "market/settings.hpp"
#include "replay/symbol_fold.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

struct RefoldOptions {
  std::uint32_t threads = 1;  ///< partitions are dealt out to them
  storage::ReadLimits poll{std::size_t{32} << 20, 1u << 20};
  std::set<std::string> symbols;  ///< empty: all; the others' events are counted as filtered
  std::vector<Offset> to;         ///< by partition, exclusive; empty: the whole tape
  /// By partition: events of the last record below `to` that are folded; empty: all.
  std::vector<std::uint32_t> last_events;
  TimeNs instant = market::kNever;  ///< a symbol ends before its first event later than this
  std::vector<Offset> told_from;  ///< by partition: what is said before is not told; empty: all is
  bool marks = true;              ///< false: outputs that only a mark makes due stay open
};

/// What a refold tells while it runs; calls for one partition come from one thread.
struct RefoldListener {
  /// Before a record is folded, and once at the end with offset = the partition's `to`.
  std::function<void(const SymbolFold& fold, Offset next_record)> before;
  std::function<void(const SymbolFold& fold, const market::Outputs& outputs)> said;
  /// Records and events so far; from any thread.
  std::function<void(std::uint64_t records, std::uint64_t events)> progress;
  /// Called before each poll with the highest event time folded; may wait (pacing). False stops the
  /// refold.
  std::function<bool(Partition, TimeNs)> go_on;
};

struct Refolded {
  /// All symbols, ascending.
  std::map<std::string, SymbolFold, std::less<>> symbols;
  market::EventCounts counts;
  std::uint64_t records = 0, marks = 0;
  std::vector<Offset> next;  ///< by partition: where it stopped
};

/// Error: the first that any partition met.
[[nodiscard]] Result<Refolded> refold(const storage::TapeReader& tape, const FoldRules& rules,
                                      const RefoldOptions& options,
                                      const RefoldListener& listener = {});

}  // namespace tapedeck::replay
