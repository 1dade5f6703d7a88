// api/backend.hpp -- what the HTTP server asks of the engine. Start here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/stream.hpp"
#include "market/event.hpp"
#include "market/quality_watch.hpp"
#include "market/result.hpp"
#include "market/view.hpp"

namespace tapedeck::api {

/// Called exactly once, on any thread.
template <class T>
using Reply = std::function<void(Result<T>)>;

/// A state in the past, as the user typed it: `end`, `offset:N`, `partition:offset[:index]` or an
/// RFC 3339 instant. Empty: now.
using At = std::string;

struct CandleQuery {
  std::string symbol;
  std::string width;  ///< as typed: `1s`, `1m`
  std::optional<std::string> from,
      to;                      ///< RFC 3339 instants, from inclusive, to exclusive by open time
  bool fill_previous = false;  ///< fill=previous
};

/// The newest `limit` alerts of the range, oldest first.
struct AlertQuery {
  std::string symbol;                     ///< empty: all
  market::TimeNs from = market::kNoTime;  ///< by the alert's time, inclusive
  market::TimeNs to = market::kNever;     ///< exclusive
  std::size_t limit = 0;
};

struct PartitionPosition {
  std::uint32_t partition = 0;
  std::uint64_t next = 0;        ///< first offset not yet read
  std::uint64_t end = 0;         ///< first offset not yet on the tape
  std::uint64_t frontier = 0;    ///< outputs of everything before are delivered
  std::uint64_t cursor = 0;      ///< ... and stored
  std::uint64_t checkpoint = 0;  ///< newest checkpoint resumes here
  std::uint64_t committed = 0;   ///< ... and out on the output topics, where there are any
  bool standby = false;          ///< another engine owns it; here is a copy, folded so far
  market::TimeNs feed_time = 0;  ///< of the last mark read
  std::string stopped;           ///< why it is not read on; empty: it is
  market::EventCounts events;
};

struct SupervisionNode {
  std::string name;   ///< "root", "partition 0", "ingress 0", "symbol AAPL", "checkpointer", ...
  std::string state;  ///< running, restarting, recovering, stopped
  std::uint64_t restarts = 0;
  std::string last_error;
  market::TimeNs since = 0;  ///< of this state, wall clock
  /// How its supervisor restarts it; none where nobody does, or where nothing of it is known.
  struct Restarting {
    std::string strategy, escalation;  ///< as in the configuration
    std::uint32_t budget = 0, budget_left = 0;
    std::uint64_t budget_window_ms = 0;
    std::uint64_t backoff_left_ms = 0;  ///< 0: it does not wait
  };
  std::optional<Restarting> restarting;
  std::vector<SupervisionNode>
      children;  ///< symbols appear only if they ever restarted or are not running
  std::uint64_t children_running = 0;  ///< symbols not listed
};

/// Something that was refused.
struct DeadLetter {
  std::string id;                            ///< unique on its tape; `tapedeck dlq show` takes it
  std::string kind;                          ///< recorder, refused, quarantined
  std::string symbol;                        ///< empty: of the recorder
  std::optional<market::Position> position;  ///< none: of the recorder, it is not on the tape
  std::string reason;
  std::string state;  ///< kept, or for what is quarantined: quarantined, released
  std::optional<market::Position> released_at;
  std::vector<std::string> errors;     ///< of each attempt to fold it
  std::optional<market::Event> event;  ///< whole, in the instrument's units
  std::string source;                  ///< of the recorder's
  std::uint64_t byte_offset = 0;       ///< in that source
  std::string bytes;                   ///< those that did not decode, as they came
};

struct Health {
  bool live = true;
  bool ready = false;  ///< recovered, and caught up once
  std::string reason;  ///< why not
};

class Replays;  // api/replays.hpp

/// Thread safe. Unknown symbol: ErrorCode::not_found with field "symbol".
class Backend {
public:
  virtual ~Backend() = default;
  virtual void symbols(Reply<std::vector<market::SymbolView>> reply) = 0;
  virtual void symbol(std::string symbol, Reply<market::SymbolView> reply) = 0;
  virtual void book(std::string symbol, std::size_t depth, At at,
                    Reply<market::BookView> reply) = 0;
  virtual void candles(CandleQuery query, Reply<std::vector<market::CandleView>> reply) = 0;
  virtual void metrics(std::string symbol, Reply<market::MetricsView> reply) = 0;
  virtual void quality(std::string symbol, Reply<market::QualityView> reply) = 0;
  virtual void alerts(AlertQuery query, Reply<std::vector<market::AlertView>> reply) = 0;
  virtual void positions(Reply<std::vector<PartitionPosition>> reply) = 0;
  /// Of one symbol, or where it is empty of all; as far as they are stored.
  virtual void dead_letters(std::string symbol, Reply<std::vector<DeadLetter>> reply) = 0;
  virtual void supervision(Reply<SupervisionNode> reply) = 0;
  [[nodiscard]] virtual Replays& replays() = 0;
  /// The stream of the replay that the query names, else the running engine's. `wake` as
  /// Subscription::take says.
  [[nodiscard]] virtual Result<std::unique_ptr<Subscription>> subscribe(
      StreamQuery query, std::function<void()> wake) = 0;
  [[nodiscard]] virtual Health health() const = 0;
  /// Prometheus text.
  [[nodiscard]] virtual std::string prometheus() const = 0;
};

}  // namespace tapedeck::api
