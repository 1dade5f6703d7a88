// tapedeck replay: folds a tape, or a stretch of it, and writes down what comes of it.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "api/decimal.hpp"
#include "api/output_json.hpp"
#include "api/time_format.hpp"
#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "apps/output_file.hpp"
#include "apps/playing.hpp"
#include "apps/progress.hpp"
#include "apps/signals.hpp"
#include "apps/what_if.hpp"
#include "replay/player.hpp"
#include "replay/publish.hpp"
#include "replay/refold.hpp"

namespace tapedeck::apps {

namespace {

struct ReplayArguments {
  TapeOptions tape;
  std::string from, to, speed = "max", candles, digests;
  std::string outputs, publish;
  std::vector<std::string> symbols, set;
  std::uint32_t threads = 1;
  bool loop = false;
};

/// The partition's first record with an event later than `time`.
Result<replay::Offset> first_after(const storage::TapeReader& tape, storage::Partition partition,
                                   market::TimeNs time) {
  const auto end = tape.end(partition);
  if (!end) return end;
  for (replay::Offset from = 0; from < *end;) {
    const auto block = tape.read(partition, from, {});
    if (!block) return tl::unexpected(block.error());
    for (const auto& record : (*block)->records) {
      if (record.max_event_time > time) return record.offset;
    }
    from = (*block)->records.back().offset + 1;
  }
  return *end;
}

Result<void> begin_at(const OpenTape& open, const ReplayArguments& arguments,
                      replay::RefoldOptions& options) {
  if (arguments.from.empty()) return {};
  const auto moment = moment_on(*open.tape, arguments.from, "--from", arguments.symbols);
  if (!moment) return tl::unexpected(moment.error());
  const auto* at = std::get_if<replay::AtOffset>(&*moment);
  const auto* instant = std::get_if<replay::AtInstant>(&*moment);
  for (storage::Partition p = 0; p < open.tape->partitions(); ++p) {
    Result<replay::Offset> from = replay::Offset{0};
    if (at != nullptr && *at->partition == p) from = at->offset;
    if (instant != nullptr) from = first_after(*open.tape, p, instant->time);
    if (at == nullptr && instant == nullptr) from = open.tape->end(p);
    if (!from) return tl::unexpected(from.error());
    options.told_from.push_back(*from);
  }
  return {};
}

Result<replay::RefoldOptions> refold_options(const OpenTape& open,
                                             const ReplayArguments& arguments) {
  replay::RefoldOptions options;
  options.threads = arguments.threads;
  options.symbols.insert(arguments.symbols.begin(), arguments.symbols.end());
  if (auto ok = begin_at(open, arguments, options); !ok) return tl::unexpected(ok.error());
  if (arguments.to.empty()) return options;
  auto to = end_at(*open.tape, arguments.to, "--to", arguments.symbols);
  if (!to) return tl::unexpected(to.error());
  options.to = std::move(to->to), options.last_events = std::move(to->last_events);
  options.instant = to->instant;
  return options;
}

/// What is written of a replay's outputs, in the order of symbol and identity, whatever thread said
/// it first.
class OutputLines {
public:
  OutputLines(bool candles, bool all) : candles_wanted_(candles), all_wanted_(all) {}
  [[nodiscard]] bool wanted() const { return candles_wanted_ || all_wanted_; }

