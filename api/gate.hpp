// api/gate.hpp -- the way from other threads back to what lives in the server's I/O context. For
// api/server.cpp and api/stream_session.cpp alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "telemetry/metrics.hpp"

namespace tapedeck::api {

/// Closed before the I/O context goes, so that what comes late finds a closed door and not a
/// dangling context.
class Gate {
public:
  /// Runs `enter` unless it is closed.
  template <class Enter>
  void pass(Enter enter) {
    const std::lock_guard lock(mutex_);
    if (open_) enter();
  }
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }

private:
  std::mutex mutex_;
  bool open_ = true;
};

/// Counts an open connection as long as it lives.
class ConnectionCount {
public:
  ConnectionCount(std::atomic<std::size_t>& open, telemetry::Metrics* metrics)
      : open_(open), metrics_(metrics) {
    show(++open_);
  }
  ~ConnectionCount() { show(--open_); }
  ConnectionCount(const ConnectionCount&) = delete;
  ConnectionCount& operator=(const ConnectionCount&) = delete;

private:
  void show(std::size_t now) {
    if (metrics_ != nullptr) metrics_->http_connections.store(static_cast<std::int64_t>(now));
  }
  std::atomic<std::size_t>& open_;
  telemetry::Metrics* metrics_;
};

}  // namespace tapedeck::api
