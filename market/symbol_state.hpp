// market/symbol_state.hpp -- the fold: one symbol's state, `state' = apply(state, event)`. Start
// here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "market/event.hpp"
#include "market/output.hpp"
#include "market/quarantine.hpp"
#include "market/result.hpp"
#include "market/settings.hpp"
#include "market/view.hpp"

namespace tapedeck::market {

struct SymbolSnapshot;  // market/snapshot.hpp

/// What a fold is doing right now.
struct UnderWay {
  bool known = false;  ///< false: between events
  FoldItem item;
};

/// Pure: no clock, no I/O, no floating point. Owned by one thread at a time.
///
/// Laws (tests/market/): advance(a), advance(b) = advance(b) for a <= b; any cut of a symbol's
/// messages into batches and any placing of marks gives the same outputs (by identity and content)
/// and digests; restore(snapshot()) folds on as the original would.
class SymbolState {
public:
  /// `settings` must outlive the state and be valid (config checks them).
  SymbolState(std::string symbol, const FoldSettings& settings);
  ~SymbolState();
  SymbolState(SymbolState&&) noexcept;
  SymbolState& operator=(SymbolState&&) noexcept;

  /// Feed time has come to `mark.feed_time`: closes what is due, in the order of due time, then
  /// rule. A mark of another source than the symbol's is not for it. Never changes the digest.
  void advance(const TimeMark& mark, Outputs& outputs);

  /// For each event: duplicate or refusal rules, then advance(its feed time), then its effect.
  /// Outputs carry the position of the event that made them due. Throws std::logic_error on a
  /// broken invariant: the state is then undefined and must be dropped.
  void apply(const Batch& batch, Outputs& outputs);

  /// Due items that advance() meets otherwise; replaces those told before.
  void set_due_rules(std::vector<DueRule> rules);
  /// The item that is being folded; after apply() or advance() threw, the one that made it throw.
  /// Async-signal-safe on the thread that folds.
  [[nodiscard]] UnderWay under_way() const noexcept;
  /// After a release: candles that were told with other contents go on from these revisions. The
  /// digest is taken anew.
  void revise(std::span<const CandleRevision> revisions);

  /// Goes over to other settings, between events. `marks`: the newest ones before that, by source;
  /// what they and the new settings make due is said at `at`. What both settings have goes on, a
  /// candle that was closed stays closed. An open candle of a width that goes is never said; a new
  /// time width begins with the first interval after the symbol's event time, one by activity with
  /// the next trade. The open metric window is dropped where its settings change. The digest is
  /// taken anew. `next` must outlive the state.
  void change_settings(const FoldSettings& next, std::span<const TimeMark> marks,
                       const Position& at, Outputs& outputs);

  /// Earliest feed time at which advance() would do something; kNever if nothing waits.
  [[nodiscard]] TimeNs next_due() const noexcept;
  /// The source whose feed time this symbol goes by; 0 before its first session event.
  [[nodiscard]] SourceId source() const noexcept;

  /// As of the last folded event, whatever marks came since.
  [[nodiscard]] Digest digest() const;
  /// The same computed from scratch by walking the book; equal to digest() if no mark came since
  /// the last event.
  [[nodiscard]] Digest recompute_digest() const;

  [[nodiscard]] SymbolSnapshot snapshot() const;
  /// Error `corrupt` if the snapshot contradicts itself or its digest (digest is checked unless
  /// `snapshot.marked`: a mark moved the state since the digest was taken).
  [[nodiscard]] static Result<SymbolState> restore(const SymbolSnapshot& snapshot,
                                                   const FoldSettings& settings);

  /// At most `depth` levels a side, 0 for all.
  [[nodiscard]] BookView book(std::size_t depth) const;
  [[nodiscard]] MetricsView metrics() const;
  [[nodiscard]] SymbolView view() const;
  /// Candles of this width that are open now or still correctable, ascending by open time (those by
  /// activity: by number), newest revision of each.
  [[nodiscard]] std::vector<Candle> candles(CandleWidth width) const;

  [[nodiscard]] const std::string& symbol() const noexcept;
  [[nodiscard]] const EventCounts& counts() const noexcept;
  /// For events left out before the fold (a symbol filter): counted as read and filtered.
  void count_filtered(std::uint64_t events) noexcept;
  /// Highest event time folded over all sources; kNoTime before the first. Instants are looked up
  /// by it.
  [[nodiscard]] TimeNs max_event_time() const noexcept;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tapedeck::market
