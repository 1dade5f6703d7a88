// apps/live_desk.hpp -- the stream of the running engine: what its folds come to, for subscribers
// of WS /v1/stream.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "actors/engine.hpp"
#include "actors/fold_tap.hpp"
#include "api/stream_json.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::apps {

struct LiveDeskOptions {
  api::StreamLimits stream;
  std::size_t depth = 10;  ///< levels a side of the stream's books
  /// Outputs that wait for the stream's thread at most; beyond that every subscriber is told of a
  /// gap and begins anew.
  std::size_t max_waiting = 65'536;
  /// How long it goes on without subscribers, for those who come back with a resume token.
  std::chrono::milliseconds linger{30'000};
};

/// Symbol actors leave what they came to, a thread makes messages of it: of a symbol's states only
/// the newest is told, of its outputs every one, once. Nobody subscribed: nothing is done. A slow
/// subscriber is told of a gap, never waited for.
class LiveDesk final : public actors::FoldTap {
public:
  /// `metrics` outlives it.
  LiveDesk(LiveDeskOptions options, telemetry::Metrics& metrics);
  ~LiveDesk() override;
  LiveDesk(const LiveDesk&) = delete;
  LiveDesk& operator=(const LiveDesk&) = delete;

  /// Whose folds it hears: asked for the states that a subscriber begins with; before the first
  /// subscriber. No subscription is made once it is gone.
  void attach(actors::Engine& engine);

  /// `wake` as Subscription::take says.
  [[nodiscard]] Result<std::unique_ptr<api::Subscription>> subscribe(api::StreamQuery query,
                                                                     std::function<void()> wake);

  [[nodiscard]] bool listens() const noexcept override {
    return listening_.load(std::memory_order_relaxed);
  }
  void told(const replay::SymbolFold& fold, const market::Outputs& outputs,
            market::Offset said_below) override;

private:
  using Clock = std::chrono::steady_clock;
  /// Of one symbol, since the thread looked last.
  struct News {
    std::optional<market::BookView> book;
    market::Outputs outputs;
    std::vector<market::CandleView> open_candles;
  };
  using AllNews = std::map<std::string, News, std::less<>>;
  /// What wakes the thread; subscribers may outlive the desk.
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    bool poked = false, stopping = false;
    void poke();
  };

  /// Of a symbol: where its newest outputs that were told stand, and which they are.
  struct Told {
    market::Position at;
    std::set<std::string> identities;
  };

  void run();
  void begin_to_listen();
  void fall_silent();
  void publish(AllNews& news);
  void publish_outputs(const std::string& symbol, const market::Outputs& outputs);
  void admit();

  const LiveDeskOptions options_;
  telemetry::Metrics& metrics_;
  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  std::atomic<bool> listening_ = false;

  // With signal_->mutex held.
  actors::Engine* engine_ = nullptr;
  AllNews news_;
  std::size_t waiting_ = 0;  ///< outputs in news_
  bool lost_ = false;
  bool states_known_ = false;  ///< every symbol's that was live when it began to listen
  std::map<std::string, Clock::time_point, std::less<>> candles_told_;

  // The thread's, but for the hub.
  std::shared_ptr<api::StreamHub> hub_;
  api::StreamEncoder encoder_;
  std::map<std::string, Told, std::less<>> told_;
  std::thread thread_;
};

}  // namespace tapedeck::apps
