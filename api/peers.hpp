// api/peers.hpp -- engines that share a tape: a question about a symbol goes to the one that owns
// it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/routes.hpp"

namespace tapedeck::telemetry {
struct Metrics;
}

namespace tapedeck::api {

/// A forwarded question carries this header, and is never forwarded again.
constexpr std::string_view kForwardedHeader = "X-Tapedeck-Forwarded";

/// Safe from several threads.
class Peers {
public:
  virtual ~Peers() = default;
  /// host:port of the engine that answers for the symbol; none: this one, or none is known.
  [[nodiscard]] virtual std::optional<std::string> owner(std::string_view symbol) const = 0;
};

struct ForwardLimits {
  /// Of the other engine, its name resolved and connected to as well; 503.
  std::chrono::milliseconds answer{5'000};
  std::size_t waiting = 256;  ///< questions under way; 503 to the one too many
};

/// Asks other engines over HTTP, on a thread of its own.
class Forwarder {
public:
  /// `metrics` may be null.
  explicit Forwarder(ForwardLimits limits = {}, telemetry::Metrics* metrics = nullptr);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  /// `done` is called once, with the other engine's answer as it is; where none comes, with 503 and
  /// a reason.
  void ask(const std::string& address, const Request& request, Done done);

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tapedeck::api
