// api/server.hpp -- the HTTP server: sockets, limits and time-outs around the routes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "api/backend.hpp"
#include "api/peers.hpp"
#include "api/routes.hpp"
#include "market/result.hpp"

namespace tapedeck::telemetry {
struct Metrics;
}

namespace tapedeck::api {

/// What happens at each limit stands beside it.
struct ServerLimits {
  std::uint32_t header_bytes = 8 * 1024;    ///< 431, connection closed
  std::uint64_t body_bytes = 64 * 1024;     ///< 413, connection closed
  std::size_t connections = 1024;           ///< 503 to the one too many, closed
  std::chrono::milliseconds idle{60'000};   ///< for a whole request to arrive; closed
  std::chrono::milliseconds write{30'000};  ///< for a whole response to be taken; closed
  std::chrono::milliseconds reply{10'000};  ///< for the engine to answer; 503, connection kept
};

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;     ///< 0: any free one
  unsigned threads = 1;          ///< 1 or 2 are plenty; each takes any connection
  StaticFiles files;             ///< the page; may be empty
  const Peers* peers = nullptr;  ///< engines that share the tape; outlive the server
  ServerLimits limits;
};

/// Serves from `start` until `stop`. One connection has one request in work; further ones wait in
/// its socket. The engine may answer on any thread, also after `stop`; the backend and metrics must
/// outlive the server.
class Server {
public:
  /// ErrorCode::environment when the port is taken or not permitted, ErrorCode::invalid for a bad
  /// address.
  [[nodiscard]] static Result<std::unique_ptr<Server>> start(ServerOptions options,
                                                             Backend& backend,
                                                             telemetry::Metrics* metrics);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// The port bound.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Closes all connections and joins the threads. Twice is as good as once.
  void stop();

private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tapedeck::api
