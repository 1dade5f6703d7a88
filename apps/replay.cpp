// tapedeck replay: folds a tape, or a stretch of it, and writes down what comes of it.
#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
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
#include "apps/progress.hpp"
#include "apps/signals.hpp"
#include "replay/refold.hpp"

namespace tapedeck::apps {

namespace {

struct ReplayArguments {
  TapeOptions tape;
  std::string from, to, speed = "max", candles, digests;
  std::vector<std::string> symbols;
  std::uint32_t threads = 1;
};

/// Waits so that event time runs `speed` times as fast as the clock, from the first event on.
class Pacer {
public:
  explicit Pacer(std::uint64_t speed) : speed_(speed) {}
  /// False once the replay was interrupted.
  bool wait(market::TimeNs time) {
    if (speed_ == 0 || time == market::kNoTime) return !stop_requested;
    std::unique_lock lock(mutex_);
    if (first_ == market::kNoTime) first_ = time, start_ = Clock::now();
    const auto due =
        start_ + std::chrono::nanoseconds((time - first_) / static_cast<market::TimeNs>(speed_));
    while (!stop_requested && Clock::now() < due) {
      changed_.wait_until(lock, std::min(due, Clock::now() + std::chrono::milliseconds(50)));
    }
    return !stop_requested;
  }

private:
  using Clock = std::chrono::steady_clock;
  std::uint64_t speed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  market::TimeNs first_ = market::kNoTime;
  Clock::time_point start_;
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

Result<replay::RefoldOptions> refold_options(const OpenTape& open,
                                             const ReplayArguments& arguments) {
  replay::RefoldOptions options;
  options.threads = arguments.threads;
  options.symbols.insert(arguments.symbols.begin(), arguments.symbols.end());
  if (auto ok = begin_at(open, arguments, options); !ok) return tl::unexpected(ok.error());
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

std::string digest_lines(const replay::Refolded& refolded) {
  std::string text;
  for (const auto& [symbol, fold] : refolded.symbols) {
    text += fmt::format("{} {} {}\n", symbol, fold.state().counts().folded,
                        fold.state().digest().hex());
  }
  return text;
}

int run_replay(const ReplayArguments& arguments) {
  const bool paced = arguments.speed != "max";
  std::uint64_t speed = 0;
  if (paced) {
    const auto end = arguments.speed.data() + arguments.speed.size();
    const auto [last, error] = std::from_chars(arguments.speed.data(), end, speed);
    if (error != std::errc{} || last != end || speed == 0) {
      return report({ErrorCode::invalid,
                     "expected a whole number from 1 on or max, found '" + arguments.speed + "'",
                     "--speed"});
    }
  }
  auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  auto options = refold_options(*open, arguments);
  if (!options) return report(options.error());
  if (paced) options->threads = open->tape->partitions(), options->poll.records = 64;
  watch_signals();
  Pacer pacer(speed);
  CandleLines candles;
  Progress progress("replaying", "events");
  std::atomic<std::uint64_t> records = 0, events = 0;
  std::uint64_t total = 0;
  for (storage::Partition p = 0; p < open->tape->partitions(); ++p)
    total += open->tape->end(p).value_or(0);
  const auto main_thread = std::this_thread::get_id();
  replay::RefoldListener listener;
  listener.go_on = [&](storage::Partition, market::TimeNs time) { return pacer.wait(time); };
  listener.progress = [&](std::uint64_t more_records, std::uint64_t more_events) {
    records += more_records, events += more_events;
    if (std::this_thread::get_id() == main_thread) progress.update(records, total, events);
  };
  if (!arguments.candles.empty()) {
    listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
      candles.take(fold, outputs);
    };
  }
  const auto start = std::chrono::steady_clock::now();
  const auto refolded = replay::refold(*open->tape, open->rules, *options, listener);
  progress.finish();
  if (!refolded) return report(refolded.error());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!arguments.candles.empty()) {
    if (auto written = write_file(arguments.candles, candles.text()); !written)
      return report(written.error());
  }
  if (!arguments.digests.empty()) {
    if (auto written = write_file(arguments.digests, digest_lines(*refolded)); !written)
      return report(written.error());
  }
  const auto& counts = refolded->counts;
  std::uint64_t late = 0;
  for (const auto& [symbol, fold] : refolded->symbols)
    late += fold.state().view().integrity.late_trades;
  fmt::print(
      "replayed {} events in {} records of {} symbols, {:.1f} s, {:.2f} M events/s\n"
      "{} folded, {} duplicates, {} refused, {} filtered\n",
      counts.read, refolded->records, refolded->symbols.size(), seconds.count(),
      static_cast<double>(counts.read) / seconds.count() / 1e6, counts.folded, counts.duplicates,
      counts.refused, counts.filtered);
  if (late > 0) fmt::print("{} trades came too late for a candle: they are in none\n", late);
  if (stop_requested) fmt::print("interrupted\n");
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
      "\nA digest line is: symbol, events folded, digest. Both bounds are\ntaken by whole records. "
      "What is before --from is folded, but its candles are not written.");
  add_tape_options(command, arguments->tape);
  command->add_option("--from", arguments->from, "First position or instant")->type_name("P");
  command->add_option("--to", arguments->to, "Last position or instant")->type_name("P");
  command->add_option("--speed", arguments->speed, "Times the speed of the session, or max")
      ->type_name("N|max")
      ->capture_default_str();
  command->add_option("--symbols", arguments->symbols, "Fold only these")
      ->type_name("A,B")
      ->delimiter(',');
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
