// tapedeck profile: what a tape or a file is worth, and whether it keeps what is expected of it.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "api/time_format.hpp"
#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "apps/output_file.hpp"
#include "apps/profile_report.hpp"
#include "apps/progress.hpp"
#include "apps/recording.hpp"
#include "apps/signals.hpp"
#include "apps/what_if.hpp"
#include "config/expectations.hpp"
#include "feeds/row_feed.hpp"
#include "schemas/batch_codec.hpp"

namespace tapedeck::apps {

namespace {

using market::Event;

constexpr std::size_t kPoll = 16'384;

struct ProfileArguments {
  TapeOptions tape;
  std::string feed;
  feeds::FeedOptions input;
  std::string from, to, format = "text", output, clean, expect;
};

/// Everything that looks at a message.
class Watcher {
public:
  Watcher(const market::QualitySettings& settings, const market::FoldSettings& fold,
          std::vector<market::Expectation> expectations)
      : settings_(settings), profile_(settings, fold), suite_(std::move(expectations)) {}

  /// True if something was found that a clean copy leaves out.
  bool take(std::string_view symbol, const market::Batch& batch) {
    const std::uint32_t found = profile_.take(symbol, batch);
    bool broke = false;
    if (!suite_.expectations().empty()) {
      const auto instrument = profile_.instrument(symbol);
      for (const Event& event : batch.events) {
        if (event.time >= settings_.from && event.time <= settings_.to)
          broke |= suite_.take(symbol, instrument, event);
      }
    }
    using market::Finding;
    constexpr std::uint32_t unclean = bit(Finding::duplicate) | bit(Finding::outlier) |
                                      bit(Finding::crossed_quote) | bit(Finding::backwards) |
                                      bit(Finding::refused);
    return broke || (found & unclean) != 0;
  }
  void fill(ProfileResult& result) const {
    result.settings = settings_;
    result.quality = profile_.report();
    result.expectations = suite_.expectations();
    result.outcomes = suite_.results();
  }

private:
  market::QualitySettings settings_;
  market::QualityProfile profile_;
  market::ExpectationSuite suite_;
};

/// Rows by number that a clean copy leaves out.
class Marked {
public:
  void mark(std::uint64_t row) {
    if (rows_.size() <= row) rows_.resize(row + row / 2 + 64);
    rows_[row] = true;
  }
  [[nodiscard]] bool holds(std::uint64_t row) const { return row < rows_.size() && rows_[row]; }

private:
  std::vector<bool> rows_;
};

/// Messages of a feed as a recorder would put them on a tape.
class FeedMessages {
public:
  FeedMessages(Watcher& watcher, std::string source, market::Sequencing sequencing)
      : watcher_(&watcher),
        source_name_(std::move(source)),
        source_(market::source_id(source_name_)),
        sequencing_(sequencing) {}

  template <class Unclean>
  void take(const market::FeedBatch& batch, const Unclean& unclean) {
    symbols_.insert(symbols_.end(), batch.new_symbols.begin(), batch.new_symbols.end());
    begun_.resize(symbols_.size());
    for (const auto& [symbol, event] : batch.events) {
      if (message_.empty() && !begun_[symbol]) message_.push_back(session(event));
      begun_[symbol] = true;
      message_.push_back(event);
      if ((event.flags & market::kMore) != 0) continue;
      market::Batch whole;
      whole.source = source_;
      whole.source_name = source_name_;
      whole.events = message_;
      if (watcher_->take(symbols_[symbol], whole)) unclean(event.sequence);
      message_.clear();
    }
  }

private:
  [[nodiscard]] Event session(const Event& first) const {
    Event event;
    event.kind = market::EventKind::session;
    event.time = std::min(first.time, first.feed_time);
    event.feed_time = first.feed_time;
    event.receive_time = first.receive_time;
    event.sequence = first.sequence;
    event.flags = market::kMore;
    event.other = source_;
    event.code = static_cast<std::uint8_t>(sequencing_);
    return event;
  }

