// tapedeck record: a feed onto a tape.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apps/commands.hpp"
#include "apps/progress.hpp"
#include "apps/recording.hpp"
#include "apps/retention.hpp"
#include "apps/running.hpp"
#include "apps/signals.hpp"

namespace tapedeck::apps {

namespace {

constexpr const char* kExamples = R"(Examples:
  tapedeck record --feed itch --input 20120621.itch.gz --date 2012-06-21 --tape day
  tapedeck record --feed trades-csv --input trades.csv.gz --tape trades
  tapedeck record --feed ticks-json --input ticks.jsonl --columns symbol=s,ts_ms=T,price=p,size=q --tape ticks
  tapedeck record --feed sim:l3 --tape sim --symbols AAPL,MSFT
  tapedeck record --feed itch --input day.itch --date 2012-06-21 --tape live --rate 100000 --linger 1ms
  tapedeck record --feed sim:l3 --brokers 127.0.0.1:9092 --topic market --state market-state

An interrupted recording goes on when the same command is run again. A source that is on the tape already is not
recorded twice.)";

struct RecordArguments {
  TapeOptions tape;
  std::string feed;
  feeds::FeedOptions input;
  std::vector<std::string> symbols;
  std::string rate = "max", linger, mark_every;
  std::uint32_t partitions = 0;
};

Result<RecordingOptions> recording_options(const RecordArguments& arguments) {
  RecordingOptions options;
  auto pace = parse_pace(arguments.rate, "--rate");
  if (!pace) return tl::unexpected(pace.error());
  options.pace = *pace;
  if (pace->mode != Pace::Mode::max) set_live_defaults(options.recorder);
  if (!arguments.linger.empty())
    if (auto done = parse_linger(arguments.linger, "--linger", options.recorder); !done)
      return tl::unexpected(done.error());
  if (!arguments.mark_every.empty())
    if (auto done = parse_mark_every(arguments.mark_every, "--mark-every", options.recorder); !done)
      return tl::unexpected(done.error());
  options.recorder.symbols.insert(arguments.symbols.begin(), arguments.symbols.end());
  return options;
}

int tell(const RecordArguments& arguments, const std::string& source,
         const RecordingSummary& summary, double seconds) {
  const auto& stats = summary.stats;
  if (summary.already_recorded) {
    fmt::print("{} is on the tape {} already\n", source, arguments.tape.name());
    return kDone;
  }
  if (summary.resumed_after > 0) fmt::print("went on after message {}\n", summary.resumed_after);
  fmt::print(
      "recorded {} events in {} records, {:.1f} bytes an event, {:.1f} s, {:.2f} M events/s\n",
      stats.events, stats.records,
      stats.events ? static_cast<double>(stats.payload_bytes) / static_cast<double>(stats.events)
                   : 0.0,
      seconds, static_cast<double>(stats.events) / seconds / 1e6);
  if (stats.filtered > 0) fmt::print("left out {} events of other symbols\n", stats.filtered);
  if (stats.dead_letters > 0)
    fmt::print("{} inputs could not be decoded: tapedeck tape info lists them\n",
               stats.dead_letters);
  if (summary.interrupted)
    fmt::print("interrupted after message {}: run the same command again to go on\n",
               summary.messages);
  return kDone;
}

int run_record(const RecordArguments& arguments) {
  auto options = recording_options(arguments);
  if (!options) return report(options.error());
  auto feed = open_checked_feed(arguments.feed, arguments.input);
  if (!feed) return report(feed.error());
  auto source = feeds::source_name(arguments.feed, arguments.input);
  if (!source) return report(source.error());
  options->recorder.source_name = recorded_name(*source, options->recorder.symbols);
  options->recorder.sequencing = (*feed)->sequencing();
  constexpr std::uint64_t kBulkEvents = 65'536;  // of a linger
  const auto bulk_or_live =
      options->recorder.linger_time == 0 && options->recorder.linger_events >= kBulkEvents
          ? Linger::bulk
          : Linger::live;
  auto writer = open_writer(arguments.tape, bulk_or_live, arguments.partitions);
  if (!writer) return report(writer.error());

  const auto config = load_config(arguments.tape.config_file, {});
  if (!config) return report(config.error());
  const auto retention = start_retention(**writer, arguments.tape, config->retention);
  watch_signals();
  Progress progress("recording", "events");
  options->progress = [&](const RecordingProgress& now) {
    progress.update(now.bytes, now.total_bytes, now.events);
  };
  const auto start = std::chrono::steady_clock::now();
  auto summary = record_feed(**writer, **feed, *options, stop_requested);
  progress.finish();
  if (!summary) return report(with_remedy(summary.error()));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return tell(arguments, options->recorder.source_name, *summary, seconds.count());
}

}  // namespace

void add_record(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<RecordArguments>();
  CLI::App* command = app.add_subcommand("record", "Record a feed onto a tape");
  command->footer(kExamples);
  command
      ->add_option("--feed", arguments->feed,
                   "Format: itch, lobster, trades-csv, ticks-csv, ticks-json, sim:l3")
      ->type_name("FORMAT")
      ->required();
  command
      ->add_option("--input", arguments->input.input,
                   "File (may be .gz or .zst), or parameters of a simulator")
      ->type_name("PATH");
  add_tape_options(command, arguments->tape);
  command
      ->add_option("--date", arguments->input.date, "Day of a session that tells times of day only")
      ->type_name("YYYY-MM-DD");
  command->add_option("--timezone", arguments->input.timezone, "Zone of those times of day")
      ->type_name("ZONE")
      ->capture_default_str();
  add_row_options(command, arguments->input);
  command->add_option("--symbols", arguments->symbols, "Record only these")
      ->type_name("A,B")
      ->delimiter(',');
  command
      ->add_option("--rate", arguments->rate,
                   "Messages per second, max, or realtime: as the events' times say")
      ->type_name("N|max|realtime")
      ->capture_default_str();
  command
      ->add_option("--linger", arguments->linger,
                   "How long events wait to share a record: a time, a number of events, or 0. "
                   "Default: 524288 events; "
                   "1ms where --rate is not max")
      ->type_name("T|N");
  command
      ->add_option("--mark-every", arguments->mark_every,
                   "How often a time mark is written: a time, or a number of events. Default: "
                   "65536 events; 250ms "
                   "where --rate is not max")
      ->type_name("T|N");
  command->add_option("--partitions", arguments->partitions, "Partitions of a new tape (default 4)")
      ->type_name("N")
      ->check(CLI::Range(1u, storage::kMaxPartitions));
  run_with(command, chosen, [arguments] { return run_record(*arguments); });
}

}  // namespace tapedeck::apps