  void take(const replay::SymbolFold& fold, const market::Outputs& outputs) {
    const std::scoped_lock lock(mutex_);
    for (const auto& output : outputs) {
      const auto key = fold.state().symbol() + '\0' + market::identity(output);
      if (all_wanted_) all_[key] = output_line(fold.state().symbol(), output);
      const auto* candle = std::get_if<market::Candle>(&output.body);
      if (candle != nullptr && candles_wanted_) candles_[key] = candle_line(fold, output, *candle);
    }
  }
  [[nodiscard]] std::string candles() const {
    return "symbol,width,open_time,open,high,low,close,volume,buy_volume,sell_volume,notional,"
           "trades,revision,trust\n" +
           joined(candles_);
  }
  [[nodiscard]] std::string all() const { return joined(all_); }

private:
  using Lines = std::map<std::string, std::string>;
  static std::string joined(const Lines& lines) {
    std::string text;
    for (const auto& [key, line] : lines) text += line;
    return text;
  }
  static std::string output_line(const std::string& symbol, const market::Output& output) {
    return fmt::format("{{\"type\":\"{}\",\"data\":{}}}\n", market::name(output.kind()),
                       api::to_json(symbol, output));
  }
  static std::string candle_line(const replay::SymbolFold& fold, const market::Output& output,
                                 const market::Candle& candle) {
    const auto unit = fold.state().view().instrument;
    const auto price = [&](market::Price p) { return api::decimal(p, unit.price_exponent); };
    const auto size = [&](market::Int128 s) { return api::decimal(s, unit.size_exponent); };
    return fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", fold.state().symbol(),
                       api::format_duration(candle.width), api::format_time(candle.open_time),
                       price(candle.open), price(candle.high), price(candle.low),
                       price(candle.close), size(candle.volume), size(candle.buy_volume),
                       size(candle.sell_volume),
                       api::decimal(candle.notional, unit.price_exponent + unit.size_exponent),
                       candle.trades, candle.revision, market::name(output.trust));
  }

  const bool candles_wanted_, all_wanted_;
  std::mutex mutex_;
  Lines candles_, all_;
};

/// What a replay ends with, whichever way it went.
struct Summary {
  std::uint64_t records = 0, symbols = 0, late_trades = 0;
  market::EventCounts counts;
  std::string digests;

  void take(const replay::SymbolFold& fold) {
    const auto& state = fold.state();
    ++symbols;
    late_trades += state.view().integrity.late_trades;
    digests +=
        fmt::format("{} {} {}\n", state.symbol(), state.counts().folded, state.digest().hex());
  }
};

/// As fast as can be, partition by partition.
Result<Summary> refold_all(const OpenTape& open, const ReplayArguments& arguments,
                           OutputLines& lines) {
  const auto options = refold_options(open, arguments);
  if (!options) return tl::unexpected(options.error());
  Progress progress("replaying", "events");
  std::atomic<std::uint64_t> records = 0, events = 0;
  std::uint64_t total = 0;
  for (storage::Partition p = 0; p < open.tape->partitions(); ++p)
    total += open.tape->end(p).value_or(0);
  const auto main_thread = std::this_thread::get_id();
  replay::RefoldListener listener;
  listener.go_on = [](storage::Partition, market::TimeNs) { return !stop_requested; };
  listener.progress = [&](std::uint64_t more_records, std::uint64_t more_events) {
    records += more_records, events += more_events;
    if (std::this_thread::get_id() == main_thread) progress.update(records, total, events);
  };
  if (lines.wanted()) {
    listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
      lines.take(fold, outputs);
    };
  }
  const auto refolded = replay::refold(*open.tape, open.rules, *options, listener);
  progress.finish();
  if (!refolded) return tl::unexpected(refolded.error());
  Summary summary;
  summary.records = refolded->records, summary.counts = refolded->counts;
  for (const auto& [symbol, fold] : refolded->symbols) summary.take(fold);
  return summary;
}