  Watcher* watcher_;
  std::string source_name_;
  market::SourceId source_;
  market::Sequencing sequencing_;
  std::vector<std::string> symbols_;
  std::vector<bool> begun_;
  std::vector<Event> message_;
};

Result<void> watch_feed(const ProfileArguments& arguments, Watcher& watcher,
                        ProfileResult& result) {
  auto feed = open_checked_feed(arguments.feed, arguments.input);
  if (!feed) return tl::unexpected(feed.error());
  const auto source = feeds::source_name(arguments.feed, arguments.input);
  if (!source) return tl::unexpected(source.error());
  FeedMessages messages(watcher, *source, (*feed)->sequencing());
  Marked marked;
  std::vector<std::uint64_t> undecoded;  // byte offsets, ascending
  market::FeedBatch batch;
  Progress progress("profiling", "events");
  std::uint64_t events = 0;
  do {
    if (auto polled = (*feed)->poll(batch, kPoll); !polled) return polled;
    messages.take(batch, [&](std::uint64_t message) {
      if (!arguments.clean.empty()) marked.mark(message);
    });
    result.dead_letters += batch.dead_letters.size();
    for (const auto& letter : batch.dead_letters) {
      if (!arguments.clean.empty()) undecoded.push_back(letter.byte_offset);
      if (result.dead_letter_examples.size() < kDeadLetterExamples)
        result.dead_letter_examples.push_back({letter.byte_offset, letter.reason});
    }
    events += batch.events.size();
    progress.update(batch.bytes, (*feed)->total_bytes(), events);
  } while (!batch.end && !stop_requested);
  progress.finish();
  if (stop_requested) return fail(ErrorCode::environment, "interrupted: nothing is reported");
  if (arguments.clean.empty()) return {};
  return feeds::copy_rows(arguments.feed, arguments.input, arguments.clean,
                          [&](std::uint64_t row, std::uint64_t offset) {
                            return !marked.holds(row) &&
                                   !std::ranges::binary_search(undecoded, offset);
                          });
}

Result<void> watch_record(const storage::Record& record, schemas::BatchReader& reader,
                          std::vector<Event>& events, Watcher& watcher) {
  const auto at = fmt::format("{}:{}: ", record.partition, record.offset);
  if (auto opened = reader.open(record.payload); !opened) {
    Error error = opened.error();
    error.message = at + error.message;
    return tl::unexpected(std::move(error));
  }
  events.resize(reader.size());
  (void)reader.next(events);
  market::Batch batch;
  batch.source = reader.source();
  batch.source_name = reader.source_name();
  batch.first = {record.partition, record.offset, 0};
  batch.events = events;
  (void)watcher.take(record.symbol, batch);
  return {};
}

Result<void> watch_tape(const OpenTape& open, Watcher& watcher, ProfileResult& result) {
  schemas::BatchReader reader;
  std::vector<Event> events;
  Progress progress("profiling", "events");
  std::uint64_t records = 0, total = 0, seen = 0;
  for (storage::Partition p = 0; p < open.tape->partitions(); ++p)
    total += open.tape->end(p).value_or(0) - open.tape->start(p).value_or(0);
  for (storage::Partition p = 0; p < open.tape->partitions(); ++p) {
    const auto end = open.tape->end(p);
    if (!end) return tl::unexpected(end.error());
    for (storage::Offset from = 0; from < *end && !stop_requested;) {
      const auto block = open.tape->read(p, from, {});
      if (!block) return tl::unexpected(block.error());
      if ((*block)->records.empty()) break;
      for (const auto& record : (*block)->records) {
        if (record.kind != storage::RecordKind::events) continue;
        if (auto done = watch_record(record, reader, events, watcher); !done) return done;
        seen += record.event_count;
      }
      records += (*block)->records.size();
      progress.update(records, total, seen);
      from = (*block)->records.back().offset + 1;
    }
  }
  progress.finish();
  if (stop_requested) return fail(ErrorCode::environment, "interrupted: nothing is reported");
  const auto letters = open.tape->dead_letters();
  if (!letters) return tl::unexpected(letters.error());
  result.dead_letters = letters->size();
  for (const auto& letter : *letters) {
    if (result.dead_letter_examples.size() < kDeadLetterExamples)
      result.dead_letter_examples.push_back({letter.byte_offset, letter.reason});
  }
  return {};
}

Result<void> check_arguments(const ProfileArguments& arguments) {
  const auto& format = arguments.format;
  if (format != "text" && format != "json" && format != "html")
    return fail(ErrorCode::invalid, "expected text, json or html, found '" + format + "'",
                "--format");
  const bool on_tape = !arguments.tape.directory.empty() || !arguments.tape.topic.empty();
  if (on_tape != arguments.feed.empty())
    return fail(ErrorCode::invalid, "name a tape, or an input with its feed: one of the two",
                "--tape or --feed");
  if (!arguments.clean.empty() && !feeds::is_row_feed(arguments.feed)) {
    return fail(ErrorCode::invalid,
                "a clean copy is made of trades-csv, ticks-csv and ticks-json inputs", "--clean");
  }
  if (!arguments.clean.empty() && arguments.clean == arguments.input.input)
    return fail(ErrorCode::invalid, "it is the input itself", "--clean");
  return {};
}

Result<market::QualitySettings> settings_of(const ProfileArguments& arguments) {
  market::QualitySettings settings;
  if (!arguments.from.empty()) {
    const auto time = api::parse_time(arguments.from, "--from");
    if (!time) return tl::unexpected(time.error());
    settings.from = *time;
  }
  if (!arguments.to.empty()) {
    const auto time = api::parse_time(arguments.to, "--to");
    if (!time) return tl::unexpected(time.error());
    settings.to = *time;
  }
  return settings;
}

Result<ProfileResult> profile(const ProfileArguments& arguments) {
  if (auto done = check_arguments(arguments); !done) return tl::unexpected(done.error());
  const auto settings = settings_of(arguments);
  if (!settings) return tl::unexpected(settings.error());
  std::vector<market::Expectation> expectations;
  if (!arguments.expect.empty()) {
    auto loaded = config::load_expectations(arguments.expect);
    if (!loaded) return tl::unexpected(loaded.error());
    expectations = std::move(*loaded);
  }
  watch_signals();
  ProfileResult result;
  if (!arguments.feed.empty()) {
    const market::FoldSettings fold;
    Watcher watcher(*settings, fold, std::move(expectations));
    result.input = arguments.input.input.empty() ? arguments.feed : arguments.input.input;
    result.in_feed_order = true;
    if (auto done = watch_feed(arguments, watcher, result); !done)
      return tl::unexpected(done.error());
    watcher.fill(result);
    return result;
  }
  const auto open = open_tape(arguments.tape);
  if (!open) return tl::unexpected(open.error());
  Watcher watcher(*settings, open->rules.newest_settings(), std::move(expectations));
  result.input = arguments.tape.name();
  if (auto whole = want_whole_tape(*open->tape, "profile"); !whole)
    return tl::unexpected(whole.error());
  if (auto done = watch_tape(*open, watcher, result); !done) return tl::unexpected(done.error());
  watcher.fill(result);
  return result;
}

int run_profile(const ProfileArguments& arguments) {
  const auto result = profile(arguments);
  if (!result) return report(result.error());
  const std::string text = arguments.format == "html"   ? profile_html(*result)
                           : arguments.format == "json" ? profile_json(*result)
                                                        : profile_text(*result);
  if (arguments.output.empty()) {
    fmt::print("{}", text);
  } else if (auto written = write_file(arguments.output, text); !written) {
    return report(written.error());
  }
  return result->expectations_kept() ? kDone : kWorkFailed;
}

}  // namespace

void add_profile(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<ProfileArguments>();
  CLI::App* command = app.add_subcommand(
      "profile", "What a tape or a file is worth: gaps, duplicates, outliers, expectations");
  command->footer(
      "Examples:\n"
      "  tapedeck profile --tape day --format html --output day.html\n"
      "  tapedeck profile --feed trades-csv --input trades.csv --clean good.csv\n"
      "  tapedeck profile --tape day --expect suite.toml\n"
      "\nExit status 1: an expectation was not kept.");
  add_tape_options(command, arguments->tape);
  command->add_option("--feed", arguments->feed, "Format of an input")->type_name("FORMAT");
  command->add_option("--input", arguments->input.input, "Its file or parameters")
      ->type_name("PATH");
  command->add_option("--date", arguments->input.date, "Day of its session")
      ->type_name("YYYY-MM-DD");
  command->add_option("--timezone", arguments->input.timezone, "Zone of its times of day")
      ->capture_default_str();
  add_row_options(command, arguments->input);
  command->add_option("--from", arguments->from, "Look at event times from here on")
      ->type_name("INSTANT");
  command->add_option("--to", arguments->to, "Look at event times up to here")
      ->type_name("INSTANT");
  command->add_option("--format", arguments->format, "text, json or html")->capture_default_str();
  command->add_option("--output", arguments->output, "Write the report here, not to the terminal")
      ->type_name("FILE");
  command->add_option("--clean", arguments->clean, "Write the rows that passed here")
      ->type_name("FILE");
  command->add_option("--expect", arguments->expect, "Suite of expectations")
      ->type_name("FILE.toml");
  run_with(command, chosen, [arguments] { return run_profile(*arguments); });
}

}  // namespace tapedeck::apps
