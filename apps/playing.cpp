#include "apps/playing.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "apps/open_tape.hpp"

namespace tapedeck::apps {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

namespace {

constexpr std::size_t kAtATime = 4096;
constexpr replay::ClockNs kLookEvery = 50'000'000;
/// So much time must be left before the next is due to restore a state meanwhile.
constexpr replay::ClockNs kIdle = 20'000'000;

}  // namespace

Result<replay::Moment> moment_on(const storage::TapeReader& tape, const std::string& text,
                                 const std::string& field,
                                 const std::vector<std::string>& symbols) {
  auto moment = parse_moment(text, field);
  if (!moment) return moment;
  const auto partitions = tape.partitions();
  auto* at = std::get_if<replay::AtOffset>(&*moment);
  if (at != nullptr && !at->partition) {
    if (symbols.size() != 1) {
      return fail(ErrorCode::invalid,
                  "offset:N is of one symbol's partition: name that symbol, and only that", field);
    }
    at->partition = storage::partition_of(symbols.front(), partitions);
  }
  if (at != nullptr && *at->partition >= partitions) {
    return fail(
        ErrorCode::invalid,
        fmt::format("partition {} does not exist: the tape has {}", *at->partition, partitions),
        field);
  }
  for (storage::Partition p = 0; p < partitions; ++p) {
    if (at != nullptr && *at->partition != p) continue;
    if (auto there = replay::on_tape(tape, p, *moment); !there) {
      there.error().field = field;
      return tl::unexpected(there.error());
    }
  }
  return moment;
}

Result<replay::MergeOptions> end_at(const storage::TapeReader& tape, const std::string& text,
                                    const std::string& field,
                                    const std::vector<std::string>& symbols) {
  replay::MergeOptions options;
  const auto moment = moment_on(tape, text, field, symbols);
  if (!moment) return tl::unexpected(moment.error());
  if (const auto* instant = std::get_if<replay::AtInstant>(&*moment))
    options.instant = instant->time;
  const auto* at = std::get_if<replay::AtOffset>(&*moment);
  if (at == nullptr) return options;
  for (storage::Partition p = 0; p < tape.partitions(); ++p) {
    const auto end = tape.end(p);
    if (!end) return tl::unexpected(end.error());
    const bool here = *at->partition == p;
    options.to.push_back(here ? at->offset + 1 : *end);
    options.last_events.push_back(here && at->index ? *at->index + 1
                                                    : replay::SymbolFold::kWholeRecord);
  }
  return options;
}

Result<replay::PlayerOptions> player_options(const storage::TapeReader& tape,
                                             const std::vector<std::string>& symbols,
                                             const std::string& from, const std::string& to,
                                             const std::string& prefix) {
  replay::PlayerOptions options;
  if (!to.empty()) {
    auto end = end_at(tape, to, prefix + "to", symbols);
    if (!end) return tl::unexpected(end.error());
    options.merge = std::move(*end);
  }
  if (!from.empty()) {
    const auto begin = moment_on(tape, from, prefix + "from", symbols);
    if (!begin) return tl::unexpected(begin.error());
    options.from = *begin;
  }
  options.merge.symbols = symbols;
  return options;
}

replay::ClockNs clock_now() {
  return std::chrono::duration_cast<nanoseconds>(Clock::now().time_since_epoch()).count();
}

void wake_punctually() {
  constexpr unsigned long kSlackNs = 1;
  ::prctl(PR_SET_TIMERSLACK, kSlackNs, 0, 0, 0);
}

Result<void> play_out(replay::Player& player, const replay::TellTo& tell,
                      const std::function<bool()>& go_on) {
  wake_punctually();
  player.play(clock_now());
  while (player.state() == replay::PlayState::playing && go_on()) {
    const auto now = clock_now();
    const auto due = player.next_due();
    if (due <= now) {
      if (auto told = player.tell_due(now, kAtATime, tell); !told)
        return tl::unexpected(told.error());
      continue;
    }
    if (due - now > kIdle) {
      const auto restored = player.restore_one();
      if (!restored) return tl::unexpected(restored.error());
      if (*restored) continue;
    }
    std::this_thread::sleep_until(Clock::time_point(nanoseconds(std::min(due, now + kLookEvery))));
  }
  return {};
}

}  // namespace tapedeck::apps