/// The topic of --publish, written to while a replay goes on.
class Publishing {
public:
  Result<void> open(const OpenTape& from, const ReplayArguments& arguments) {
    if (arguments.publish.empty()) return {};
    TapeOptions to = arguments.tape;
    to.directory.clear(), to.state.clear();
    to.topic = arguments.publish;
    const auto source = kafka_options(arguments.tape);
    if (!source) return tl::unexpected(source.error());
    if (*source && (*source)->topic == to.topic)
      return fail(ErrorCode::invalid, "the tape would be published onto itself", "--publish");
    auto writer = open_writer(to, Linger::live, from.tape->partitions());
    if (!writer) return tl::unexpected(writer.error());
    writer_ = std::move(*writer);
    auto publisher = replay::Publisher::open(*from.tape, *writer_);
    if (!publisher) {
      publisher.error().field = "--publish";
      return tl::unexpected(publisher.error());
    }
    publisher_.emplace(std::move(*publisher));
    return {};
  }
  void follow(replay::Player& player) {
    if (publisher_)
      player.on_mark([this](const market::TimeMark& mark) { publisher_->take(mark); });
  }
  void take(const replay::Told& told) {
    if (publisher_) publisher_->take(told);
  }
  /// Every few milliseconds, or when there is much.
  [[nodiscard]] bool go_on(const replay::Player& player) {
    if (!publisher_ || failure_) return !failure_;
    const auto now = clock_now();
    if (now - flushed_ < kLinger && publisher_->waiting() < kFlushBytes) return true;
    flushed_ = now;
    if (auto done = publisher_->flush(player.time()); !done) failure_ = done.error();
    return !failure_;
  }
  Result<void> finish(const replay::Player& player, bool whole) {
    if (failure_) return tl::unexpected(*failure_);
    return publisher_ ? publisher_->finish(player.time(), whole) : Result<void>();
  }

private:
  static constexpr replay::ClockNs kLinger = 2'000'000;
  static constexpr std::size_t kFlushBytes = std::size_t{1} << 20;
  std::unique_ptr<storage::TapeWriter> writer_;
  std::optional<replay::Publisher> publisher_;
  std::optional<Error> failure_;
  replay::ClockNs flushed_ = 0;
};

/// In the order of event time, by the clock.
Result<Summary> play_all(const OpenTape& open, const ReplayArguments& arguments,
                         replay::Speed speed, OutputLines& lines) {
  auto playing = player_options(*open.tape, arguments.symbols, arguments.from, arguments.to, "--");
  if (!playing) return tl::unexpected(playing.error());
  playing->speed = speed, playing->loop = arguments.loop;
  auto player = replay::Player::open(*open.tape, open.state.get(), open.rules, std::move(*playing));
  if (!player) return tl::unexpected(player.error());
  Publishing publishing;
  if (auto opened = publishing.open(open, arguments); !opened)
    return tl::unexpected(opened.error());
  publishing.follow(*player);
  Progress progress("replaying", "events");
  const auto tell = [&](const replay::Told& told) {
    publishing.take(told);
    if (lines.wanted()) lines.take(told.fold, told.outputs);
  };
  const auto done = play_out(*player, tell, [&] {
    progress.update(0, 0, player->events_told());
    return !stop_requested.load() && publishing.go_on(*player);
  });
  progress.finish();
  if (!done) return tl::unexpected(done.error());
  const bool whole = player->state() == replay::PlayState::ended && arguments.symbols.empty() &&
                     arguments.from.empty() && arguments.to.empty();
  if (auto published = publishing.finish(*player, whole); !published)
    return tl::unexpected(published.error());
  for (const auto& bad : player->bad_snapshots())
    fmt::print(stderr, "tapedeck: passed over a bad snapshot: {}\n", bad);
  Summary summary;
  summary.records = player->records_told();
  for (std::uint32_t i = 0; i < player->symbols().size(); ++i) {
    const auto fold = player->fold(i);
    if (!fold) return tl::unexpected(fold.error());
    if ((*fold)->state().counts().read == 0) continue;
    summary.counts += (*fold)->state().counts();
    summary.take(**fold);
  }
  return summary;
}

void print(const Summary& summary, double seconds) {
  const auto& counts = summary.counts;
  fmt::print(
      "replayed {} events in {} records of {} symbols, {:.1f} s, {:.2f} M events/s\n"
      "{} folded, {} duplicates, {} refused, {} filtered\n",
      counts.read, summary.records, summary.symbols, seconds,
      static_cast<double>(counts.read) / seconds / 1e6, counts.folded, counts.duplicates,
      counts.refused, counts.filtered);
  if (summary.late_trades > 0) {
    fmt::print("{} trades came too late for a candle: they are in none\n", summary.late_trades);
  }
  if (stop_requested) fmt::print("interrupted\n");
}

