// market/fold.hpp -- the state behind SymbolState and how an event changes it. Private to market/.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "market/alerts.hpp"
#include "market/book.hpp"
#include "market/book_metrics.hpp"
#include "market/candles.hpp"
#include "market/emitter.hpp"
#include "market/further_metrics.hpp"
#include "market/quarantine.hpp"
#include "market/snapshot.hpp"
#include "market/symbol_state.hpp"

namespace tapedeck::market {

/// Event times between these are believed; interval arithmetic stays in range.
constexpr TimeNs kLatestTime = 9'000'000'000'000'000'000;
constexpr TimeNs kEarliestTime = -kLatestTime;
/// Bit of a session event's code: the book starts with a depth snapshot.
constexpr std::uint8_t kStartsBySnapshot = 0x80;

struct Fold {
  Fold(std::string symbol_name, const FoldSettings& fold_settings);

  // -- symbol_state.cpp: the path of nearly every event
  void apply(const Batch& batch, Outputs& outputs);
  void advance(const TimeMark& mark, Outputs& outputs);
  /// Earliest feed time at which advance() would say something, or find that it need not.
  [[nodiscard]] TimeNs next_due() const noexcept {
    return std::min(
        {window_.end(), candles_.idle_due(), alerts_.next_silence(silent_since_, feed_time_).due});
  }

  enum class Verdict : std::uint8_t { fold, duplicate, refuse };
  [[nodiscard]] Verdict judge_message(const Event& event);
  void fold_event(const Event& event);
  void come_to(TimeNs feed_time);
  void look_ahead(std::size_t i, std::uint32_t* hashes) const;
  [[nodiscard]] bool is_plain(const Event& event, const StreamSnapshot& stream) const noexcept;
  [[nodiscard]] bool ready_for_plain() noexcept;
  void fold_plain(const Event& event, std::uint32_t hash);
  std::size_t fold_message(std::size_t begin);
  /// Of a message that is_plain(), or of whatever message.
  enum class Path : std::uint8_t { plain, any };
  template <Path path>
  void commit(const Event& event);       ///< inlined into every frequent kind
  void commit_rare(const Event& event);  ///< the same for any path, called
  template <Path path>
  void fold_add(const Event& event, std::uint32_t hash);
  template <EventKind kind, Path path>
  void fold_take(const Event& event, std::uint32_t hash);
  template <Path path>
  void fold_print(const Event& event);
  template <EventKind kind>
  void take(const Event& event, Book::Found found);
  void fold_trade(const Event& event, std::uint64_t id, Price price, Size size, Side aggressor);
  void end_message();
  [[nodiscard]] std::int64_t best_changed();
  void judge_sample(bool other_spread);
  void apply_kept_event(const Event& event);

  // -- fold_rare.cpp: what is seldom
  [[nodiscard]] Verdict judge_foreign(const Event& event);
  [[nodiscard]] Verdict judge_hole(const Event& event);
  /// The first rule that the event's own fields break, if any.
  [[nodiscard]] std::optional<Refused> broken_rule(const Event& event) const;
  void refuse(Refused rule, const Event& event);
  void say_refusal(Refused rule, const Event& event);
  void meet(const EventMark& mark, const Event& event);
  void leave_out(const Event& event);
  void become_suspect(const Position& since);
  void heal() noexcept;
  [[nodiscard]] bool meet_due(const DueItem& item);
  void fold_session(const Event& event);
  void fold_replace(const Event& event);
  void replace(const Event& event, Book::Found found);
  void add_kept(const Event& event);
  void fold_level(const Event& event);
  void fold_quote(const Event& event);
  void fold_break(const Event& event);
  void fold_status(const Event& event);
  void fold_instrument(const Event& event);
  void fold_gap(const Event& event);
  void fold_clear(const Event& event);
  void fold_snapshot_begin(const Event& event);
  void fold_snapshot_end(const Event& event);
  void fold_kept(const Event& event);
  void unknown_order();
  void oversized_reduction();
  void start_depth();
  void set_gapped();
  void settle_message();
  enum class By : std::uint8_t { event, mark };
  void close_due(TimeNs feed_time, By by);
  void close_candle(const Candles::Due& due);
  void close_window();
  void open_window();
  void close_silence(TimeNs due);
  void close_by_event(const Event& event);
  /// After close_due(), once the times reached are set.
  void refresh_due() noexcept {
    const Alerts::Silence silence = alerts_.next_silence(silent_since_, feed_time_);
    mark_due_ = std::min({window_.end(), candles_.idle_due(), silence.due});
    next_due_ = silence.on_event ? kNoTime : mark_due_;
    next_close_ = candles_.event_due();
  }
  [[nodiscard]] MetricsRow window_row() const {
    MetricsRow row = window_.row();
    row.further = further_.series();
    return row;
  }
  [[nodiscard]] TimeNs max_event_time() const noexcept {
    return std::max(event_time_, earlier_event_time_);
  }

