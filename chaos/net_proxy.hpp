// chaos/net_proxy.hpp -- a TCP proxy on loopback that spoils what goes through it.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace tapedeck::chaos {

enum class NetFault : std::uint8_t {
  none = 0,
  latency,    ///< 50 to 250 ms each way, drawn for each chunk
  cut,        ///< connections are reset, new ones too
  slow,       ///< 64 KiB a second and direction of each connection
  half_open,  ///< what is sent vanishes, nothing comes back, nobody is told
};
constexpr std::uint64_t kNetFaults = 5;
[[nodiscard]] std::string_view name(NetFault fault) noexcept;

/// Runs a thread of its own until it ends. Connections that were half open stay dead when that
/// fault is over, as they do where a machine is gone: only a client's own timeouts tell.
class NetProxy {
public:
  /// Takes a free port. Throws std::system_error where there is none.
  explicit NetProxy(std::uint64_t seed);
  ~NetProxy();
  NetProxy(const NetProxy&) = delete;
  NetProxy& operator=(const NetProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Where to from now on, on loopback; before the first connection comes.
  void lead_to(std::uint16_t port);
  void inject(NetFault fault);
  /// Connections that came so far, those that were reset at once included.
  [[nodiscard]] std::uint64_t connections() const noexcept;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tapedeck::chaos
