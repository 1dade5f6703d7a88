// tapedeck replay: folds a tape, or a stretch of it, and writes down what comes of it.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/decimal.hpp"
#include "api/time_format.hpp"
#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "apps/output_file.hpp"
#include "apps/playing.hpp"
#include "apps/progress.hpp"
#include "apps/signals.hpp"
#include "replay/player.hpp"
#include "replay/refold.hpp"

namespace tapedeck::apps {

namespace {

struct ReplayArguments {
  TapeOptions tape;
  std::string from, to, speed = "max", candles, digests;
  std::vector<std::string> symbols;
  std::uint32_t threads = 1;
  bool loop = false;
};

/// Checked against every partition that it is about.
Result<replay::Moment> moment_on(const OpenTape& open, const std::string& text,
                                 const std::string& field,
                                 const std::vector<std::string>& symbols) {
  auto moment = parse_moment(text, field);
  if (!moment) return moment;
  const auto partitions = open.tape->partitions();
  auto* at = std::get_if<replay::AtOffset>(&*moment);
  if (at != nullptr && !at->partition) {
    if (symbols.size() != 1) {
      return fail(ErrorCode::invalid, "offset:N is of one symbol's partition: name it by --symbols",
                  field);
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
    if (auto there = replay::on_tape(*open.tape, p, *moment); !there) {
      there.error().field = field;
      return tl::unexpected(there.error());
    }
  }
  return moment;
}

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
  const auto moment = moment_on(open, arguments.from, "--from", arguments.symbols);
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

Result<void> end_at(const OpenTape& open, const ReplayArguments& arguments,
                    replay::RefoldOptions& options) {
  if (arguments.to.empty()) return {};
  const auto moment = moment_on(open, arguments.to, "--to", arguments.symbols);
  if (!moment) return tl::unexpected(moment.error());
  if (const auto* instant = std::get_if<replay::AtInstant>(&*moment))
    options.instant = instant->time;
  const auto* at = std::get_if<replay::AtOffset>(&*moment);
  if (at == nullptr) return {};
  for (storage::Partition p = 0; p < open.tape->partitions(); ++p) {
    const auto end = open.tape->end(p);
    if (!end) return tl::unexpected(end.error());
    const bool here = *at->partition == p;
    options.to.push_back(here ? at->offset + 1 : *end);
    options.last_events.push_back(here && at->index ? *at->index + 1
                                                    : replay::SymbolFold::kWholeRecord);
  }
  return {};
}

Result<replay::RefoldOptions> refold_options(const OpenTape& open, const ReplayArguments& arguments,
                                             bool paced) {
  replay::RefoldOptions options;
  options.threads = arguments.threads;
  options.symbols.insert(arguments.symbols.begin(), arguments.symbols.end());
  if (!paced) {
    if (auto ok = begin_at(open, arguments, options); !ok) return tl::unexpected(ok.error());
  }
  if (auto ok = end_at(open, arguments, options); !ok) return tl::unexpected(ok.error());
  return options;
}

/// Candles in the order of identity, whatever thread said them first.
class CandleLines {
public:
  void take(const replay::SymbolFold& fold, const market::Outputs& outputs) {
    const std::scoped_lock lock(mutex_);
    for (const auto& output : outputs) {
      const auto* candle = std::get_if<market::Candle>(&output.body);
      if (candle == nullptr) continue;
      const auto unit = fold.state().view().instrument;
      const auto price = [&](market::Price p) { return api::decimal(p, unit.price_exponent); };
      const auto size = [&](market::Int128 s) { return api::decimal(s, unit.size_exponent); };
      lines_[fold.state().symbol() + '\0' + market::identity(output)] = fmt::format(
          "{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", fold.state().symbol(),
          api::format_duration(candle->width), api::format_time(candle->open_time),
          price(candle->open), price(candle->high), price(candle->low), price(candle->close),
          size(candle->volume), size(candle->buy_volume), size(candle->sell_volume),
          api::decimal(candle->notional, unit.price_exponent + unit.size_exponent), candle->trades,
          candle->revision, market::name(output.trust));
    }
  }
  [[nodiscard]] std::string text() const {
    std::string text =
        "symbol,width,open_time,open,high,low,close,volume,buy_volume,sell_volume,notional,trades,"
        "revision,"
        "trust\n";
    for (const auto& [identity, line] : lines_) text += line;
    return text;
  }

private:
  std::mutex mutex_;
  std::map<std::string, std::string> lines_;
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
Result<Summary> refold_all(const OpenTape& open, const replay::RefoldOptions& options,
                           CandleLines* candles) {
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
  if (candles != nullptr) {
    listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
      candles->take(fold, outputs);
    };
  }
  const auto refolded = replay::refold(*open.tape, open.rules, options, listener);
  progress.finish();
  if (!refolded) return tl::unexpected(refolded.error());
  Summary summary;
  summary.records = refolded->records, summary.counts = refolded->counts;
  for (const auto& [symbol, fold] : refolded->symbols) summary.take(fold);
  return summary;
}

/// In the order of event time, by the clock.
Result<Summary> play_all(const OpenTape& open, const ReplayArguments& arguments,
                         const replay::RefoldOptions& options, replay::Speed speed,
                         CandleLines* candles) {
  replay::PlayerOptions playing;
  playing.merge.symbols = arguments.symbols;
  playing.merge.to = options.to, playing.merge.last_events = options.last_events;
  playing.merge.instant = options.instant;
  playing.speed = speed, playing.loop = arguments.loop;
  if (!arguments.from.empty()) {
    const auto from = moment_on(open, arguments.from, "--from", arguments.symbols);
    if (!from) return tl::unexpected(from.error());
    playing.from = *from;
  }
  auto player = replay::Player::open(*open.tape, open.state.get(), open.rules, std::move(playing));
  if (!player) return tl::unexpected(player.error());
  Progress progress("replaying", "events");
  const auto tell = [&](const replay::Told& told) {
    if (candles != nullptr) candles->take(told.fold, told.outputs);
  };
  const auto done = play_out(*player, tell, [&] {
    progress.update(0, 0, player->events_told());
    return !stop_requested.load();
  });
  progress.finish();
  if (!done) return tl::unexpected(done.error());
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
  const bool paced = speed->thousandths > 0 || arguments.loop;
  auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  auto options = refold_options(*open, arguments, paced);
  if (!options) return report(options.error());
  watch_signals();
  CandleLines candles;
  auto* const lines = arguments.candles.empty() ? nullptr : &candles;
  const auto start = std::chrono::steady_clock::now();
  const auto summary = paced ? play_all(*open, arguments, *options, *speed, lines)
                             : refold_all(*open, *options, lines);
  if (!summary) return report(summary.error());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (lines != nullptr) {
    if (auto written = write_file(arguments.candles, candles.text()); !written)
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
  command->add_option("--digests", arguments->digests, "Write each symbol's digest here")
      ->type_name("FILE");
  command->add_option("--threads", arguments->threads, "Threads; partitions are dealt out to them")
      ->type_name("N")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  run_with(command, chosen, [arguments] { return run_replay(*arguments); });
}

}  // namespace tapedeck::apps
