// chaos/observer.hpp -- asks a serving process while it is hurt, and judges its answers afterwards.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chaos/scene.hpp"
#include "market/digest.hpp"
#include "market/event.hpp"

namespace tapedeck::chaos {

class Observer {
public:
  explicit Observer(const Session& session) : session_(session) {}

  /// Asks for one symbol. False: nobody answered.
  bool ask(Scene& scene, std::uint16_t port);
  /// Every answer must be the undisturbed state at its position, and none may have called itself
  /// clean where that was not.
  void judge(Scene& scene, const storage::TapeReader& tape, const replay::FoldRules& rules);
  /// The same over an embedded tape.
  void judge(Scene& scene, const std::string& folder);

private:
  struct Answer {
    std::string symbol, digest, trust;
    market::Position position;
  };
  const Session& session_;
  std::vector<Answer> answers_;
};

/// The value of a metric, summed over its labels; 0 where it is not told.
[[nodiscard]] std::uint64_t metric(const std::string& metrics, std::string_view name);
/// Waits until the server is ready. Broken where that takes too long.
void wait_ready(Scene& scene, std::uint16_t port);
/// Waits until nothing is under way: then every event that was read is folded, a duplicate, a dead
/// letter or filtered. Returns the metrics.
std::string check_balance(Scene& scene, std::uint16_t port);

}  // namespace tapedeck::chaos
