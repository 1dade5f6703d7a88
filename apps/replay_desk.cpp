#include "apps/replay_desk.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <set>
#include <thread>
#include <utility>

#include "api/stream_json.hpp"
#include "apps/open_tape.hpp"
#include "apps/playing.hpp"

namespace tapedeck::apps {

namespace {

using Clock = std::chrono::steady_clock;
using StatusReply = api::Reply<api::ReplayStatus>;

constexpr std::size_t kAtATime = 256;  ///< told before commands are looked at again
constexpr replay::ClockNs kOpenCandlesEvery = 200'000'000;
constexpr replay::ClockNs kIdleToRestore = 20'000'000;

/// What wakes a replay's thread; its hub may outlive the replay.
struct Signal {
  std::mutex mutex;
  std::condition_variable changed;
  bool poked = false;
  void poke() {
    {
      const std::lock_guard lock(mutex);
      poked = true;
    }
    changed.notify_one();
  }
};

}  // namespace

/// Made paused; everything but the queue of commands and the status is its thread's.
class ReplayDesk::Replay {
public:
  Replay(ReplayDesk& desk, std::string id, api::ReplayRequest request)
      : desk_(desk),
        request_(std::move(request)),
        hub_(std::make_shared<api::StreamHub>(desk.options_.stream,
                                              [signal = signal_] { signal->poke(); })),
        encoder_(*hub_, request_.depth) {
    status_.id = std::move(id);
  }
  ~Replay() {
    stop();
    if (thread_.joinable()) thread_.join();
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  void start(StatusReply opened) {
    thread_ = std::thread([this, opened = std::move(opened)] {
      ++desk_.metrics_.replays;
      run(opened);
      --desk_.metrics_.replays;
      close();
    });
  }
  /// It ends soon.
  void stop() {
    {
      const std::lock_guard lock(signal_->mutex);
      stopping_ = true;
    }
    signal_->poke();
  }
  [[nodiscard]] bool stopping() const {
    const std::lock_guard lock(signal_->mutex);
    return stopping_;
  }
  [[nodiscard]] bool ended() const { return ended_; }

  void command(api::ReplayCommand command, StatusReply reply) {
    bool closed = false;
    {
      const std::lock_guard lock(signal_->mutex);
      used_ = Clock::now();
      closed = closed_;
      if (!closed) commands_.emplace_back(std::move(command), reply);
    }
    closed ? reply(gone()) : signal_->poke();
  }
  [[nodiscard]] api::ReplayStatus peek() const {
    const auto subscribers = hub_->subscribers();
    const std::lock_guard lock(signal_->mutex);
    auto status = status_;
    status.subscribers = subscribers;
    return status;
  }
  /// Somebody asks for it.
  [[nodiscard]] api::ReplayStatus status() {
    {
      const std::lock_guard lock(signal_->mutex);
      used_ = Clock::now();
    }
    return peek();
  }
  [[nodiscard]] Result<std::unique_ptr<api::Subscription>> subscribe(api::StreamQuery query,
                                                                     std::function<void()> wake) {
    for (const auto& symbol : query.symbols) {
      if (std::ranges::binary_search(status().symbols, symbol)) continue;
      return fail(ErrorCode::not_found, "symbol '" + symbol + "' is not in this replay", "symbols");
    }
    return hub_->subscribe(std::move(query), std::move(wake));
  }

private:
  using Command = std::pair<api::ReplayCommand, StatusReply>;
  struct Stepping {
    replay::StepUnit unit = replay::StepUnit::event;
    std::uint64_t left = 0;
    StatusReply reply;
  };

  [[nodiscard]] tl::unexpected<Error> gone() const {
    return fail(ErrorCode::not_found, "replay " + status_.id + " has ended", "id");
  }

  void run(const StatusReply& opened) {
    auto options = player_options(desk_.tape_, request_.symbols, request_.from, request_.to);
    if (!options) return opened(tl::unexpected(options.error()));
    const auto speed = replay::parse_speed(request_.speed, "speed");
    if (!speed) return opened(tl::unexpected(speed.error()));
    options->speed = *speed, options->loop = request_.loop;
    const auto rules = desk_.rules_();
    auto player = replay::Player::open(desk_.tape_, &desk_.state_, rules, std::move(*options));
    if (!player) return opened(tl::unexpected(player.error()));
    player_ = &*player;
    {
      const std::lock_guard lock(signal_->mutex);
      status_.symbols = player->symbols();
    }
    note();
    opened(peek());
    wake_punctually();
    while (turn()) continue;
  }

  /// One round: commands, newcomers, what is due. False: it is to end.
  bool turn() {
    std::deque<Command> commands;
    {
      std::unique_lock lock(signal_->mutex);
      signal_->changed.wait_until(
          lock, wake_at(), [this] { return stopping_ || signal_->poked || !commands_.empty(); });
      if (hub_->subscribers() > 0) used_ = Clock::now();
      if (stopping_) return false;
      if (commands_.empty() && Clock::now() >= used_ + desk_.options_.idle_after) {
        ++desk_.metrics_.replays_expired;
        return false;
      }
      signal_->poked = false;
      commands.swap(commands_);
    }
    for (auto& [command, reply] : commands) answer(command, reply);
    work();
    note();
    return true;
  }

  [[nodiscard]] Clock::time_point wake_at() const {
    const auto idle = used_ + desk_.options_.idle_after;
    if (!failed_ && hub_->room()) {
      if (stepping_.left > 0) return Clock::now();
      const auto due = player_->next_due();
      if (due == replay::kDueAtOnce) return Clock::now();
      const auto now = clock_now();
      if (due > now + kIdleToRestore && unrestored_) return Clock::now();
      if (due != replay::kNeverDue)
        return std::min(idle, Clock::time_point(std::chrono::nanoseconds(due)));
    }
    return idle;
  }

  void work() {
    const auto checked = [this](auto result) {
      if (!result) break_off(result.error());
      return result.has_value();
    };
    admit();
    if (failed_ || !hub_->room()) return;
    const auto now = clock_now();
    const auto tell = [this](const replay::Told& told) { hear(told); };
    if (stepping_.left > 0) {
      const auto stepped = player_->step(now, stepping_.unit, 1, tell);
      if (!checked(stepped)) return;
      stepping_.left = *stepped == 0 ? 0 : stepping_.left - 1;
      show();
      if (stepping_.left == 0) done_stepping();
      return;
    }
    const auto loops = player_->loops();
    const auto due = player_->next_due();
    if (due <= now) {
      if (!checked(player_->tell_due(now, kAtATime, tell))) return;
      if (player_->loops() != loops) return begin_anew();
      show();
    } else if (unrestored_ && due > now + kIdleToRestore) {
      const auto restored = player_->restore_one();
      if (checked(restored)) unrestored_ = *restored;
    }
  }

  void hear(const replay::Told& told) {
    if (told.due != replay::kDueAtOnce)
      desk_.metrics_.replay_late_ns.record(
          static_cast<std::uint64_t>(std::max<replay::ClockNs>(0, clock_now() - told.due)));
    if (!hub_->wanted()) return;
    touched_.insert(told.symbol);
    encoder_.outputs(told.fold.state().symbol(), told.outputs);
  }

  /// What the symbols that were touched look like now.
  void show() {
    const auto now = clock_now();
    for (const auto number : touched_) {
      const auto fold = player_->fold(number);
      if (!fold) return break_off(fold.error());
      encoder_.state((*fold)->state());
      auto& candles = open_candles_told_[number];
      if (now - candles < kOpenCandlesEvery) continue;
      candles = now;
      encoder_.open_candles((*fold)->state(), (*fold)->settings());
    }
    touched_.clear();
    if (player_->state() != told_state_) say_status();
  }

  void admit() {
    hub_->admit([this](const api::StreamHub::Wants& wants) {
      std::vector<std::string> snapshots;
      const auto& symbols = player_->symbols();
      for (std::uint32_t i = 0; i < symbols.size(); ++i) {
        if (!wants(symbols[i])) continue;
        const auto fold = player_->fold(i);
        if (!fold) {
          break_off(fold.error());
          break;
        }
        snapshots.push_back(encoder_.snapshot((*fold)->state()));
      }
      return snapshots;
    });
  }

  /// Elsewhere on the tape: what subscribers know is of no use.
  void begin_anew() {
    touched_.clear();
    open_candles_told_.clear();
    encoder_.forget();
    unrestored_ = true;
    hub_->restart();
    admit();
    say_status();
  }

  void answer(const api::ReplayCommand& command, const StatusReply& reply) {
    using Kind = api::ReplayCommand::Kind;
    if (failed_) return reply(tl::unexpected(*failed_));
    const auto now = clock_now();
    Result<void> done;
    switch (command.kind) {
      case Kind::play: player_->play(now); break;
      case Kind::pause: player_->pause(now); break;
      case Kind::step: return begin_stepping(command, reply);
      case Kind::seek: done = seek(now, command.at); break;
      case Kind::speed:
        done = replay::parse_speed(command.speed, "speed").map([&](replay::Speed speed) {
          player_->set_speed(now, speed);
        });
        break;
    }
    if (!done) return reply(tl::unexpected(done.error()));
    note();
    if (command.kind != Kind::seek) say_status();
    reply(peek());
  }

  Result<void> seek(replay::ClockNs now, const std::string& at) {
    auto moment = moment_on(desk_.tape_, at, "at", player_->symbols());
    if (!moment) return tl::unexpected(moment.error());
    if (auto sought = player_->seek(now, *moment); !sought) return sought;
    begin_anew();
    return {};
  }

  void begin_stepping(const api::ReplayCommand& command, const StatusReply& reply) {
    const auto unit = replay::parse_step(command.unit, "unit");
    if (!unit) return reply(tl::unexpected(unit.error()));
    if (stepping_.left > 0) done_stepping();
    stepping_ = {*unit, command.count, reply};
  }
  void done_stepping() {
    note();
    say_status();
    stepping_.left = 0;
    std::exchange(stepping_.reply, nullptr)(peek());
  }

  /// A record that cannot be read: it stays where it is and says why.
  void break_off(const Error& error) {
    failed_ = error;
    player_->pause(clock_now());
    note();
    say_status();
    stepping_.left = 0;
    if (stepping_.reply) std::exchange(stepping_.reply, nullptr)(tl::unexpected(error));
  }

  void note() {
    const std::lock_guard lock(signal_->mutex);
    status_.state = replay::name(player_->state());
    status_.speed = replay::format_speed(player_->speed());
    status_.loop = player_->loop();
    status_.time = player_->time(), status_.position = player_->position();
    status_.events = player_->events_told(), status_.records = player_->records_told();
    status_.loops = player_->loops();
    status_.error = failed_ ? failed_->message : "";
  }

  void say_status() {
    note();
    told_state_ = player_->state();
    if (hub_->wanted()) hub_->publish(api::Channel::book, {}, "replay", to_json(peek()));
  }

  /// Whoever waits is told; nobody can wait from here on.
  void close() {
    std::deque<Command> left;
    {
      const std::lock_guard lock(signal_->mutex);
      closed_ = true;
      left.swap(commands_);
    }
    for (auto& [command, reply] : left) reply(gone());
    if (stepping_.reply) stepping_.reply(gone());
    hub_->end();
    ended_ = true;
  }

  ReplayDesk& desk_;
  const api::ReplayRequest request_;
  std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  std::shared_ptr<api::StreamHub> hub_;

  // Under the signal's mutex.
  std::deque<Command> commands_;
  api::ReplayStatus status_;
  Clock::time_point used_ = Clock::now();
  bool stopping_ = false, closed_ = false;

  // The thread's.
  replay::Player* player_ = nullptr;
  api::StreamEncoder encoder_;
  std::set<std::uint32_t> touched_;
  std::map<std::uint32_t, replay::ClockNs> open_candles_told_;
  Stepping stepping_;
  std::optional<Error> failed_;
  replay::PlayState told_state_ = replay::PlayState::paused;
  bool unrestored_ = true;

  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

ReplayDesk::ReplayDesk(const storage::TapeReader& tape, const storage::StateReader& state,
                       std::function<replay::FoldRules()> rules, ReplayDeskOptions options,
                       telemetry::Metrics& metrics)
    : tape_(tape), state_(state), rules_(std::move(rules)), options_(options), metrics_(metrics) {}

ReplayDesk::~ReplayDesk() = default;

std::vector<std::shared_ptr<ReplayDesk::Replay>> ReplayDesk::take_ended() {
  std::vector<std::shared_ptr<Replay>> ended;
  std::erase_if(replays_, [&ended](auto& entry) {
    if (!entry.second->ended()) return false;
    ended.push_back(entry.second);
    return true;
  });
  return ended;
}

Result<std::shared_ptr<ReplayDesk::Replay>> ReplayDesk::find(const std::string& id) {
  std::vector<std::shared_ptr<Replay>> ended;
  const std::lock_guard lock(mutex_);
  ended = take_ended();
  const auto found = replays_.find(id);
  if (found == replays_.end() || found->second->stopping())
    return fail(ErrorCode::not_found, "there is no replay '" + id + "'", "id");
  return found->second;
}

void ReplayDesk::create(api::ReplayRequest request, StatusReply reply) {
  std::vector<std::shared_ptr<Replay>> ended;
  std::shared_ptr<Replay> made;
  {
    const std::lock_guard lock(mutex_);
    ended = take_ended();
    if (replays_.size() < options_.most) {
      const auto id = std::to_string(next_id_++);
      made = std::make_shared<Replay>(*this, id, std::move(request));
      replays_.emplace(id, made);
    }
  }
  if (made) return made->start(std::move(reply));
  ++metrics_.replays_refused;
  reply(fail(ErrorCode::exhausted,
             fmt::format("there are {} replays already (replays.max): end one, or wait until one "
                         "has been idle for long",
                         options_.most),
             "replays"));
}

void ReplayDesk::list(api::Reply<std::vector<api::ReplayStatus>> reply) {
  std::vector<std::shared_ptr<Replay>> ended, all;
  {
    const std::lock_guard lock(mutex_);
    ended = take_ended();
    for (const auto& [id, replay] : replays_)
      if (!replay->stopping()) all.push_back(replay);
  }
  std::vector<api::ReplayStatus> statuses;
  for (const auto& replay : all) statuses.push_back(replay->peek());
  std::ranges::sort(statuses, {}, [](const auto& s) { return std::pair(s.id.size(), s.id); });
  reply(std::move(statuses));
}

void ReplayDesk::get(std::string id, StatusReply reply) {
  const auto replay = find(id);
  if (!replay) return reply(tl::unexpected(replay.error()));
  reply((*replay)->status());
}

void ReplayDesk::command(std::string id, api::ReplayCommand command, StatusReply reply) {
  const auto replay = find(id);
  if (!replay) return reply(tl::unexpected(replay.error()));
  (*replay)->command(std::move(command), std::move(reply));
}

void ReplayDesk::remove(std::string id, StatusReply reply) {
  const auto replay = find(id);
  if (!replay) return reply(tl::unexpected(replay.error()));
  (*replay)->stop();
  reply((*replay)->status());
}

Result<std::unique_ptr<api::Subscription>> ReplayDesk::subscribe(api::StreamQuery query,
                                                                 std::function<void()> wake) {
  if (query.replay.empty()) {
    return fail(ErrorCode::invalid, "replay: expected the id of a replay, made by POST /v1/replays",
                "replay");
  }
  const auto replay = find(query.replay);
  if (!replay) return tl::unexpected(replay.error());
  return (*replay)->subscribe(std::move(query), std::move(wake));
}

}  // namespace tapedeck::apps
