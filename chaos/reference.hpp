// chaos/reference.hpp -- the undisturbed fold of a tape: in plain loops, as records arrive. What
// the engine stores and answers is held against it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "market/output.hpp"
#include "market/settings.hpp"
#include "replay/fold_rules.hpp"
#include "replay/symbol_fold.hpp"
#include "storage/memory_tape.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::chaos {

using market::Offset;
using market::Partition;

class Reference {
public:
  /// `settings` must outlive it.
  Reference(const market::FoldSettings& settings, std::uint32_t partitions);

  /// Folds everything followed so far again, by these control records.
  void go_by(const std::vector<schemas::ControlRecord>& records);
  [[nodiscard]] const replay::FoldRules& rules() const noexcept { return rules_; }
  /// Whether a control record names the symbol.
  [[nodiscard]] bool ruled(std::string_view symbol) const { return rules_.of(symbol) != nullptr; }

  /// Folds what is new on the tape. Throws where it does not decode: a tape under test is whole.
  void follow(const storage::TapeReader& tape);

  /// A symbol's state after a record.
  struct State {
    Offset next = 0;
    std::uint64_t events = 0;  ///< folded
    market::Digest digest;
    market::Trust trust = market::Trust::clean;
  };
  /// As of `next`, before what is released there; null before the symbol's first record.
  [[nodiscard]] const State* state(std::string_view symbol, Offset next) const;
  /// As of `next`, after what is released there; null where nothing is.
  [[nodiscard]] const State* released(std::string_view symbol, Offset next) const;

  struct Said {
    std::string symbol, identity;
    market::Output output;
  };
  /// Outputs of a partition, in the order of their emission.
  [[nodiscard]] const std::vector<Said>& said(Partition partition) const {
    return partitions_[partition].said;
  }
  /// Every time that it was said, in order: a refused event of a record that reached the tape twice
  /// is refused twice, and what a release changes is said again. Empty: never.
  [[nodiscard]] std::vector<const market::Output*> output(const std::string& symbol,
                                                          const std::string& identity) const;
  /// Different ones.
  [[nodiscard]] std::size_t outputs() const noexcept { return by_identity_.size(); }

  /// What a checkpoint at `next` must say.
  [[nodiscard]] std::vector<storage::Checkpoint::FeedTime> feed_times(Partition partition,
                                                                      Offset next) const;
  [[nodiscard]] std::uint64_t events_before(Partition partition, Offset next) const;

  [[nodiscard]] market::EventCounts counts(Partition partition) const;
  [[nodiscard]] const std::vector<std::string>& symbols(Partition partition) const {
    return partitions_[partition].symbols;
  }
  [[nodiscard]] Offset next(Partition partition) const { return partitions_[partition].next; }

private:
  struct Symbol {
    std::unique_ptr<replay::SymbolFold> fold;
    std::vector<State> states;
    std::vector<Offset> releases;  ///< the state after each has its next + 1
  };
  struct OnePartition {
    Offset next = 0;
    std::vector<std::string> symbols;
    std::vector<market::TimeMark> marks;
    std::vector<std::uint32_t> events;  ///< by offset
    std::vector<Said> said;
  };
  void keep(const storage::Record& record);
  void fold_kept();
  void fold(const storage::Record& record);
  void meet_releases(OnePartition& partition);
  void say(OnePartition& partition, const std::string& symbol, market::Outputs& outputs);

  const market::FoldSettings& settings_;
  replay::FoldRules rules_;
  std::vector<OnePartition> partitions_;
  storage::MemoryTape kept_;  ///< all that was followed, as it was then
  std::map<std::string, Symbol, std::less<>> symbols_;
  std::map<std::pair<std::string, std::string>, std::vector<std::pair<Partition, std::size_t>>>
      by_identity_;
};

}  // namespace tapedeck::chaos
