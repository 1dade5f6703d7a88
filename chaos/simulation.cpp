#include "chaos/simulation.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "chaos/dice_plan.hpp"
#include "chaos/reference.hpp"
#include "chaos/sim_control.hpp"
#include "chaos/sim_process.hpp"
#include "chaos/sim_sink.hpp"
#include "chaos/sim_state.hpp"
#include "chaos/sim_tape.hpp"
#include "chaos/workload.hpp"

namespace tapedeck::chaos {

namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kSafetySteps = 6'000;     // at the most, once all is recorded
constexpr std::uint64_t kLivenessSteps = 60'000;  // everything converges within so many
constexpr std::uint32_t kMaxLives = 60;

class Simulation {
public:
  explicit Simulation(const SimOptions& options)
      : log_(options.log),
        workload_(make_workload(options.seed)),
        dice_(options.seed),
        random_(options.seed ^ 0x5c4ed),
        tape_(workload_.partitions, dice_),
        disk_(dice_),
        reference_(workload_.settings, workload_.partitions),
        checker_(reference_, disk_, workload_.partitions, verdict_),
        control_(dice_, [this](const schemas::ControlRecord& record) { ruled(record); }),
        sink_(reference_, dice_, workload_.partitions, verdict_),
        plan_(std::make_shared<DicePlan>(dice_)) {
    if (log_) {
      dice_.on_hit([this](Fault fault) { log(fmt::format("  {}", name(fault))); });
      checker_.on_write([this](std::string_view text) { log(text); });
    }
    if (workload_.sink)
      checker_.on_committed([this](Partition partition) { return sink_.committed(partition); });
    tape_.watch_reads([this](Partition partition) { may_read(partition); });
  }

  SimOutcome run() {
    start();
    safety();
    if (!verdict_.broken()) liveness();
    if (!verdict_.broken()) finish();
    stop();
    outcome_.broken = verdict_.broken();
    outcome_.trace = trace_.hash();
    for (std::size_t i = 0; i < kFaults; ++i)
      outcome_.faults[i] = dice_.hits(static_cast<Fault>(i));
    for (Partition p = 0; p < workload_.partitions; ++p) outcome_.records += *tape_.stored().end(p);
    return outcome_;
  }

private:
  void log(std::string_view text) {
    if (log_) log_(fmt::format("{:>6} {}", outcome_.steps, text));
  }

  // ---- the process

  void start() {
    tape_.dead(false);
    disk_.dead(false);
    sink_.dead(false);
    (void)tape_.refresh();
    for (Partition p = 0; p < workload_.partitions; ++p) resumed_[p] = checker_.resumes_at(p);
    state_ = std::make_unique<SimState>(disk_, checker_);
    const SimProcess::World world{tape_,
                                  *state_,
                                  workload_.settings,
                                  workload_.engine,
                                  control_,
                                  workload_.sink ? &sink_ : nullptr};
    process_ = std::make_unique<SimProcess>(world, plan_, attempts_, now_);
    stopping_ = false;
    for (Partition p = 0; p < workload_.partitions; ++p)
      log(fmt::format("started: partition {} resumes at {}, cursor {}, end {}", p, resumed_[p],
                      checker_.cursor(p), *tape_.stored().end(p)));
  }

  /// As a kill would: nothing is written any more.
  void stop() {
    if (!process_) return;
    now_ = process_->now();
    tape_.dead(true);
    disk_.dead(true);
    sink_.dead(true);
    process_.reset();
    state_.reset();
    open_questions_ = 0;
  }

  void crash(std::string_view how, bool power = false) {
    stop();
    trace_.add(how);
    log(how);
    if (power) {
      disk_.forget(dice_.below(20));
      checker_.look_again();
    }
    recorder_.reset();
    next_life();
  }

  void next_life() {
    ++outcome_.lives;
    if (outcome_.lives > kMaxLives) dice_.rest();  // enough of it
    start();
  }

  /// Somebody has read why the engine ended, and does what it said.
  void operate(const Error& failure) {
    trace_.add(failure.message);
    log("the engine ended: " + failure.message);
    if (!excused(failure)) return verdict_.broken("the engine ended by itself: " + failure.message);
    stop();
    if (failure.message.find("does not match its checksum") != std::string::npos || tape_.rotten())
      tape_.repair();
    if (failure.message.find("state: ") != std::string::npos && disk_.ever_rotted()) {
      disk_.wipe();
      checker_.look_again();
    }
    next_life();
  }

