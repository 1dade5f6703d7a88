#include "apps/live_desk.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace tapedeck::apps {

namespace {

constexpr std::chrono::milliseconds kOpenCandlesEvery{200};
/// States that follow each other faster are told as one.
constexpr std::chrono::milliseconds kPause{1};

/// The engine's stream counts on from the time of its start, so that a resume token of an engine
/// before this one is known to be old.
std::uint64_t first_seq() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

}  // namespace

void LiveDesk::Signal::poke() {
  {
    const std::lock_guard lock(mutex);
    poked = true;
  }
  changed.notify_one();
}

LiveDesk::LiveDesk(LiveDeskOptions options, telemetry::Metrics& metrics)
    : options_(options),
      metrics_(metrics),
      hub_(std::make_shared<api::StreamHub>(
          options.stream, [signal = signal_] { signal->poke(); }, first_seq())),
      encoder_(*hub_, options.depth),
      thread_([this] { run(); }) {}

LiveDesk::~LiveDesk() {
  {
    const std::lock_guard lock(signal_->mutex);
    signal_->stopping = true;
  }
  signal_->poke();
  thread_.join();
  hub_->end();
}

void LiveDesk::attach(actors::Engine& engine) {
  const std::lock_guard lock(signal_->mutex);
  engine_ = &engine;
}

Result<std::unique_ptr<api::Subscription>> LiveDesk::subscribe(api::StreamQuery query,
                                                               std::function<void()> wake) {
  return hub_->subscribe(std::move(query), std::move(wake));
}

void LiveDesk::told(const replay::SymbolFold& fold, const market::Outputs& outputs,
                    market::Offset said_below) {
  auto book = fold.state().book(options_.depth);
  const auto now = Clock::now();
  {
    const std::lock_guard lock(signal_->mutex);
    auto& news = news_[book.symbol];
    auto& candles = candles_told_[book.symbol];
    if (now - candles >= kOpenCandlesEvery) {
      candles = now;
      news.open_candles = api::open_candles(fold.state(), fold.settings());
    }
    news.book = std::move(book);
    if (waiting_ + outputs.size() > options_.max_waiting) {
      lost_ = true;
    } else {
      const auto before = news.outputs.size();
      std::ranges::copy_if(
          outputs, std::back_inserter(news.outputs),
          [&](const market::Output& output) { return output.position.offset >= said_below; });
      waiting_ += news.outputs.size() - before;
    }
    signal_->poked = true;
  }
  signal_->changed.notify_one();
}

void LiveDesk::run() {
  auto wanted_until = Clock::now();
  while (true) {
    AllNews news;
    bool lost = false, known = false;
    {
      std::unique_lock lock(signal_->mutex);
      const auto woken = [this] { return signal_->poked || signal_->stopping; };
      if (listens()) {
        (void)signal_->changed.wait_until(lock, wanted_until, woken);
      } else {
        signal_->changed.wait(lock, woken);
      }
      if (signal_->stopping) return;
      signal_->poked = false;
      news.swap(news_);
      waiting_ = 0;
      lost = std::exchange(lost_, false);
      known = states_known_;
    }
    if (hub_->subscribers() > 0) {
      wanted_until = Clock::now() + options_.linger;
      if (!listens()) begin_to_listen();
    } else if (listens() && Clock::now() >= wanted_until) {
      fall_silent();
      continue;
    }
    publish(news);
    if (lost) hub_->lose_all();
    if (known) admit();
    metrics_.stream_subscribers = static_cast<std::int64_t>(hub_->subscribers());
    metrics_.stream_messages = hub_->published();
    metrics_.stream_gaps = hub_->gaps();
    std::this_thread::sleep_for(kPause);
  }
}

/// The states that there are come as news.
void LiveDesk::begin_to_listen() {
  listening_ = true;
  actors::Engine* engine = nullptr;
  {
    const std::lock_guard lock(signal_->mutex);
    engine = engine_;
  }
  engine->ask_all([this](const actors::SymbolAnswer& answer) { told(*answer.fold, {}, 0); },
                  [this] {
                    {
                      const std::lock_guard lock(signal_->mutex);
                      states_known_ = true;
                    }
                    signal_->poke();
                  });
}

/// What goes unheard from here on is a gap to whoever comes back.
void LiveDesk::fall_silent() {
  listening_ = false;
  {
    const std::lock_guard lock(signal_->mutex);
    news_.clear(), candles_told_.clear();
    waiting_ = 0;
    states_known_ = false;
  }
  encoder_.forget();
  told_.clear();
  hub_->lose_all();
}

void LiveDesk::publish(AllNews& news) {
  for (auto& [symbol, one] : news) {
    publish_outputs(symbol, one.outputs);
    if (one.book) encoder_.book(std::move(*one.book));
    encoder_.open_candles(one.open_candles);
  }
}

/// A symbol that failed may say again what it said last.
void LiveDesk::publish_outputs(const std::string& symbol, const market::Outputs& outputs) {
  if (outputs.empty()) return;
  auto& [at, identities] = told_[symbol];
  market::Outputs fresh;
  for (const auto& output : outputs) {
    const auto& there = output.position;
    if (std::tuple(there.offset, there.index) < std::tuple(at.offset, at.index)) continue;
    if (there != at) at = there, identities.clear();
    if (identities.insert(market::identity(output)).second) fresh.push_back(output);
  }
  encoder_.outputs(symbol, fresh);
}

void LiveDesk::admit() {
  hub_->admit([this](const api::StreamHub::Wants& wants) { return encoder_.snapshots(wants); });
}

}  // namespace tapedeck::apps