  // -- refusals.cpp
  /// From which event on the settings refuse the message beginning there (refused_rule_ says why),
  /// the price band aside; what begins a source or tells of an instrument, in front, is taken.
  [[nodiscard]] std::size_t forbidden(std::size_t begin);
  [[nodiscard]] std::optional<Refused> forbidding_rule(std::span<const Event> events) const;
  [[nodiscard]] bool crosses_quotes(std::span<const Event> message) const;
  [[nodiscard]] bool beyond_band(const Event& event);
  void forget_beyond() noexcept { beyond_band_ = false, price_beyond_ = 0, beyond_sequence_ = 0; }

  // -- symbol_snapshot.cpp
  void freeze();
  [[nodiscard]] Digest compute_digest(UInt128 book, UInt128 closed, UInt128 kept) const;
  [[nodiscard]] Digest digest() const;
  [[nodiscard]] Digest recompute_digest() const;
  void snapshot_into(SymbolSnapshot& snapshot) const;
  enum class Overdue : std::uint8_t { refused, allowed };  ///< what is due and still open
  [[nodiscard]] std::string restore_from(const SymbolSnapshot& snapshot, Overdue overdue);
  void close_overdue(const Position& at, Outputs& outputs);

  [[nodiscard]] bool price_allowed(Price price) const noexcept {
    return price <= kMaxPrice && price >= lowest_price_;
  }
  /// Ahead of its receive time by more than the settings allow.
  [[nodiscard]] bool is_ahead(const Event& event) const noexcept {
    return event.receive_time != 0 && event.time > event.receive_time &&
           wrapping_sub(event.time, event.receive_time) > time_lead_;
  }
  /// Where the fold is: read from a signal handler too, so loads only.
  [[nodiscard]] UnderWay under_way() const noexcept {
    if (closing_due_) return {true, {emitter_.position, due_under_way_}};
    if (batch_ == nullptr) return {};
    Position at = first_;  // after a throw the batch itself is gone
    at.index += static_cast<std::uint32_t>(__atomic_load_n(&at_, __ATOMIC_RELAXED));
    return {true, {at, {}}};
  }

  [[nodiscard]] Position position_at(std::size_t event_index) const noexcept {
    return {batch_->first.partition, batch_->first.offset,
            batch_->first.index + static_cast<std::uint32_t>(event_index)};
  }
  /// Before anything is said: outputs carry the position of the event under way.
  Emitter& emitter() noexcept {
    emitter_.position = position_at(at_);
    return emitter_;
  }
  [[nodiscard]] std::uint64_t join_stamp() const noexcept {
    return counts_.folded << 20 | kept_number_;
  }
  [[nodiscard]] Alerts::Cause alert_cause() const noexcept {
    if (message_sequence_ == 0) return {due_feed_time_, Alert::kByCount, counts_.folded, 0};
    const auto stream = static_cast<std::uint8_t>(message_stream_ - streams_.data());
    return {due_feed_time_, stream, message_sequence_, message_index_};
  }
  [[nodiscard]] Candles::Cause cause(const Event& event) const noexcept {
    return {event,       message_index_, due_feed_time_,
            event_time_, feed_time_,     trades_ - session_trades_};
  }

