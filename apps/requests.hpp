// apps/requests.hpp -- requests to an engine in another process: files in a folder beside its
// state. The engine that owns the state answers; where none runs, whoever takes the lock does the
// work.
#pragma once

#include <chrono>
#include <string>

#include "actors/engine.hpp"
#include "market/result.hpp"
#include "schemas/state_codec.hpp"

namespace tapedeck::apps {

/// STATE/requests of a folder that holds DIR/state.
[[nodiscard]] std::string request_folder(const std::string& state_folder);

/// Asks the engine to put a quarantined item through, or to change a partition's settings, and
/// waits for its answer: the offset at which that takes effect. Errors: the engine's; `environment`
/// where none answered within `patience`.
[[nodiscard]] Result<market::Offset> request_control(const std::string& state_folder,
                                                     const schemas::ControlRecord& record,
                                                     std::chrono::milliseconds patience);

/// The engine's side: takes up what was asked since, at most every 200 ms.
class RequestDesk {
public:
  RequestDesk(actors::Engine& engine, const std::string& state_folder);
  void look();

private:
  void take_up(const std::string& file);
  actors::Engine& engine_;
  std::string folder_;
  std::chrono::steady_clock::time_point looked_{};
};

}  // namespace tapedeck::apps
