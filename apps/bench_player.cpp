// tapedeck bench player: how punctual a paced replay is, and how long a seek takes.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "apps/playing.hpp"

namespace tapedeck::apps {

namespace {

struct PlayerArguments {
  TapeOptions tape;
  std::string speed = "1", from;
  std::vector<std::string> symbols;
  double seconds = 10;
  std::uint64_t seeks = 100, seed = 1;
};

void print_times(const char* what, std::vector<double> values, const char* unit) {
  if (values.empty()) {
    fmt::print("{}: none\n", what);
    return;
  }
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[std::min(values.size() - 1,
                           static_cast<std::size_t>(share * static_cast<double>(values.size())))];
  };
  fmt::print("{}: p50 {:.3f}, p99 {:.3f}, p99.9 {:.3f}, max {:.3f} {} over {}\n", what, at(0.5),
             at(0.99), at(0.999), values.back(), unit, values.size());
}

double since_ms(replay::ClockNs start) { return static_cast<double>(clock_now() - start) / 1e6; }

Result<void> measure_pace(replay::Player& player, const PlayerArguments& arguments) {
  std::vector<double> late_us;
  while (player.restore_one().value_or(false)) continue;
  const auto start = clock_now();
  const auto end = start + static_cast<replay::ClockNs>(arguments.seconds * 1e9);
  const auto played = play_out(
      player,
      [&](const replay::Told& told) {
        if (told.due != replay::kDueAtOnce)
          late_us.push_back(static_cast<double>(clock_now() - told.due) / 1e3);
      },
      [&] { return clock_now() < end; });
  if (!played) return played;
  player.pause(clock_now());
  fmt::print("speed {}: {} events in {:.1f} s\n", arguments.speed, player.events_told(),
             since_ms(start) / 1e3);
  print_times("told after it was due", std::move(late_us), "us");
  return {};
}

/// Seeks to random instants; a seek has ended with every state there, or with the first event told.
Result<void> measure_seeks(replay::Player& player, const PlayerArguments& arguments) {
  const auto first = player.time();
  const auto last = player.last_event_time();
  std::mt19937_64 random(arguments.seed);
  std::vector<double> places, states, tells;
  for (std::uint64_t i = 0; i < arguments.seeks; ++i) {
    const auto span = static_cast<std::uint64_t>(std::max<market::TimeNs>(1, last - first));
    const auto time = first + static_cast<market::TimeNs>(random() % span);
    const auto start = clock_now();
    if (auto there = player.seek(start, replay::AtInstant{time}); !there) return there;
    places.push_back(since_ms(start));
    auto told = player.step(0, replay::StepUnit::event, 1, [](const replay::Told&) {});
    if (!told) return tl::unexpected(told.error());
    tells.push_back(since_ms(start));
    for (auto more = Result<bool>(true); *more;) {
      more = player.restore_one();
      if (!more) return tl::unexpected(more.error());
    }
    states.push_back(since_ms(start));
  }
  print_times("seek to a random instant", std::move(places), "ms");
  print_times("... until the next event is told", std::move(tells), "ms");
  print_times("... until every symbol's state is there", std::move(states), "ms");
  return {};
}

int run_player(const PlayerArguments& arguments) {
  const auto speed = replay::parse_speed(arguments.speed, "--speed");
  if (!speed) return report(speed.error());
  auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  replay::PlayerOptions options;
  options.merge.symbols = arguments.symbols, options.speed = *speed;
  const auto start = clock_now();
  auto player = replay::Player::open(*open->tape, open->state.get(), open->rules, options);
  if (!player) return report(player.error());
  fmt::print("{} symbols opened in {:.1f} ms\n", player->symbols().size(), since_ms(start));
  if (auto begun = player->step(0, replay::StepUnit::event, 1, [](const replay::Told&) {}); !begun)
    return report(begun.error());
  if (auto sought = measure_seeks(*player, arguments); !sought) return report(sought.error());
  if (!arguments.from.empty()) {
    const auto from = parse_moment(arguments.from, "--from");
    if (!from) return report(from.error());
    if (auto there = player->seek(0, *from); !there) return report(there.error());
  }
  if (auto paced = measure_pace(*player, arguments); !paced) return report(paced.error());
  return kDone;
}

}  // namespace

void add_bench_player(CLI::App* bench, Chosen& chosen) {
  auto arguments = std::make_shared<PlayerArguments>();
  CLI::App* command =
      bench->add_subcommand("player", "How punctual a paced replay is, and how long a seek takes");
  command->footer(
      "Example:\n  tapedeck bench player --tape day --from 2012-06-21T10:00:00-04:00 --seconds 30");
  add_tape_options(command, arguments->tape);
  command->add_option("--symbols", arguments->symbols, "Play only these")
      ->type_name("A,B")
      ->delimiter(',');
  command->add_option("--speed", arguments->speed, "Times as fast as the session")
      ->capture_default_str();
  command->add_option("--from", arguments->from, "Where the pace is measured")->type_name("P");
  command->add_option("--seconds", arguments->seconds, "How long")->capture_default_str();
  command->add_option("--seeks", arguments->seeks, "Seeks to random instants")
      ->capture_default_str();
  command->add_option("--seed", arguments->seed, "Of the instants")->capture_default_str();
  run_with(command, chosen, [arguments] { return run_player(*arguments); });
}

}  // namespace tapedeck::apps
