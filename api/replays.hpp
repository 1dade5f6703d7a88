// api/replays.hpp -- the port to replays: players of one's own over the tape, each with a stream.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/backend.hpp"
#include "api/stream.hpp"

namespace tapedeck::api {

constexpr std::size_t kMaxReplaySymbols = 4096;  ///< named in a request
constexpr std::uint64_t kMaxSteps = 10'000;      ///< of one command
constexpr std::size_t kMaxReplayDepth = 100;     ///< levels a side of the stream's book

/// {symbols: [...], from, to, speed, loop, depth}: all may be left out.
struct ReplayRequest {
  std::vector<std::string> symbols;  ///< empty: all
  std::string from, to;              ///< P, as typed; empty: the tape's beginning and end
  std::string speed = "1";           ///< as typed: `max`, or 0.1 to 1000
  bool loop = false;
  std::size_t depth = 10;
};

struct ReplayCommand {
  enum class Kind : std::uint8_t { play, pause, step, seek, speed } kind = Kind::play;
  std::string unit = "event";  ///< step: event, record, second
  std::uint64_t count = 1;     ///< step: 1 to kMaxSteps
  std::string at;              ///< seek: P, as typed: the state as of it
  std::string speed;           ///< speed
};

struct ReplayStatus {
  std::string id;
  std::string state;  ///< playing, paused, ended
  std::string speed;
  bool loop = false;
  market::TimeNs time = market::kNoTime;     ///< event time reached
  std::optional<market::Position> position;  ///< of the event told last, none since a seek
  std::vector<std::string> symbols;
  std::uint64_t events = 0, records = 0, loops = 0;
  std::uint64_t subscribers = 0;
  std::string error;  ///< why it stopped, empty: it did not
};

/// Thread safe. Errors: not_found (field "id"); exhausted where there are as many as may be; those
/// of replay::Player.
class Replays {
public:
  virtual ~Replays() = default;
  /// Stands paused at its beginning.
  virtual void create(ReplayRequest request, Reply<ReplayStatus> reply) = 0;
  virtual void list(Reply<std::vector<ReplayStatus>> reply) = 0;
  virtual void get(std::string id, Reply<ReplayStatus> reply) = 0;
  virtual void command(std::string id, ReplayCommand command, Reply<ReplayStatus> reply) = 0;
  /// Ends it and its stream; gives its last status.
  virtual void remove(std::string id, Reply<ReplayStatus> reply) = 0;
  /// `wake` as Subscription::take says.
  [[nodiscard]] virtual Result<std::unique_ptr<Subscription>> subscribe(
      StreamQuery query, std::function<void()> wake) = 0;
};

/// The body of POST /v1/replays; empty: all defaults. Error `invalid` names the field.
[[nodiscard]] Result<ReplayRequest> parse_replay_request(std::string_view body);
/// `verb` is play, pause, step, seek or speed; the body has {unit, count}, {at} or {speed}.
[[nodiscard]] Result<ReplayCommand> parse_replay_command(std::string_view verb,
                                                         std::string_view body);
/// The parameters of /v1/stream as they stand in its target.
[[nodiscard]] Result<StreamQuery> parse_stream_query(std::string_view target);

[[nodiscard]] std::string to_json(const ReplayStatus& status);
[[nodiscard]] std::string to_json(const std::vector<ReplayStatus>& statuses);

}  // namespace tapedeck::api