  [[nodiscard]] bool excused(const Error& failure) const {
    if (failure.message.find("injected") != std::string::npos) return true;
    if (failure.code == ErrorCode::exhausted)
      return dice_.hits(Fault::fold_throws) > 0 || dice_.hits(Fault::message_throws) > 0 ||
             dice_.hits(Fault::refill_fails) > 0 || dice_.hits(Fault::gateway_dies) > 0 ||
             dice_.hits(Fault::control_fails) > 0 || damaged();
    return failure.code == ErrorCode::corrupt && damaged();
  }
  [[nodiscard]] bool damaged() const {
    // A record that rotted may have been mended since it was read.
    return disk_.ever_rotted() || dice_.hits(Fault::record_rots) > 0 ||
           dice_.hits(Fault::misdirected_read) > 0 || dice_.hits(Fault::misdirected_record) > 0;
  }

  /// From now on the truth is the fold by the control records: nothing was folded past what they
  /// name.
  void ruled(const schemas::ControlRecord& record) {
    const bool released = record.kind == schemas::ControlRecord::Kind::release;
    const auto& at = record.item.position;
    log(fmt::format("{}: {} {}:{}:{} at {}", released ? "released" : "quarantined", record.symbol,
                    at.partition, at.offset, at.index, record.at));
    trace_.add(at.offset);
    if (released) {
      ++outcome_.releases;
      plan_->released(record.item);
    }
    const auto out = sink_.expected();
    reference_.go_by(control_.records().value());
    sink_.still(out);
  }

  void release_some() {
    const auto& held = control_.held();
    if (held.empty() || !dice_.hit(Fault::release)) return;
    const auto& one = held[dice_.below(held.size())];
    process_->release(one.symbol, one.item, [this](const Result<Offset>& done) {
      if (done || process_dead()) return;
      const auto& why = done.error();
      log("not released: " + why.message);
      // Another request was first, or it is too early.
      if (why.code != ErrorCode::not_found && why.code != ErrorCode::environment)
        verdict_.broken("a release was refused: " + why.message);
    });
  }

  // ---- the recorder

  [[nodiscard]] bool recorded() const { return source_ == workload_.sources.size(); }

  void record_some() {
    const auto& source = workload_.sources[source_];
    if (dice_.hit(Fault::recorder_dies)) recorder_.reset();
    tape_.may_repeat(source.recording.sequencing == market::Sequencing::message_number);
    if (!recorder_) {
      tape_.repair();  // it reads what is on the tape
      auto opened = storage::Recorder::open(tape_, source.recording);
      if (!opened) return verdict_.broken("the recorder cannot go on: " + opened.error().message);
      recorder_.emplace(std::move(*opened));
      batch_ = 0;
    }
    const bool last = batch_ == source.batches.size();
    auto done = last ? recorder_->finish() : recorder_->add(source.batches[batch_]);
    reference_.follow(tape_.stored());
    trace_.add(*tape_.stored().end(0));
    if (!done) {
      recorder_.reset();  // its disk was full
    } else if (last) {
      recorder_.reset();
      ++source_;
    } else {
      ++batch_;
    }
  }

  // ---- questions

  void ask() {
    const auto symbol = "S" + std::to_string(random_.below(10));
    ++open_questions_;
    process_->ask(symbol, random_.chance(1, 2), [this, symbol](const actors::Answer& answer) {
      if (process_dead()) return;
      --open_questions_;
      check_answer(symbol, answer);
    });
  }

  void ask_all() {
    ++open_questions_;
    process_->ask_all(
        [this,
         waiting = std::make_shared<std::uint32_t>(workload_.partitions)](std::size_t symbols) {
          if (process_dead()) return;
          open_questions_ += static_cast<std::int64_t>(symbols);
          if (--*waiting == 0) --open_questions_;
        },
        [this](const actors::Answer& answer) {
          if (process_dead()) return;
          --open_questions_;
          if (answer.fold != nullptr) check_answer(answer.fold->state().symbol(), answer);
        });
  }
  [[nodiscard]] bool process_dead() const { return disk_.dead(); }

  void check_answer(const std::string& symbol, const actors::Answer& answer) {
    trace_.add(static_cast<std::uint64_t>(answer.state));
    if (answer.state == actors::Answer::State::unknown) {
      const auto p = storage::partition_of(symbol, workload_.partitions);
      if (reference_.state(symbol, resumed_[p]) != nullptr)
        verdict_.broken(symbol + " was folded before, and is said to be unknown");
      return;
    }
    if (answer.state != actors::Answer::State::live) return;
    ++outcome_.answers;
    const auto& fold = *answer.fold;
    const auto* expected = reference_.state(symbol, fold.next());
    if (const auto* released = reference_.released(symbol, fold.next());
        released != nullptr && released->digest == fold.state().digest())
      expected = released;
    if (expected == nullptr) {
      if (fold.state().counts().read > 0) verdict_.broken(symbol + " was answered from nowhere");
      return;
    }
    if (fold.state().digest() != expected->digest ||
        fold.state().counts().folded != expected->events)
      verdict_.broken(fmt::format(
          "{} was answered as of {}, with {} events where there are {}{}", symbol, fold.next(),
          fold.state().counts().folded, expected->events,
          fold.state().counts().folded == expected->events ? ", and another digest" : ""));
    if (fold.state().view().trust != expected->trust)
      verdict_.broken(fmt::format("{} as of {} says trust {}, and is {}", symbol, fold.next(),
                                  name(fold.state().view().trust), name(expected->trust)));
    for (const auto& output : answer.unstored) {
      const auto said = reference_.output(symbol, market::identity(output));
      const auto same = [&](const market::Output* one) { return one->same_content(output); };
      if (std::ranges::none_of(said, same))
        verdict_.broken(symbol + " was answered an output that an undisturbed fold never says");
    }
  }

