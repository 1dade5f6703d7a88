// apps/standby.hpp -- warm copies of partitions that other engines of the group own: folded as far
// as their owners have committed, never further, so that they serve at once when they are assigned.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "actors/engine.hpp"
#include "apps/snapshot_sharing.hpp"
#include "sinks/kafka_group.hpp"
#include "sinks/kafka_members.hpp"
#include "sinks/kafka_nodes.hpp"

namespace tapedeck::apps {

class Standby {
public:
  struct Parts {
    sinks::KafkaGroup& group;
    SnapshotSharing* sharing = nullptr;  ///< null: a copy is folded from the tape's beginning
    sinks::KafkaNodes* nodes = nullptr;  ///< null: others are not told
    std::uint32_t copies = 0;            ///< of each partition (kafka.standby)
  };
  explicit Standby(Parts parts) : parts_(parts) {}
  ~Standby() { stop(); }
  Standby(const Standby&) = delete;
  Standby& operator=(const Standby&) = delete;

  void start(actors::Engine& engine);
  void stop();

  /// The partition is this engine's from now on; true if it is followed: Engine::open is all it
  /// takes. Waits while it is just being opened or closed as a copy.
  [[nodiscard]] bool take_over(market::Partition partition);
  /// After it was closed: it may be followed again.
  void let_go(market::Partition partition);

private:
  void run(const std::stop_token& stop);
  void follow_group();
  void begin(market::Partition partition);
  void end(const std::vector<market::Partition>& partitions);
  void close(market::Partition partition);
  void guide();
  void tell();
  void trouble(const std::string& doing, const Error& error);

  Parts parts_;
  actors::Engine* engine_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<market::Partition, std::size_t> followed_;  ///< control records known at its opening
  std::set<market::Partition> owned_;
  std::set<market::Partition> busy_;  ///< just being opened or closed as a copy
  std::string trouble_;               ///< as last said
  std::chrono::steady_clock::time_point looked_at_{}, told_at_{};
  std::jthread thread_;
};

}  // namespace tapedeck::apps
