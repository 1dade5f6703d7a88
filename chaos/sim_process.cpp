#include "chaos/sim_process.hpp"

#include <algorithm>
#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <stdexcept>

#include "actors/shells.hpp"
#include "chaos/sim_tape.hpp"

namespace tapedeck::chaos {

namespace {

caf::actor_system_config& configured(caf::actor_system_config& config) {
  config.set("scheduler.policy", caf::atom("testing"));
  return config;
}

}  // namespace

struct SimProcess::Impl {
  Impl(const World& world, std::shared_ptr<actors::FaultPlan> faults,
       std::shared_ptr<actors::Attempts> attempts, TimePoint now)
      : tape(world.tape),
        metrics(tape.partitions()),
        shared{tape,
               world.state,
               world.settings,
               world.options,
               metrics,
               actors::Board(tape.partitions()),
               actors::Directory(tape.partitions()),
               std::move(faults),
               actors::RuleBook(world.settings, &world.control, *world.control.records()),
               std::move(attempts),
               world.sink},
        system(configured(config)),
        scheduler(dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler())) {
    scheduler.clock().current_time = now;
    root = actors::spawn_root(system, shared);
    tape.on_append([this] { shared.directory.wake_all(); });
  }

  ~Impl() {
    tape.on_append(nullptr);
    caf::anon_send_exit(root, caf::exit_reason::kill);
    shared.directory.set_gateway(actors::GatewayActor());
    root = nullptr;
    for (actors::Partition p = 0; p < shared.directory.partitions(); ++p)
      shared.directory.set(p, actors::IngressActor());
    while (scheduler.has_job()) scheduler.run_once();
    scheduler.clock().cancel_all();
    while (scheduler.has_job()) scheduler.run_once();
  }

  /// How the next job is chosen; redrawn now and then, so that some actors lag far behind others.
  struct Policy {
    enum class Kind : std::uint8_t { any, oldest, newest, starve } kind = Kind::any;
    std::uint64_t steps = 0;
    caf::actor_id starved = 0;
  };

  static caf::actor_id id_of(caf::resumable* job) {
    const auto* actor = dynamic_cast<caf::local_actor*>(job);
    return actor == nullptr ? 0 : actor->id();
  }

  void redraw(feeds::Random& random) {
    policy.steps = 1 + random.below(200);
    policy.kind = static_cast<Policy::Kind>(random.below(4));
    policy.starved = id_of(scheduler.jobs[random.below(scheduler.jobs.size())]);
  }

  std::size_t choose(feeds::Random& random) {
    if (policy.steps == 0) redraw(random);
    --policy.steps;
    const auto count = scheduler.jobs.size();
    if (policy.kind == Policy::Kind::oldest) return 0;
    if (policy.kind == Policy::Kind::newest) return count - 1;
    auto at = random.below(count);
    if (policy.kind == Policy::Kind::starve && id_of(scheduler.jobs[at]) == policy.starved)
      at = (at + 1) % count;
    return at;
  }

  SimTape& tape;
  telemetry::Metrics metrics;
  actors::Shared shared;
  caf::actor_system_config config;
  caf::actor_system system;
  caf::scheduler::test_coordinator& scheduler;
  actors::RootActor root;
  Policy policy;
};

SimProcess::SimProcess(const World& world, std::shared_ptr<actors::FaultPlan> faults,
                       std::shared_ptr<actors::Attempts> attempts, TimePoint now)
    : impl_(std::make_unique<Impl>(world, std::move(faults), std::move(attempts), now)) {}

SimProcess::~SimProcess() = default;

bool SimProcess::step(feeds::Random& random, Trace& trace) {
  auto& jobs = impl_->scheduler.jobs;
  if (jobs.empty()) return false;
  const auto chosen = jobs.begin() + static_cast<std::ptrdiff_t>(impl_->choose(random));
  std::rotate(jobs.begin(), chosen, chosen + 1);
  trace.add(Impl::id_of(jobs.front()));
  trace.add(static_cast<std::uint64_t>(now().time_since_epoch().count()));
  impl_->scheduler.run_once();
  return true;
}

bool SimProcess::next_timeout() { return impl_->scheduler.trigger_timeout(); }

void SimProcess::advance(std::chrono::nanoseconds time) {
  impl_->scheduler.advance_time(caf::timespan(time.count()));
}

SimProcess::TimePoint SimProcess::now() const { return impl_->scheduler.clock().now(); }

void SimProcess::ask(const std::string& symbol, bool with_outputs, actors::Question::Reply reply) {
  auto question = std::make_shared<actors::Question>(std::move(reply));
  if (const auto gateway = impl_->shared.directory.gateway()) {
    caf::anon_send(gateway, actors::Ask{symbol, with_outputs, std::move(question)});
  } else {
    question->answer({actors::Answer::State::elsewhere, nullptr, 0, {}});
  }
}

void SimProcess::ask_all(std::function<void(std::size_t)> count, actors::Question::Reply reply) {
  actors::AskAll ask{{}, std::move(reply)};
  for (actors::Partition p = 0; p < impl_->shared.directory.partitions(); ++p)
    ask.heads.push_back(std::make_shared<actors::HeadCount>(count));
  if (const auto gateway = impl_->shared.directory.gateway())
    caf::anon_send(gateway, std::move(ask));
}

void SimProcess::release(const std::string& symbol, const market::FoldItem& item,
                         std::function<void(Result<actors::Offset>)> reply) {
  if (const auto gateway = impl_->shared.directory.gateway())
    caf::anon_send(gateway, actors::Release{symbol, item, std::move(reply)});
}

void SimProcess::drain(bool at_end) {
  impl_->shared.board.begin_drain();
  caf::anon_send(impl_->root, actors::Drain{at_end});
}

void SimProcess::kill_gateway() {
  if (const auto gateway = impl_->shared.directory.gateway())
    caf::anon_send_exit(gateway, caf::exit_reason::kill);
}

void SimProcess::wake_all() { impl_->shared.directory.wake_all(); }

actors::Board& SimProcess::board() { return impl_->shared.board; }
const telemetry::Metrics& SimProcess::metrics() const { return impl_->metrics; }

}  // namespace tapedeck::chaos