  // ---- limits

  void may_read(Partition partition) {
    const auto& metrics = *process_->metrics().partitions[partition];
    if (metrics.inflight_bytes >= static_cast<std::int64_t>(workload_.engine.max_inflight_bytes))
      verdict_.broken(fmt::format("partition {} read on without credit", partition));
    if (metrics.pending_outputs >= static_cast<std::int64_t>(workload_.engine.max_unstored_outputs))
      verdict_.broken(
          fmt::format("partition {} read on with too many outputs unstored", partition));
    // What a release said where the tape ends leaves only behind the next record.
    if (metrics.undelivered >=
            static_cast<std::int64_t>(workload_.engine.max_undelivered_outputs) &&
        metrics.committed < metrics.next_offset)
      verdict_.broken(
          fmt::format("partition {} read on with too many outputs undelivered", partition));
  }

  void check_limits() {
    constexpr std::int64_t kRecord = 1 << 20;
    const auto limit = static_cast<std::int64_t>(workload_.engine.max_inflight_bytes) + kRecord;
    for (const auto& metrics : process_->metrics().partitions) {
      if (metrics->inflight_bytes > limit) verdict_.broken("more is in flight than the limit");
      if (metrics->inflight_bytes < 0 || metrics->inflight_batches < 0 ||
          metrics->pending_outputs < 0 || metrics->undelivered < 0 || metrics->symbols_down < 0)
        verdict_.broken(
            fmt::format("a queue's depth is negative: {} bytes and {} batches in flight, {} "
                        "outputs pending, {} "
                        "undelivered, {} symbols down",
                        metrics->inflight_bytes.load(), metrics->inflight_batches.load(),
                        metrics->pending_outputs.load(), metrics->undelivered.load(),
                        metrics->symbols_down.load()));
    }
  }

  // ---- turns

  /// One turn of the world; false: nothing can happen any more.
  bool turn() {
    ++outcome_.steps;
    if (const auto failure = process_->board().failure()) {
      operate(*failure);
      return true;
    }
    if (stopping_ && process_->board().is_drained()) {
      stop();
      next_life();
      return true;
    }
    const auto what = random_.below(100);
    if (what < 6 && !recorded()) {
      record_some();
      return true;
    }
    if (what < 9) {
      process_->advance(milliseconds(random_.below(20)));
      return true;
    }
    const bool ran = process_->step(random_, trace_);
    if (plan_->take_hang()) {
      crash("ended by the watchdog");
      return true;
    }
    check_limits();
    if (ran) return true;
    if (!recorded()) {
      record_some();
      return true;
    }
    return process_->next_timeout();
  }

  void disturb() {
    if (dice_.hit(Fault::slow_handler)) process_->advance(milliseconds(dice_.below(300)));
    if (dice_.hit(Fault::clock_jump)) process_->advance(std::chrono::seconds(dice_.below(120)));
    if (dice_.hit(Fault::spurious_wake)) {
      (void)tape_.refresh();
      process_->wake_all();
    }
    if (dice_.hit(Fault::snapshot_rots)) disk_.rot(true);
    if (dice_.hit(Fault::state_rots)) disk_.rot(false);
    if (dice_.hit(Fault::record_rots)) tape_.rot();
    if (random_.below(40) == 0) random_.chance(1, 8) ? ask_all() : ask();
    release_some();
    if (dice_.hit(Fault::gateway_dies)) process_->kill_gateway();
    if (dice_.hit(Fault::crash)) return crash("killed");
    if (dice_.hit(Fault::power_loss)) return crash("power loss", true);
    if (!stopping_ && dice_.hit(Fault::orderly_stop)) {
      stopping_ = true;
      process_->drain(random_.chance(1, 2));
    }
  }

  void safety() {
    std::uint64_t left = 500 + random_.below(kSafetySteps);
    while (!verdict_.broken() && (left > 0 || !recorded())) {
      if (left > 0) --left;
      turn();
      if (!verdict_.broken()) disturb();
    }
  }

