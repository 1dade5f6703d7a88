// chaos/broker.hpp -- a Kafka broker of its own that can be killed and paused, by scripts/kafka.
#pragma once

#include <cstdint>
#include <string>

#include "chaos/child.hpp"
#include "chaos/scene.hpp"

namespace tapedeck::chaos {

class Broker {
public:
  /// Starts one in the scene's round. Where `advertised` is a port, clients that come by
  /// proxied_port() are told to come to that one instead. Throws CannotRun where it does not start.
  explicit Broker(Scene& scene, std::uint16_t advertised = 0);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  /// host:port, by no proxy.
  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  [[nodiscard]] std::uint16_t proxied_port() const noexcept { return proxied_port_; }

  void signal(int number) const;
  /// Begins to start it again on the same port; Broken where it cannot.
  void begin_start();
  /// Whether it answers since begin_start().
  [[nodiscard]] bool started();

private:
  [[nodiscard]] std::uint64_t number_in(const std::string& file) const;

  Scene& scene_;
  std::string folder_, address_;
  std::vector<std::string> start_;
  std::optional<Child> starting_;
  std::uint16_t proxied_port_ = 0;
};

}  // namespace tapedeck::chaos
