#include "apps/engine_backend.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <mutex>
#include <tuple>

#include "api/time_format.hpp"
#include "apps/dlq_view.hpp"
#include "apps/open_tape.hpp"
#include "replay/alerts.hpp"
#include "replay/candles.hpp"
#include "replay/time_travel.hpp"
#include "telemetry/exporter.hpp"

namespace tapedeck::apps {

using actors::SymbolAnswer;
using State = SymbolAnswer::State;

struct EngineBackend::Impl {
  actors::Engine& engine;
  const storage::TapeReader& tape;
  const storage::StateReader& state;
  const market::FoldSettings& settings;
  const telemetry::Metrics& counters;
  LiveDesk& live;
  const History* history;
  ReplayDesk replays;
  mutable std::atomic<bool> was_ready = false;
  std::atomic<std::size_t> waiting = 0;
  boost::asio::thread_pool past{2};

  /// Runs `work` on a thread for the past; `refuse` instead where too many wait already.
  template <class T, class Work>
  void post(const api::Reply<T>& reply, Work work) {
    if (waiting.fetch_add(1) >= kMaxWaiting) {
      --waiting;
      reply(fail(ErrorCode::environment,
                 fmt::format("{} questions about the past are waiting already", kMaxWaiting)));
      return;
    }
    boost::asio::post(past, [this, reply, work = std::move(work)] {
      --waiting;
      reply(work());
    });
  }

  /// The fold up to what was folded before a symbol went down: all but the first `delivered`
  /// records' effect is missing.
  Result<replay::StateAt> before_failure(const std::string& symbol,
                                         market::Offset delivered) const {
    const auto last = delivered > 0 ? delivered - 1 : 0;
    return replay::state_at(tape, &state, symbol, replay::AtOffset{{}, last, {}}, engine.rules());
  }

  /// Whether everything that the partition's symbols said at `from` or later is here; error
  /// `environment` (recovering) while it is still being folded for.
  [[nodiscard]] Result<void> know_history(market::Partition partition,
                                          std::optional<market::TimeNs> from) const {
    const auto gap = history == nullptr ? std::nullopt : history->gap(partition);
    if (!gap) return {};
    const auto checkpoints = state.checkpoints(partition);
    if (!checkpoints) return tl::unexpected(checkpoints.error());
    const auto begin = std::ranges::find(*checkpoints, gap->to, &storage::Checkpoint::next);
    if (from && begin != checkpoints->end()) {
      const auto latest = std::ranges::max_element(begin->feed_times, {},
                                                   &storage::Checkpoint::FeedTime::feed_time);
      if (latest != begin->feed_times.end() && *from >= latest->feed_time) return {};
    }
    return fail(ErrorCode::environment,
                fmt::format("partition {} is recovering: what was said in it before offset {} is "
                            "still being folded for here, ask again",
                            partition, gap->to));
  }
  [[nodiscard]] Result<void> know_history(const std::string& symbol,
                                          std::optional<market::TimeNs> from) const {
    return know_history(storage::partition_of(symbol, tape.partitions()), from);
  }

  /// What is said of a symbol whose partition is not this engine's, or not here yet.
  [[nodiscard]] Error elsewhere(const std::string& symbol) const {
    const auto partition = storage::partition_of(symbol, tape.partitions());
    const auto status = engine.board().partitions().at(partition);
    if (!status.stopped.empty()) return stopped(partition, status.stopped);
    return {ErrorCode::environment,
            fmt::format("symbol '{}' is in partition {}, which is recovering: {}; ask again",
                        symbol, partition,
                        status.open ? "it is just being opened here"
                                    : "another engine of the group serves it, or none yet"),
            "symbol"};
  }
  [[nodiscard]] static Error stopped(market::Partition partition, const std::string& why) {
    return {ErrorCode::environment, fmt::format("partition {} is stopped: {}", partition, why),
            "symbol"};
  }
  [[nodiscard]] Error unknown(const std::string& symbol, const SymbolAnswer& answer) const {
    if (answer.state == State::elsewhere) return elsewhere(symbol);
    if (answer.behind) {
      const auto partition = storage::partition_of(symbol, tape.partitions());
      const auto status = engine.board().partitions().at(partition);
      if (!status.stopped.empty()) return stopped(partition, status.stopped);
      return {ErrorCode::environment,
              fmt::format("symbol '{}': its partition {} is recovering and has not come to it yet",
                          symbol, storage::partition_of(symbol, tape.partitions())),
              "symbol"};
    }
    return {ErrorCode::not_found, "no record of symbol '" + symbol + "' has been read", "symbol"};
  }

