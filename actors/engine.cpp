#include "actors/engine.hpp"

#include <spdlog/spdlog.h>
#include <caf/all.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "actors/shells.hpp"

namespace tapedeck::actors {

namespace {

caf::actor_system_config& configured(caf::actor_system_config& config,
                                     const EngineOptions& options) {
  config.set("scheduler.max-threads", static_cast<std::size_t>(options.threads));
  config.set("scheduler.policy", caf::atom("sharing"));
  return config;
}

SymbolAnswer public_answer(const Answer& answer) {
  return {static_cast<SymbolAnswer::State>(answer.state), answer.fold, answer.delivered,
          answer.unstored, answer.behind};
}

/// Answers exactly once: where nobody did, that it is to be tried again.
class AnswerOnce {
public:
  explicit AnswerOnce(std::function<void(Result<Offset>)> reply) : reply_(std::move(reply)) {}
  AnswerOnce(const AnswerOnce&) = delete;
  AnswerOnce& operator=(const AnswerOnce&) = delete;
  ~AnswerOnce() {
    if (reply_)
      answer(fail(ErrorCode::environment, "an actor that was to do it failed: try again"));
  }
  void answer(Result<Offset> result) {
    if (auto reply = std::exchange(reply_, nullptr)) reply(std::move(result));
  }

private:
  std::function<void(Result<Offset>)> reply_;
};

/// Counts the answers to one ask_all; the last one calls `done`.
struct Gathering {
  std::mutex mutex;
  SymbolQuestion reply;
  std::function<void()> done;
  std::size_t partitions = 0;  ///< still to say how many symbols they have
  std::size_t symbols = 0;     ///< still to answer
  void finish_if_complete() {
    if (partitions == 0 && symbols == 0 && done) std::exchange(done, nullptr)();
  }
};

/// Null: nothing is to fail.
std::shared_ptr<FaultPlan> fault_plan(const EngineOptions& options) {
  if (options.fault_plan) return options.fault_plan;
  if (options.faults.empty() && options.random_faults.one_in == 0) return nullptr;
  return std::make_shared<FaultPlan>(options.faults, options.random_faults);
}

}  // namespace

struct Engine::Impl {
  Impl(storage::TapeReader& tape_reader, storage::StateStore& state,
       const market::FoldSettings& settings, EngineOptions options, telemetry::Metrics& metrics,
       sinks::OutputSink* sink)
      : tape(tape_reader),
        shared{tape_reader,
               state,
               settings,
               options,
               metrics,
               Board(tape_reader.partitions()),
               Directory(tape_reader.partitions()),
               fault_plan(options),
               RuleBook(settings, options.control, options.control_records),
               std::make_shared<Attempts>(),
               sink},
        system(configured(config, options)) {
    keep_attempts();
    root = spawn_root(system, shared);
    tape.on_append([this] { shared.directory.wake_all(); });
    if (options.refresh_interval.count() > 0)
      refresher = std::jthread([this](std::stop_token stop) { refresh(stop); });
  }

  ~Impl() {
    tape.on_append(nullptr);
    refresher = {};
    if (!shared.options.attempts_file.empty()) name_crashes(-1);
    caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
    for (Partition p = 0; p < shared.directory.partitions(); ++p)
      shared.directory.set(p, IngressActor());
    shared.directory.set_gateway(GatewayActor());
    root = nullptr;
    system.await_all_actors_done();
  }

  /// Before anything is folded.
  void keep_attempts() {
    const auto& options = shared.options;
    if (!options.attempts_file.empty()) {
      auto attempts = Attempts::open(options.attempts_file);
      if (attempts) shared.attempts = std::move(*attempts);
      if (!attempts)
        spdlog::error("crashes of the fold are not counted: {}", attempts.error().message);
      name_crashes(shared.attempts->descriptor());
    }
    if (options.watchdog.count() > 0) watchdog.emplace(options.watchdog, options.on_hang);
  }

  /// Another process writes the tape: looks for its news and wakes the ingresses.
  void refresh(std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any waiting;
    while (!stop.stop_requested()) {
      if (auto refreshed = tape.refresh(); !refreshed) {
        shared.board.fail(refreshed.error());
        return;
      }
      shared.directory.wake_all();
      std::unique_lock lock(mutex);
      waiting.wait_for(lock, stop, shared.options.refresh_interval, [] { return false; });
    }
  }

  Result<void> drain(bool at_end) {
    shared.board.begin_drain();
    caf::anon_send(root, Drain{at_end});
    if (auto error = shared.board.wait()) return tl::unexpected(*error);
    return {};
  }

