// replay/player.hpp -- plays a tape like a recording: play, pause, step, seek, speed, loop. Pure:
// the clock is handed in.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "replay/merge.hpp"
#include "replay/pace.hpp"
#include "replay/time_travel.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::replay {

struct PlayerOptions {
  MergeOptions merge;
  /// Where it begins and what it loops to: with a position, behind an instant. None: the tape's
  /// beginning.
  std::optional<Moment> from;
  Speed speed;
  bool loop = false;
};

enum class PlayState : std::uint8_t { paused, playing, ended };
[[nodiscard]] std::string_view name(PlayState state) noexcept;

enum class StepUnit : std::uint8_t {
  event,   ///< a message, whose events belong together
  record,  ///< to the end of the record that the next message is in
  second,  ///< all that is within a second of event time
};
/// `event`, `record`, `second`.
[[nodiscard]] Result<StepUnit> parse_step(std::string_view text, std::string_view field);

/// What was told: a message of a symbol after it was folded, or what a mark made it say.
struct Told {
  const SymbolFold& fold;
  std::uint32_t symbol;  ///< number in Player::symbols()
  MergePlace place;
  std::span<const market::Event> events;  ///< empty for a mark
  const market::Outputs& outputs;
  market::SourceId source;       ///< of the events' record; 0 for a mark
  std::string_view source_name;  ///< where the record holds a session event
  ClockNs due;                   ///< when it was to be told; kDueAtOnce where nothing said when
};
using TellTo = std::function<void(const Told&)>;

/// One player: not thread safe, owns its folds. Tape, state (may be null) and the rules' settings
/// outlive it.
///
/// Every symbol's events are folded in order, all of them from where it began or was sought to:
/// what it says from a place on, a replay from the beginning says there, in content and position.
/// After a seek a symbol's state is restored when it is needed (newest good snapshot, then its own
/// records), or ahead by restore_one().
class Player {
public:
  /// Stands paused at `from`.
  [[nodiscard]] static Result<Player> open(const storage::TapeReader& tape,
                                           const storage::StateReader* state,
                                           const FoldRules& rules, PlayerOptions options);

  /// At the end it stays there.
  void play(ClockNs now);
  void pause(ClockNs now);
  void set_speed(ClockNs now, Speed speed);
  void set_loop(bool loop) noexcept { loop_ = loop; }
  /// Hears each mark that is taken, after what it made due was told.
  void on_mark(std::function<void(const market::TimeMark&)> hear) { hear_mark_ = std::move(hear); }
  /// Goes on playing, or stays paused, there; from the end it is paused. AtOffset needs a
  /// partition. Error out_of_range (field "at") beyond the tape; nothing changes then.
  Result<void> seek(ClockNs now, const Moment& moment);
  /// Tells `count` more units, without pace, and pauses. Gives how many there were.
  Result<std::uint64_t> step(ClockNs now, StepUnit unit, std::uint64_t count, const TellTo& tell);

  /// When something is to be told next: kNeverDue unless it plays.
  [[nodiscard]] ClockNs next_due() const noexcept;
  /// Tells what is due by `now`, at most `most` messages and marks; gives how many it took.
  Result<std::size_t> tell_due(ClockNs now, std::size_t most, const TellTo& tell);

  /// Restores one state that a seek left open. False: there is none.
  Result<bool> restore_one();
  /// A symbol's state here.
  [[nodiscard]] Result<const SymbolFold*> fold(std::uint32_t symbol);

  [[nodiscard]] const std::vector<std::string>& symbols() const noexcept {
    return merge_.symbols();
  }
  [[nodiscard]] PlayState state() const noexcept { return state_; }
  [[nodiscard]] Speed speed() const noexcept { return speed_; }
  [[nodiscard]] bool loop() const noexcept { return loop_; }
  /// Event time that it has reached; kNoTime at the tape's beginning.
  [[nodiscard]] TimeNs time() const noexcept { return time_; }
  [[nodiscard]] TimeNs last_event_time() const { return merge_.last_event_time(); }
  /// The message told last; none since the last seek.
  [[nodiscard]] const std::optional<market::Position>& position() const noexcept {
    return position_;
  }
  [[nodiscard]] std::uint64_t events_told() const noexcept { return events_told_; }
  [[nodiscard]] std::uint64_t records_told() const noexcept { return records_told_; }
  [[nodiscard]] std::uint64_t loops() const noexcept { return loops_; }
  /// Snapshots that were passed over because their bytes are bad: one message each.
  [[nodiscard]] const std::vector<std::string>& bad_snapshots() const noexcept {
    return bad_snapshots_;
  }

private:
  struct Symbol {
    std::optional<SymbolFold> fold;
    const TapeMerge::MarkLane* marks = nullptr;  ///< of the source it goes by
    std::size_t marks_told = 0;
  };
  Player(const storage::TapeReader& tape, const storage::StateReader* state, const FoldRules& rules,
         TapeMerge merge)
      : tape_(&tape), state_store_(state), rules_(rules), merge_(std::move(merge)) {}

  Result<void> go_to(const std::optional<Moment>& moment, TapeMerge::Side side);
  Result<void> restore(std::uint32_t number);
  void follow_source(std::uint32_t number, Offset offset);
  [[nodiscard]] std::size_t marks_due(std::uint32_t number) const;
  Result<void> restore_for_head();
  Result<void> meet_turns(std::uint32_t number, Offset upto);
  Result<void> advance(std::uint32_t number, std::size_t marks);
  Result<void> tell_next(const TellTo& tell);
  Result<void> tell_message(const MergeItem& item, ClockNs due, const TellTo& tell);
  Result<void> tell_mark(const MergeItem& item, ClockNs due, const TellTo& tell);
  Result<void> tell_last_turns(const TellTo& tell);
  Result<void> at_end(ClockNs now);
  void anchor(ClockNs now);

  const storage::TapeReader* tape_;
  const storage::StateReader* state_store_;
  FoldRules rules_;
  TapeMerge merge_;
  std::optional<Moment> from_;
  std::vector<Symbol> folds_;
  std::size_t restored_ = 0;  ///< symbols before it have a state
  PlayState state_ = PlayState::paused;
  Speed speed_;
  Pace pace_;
  bool loop_ = false;
  std::function<void(const market::TimeMark&)> hear_mark_;
  TimeNs time_ = market::kNoTime;
  std::optional<market::Position> position_;
  std::optional<market::Position> ended_record_;  ///< by the message told last
  std::uint64_t events_told_ = 0, records_told_ = 0, loops_ = 0;
  market::Outputs outputs_;
  std::vector<std::string> bad_snapshots_;
};

}  // namespace tapedeck::replay