  /// Asks the live fold; while it recovers, the tape up to what was folded before. `view` makes the
  /// answer of a fold.
  template <class T, class View>
  void ask(const std::string& symbol, api::Reply<T> reply, View view) {
    engine.ask(
        symbol, false, [this, symbol, reply = std::move(reply), view](const SymbolAnswer& answer) {
          if (answer.state == State::live) {
            auto result = view(*answer.fold);
            if (answer.behind)
              result.trust = market::Trust::recovering, result.trust_since = result.position;
            reply(std::move(result));
          } else if (answer.state != State::recovering) {
            reply(tl::unexpected(unknown(symbol, answer)));
          } else {
            post<T>(reply, [this, symbol, view, delivered = answer.delivered]() -> Result<T> {
              auto at = before_failure(symbol, delivered);
              if (!at) return tl::unexpected(at.error());
              auto result = view(at->fold);
              result.trust = market::Trust::recovering;
              result.trust_since = result.position;
              return result;
            });
          }
        });
  }
};

EngineBackend::EngineBackend(actors::Engine& engine, const storage::TapeReader& tape,
                             const storage::StateReader& state,
                             const market::FoldSettings& settings, telemetry::Metrics& metrics,
                             LiveDesk& live, const History* history,
                             const ReplayDeskOptions& replays)
    : impl_(new Impl{engine, tape, state, settings, metrics, live, history,
                     ReplayDesk(
                         tape, state, [&engine] { return engine.rules(); }, replays, metrics)}) {}

EngineBackend::~EngineBackend() {
  impl_->past.stop();
  impl_->past.join();
}

void EngineBackend::symbols(api::Reply<std::vector<market::SymbolView>> reply) {
  auto views = std::make_shared<std::vector<market::SymbolView>>();
  impl_->engine.ask_all(
      [views](const SymbolAnswer& answer) {
        auto& view = views->emplace_back(answer.fold->state().view());
        if (answer.behind) view.trust = market::Trust::recovering, view.trust_since = view.position;
      },
      [views, reply = std::move(reply)] {
        std::ranges::sort(*views, {}, &market::SymbolView::symbol);
        reply(std::move(*views));
      });
}

void EngineBackend::symbol(std::string symbol, api::Reply<market::SymbolView> reply) {
  impl_->ask(symbol, std::move(reply),
             [](const replay::SymbolFold& fold) { return fold.state().view(); });
}

void EngineBackend::book(std::string symbol, std::size_t depth, api::At at,
                         api::Reply<market::BookView> reply) {
  if (at.empty()) {
    impl_->ask(symbol, std::move(reply),
               [depth](const replay::SymbolFold& fold) { return fold.state().book(depth); });
    return;
  }
  auto moment = parse_moment(at, "at");
  if (!moment) {
    reply(tl::unexpected(moment.error()));
    return;
  }
  impl_->post<market::BookView>(
      reply, [impl = impl_.get(), symbol, depth, moment = *moment]() -> Result<market::BookView> {
        if (auto known = impl->know_history(symbol, {}); !known)
          return tl::unexpected(known.error());
        auto past =
            replay::state_at(impl->tape, &impl->state, symbol, moment, impl->engine.rules());
        if (!past) return tl::unexpected(past.error());
        return past->fold.state().book(depth);
      });
}

namespace {

Result<replay::CandleRange> parse_range(const api::CandleQuery& query) {
  replay::CandleRange range;
  const auto width = api::parse_width(query.width, "width");
  if (!width) return tl::unexpected(width.error());
  range.width = *width;
  range.fill_previous = query.fill_previous;
  if (query.from) {
    const auto from = api::parse_time(*query.from, "from");
    if (!from) return tl::unexpected(from.error());
    range.from = *from;
  }
  if (query.to) {
    const auto to = api::parse_time(*query.to, "to");
    if (!to) return tl::unexpected(to.error());
    range.to = *to;
  }
  return range;
}

}  // namespace

void EngineBackend::candles(api::CandleQuery query,
                            api::Reply<std::vector<market::CandleView>> reply) {
  const auto range = parse_range(query);
  if (!range) {
    reply(tl::unexpected(range.error()));
    return;
  }
  impl_->engine.ask(
      query.symbol, true,
      [impl = impl_.get(), symbol = query.symbol, range = *range,
       reply = std::move(reply)](const SymbolAnswer& answer) {
        if (answer.state == State::unknown || answer.state == State::elsewhere) {
          reply(tl::unexpected(impl->unknown(symbol, answer)));
          return;
        }
        replay::LiveCandles folded;
        if (answer.fold != nullptr)
          folded = replay::live_candles(answer.fold->state(), range.width);
        const bool down = answer.state == State::recovering;
        const bool recovering = down || answer.behind;
        impl->post<std::vector<market::CandleView>>(
            reply,
            [impl, symbol, range, down, recovering, folded = std::move(folded),
             unstored = answer.unstored,
             delivered = answer.delivered]() -> Result<std::vector<market::CandleView>> {
              if (auto known = impl->know_history(symbol, range.from); !known)
                return tl::unexpected(known.error());
              auto live = folded;
              if (down) {
                const auto before = impl->before_failure(symbol, delivered);
                if (!before) return tl::unexpected(before.error());
                live = replay::live_candles(before->fold.state(), range.width);
              }
              auto views = replay::candles(&impl->state, impl->engine.rules().candle_widths(),
                                           symbol, range, unstored, live);
              if (views && recovering) {
                for (auto& view : *views) view.trust = market::Trust::recovering;
              }
              return views;
            });
      });
}

/// Answers of all symbols that an alert query is about, until the last has come.
struct EngineBackend::AlertGathering {
  struct One {
    std::string symbol;
    bool down = false;
    bool recovering = false;
    market::Offset delivered = 0;
    market::Instrument instrument;
    market::Outputs unstored;
  };
  api::AlertQuery query;
  api::Reply<std::vector<market::AlertView>> reply;
  std::mutex mutex;
  std::vector<One> answers;
  Error missing;  ///< why the last symbol that is not here is not
  std::size_t waiting = 0;
};

void EngineBackend::alerts(api::AlertQuery query,
                           api::Reply<std::vector<market::AlertView>> reply) {
  auto gathering = std::make_shared<AlertGathering>();
  gathering->query = std::move(query), gathering->reply = std::move(reply);
  if (!gathering->query.symbol.empty()) return gather_alerts(gathering, {gathering->query.symbol});
  boost::asio::post(impl_->past, [this, gathering] {
    auto symbols = impl_->tape.symbols();
    if (!symbols) return gathering->reply(tl::unexpected(symbols.error()));
    gather_alerts(gathering, std::move(*symbols));
  });
}

/// Asks all symbols; the last to answer has the state store read.
void EngineBackend::gather_alerts(const std::shared_ptr<AlertGathering>& gathering,
                                  std::vector<std::string> symbols) {
  gathering->waiting = symbols.size();
  if (symbols.empty()) return gathering->reply(std::vector<market::AlertView>{});
  for (const auto& symbol : symbols) {
    impl_->engine.ask(symbol, true, [this, gathering, symbol](const SymbolAnswer& answer) {
      const std::lock_guard lock(gathering->mutex);
      if (answer.state == State::unknown || answer.state == State::elsewhere) {
        gathering->missing = impl_->unknown(symbol, answer);
      } else {
        auto& one = gathering->answers.emplace_back();
        one.symbol = symbol, one.unstored = answer.unstored;
        one.down = answer.fold == nullptr, one.delivered = answer.delivered;
        one.recovering = one.down || answer.behind;
        if (answer.fold != nullptr) one.instrument = answer.fold->state().view().instrument;
      }
      if (--gathering->waiting > 0) return;
      impl_->post<std::vector<market::AlertView>>(
          gathering->reply, [this, gathering] { return read_alerts(*gathering); });
    });
  }
}

Result<std::vector<market::AlertView>> EngineBackend::read_alerts(AlertGathering& gathering) {
  const auto& query = gathering.query;
  if (gathering.answers.empty() && !query.symbol.empty()) {
    return tl::unexpected(gathering.missing);
  }
  std::vector<market::AlertView> all;
  for (auto& one : gathering.answers) {
    if (auto known = impl_->know_history(one.symbol, query.from); !known)
      return tl::unexpected(known.error());
    if (one.down) {
      const auto before = impl_->before_failure(one.symbol, one.delivered);
      if (!before) return tl::unexpected(before.error());
      one.instrument = before->fold.state().view().instrument;
    }
    auto views = replay::alerts(impl_->state, one.symbol, one.instrument, {query.from, query.to},
                                one.unstored);
    if (!views) return views;
    for (auto& view : *views) {
      if (one.recovering) view.trust = market::Trust::recovering;
      all.push_back(std::move(view));
    }
  }
  std::ranges::stable_sort(
      all, {}, [](const market::AlertView& view) { return std::tie(view.time, view.symbol); });
  if (all.size() > query.limit) all.erase(all.begin(), all.end() - static_cast<long>(query.limit));
  return all;
}

void EngineBackend::metrics(std::string symbol, api::Reply<market::MetricsView> reply) {
  impl_->ask(symbol, std::move(reply),
             [](const replay::SymbolFold& fold) { return fold.state().metrics(); });
}

void EngineBackend::quality(std::string symbol, api::Reply<market::QualityView> reply) {
  impl_->ask(symbol, std::move(reply), [](const replay::SymbolFold& fold) {
    const auto view = fold.state().view();
    market::QualityView quality{view.symbol, view.position, view.trust, view.trust_since, false, {},
                                {}};
    if (const auto* watch = fold.watch(); watch != nullptr) {
      quality.watched = true;
      quality.quality = watch->quality();
      quality.gap_scales = watch->settings().gap_scales;
    }
    quality.quality.instrument = view.instrument;
    quality.quality.counts = view.events;
    quality.quality.integrity = view.integrity;
    return quality;
  });
}

void EngineBackend::positions(api::Reply<std::vector<api::PartitionPosition>> reply) {
  std::vector<api::PartitionPosition> positions;
  std::uint32_t number = 0;
  for (const auto& status : impl_->engine.board().partitions()) {
    const auto partition = number++;
    if (!status.open && !status.standby) continue;
    api::PartitionPosition position;
    position.partition = partition;
    position.next = status.next, position.end = status.end;
    position.frontier = status.frontier, position.cursor = status.cursor;
    position.checkpoint = status.checkpoint;
    position.committed = status.committed;
    position.stopped = status.stopped;
    position.standby = status.standby;
    position.feed_time = status.feed_time == market::kNoTime ? 0 : status.feed_time;
    position.events = status.events;
    positions.push_back(position);
  }
  reply(std::move(positions));
}

void EngineBackend::dead_letters(std::string symbol,
                                 api::Reply<std::vector<api::DeadLetter>> reply) {
  impl_->post<std::vector<api::DeadLetter>>(
      reply, [impl = impl_.get(), symbol]() -> Result<std::vector<api::DeadLetter>> {
        for (market::Partition p = 0; p < impl->tape.partitions(); ++p) {
          if (auto known = impl->know_history(p, {}); !known) return tl::unexpected(known.error());
        }
        const auto letters = replay::dead_letters(impl->tape, &impl->state, impl->engine.rules(),
                                                  impl->engine.control_records(), symbol, false);
        if (!letters) return tl::unexpected(letters.error());
        std::vector<api::DeadLetter> views;
        for (const auto& letter : *letters) views.push_back(view_of(letter));
        return views;
      });
}

namespace {

api::SupervisionNode::Restarting restarting(const actors::RestartPolicy& policy,
                                            const actors::ChildStatus& status) {
  api::SupervisionNode::Restarting result;
  result.strategy =
      policy.strategy == actors::Strategy::one_for_one ? "one_for_one" : "one_for_all";
  result.escalation = policy.escalation == actors::Escalation::retry ? "retry" : "escalate";
  result.budget = policy.budget;
  result.budget_left = status.budget_left.value_or(policy.budget);
  result.budget_window_ms = static_cast<std::uint64_t>(policy.budget_window.count());
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  if (status.state != "running" && status.starts_at > now)
    result.backoff_left_ms = static_cast<std::uint64_t>(status.starts_at - now) / 1'000'000;
  return result;
}

/// Of the root: nobody restarts it.
api::SupervisionNode::Restarting ending(const actors::Supervision& all) {
  actors::RestartPolicy policy;
  policy.budget = all.root_budget, policy.budget_window = all.root_window;
  auto result = restarting(policy, {});
  result.escalation = "exit";
  return result;
}

api::SupervisionNode node(const std::string& name,
                          const std::map<std::string, actors::ChildStatus>& children,
                          const actors::RestartPolicy* policy = nullptr) {
  api::SupervisionNode result;
  result.name = name;
  result.state = "running";
  if (const auto found = children.find(name); found != children.end()) {
    result.state = found->second.state;
    result.restarts = found->second.restarts;
    result.last_error = found->second.last_error;
    result.since = found->second.since;
    if (policy != nullptr) result.restarting = restarting(*policy, found->second);
  }
  return result;
}

}  // namespace

void EngineBackend::supervision(api::Reply<api::SupervisionNode> reply) {
  const auto children = impl_->engine.board().children();
  const auto partitions = impl_->engine.board().partitions();
  const auto& policies = impl_->engine.supervision();
  auto root = node("root", children);
  root.restarting = ending(policies);
  if (impl_->engine.failure())
    root.state = "stopped", root.last_error = impl_->engine.failure()->message;
  for (std::uint32_t p = 0; p < partitions.size(); ++p) {
    auto partition = node(fmt::format("partition {}", p), children, &policies.partition);
    partition.children.push_back(node(fmt::format("ingress {}", p), children));
    std::uint64_t listed = 0;
    for (const auto& [name, status] : children) {
      if (!name.starts_with("symbol ")) continue;
      if (storage::partition_of(std::string_view(name).substr(7),
                                static_cast<std::uint32_t>(partitions.size())) != p)
        continue;
      partition.children.push_back(node(name, children, &policies.symbol));
      ++listed;
    }
    partition.children_running = partitions[p].symbols - std::min(partitions[p].symbols, listed);
    root.children.push_back(std::move(partition));
  }
  root.children.push_back(node("checkpointer", children, &policies.checkpointer));
  if (children.contains("sink")) root.children.push_back(node("sink", children, &policies.sink));
  root.children.push_back(node("gateway", children, &policies.gateway));
  reply(std::move(root));
}

api::Replays& EngineBackend::replays() { return impl_->replays; }

Result<std::unique_ptr<api::Subscription>> EngineBackend::subscribe(api::StreamQuery query,
                                                                    std::function<void()> wake) {
  if (query.replay.empty()) return impl_->live.subscribe(std::move(query), std::move(wake));
  return impl_->replays.subscribe(std::move(query), std::move(wake));
}

api::Health EngineBackend::health() const {
  api::Health health;
  if (const auto failure = impl_->engine.failure()) {
    health.live = false;
    health.reason = failure->message;
    return health;
  }
  if (const auto trouble = impl_->engine.board().store_trouble(); !trouble.empty()) {
    health.reason = "nothing is stored: " + trouble;
    return health;
  }
  if (const auto trouble = impl_->engine.board().sink_trouble(); !trouble.empty()) {
    health.reason = "outputs do not leave: " + trouble;
    return health;
  }
  if (const auto stopped = impl_->engine.board().stopped()) {
    health.reason = stopped->message;
    return health;
  }
  if (!impl_->engine.board().partitions_settled()) {
    health.reason = "the group has not said yet which partitions are this engine's";
    return health;
  }
  const auto partitions = impl_->engine.board().partitions();
  const auto behind = std::ranges::find_if(
      partitions, [](const auto& status) { return status.open && !status.caught_up; });
  if (behind == partitions.end()) impl_->was_ready = true;
  health.ready = impl_->was_ready;
  if (!health.ready) {
    health.reason = fmt::format("partition {} is catching up: {} of {}",
                                behind - partitions.begin(), behind->next, behind->end);
  }
  return health;
}

std::string EngineBackend::prometheus() const { return telemetry::to_prometheus(impl_->counters); }

}  // namespace tapedeck::apps