int run_replay(const ReplayArguments& arguments) {
  const auto speed = replay::parse_speed(arguments.speed, "--speed");
  if (!speed) return report(speed.error());
  const bool paced = speed->thousandths > 0 || arguments.loop || !arguments.publish.empty();
  if (arguments.loop && !arguments.publish.empty()) {
    return report({ErrorCode::invalid,
                   "what comes a second time is a duplicate: --publish goes without --loop",
                   "--publish"});
  }
  auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  if (!arguments.set.empty()) {
    auto rules = changed_rules(*open, arguments.set);
    if (!rules) return report(rules.error());
    open->rules = std::move(*rules);
    open->state.reset();  // what is stored is of the tape's own settings
  }
  watch_signals();
  OutputLines lines(!arguments.candles.empty(), !arguments.outputs.empty());
  const auto start = std::chrono::steady_clock::now();
  const auto summary =
      paced ? play_all(*open, arguments, *speed, lines) : refold_all(*open, arguments, lines);
  if (!summary) return report(summary.error());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!arguments.candles.empty()) {
    if (auto written = write_file(arguments.candles, lines.candles()); !written)
      return report(written.error());
  }
  if (!arguments.outputs.empty()) {
    if (auto written = write_file(arguments.outputs, lines.all()); !written)
      return report(written.error());
  }
  if (!arguments.digests.empty()) {
    if (auto written = write_file(arguments.digests, summary->digests); !written)
      return report(written.error());
  }
  print(*summary, seconds.count());
  return kDone;
}

}  // namespace

void add_replay(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<ReplayArguments>();
  CLI::App* command = app.add_subcommand(
      "replay", "Fold a tape, or a stretch of it, and write down what comes of it");
  command->footer(
      "Examples:\n"
      "  tapedeck replay --tape day --digests digests.txt --candles candles.csv --threads 2\n"
      "  tapedeck replay --tape day --symbols AAPL,MSFT --speed 10\n"
      "  tapedeck replay --tape day --speed 1 --publish live --brokers 127.0.0.1:9092\n"
      "  tapedeck replay --tape day --set candles.widths=5s,1m --outputs what_if.jsonl\n"
      "\nA digest line is: symbol, events folded, digest. At full speed both bounds are taken by\n"
      "whole records; what is before --from is folded, but its candles are not written. At a "
      "speed\n"
      "all partitions are played together in the order of event time, from exactly --from on.");
  add_tape_options(command, arguments->tape);
  command->add_option("--from", arguments->from, "First position or instant")->type_name("P");
  command->add_option("--to", arguments->to, "Last position or instant")->type_name("P");
  command
      ->add_option("--speed", arguments->speed, "Times as fast as the session, 0.1 to 1000, or max")
      ->type_name("N|max")
      ->capture_default_str();
  command->add_option("--symbols", arguments->symbols, "Fold only these")
      ->type_name("A,B")
      ->delimiter(',');
  command->add_flag("--loop", arguments->loop, "At the end begin anew, until interrupted");
  command->add_option("--candles", arguments->candles, "Write closed candles here")
      ->type_name("FILE.csv");
  command->add_option("--outputs", arguments->outputs, "Write everything that is said here")
      ->type_name("FILE.jsonl");
  command
      ->add_option(
          "--publish", arguments->publish,
          "Send what is played to this new topic, with --brokers: a tape that can be served")
      ->type_name("TOPIC");
  add_set_option(command, arguments->set);
  command->add_option("--digests", arguments->digests, "Write each symbol's digest here")
      ->type_name("FILE");
  command->add_option("--threads", arguments->threads, "Threads; partitions are dealt out to them")
      ->type_name("N")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  run_with(command, chosen, [arguments] { return run_replay(*arguments); });
}

}  // namespace tapedeck::apps
