// tests/api/fake_backend.hpp -- an engine of two symbols that answers from a thread of its own, and
// can be told not to.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/backend.hpp"
#include "tests/api/fake_replays.hpp"
#include "tests/api/sample_views.hpp"

namespace tapedeck::test {

/// Symbols "AAPL" and "BRK/B" exist. "SILENT" never answers until `release`; "THROWS" throws;
/// "CORRUPT", "DOWN", "OWNED" and "LATER" fail with that kind of error.
class FakeBackend final : public api::Backend {
public:
  FakeBackend() : worker_([this] { work(); }) {}
  ~FakeBackend() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    worker_.join();
  }

  void symbols(api::Reply<std::vector<market::SymbolView>> reply) override {
    run([reply = std::move(reply)] {
      reply(std::vector{sample_symbol("AAPL"), sample_symbol("BRK/B")});
    });
  }
  void symbol(std::string symbol, api::Reply<market::SymbolView> reply) override {
    answer(symbol, std::move(reply), [symbol] { return sample_symbol(symbol); });
  }
  void book(std::string symbol, std::size_t depth, api::At at,
            api::Reply<market::BookView> reply) override {
    {
      const std::lock_guard lock(mutex_);
      last_at_ = at;
    }
    answer(symbol, std::move(reply), [symbol, depth] { return sample_book(symbol, depth); });
  }
  void candles(api::CandleQuery query, api::Reply<std::vector<market::CandleView>> reply) override {
    {
      const std::lock_guard lock(mutex_);
      last_candles_ = query;
    }
    answer(query.symbol, std::move(reply), [symbol = query.symbol] {
      return std::vector{sample_candle(symbol), sample_candle(symbol)};
    });
  }
  void metrics(std::string symbol, api::Reply<market::MetricsView> reply) override {
    answer(symbol, std::move(reply), [symbol] { return sample_metrics(symbol); });
  }
  void alerts(api::AlertQuery query, api::Reply<std::vector<market::AlertView>> reply) override {
    const auto symbol = query.symbol.empty() ? "AAPL" : query.symbol;
    {
      const std::lock_guard lock(mutex_);
      last_alerts_ = std::move(query);
    }
    answer(symbol, std::move(reply), [symbol] { return std::vector{sample_alert(symbol)}; });
  }
  void positions(api::Reply<std::vector<api::PartitionPosition>> reply) override {
    run([reply = std::move(reply)] { reply(std::vector<api::PartitionPosition>(4)); });
  }
  void dead_letters(std::string symbol, api::Reply<std::vector<api::DeadLetter>> reply) override {
    run([symbol, reply = std::move(reply)] {
      api::DeadLetter letter;
      letter.id = "0:12:3", letter.kind = "quarantined", letter.symbol = symbol;
      letter.position = market::Position{0, 12, 3};
      letter.reason = "quarantined", letter.state = "released";
      letter.released_at = market::Position{0, 40, 0};
      letter.errors = {"a hole", "a \"hole\""};
      letter.event.emplace();
      reply(std::vector{letter});
    });
  }
  void supervision(api::Reply<api::SupervisionNode> reply) override {
    run([reply = std::move(reply)] {
      api::SupervisionNode root;
      root.name = "root", root.state = "running";
      reply(std::move(root));
    });
  }
  [[nodiscard]] FakeReplays& replays() override { return replays_; }
  [[nodiscard]] api::Health health() const override {
    return {live, ready, ready ? "" : "recovering partition 2"};
  }
  [[nodiscard]] std::string prometheus() const override { return "tapedeck_up 1\n"; }

  /// Lets those that were kept waiting have their answer.
  void release() {
    std::deque<std::function<void()>> kept;
    {
      const std::lock_guard lock(mutex_);
      kept.swap(kept_);
    }
    for (auto& job : kept) run(std::move(job));
  }
  [[nodiscard]] std::size_t kept() {
    const std::lock_guard lock(mutex_);
    return kept_.size();
  }
  [[nodiscard]] std::string last_at() {
    const std::lock_guard lock(mutex_);
    return last_at_;
  }
  [[nodiscard]] api::AlertQuery last_alerts() {
    const std::lock_guard lock(mutex_);
    return last_alerts_;
  }
  [[nodiscard]] api::CandleQuery last_candles() {
    const std::lock_guard lock(mutex_);
    return last_candles_;
  }

  std::atomic<bool> live{true}, ready{true};

private:
  template <class T, class Make>
  void answer(const std::string& symbol, api::Reply<T> reply, Make make) {
    if (symbol == "THROWS") throw std::runtime_error("the engine has a hole");
    if (symbol == "SILENT") {
      const std::lock_guard lock(mutex_);
      kept_.push_back([reply = std::move(reply), make] { reply(make()); });
      return;
    }
    run([symbol, reply = std::move(reply), make] {
      constexpr std::pair<std::string_view, ErrorCode> kFailing[] = {
          {"CORRUPT", ErrorCode::corrupt},
          {"DOWN", ErrorCode::environment},
          {"OWNED", ErrorCode::conflict},
          {"LATER", ErrorCode::out_of_range}};
      for (const auto& [name, code] : kFailing) {
        if (symbol == name) return reply(fail(code, "as asked for", "at"));
      }
      if (symbol == "AAPL" || symbol == "BRK/B") return reply(make());
      reply(fail(ErrorCode::not_found, "symbol: there is no " + symbol, "symbol"));
    });
  }
  void run(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
  }
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  FakeReplays replays_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_, kept_;
  std::string last_at_;
  api::CandleQuery last_candles_;
  api::AlertQuery last_alerts_;
  bool stopping_ = false;
  std::thread worker_;
};

}  // namespace tapedeck::test
