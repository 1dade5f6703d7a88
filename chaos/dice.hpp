// chaos/dice.hpp -- the faults of a simulated run: which there are, and each seed's own mix of
// them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string_view>

#include "feeds/random.hpp"

namespace tapedeck::chaos {

enum class Fault : std::uint8_t {
  fold_throws,         ///< a fold throws before an event of a record
  message_throws,      ///< a symbol actor throws at marks or a barrier
  read_throws,         ///< the tape throws under the ingress: its partition restarts
  read_fails,          ///< the tape cannot be read: the engine ends, and is started again
  read_corrupt,        ///< bytes flip between disk and reader
  refill_fails,        ///< a symbol's own records cannot be read
  short_read,          ///< a read brings less than it could
  late_news,           ///< what another process appended is not visible yet
  append_fails,        ///< the recorder's disk is full; it is opened again
  append_repeats,      ///< a record reaches the tape twice
  recorder_dies,       ///< and is fed its source again, from the start
  write_fails,         ///< the state's disk is full for a while
  write_throws,        ///< the state store throws before it wrote
  write_throws_after,  ///< ... after it wrote
  state_read_fails,    ///< a row of the state cannot be read
  misdirected_read,    ///< another row is read instead
  snapshot_rots,       ///< a bit of a stored snapshot flips, for good
  state_rots,          ///< a bit of any stored row flips, for good
  record_rots,         ///< a bit of a stored record flips, until the tape is repaired
  crash,               ///< the process is killed: what is in memory is lost
  power_loss,          ///< ... and the state's last writes too
  orderly_stop,        ///< the process is asked to stop, and started again
  slow_handler,        ///< virtual time runs on while a handler works
  clock_jump,          ///< virtual time leaps
  spurious_wake,       ///< an ingress is woken for nothing
  poison,              ///< an event that kills the fold each time, until it is quarantined
  gateway_dies,        ///< with the questions that wait in it
  fold_hangs,          ///< a handler does not return: the watchdog ends the process
  release,             ///< somebody puts a quarantined event through again
  release_fails,       ///< ... and it still kills the fold
  control_fails,       ///< a control record cannot be stored
  append_torn,         ///< the recorder dies within an append: all of it is there, or nothing
  misdirected_record,  ///< another record is read instead
  sink_fails,          ///< the sink cannot be reached
  sink_fails_late,     ///< ... after the rows went out: it is not known whether they did
  sink_throws,         ///< the sink's actor dies
  count_
};
constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::count_);
[[nodiscard]] std::string_view name(Fault fault) noexcept;

/// Thrown in place of what an injected exception stands for.
struct Injected : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Decides, from the seed alone, when which fault happens. Rates are per occasion; about half of
/// the faults never happen in a run.
class Dice {
public:
  explicit Dice(std::uint64_t seed);

  [[nodiscard]] bool hit(Fault fault);
  /// Called with each fault that happens.
  void on_hit(std::function<void(Fault)> told) { told_ = std::move(told); }
  /// From now on nothing more fails.
  void rest() noexcept { resting_ = true; }
  [[nodiscard]] bool resting() const noexcept { return resting_; }
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }
  [[nodiscard]] std::uint64_t hits(Fault fault) const {
    return hits_[static_cast<std::size_t>(fault)];
  }

private:
  feeds::Random random_;
  std::array<std::uint64_t, kFaults> one_in_{};  ///< 0: never
  std::array<std::uint64_t, kFaults> hits_{};
  std::function<void(Fault)> told_;
  bool resting_ = false;
};

}  // namespace tapedeck::chaos
