// actors/board.hpp -- what the actors show to the outside: positions, the supervision tree,
// failure. Thread safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "market/result.hpp"
#include "market/units.hpp"
#include "market/view.hpp"

namespace tapedeck::actors {

/// One partition as its ingress last published it.
struct PartitionStatus {
  market::Offset next = 0;        ///< first offset not yet read
  market::Offset end = 0;         ///< first offset not yet on the tape, when last looked
  market::Offset frontier = 0;    ///< outputs of everything before are delivered
  market::Offset cursor = 0;      ///< ... and stored
  market::Offset checkpoint = 0;  ///< the newest checkpoint resumes here
  market::TimeNs feed_time = market::kNoTime;
  market::EventCounts events;
  std::uint64_t symbols = 0, symbols_down = 0;
  market::Offset committed = 0;  ///< ... and out on the sink, where there is one
  bool open = false;             ///< this engine owns it
  bool standby = false;          ///< another one owns it; neither: all else says nothing
  std::string stopped;           ///< why it is not read on; empty: it is
  bool caught_up = false;        ///< has seen the tape's end since it started, every symbol live
};

/// A supervised child.
struct ChildStatus {
  std::string state = "running";  ///< running, restarting, recovering, stopped
  std::uint64_t restarts = 0;
  std::string last_error;
  market::TimeNs since = 0;      ///< of `state`, wall clock
  market::TimeNs starts_at = 0;  ///< restarting, or a symbol recovering: when its back-off is over
  std::optional<std::uint32_t> budget_left;  ///< restarts left as of its last failure; none: all
};

class Board {
public:
  explicit Board(std::uint32_t partitions) : partitions_(partitions) {}

  void publish(std::uint32_t partition, const PartitionStatus& status);
  /// It is this engine's, and not caught up.
  void open(std::uint32_t partition);
  /// It is another's, and followed.
  void stand_by(std::uint32_t partition);
  /// It is not this engine's any more.
  void close(std::uint32_t partition);
  /// A group has said which partitions are whose; before that none is anybody's.
  void settle_partitions();
  [[nodiscard]] bool partitions_settled() const;
  [[nodiscard]] std::vector<PartitionStatus> partitions() const;
  /// Of the first partition that is not read on, which the others do not mind.
  [[nodiscard]] std::optional<Error> stopped() const;

  /// Children by the name of the design's tree: "checkpointer", "partition 0", "ingress 0", "symbol
  /// AAPL". A symbol appears once it failed.
  void child(const std::string& name, const std::string& state, const std::string& error = {});
  /// It failed and starts again after `delay`.
  void child_waits(const std::string& name, const std::string& state, const std::string& error,
                   std::chrono::milliseconds delay, std::uint32_t budget_left);
  /// The partition's symbols begin anew: what stopped is running again.
  void symbols_begin(std::uint32_t partition);
  [[nodiscard]] std::map<std::string, ChildStatus> children() const;

  /// Told by the state store: why it does not store (empty: it does).
  void store_trouble(const std::string& why);
  [[nodiscard]] std::string store_trouble() const;
  /// The same of the sink: why outputs do not leave.
  void sink_trouble(const std::string& why);
  [[nodiscard]] std::string sink_trouble() const;

  /// From now on somebody waits for everything to be stored: what cannot be stored ends the engine
  /// instead of being tried again.
  void begin_drain();
  [[nodiscard]] bool draining() const;

  /// The first failure that ends the engine.
  void fail(Error error);
  void drained();
  [[nodiscard]] bool is_drained() const;
  /// Waits until the engine drained or failed; nothing on the first.
  [[nodiscard]] std::optional<Error> wait();
  [[nodiscard]] std::optional<Error> failure() const;

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PartitionStatus> partitions_;
  std::map<std::string, ChildStatus> children_;
  std::string store_trouble_, sink_trouble_;
  std::optional<Error> failure_;
  bool draining_ = false, drained_ = false, partitions_settled_ = false;
};

}  // namespace tapedeck::actors
