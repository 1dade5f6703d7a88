// replay/publish.hpp -- puts what a player tells onto another tape, at the player's pace: what is
// read there is what a live feed would have brought.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "replay/player.hpp"
#include "schemas/batch_codec.hpp"
#include "storage/tape.hpp"

namespace tapedeck::replay {

/// Records hold what a symbol told between two flushes; a mark behind them says how far each
/// source's feed time has come. Every event stays as it is, and in its symbol's order: folds of
/// both tapes end in the same digests. One thread. A symbol that goes back in time on the tape (an
/// earlier day recorded behind a later one) cannot be published: what was said of the time would
/// become untrue.
class Publisher {
public:
  /// Error conflict (field "publish") where the target holds something already. Both outlive it.
  [[nodiscard]] static Result<Publisher> open(const storage::TapeReader& from,
                                              storage::TapeWriter& to);

  void take(const Told& told);
  void take(const market::TimeMark& mark);
  /// Bytes, roughly, that the next flush writes.
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  /// `reached`: everything up to this event time was taken. Error invalid (field "publish") where a
  /// symbol went back in time; after any other one nothing is lost: try again.
  Result<void> flush(TimeNs reached);
  /// The last flush. `whole`: all of the tape was taken, so sources that are complete there are
  /// complete here.
  Result<void> finish(TimeNs reached, bool whole);

private:
  struct Source {
    std::string name;
    bool complete = false;               ///< on the tape that it comes from
    TimeNs feed_time = market::kNoTime;  ///< taken
    TimeNs marked = market::kNoTime;
  };
  struct Pending {
    std::string symbol;
    market::SourceId source = 0;
    std::string source_name;
    std::vector<market::Event> events;
  };
  Publisher(storage::TapeWriter& to) : to_(&to) {}
  Result<void> write(TimeNs reached, bool whole, bool last);

  storage::TapeWriter* to_;
  std::map<market::SourceId, Source> sources_;
  std::vector<Pending> pending_;
  std::map<std::string, std::size_t, std::less<>> newest_;  ///< symbol to its last one in pending_
  std::size_t waiting_ = 0;
  std::optional<Error> untrue_;
  schemas::BatchEncoder encoder_;
};

}  // namespace tapedeck::replay