  // Hot, in the order of use.
  const Batch* batch_ = nullptr;  ///< of the call under way
  Position first_;                ///< the batch's
  /// Index of the event under way in the batch; stored for each, a signal handler may want it.
  std::size_t at_ = 0;
  std::size_t last_folded_ = 0;  ///< index in the batch, plus one; 0: none yet
  std::uint32_t message_index_ = 0;
  bool foreign_ = false;  ///< the batch is of another source than the symbol's
  bool keeping_ = false;  ///< resyncing: depth updates wait for the snapshot
  bool depth_seen_ = false;
  bool message_special_ =
      false;  ///< first fold of the message has a hole or a pending jump to settle
  bool message_hole_ = false;
  bool flow_reset_ = false;  ///< the message rebuilt the book: no order flow
  bool marked_ = false;      ///< frozen_ is the digest
  bool in_snapshot_ = false;
  std::uint8_t crossing_ = 0;
  Sequencing sequencing_ = Sequencing::message_number;
  Refused refused_rule_ = Refused::time_ahead;  ///< for Verdict::refuse
  Sequence message_sequence_ = 0;
  StreamSnapshot* message_stream_ = nullptr;
  TimeNs feed_time_ = kNoTime;
  TimeNs next_due_ = kNever;  ///< feed time of an event before which nothing is due
  TimeNs event_time_ = kNoTime;
  TimeNs next_close_ = kNever;      ///< event time that closes a candle
  TimeNs due_feed_time_ = kNoTime;  ///< feed time of the last folded event
  TimeNs silent_since_ = kNoTime;   ///< highest feed time of a folded event
  Price lowest_price_ = 0;
  std::uint64_t kept_number_ = 0;  ///< of the kept update that is applied, from 1; else 0
  UInt128 chain_ = 0;
  EventCounts counts_;
  std::array<StreamSnapshot, kStreams> streams_{};
  Touch best_bid_, best_ask_;  ///< as of the last message
  Book book_;
  MetricsWindow window_;
  FurtherMetrics further_;  ///< of that window
  Candles candles_;
  Alerts alerts_;
  TimeNs mark_due_ = kNever;  ///< feed time of a mark before which nothing is due
  std::uint64_t trades_ = 0, session_trades_ = 0;
  Price last_trade_ = 0;
  TimeNs time_lead_ = kNever;     ///< event time past receive time that is allowed
  bool strict_ = false;           ///< the settings refuse more than what is too far ahead
  bool known_ = true;             ///< the symbol, by the settings
  bool beyond_band_ = false;      ///< the last print was refused as beyond the band
  bool beyond_now_ = false;       ///< it is of the message that is folded
  Price price_beyond_ = 0;        ///< its price
  Sequence beyond_sequence_ = 0;  ///< of its message
  Emitter emitter_;               ///< holds source, trust and instrument

  // Cold.
  const FoldSettings* settings_;
  std::string symbol_;
  std::string source_name_;
  std::vector<SourceId> earlier_sources_;
  Position position_;
  Position trust_since_;
  bool suspect_ = false;
  bool closing_due_ = false;  ///< due_under_way_ is being closed
  Position suspect_since_;
  DueItem due_under_way_;
  std::vector<DueRule> due_rules_;
  TimeNs earlier_event_time_ = kNoTime;  ///< highest of earlier sources
  IntegrityCounts integrity_;
  std::array<StatusSnapshot, kStatusKinds> statuses_{};
  std::array<QuoteSnapshot, 2> quotes_{};
  std::vector<KeptUpdate> kept_updates_;
  Digest frozen_;
};

struct SymbolState::Impl : Fold {
  using Fold::Fold;
};

}  // namespace tapedeck::market