  /// Faults stop. What they left behind is looked for, and mended as the engine's words say.
  void liveness() {
    dice_.rest();
    tape_.repair();
    (void)tape_.refresh();
    inspect_state();
    bool asked = false;
    for (std::uint64_t left = kLivenessSteps; left > 0; --left) {
      if (verdict_.broken()) return;
      if (!asked && recorded() && !stopping_) {
        asked = true;
        process_->drain(true);
      }
      if (asked && process_->board().is_drained()) return;
      const auto life = outcome_.lives;
      if (!turn()) return verdict_.broken("nothing more happens, and the engine is not drained");
      if (life != outcome_.lives) asked = false;
    }
    std::string where;
    for (const auto& one : process_->board().partitions())
      where += fmt::format("; read to {} of {}, folded to {}, stored to {}, delivered to {}",
                           one.next, one.end, one.frontier, one.cursor, one.committed);
    verdict_.broken(
        fmt::format("not drained after {} steps without faults{}", kLivenessSteps, where));
  }

  void inspect_state() {
    storage::RowStateStore plain(disk_.rows(SimDisk::View::plain));
    const auto verified = plain.verify();
    if (verified && disk_.rotten() > 0) verdict_.broken("rotten state was verified as good");
    if (!verified && !disk_.ever_rotted())
      verdict_.broken("state is damaged: " + verified.error().message);
    if (verified) return;
    stop();
    disk_.wipe();
    checker_.look_again();
    next_life();
  }

  void finish() {
    checker_.finish();
    if (workload_.sink) sink_.finish();
    // Answers to what is still asked.
    for (int left = 1000; open_questions_ > 0 && left > 0; --left) {
      if (!process_->step(random_, trace_) && !process_->next_timeout()) break;
    }
    if (open_questions_ != 0)
      verdict_.broken(fmt::format("{} questions were never answered", open_questions_));
    const auto partitions = process_->board().partitions();
    for (Partition p = 0; p < workload_.partitions; ++p) {
      if (partitions[p].events != reference_.counts(p))
        verdict_.broken(fmt::format("partition {} counts {} events read, the tape has {}", p,
                                    partitions[p].events.read, reference_.counts(p).read));
      const auto& metrics = *process_->metrics().partitions[p];
      if (metrics.inflight_bytes != 0 || metrics.inflight_batches != 0 ||
          metrics.pending_outputs != 0 || metrics.symbols_down != 0)
        verdict_.broken(fmt::format(
            "partition {} is drained, and its queues are not empty: {} bytes and {} batches in "
            "flight, {} outputs pending, {} symbols down",
            p, metrics.inflight_bytes.load(), metrics.inflight_batches.load(),
            metrics.pending_outputs.load(), metrics.symbols_down.load()));
    }
    compare_with_clean_recording();
  }

  /// What reached the tape is the source, each event once, in order: recorded again without faults,
  /// it folds to the same digests.
  void compare_with_clean_recording() {
    storage::MemoryTape clean(workload_.partitions);
    for (const auto& source : workload_.sources) {
      auto recorder = storage::Recorder::open(clean, source.recording);
      for (const auto& batch : source.batches) (void)recorder->add(batch);
      (void)recorder->finish();
    }
    Reference undisturbed(workload_.settings, workload_.partitions);
    undisturbed.follow(clean);
    for (Partition p = 0; p < workload_.partitions; ++p) {
      for (const auto& symbol : undisturbed.symbols(p)) {
        if (reference_.ruled(symbol)) continue;
        const auto* expected = undisturbed.state(symbol, market::kNever);
        const auto* found = reference_.state(symbol, market::kNever);
        if (found == nullptr || found->digest != expected->digest)
          verdict_.broken("the tape does not hold what was recorded of " + symbol);
      }
    }
    if (control_.records().value().empty() && undisturbed.outputs() != reference_.outputs())
      verdict_.broken("the tape says other outputs than what was recorded");
  }

  std::function<void(std::string_view)> log_;
  Workload workload_;
  Dice dice_;
  feeds::Random random_;
  Verdict verdict_;
  Trace trace_;
  SimTape tape_;
  SimDisk disk_;
  Reference reference_;
  StateChecker checker_;
  SimControl control_;
  SimSink sink_;
  std::shared_ptr<actors::Attempts> attempts_ = std::make_shared<actors::Attempts>();
  std::shared_ptr<DicePlan> plan_;
  std::unique_ptr<SimState> state_;
  std::unique_ptr<SimProcess> process_;
  std::optional<storage::Recorder> recorder_;
  std::size_t source_ = 0, batch_ = 0;
  std::map<Partition, Offset> resumed_;  ///< where this life began
  SimProcess::TimePoint now_{std::chrono::hours(1)};
  bool stopping_ = false;
  std::int64_t open_questions_ = 0;
  SimOutcome outcome_;
};

}  // namespace

SimOutcome simulate(const SimOptions& options) { return Simulation(options).run(); }

}  // namespace tapedeck::chaos