  storage::TapeReader& tape;
  Shared shared;
  caf::actor_system_config config;
  caf::actor_system system;
  std::optional<Watchdog> watchdog;
  RootActor root;
  std::jthread refresher;
};

Engine::Engine(storage::TapeReader& tape, storage::StateStore& state,
               const market::FoldSettings& settings, EngineOptions options,
               telemetry::Metrics& metrics, sinks::OutputSink* sink)
    : impl_(std::make_unique<Impl>(tape, state, settings, std::move(options), metrics, sink)) {}

Engine::~Engine() = default;

Result<void> Engine::run_to_end() {
  if (auto drained = impl_->drain(true); !drained) return drained;
  if (auto stopped = impl_->shared.board.stopped()) return tl::unexpected(std::move(*stopped));
  return {};
}
Result<void> Engine::stop() { return impl_->drain(false); }
std::optional<Error> Engine::failure() const { return impl_->shared.board.failure(); }
const Board& Engine::board() const { return impl_->shared.board; }
const Supervision& Engine::supervision() const { return impl_->shared.options.supervision; }
Board& Engine::board() { return impl_->shared.board; }

void Engine::open(Partition partition) { caf::anon_send(impl_->root, OpenPartition{partition}); }

void Engine::stand_by(Partition partition, market::Offset committed) {
  caf::anon_send(impl_->root, OpenPartition{partition, committed});
}

void Engine::guide(Partition partition, market::Offset committed) {
  if (const auto ingress = impl_->shared.directory.ingress(partition))
    caf::anon_send(ingress, Guide{committed});
}

Result<std::size_t> Engine::refresh_rules() {
  if (auto known = impl_->shared.rules.refresh(); !known) return tl::unexpected(known.error());
  return impl_->shared.rules.records().size();
}

void Engine::close(Partition partition, bool in_order, std::function<void()> done) {
  caf::anon_send(impl_->root, ClosePartition{partition, in_order, std::move(done)});
}

replay::FoldRules Engine::rules() const { return impl_->shared.rules.rules(); }
std::vector<schemas::ControlRecord> Engine::control_records() const {
  return impl_->shared.rules.records();
}

void Engine::release(std::string symbol, const market::FoldItem& item,
                     std::function<void(Result<market::Offset>)> reply) {
  // Lost with an actor that fails, it is answered too.
  auto once = std::make_shared<AnswerOnce>(std::move(reply));
  if (const auto gateway = impl_->shared.directory.gateway())
    caf::anon_send(gateway, Release{std::move(symbol), item, [once = std::move(once)](auto result) {
                                      once->answer(std::move(result));
                                    }});
}

void Engine::change_settings(market::Partition partition, const market::FoldSettings& settings,
                             std::function<void(Result<market::Offset>)> reply) {
  auto once = std::make_shared<AnswerOnce>(std::move(reply));
  if (const auto gateway = impl_->shared.directory.gateway())
    caf::anon_send(
        gateway,
        ChangeSettings{partition, std::make_shared<const market::FoldSettings>(settings),
                       [once = std::move(once)](auto result) { once->answer(std::move(result)); }});
}

void Engine::ask(std::string symbol, bool with_outputs, SymbolQuestion reply) {
  auto question = std::make_shared<Question>(
      [reply = std::move(reply)](const Answer& answer) { reply(public_answer(answer)); });
  if (const auto gateway = impl_->shared.directory.gateway()) {
    caf::anon_send(gateway, Ask{std::move(symbol), with_outputs, std::move(question)});
  } else {
    question->answer({Answer::State::elsewhere, nullptr, 0, {}});
  }
}

void Engine::ask_all(SymbolQuestion reply, std::function<void()> done) {
  auto gathering = std::make_shared<Gathering>();
  gathering->reply = std::move(reply);
  gathering->done = std::move(done);
  gathering->partitions = impl_->shared.directory.partitions();
  AskAll ask;
  const auto count = [gathering](std::size_t symbols) {
    const std::scoped_lock lock(gathering->mutex);
    --gathering->partitions;
    gathering->symbols += symbols;
    gathering->finish_if_complete();
  };
  for (Partition p = 0; p < impl_->shared.directory.partitions(); ++p)
    ask.heads.push_back(std::make_shared<HeadCount>(count));
  ask.reply = [gathering](const Answer& answer) {
    const std::scoped_lock lock(gathering->mutex);
    if (answer.state == Answer::State::live) gathering->reply(public_answer(answer));
    --gathering->symbols;
    gathering->finish_if_complete();
  };
  if (const auto gateway = impl_->shared.directory.gateway())
    caf::anon_send(gateway, std::move(ask));
}

}  // namespace tapedeck::actors
