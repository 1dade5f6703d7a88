// tapedeck bench: the whole engine measured; the kernels alone are in bench/.
#include <sys/resource.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "apps/commands.hpp"
#include "apps/engine_backend.hpp"
#include "apps/open_tape.hpp"
#include "apps/recording.hpp"
#include "apps/running.hpp"
#include "apps/signals.hpp"
#include "bench/yardstick.hpp"
#include "replay/time_travel.hpp"

namespace tapedeck::apps {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::uint64_t bytes_below(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code gone;
  for (const auto& file : fs::recursive_directory_iterator(folder, gone)) {
    if (file.is_regular_file(gone)) bytes += file.file_size(gone);
  }
  return bytes;
}

double peak_memory_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

void print_latency(const std::string& label, std::vector<double> ms) {
  if (ms.empty()) {
    fmt::print("{}: no samples\n", label);
    return;
  }
  std::ranges::sort(ms);
  const auto at = [&](double share) {
    return ms[std::min(ms.size() - 1,
                       static_cast<std::size_t>(share * static_cast<double>(ms.size())))];
  };
  fmt::print("{}: p50 {:.3f} ms, p99 {:.3f} ms, p99.9 {:.3f} ms, max {:.3f} ms over {} samples\n",
             label, at(0.5), at(0.99), at(0.999), ms.back(), ms.size());
}

// ---- engine: record in bulk, then tape to books, beside the yardstick

struct EngineArguments {
  std::string feed = "itch", directory;
  feeds::FeedOptions input;
  std::string threads = "2";
  std::uint32_t repeat = 3;
};

/// The feed's events in memory, folded naively in feed order.
Result<double> yardstick_rate(const EngineArguments& arguments) {
  auto feed = feeds::open_feed(arguments.feed, arguments.input);
  if (!feed) return tl::unexpected(feed.error());
  std::vector<market::FeedEvent> events;
  market::FeedBatch batch;
  std::size_t symbols = 0;
  do {
    if (auto polled = (*feed)->poll(batch, 1 << 16); !polled) return tl::unexpected(polled.error());
    symbols += batch.new_symbols.size();
    events.insert(events.end(), batch.events.begin(), batch.events.end());
  } while (!batch.end);
  std::vector<bench::Yardstick> books(symbols);
  const auto start = Clock::now();
  for (const auto& event : events) books[event.symbol].apply(event.event);
  const auto seconds = seconds_since(start);
  std::size_t levels = 0;
  for (const auto& book : books) levels += book.levels();
  fmt::print("yardstick (std::map books, one thread, {} levels left): {:.2f} M events/s\n", levels,
             static_cast<double>(events.size()) / seconds / 1e6);
  return static_cast<double>(events.size()) / seconds;
}

Result<void> bench_recording(const EngineArguments& arguments) {
  auto feed = open_checked_feed(arguments.feed, arguments.input);
  if (!feed) return tl::unexpected(feed.error());
  auto source = feeds::source_name(arguments.feed, arguments.input);
  if (!source) return tl::unexpected(source.error());
  auto writer = open_writer({arguments.directory}, Linger::bulk);
  if (!writer) return tl::unexpected(writer.error());
  RecordingOptions options;
  options.recorder.source_name = *source;
  options.recorder.sequencing = (*feed)->sequencing();
  const auto start = Clock::now();
  auto summary = record_feed(**writer, **feed, options, stop_requested);
  if (!summary) return tl::unexpected(summary.error());
  if (summary->already_recorded) {
    fmt::print("recording: {} is on the tape already\n", *source);
    return {};
  }
  writer->reset();
  const auto seconds = seconds_since(start);
  const auto events = static_cast<double>(summary->stats.events);
  fmt::print(
      "recording: {:.2f} M events/s ({} events, {} records, closed and on disk after {:.2f} s), "
      "log {:.2f} bytes "
      "an event\n",
      events / seconds / 1e6, summary->stats.events, summary->stats.records, seconds,
      static_cast<double>(bytes_below(fs::path(arguments.directory) / "log")) / events);
  return {};
}

Result<double> bench_engine_once(const EngineArguments& arguments) {
  fs::remove_all(fs::path(arguments.directory) / "state");
  const auto config = load_config({}, {{"engine.threads", arguments.threads}});
  if (!config) return tl::unexpected(config.error());
  const auto start = Clock::now();
  auto running = start_engine({arguments.directory}, *config, std::nullopt);
  if (!running) return tl::unexpected(running.error());
  if (auto done = (*running)->engine->run_to_end(); !done) return tl::unexpected(done.error());
  const auto seconds = seconds_since(start);
  market::EventCounts counts;
  std::uint64_t checkpoints = 0, snapshots = 0, snapshot_bytes = 0, outputs = 0;
  for (const auto& partition : (*running)->engine->board().partitions()) counts += partition.events;
  for (const auto& partition : (*running)->metrics->partitions) {
    checkpoints += partition->checkpoints, snapshots += partition->snapshots;
    snapshot_bytes += partition->snapshot_bytes, outputs += partition->outputs;
  }
  fmt::print(
      "engine ({} threads): {:.2f} M events/s ({} events, {:.2f} s; {} checkpoints, {} snapshots "
      "of {:.1f} MB, "
      "{} outputs; peak memory {:.0f} MB)\n",
      config->engine.threads, static_cast<double>(counts.read) / seconds / 1e6, counts.read,
      seconds, checkpoints, snapshots, static_cast<double>(snapshot_bytes) / 1e6, outputs,
      peak_memory_mb());
  return static_cast<double>(counts.read) / seconds;
}

int run_engine(const EngineArguments& arguments) {
  const bool temporary = arguments.directory.empty();
  EngineArguments own = arguments;
  if (temporary)
    own.directory =
        (fs::temp_directory_path() / fmt::format("tapedeck-bench-{}", ::getpid())).string();
  const auto measure = [&]() -> Result<void> {
    if (auto recorded = bench_recording(own); !recorded) return recorded;
    std::vector<double> ratios;
    for (std::uint32_t i = 0; i < own.repeat; ++i) {
      const auto engine = bench_engine_once(own);
      if (!engine) return tl::unexpected(engine.error());
      const auto naive = yardstick_rate(own);
      if (!naive) return tl::unexpected(naive.error());
      ratios.push_back(*engine / *naive);
    }
    std::ranges::sort(ratios);
    fmt::print("engine over yardstick, median of {}: {:.2f}\n", ratios.size(),
               ratios[ratios.size() / 2]);
    fmt::print("state {:.1f} MB beside a log of {:.1f} MB\n",
               static_cast<double>(bytes_below(fs::path(own.directory) / "state")) / 1e6,
               static_cast<double>(bytes_below(fs::path(own.directory) / "log")) / 1e6);
    return {};
  };
  const auto done = measure();
  if (temporary) fs::remove_all(own.directory);
  return done ? kDone : report(done.error());
}

// ---- latency: from append to visible in a book query

struct LatencyArguments {
  std::string parameters = "seed=1,symbols=200,messages=3000000";
  TapeOptions tape;
  std::string threads = "2";
  std::uint64_t rate = 100'000;
};

/// Notes, for one append at a time, when it began and where its first record went.
class Watched final : public storage::TapeWriter {
public:
  struct Sample {
    std::string symbol;
    storage::Offset offset = 0;
    Clock::time_point at;
  };
  explicit Watched(storage::TapeWriter& writer) : writer_(writer) {}

  Result<void> append(std::span<const storage::NewRecord> records,
                      std::span<const storage::NewMark> marks) override {
    std::optional<Sample> sample;
    if (!records.empty() && !taken_) {
      const auto& record = records[count_++ % records.size()];
      const auto partition = storage::partition_of(record.symbol, reader().partitions());
      auto offset = reader().end(partition).value();
      for (const auto& other : records) {
        if (&other == &record) break;
        if (storage::partition_of(other.symbol, reader().partitions()) == partition) ++offset;
      }
      sample = Sample{std::string(record.symbol), offset, Clock::now()};
    }
    auto done = writer_.append(records, marks);
    if (done && sample) {
      const std::scoped_lock lock(mutex_);
      sample_ = std::move(sample);
      taken_ = true;
      changed_.notify_all();
    }
    return done;
  }
  Result<void> append(const storage::RecorderDeadLetter& letter) override {
    return writer_.append(letter);
  }
  Result<void> sync() override { return writer_.sync(); }
  [[nodiscard]] storage::TapeReader& reader() override { return writer_.reader(); }

  /// Waits for the next sample; nothing once `stop` was called.
  std::optional<Sample> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return sample_ || stopped_; });
    return std::exchange(sample_, std::nullopt);
  }
  void ready() { taken_ = false; }
  void stop() {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }

private:
  storage::TapeWriter& writer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Sample> sample_;
  std::atomic<bool> taken_ = false;
  std::uint64_t count_ = 0;
  bool stopped_ = false;
};

/// One book query; the offset up to which the answer is true, exclusive.
storage::Offset ask_book(EngineBackend& backend, const std::string& symbol) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<storage::Offset> next;
  backend.book(symbol, 10, {}, [&](Result<market::BookView> book) {
    const std::scoped_lock lock(mutex);
    next = book ? book->position.offset + 1 : 0;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return next.has_value(); });
  return *next;
}

Result<void> measure_latency(const LatencyArguments& arguments, const TapeOptions& tape) {
  const auto config = load_config({}, {{"engine.threads", arguments.threads}});
  if (!config) return tl::unexpected(config.error());
  auto running = start_engine(tape, *config, 0);
  if (!running) return tl::unexpected(running.error());
  EngineBackend backend(*(*running)->engine, *(*running)->tape, *(*running)->state,
                        (*running)->settings, *(*running)->metrics, *(*running)->live,
                        (*running)->history.get());
  Watched watched(*(*running)->writer);
  const feeds::FeedOptions input{arguments.parameters, "2026-01-05"};
  auto feed = feeds::open_feed("sim:l3", input);
  if (!feed) return tl::unexpected(feed.error());
  RecordingOptions options;
  options.recorder.source_name = feeds::source_name("sim:l3", input).value();
  options.recorder.sequencing = (*feed)->sequencing();
  set_live_defaults(options.recorder);
  options.pace = {Pace::Mode::per_second, arguments.rate};
  std::vector<double> ms;
  std::thread prober([&] {
    while (const auto sample = watched.next()) {
      while (ask_book(backend, sample->symbol) <= sample->offset) {
      }
      ms.push_back(seconds_since(sample->at) * 1e3);
      watched.ready();
    }
  });
  const auto start = Clock::now();
  const auto recorded = record_feed(watched, **feed, options, stop_requested);
  const auto seconds = seconds_since(start);
  watched.stop();
  prober.join();
  if (!recorded) return tl::unexpected(recorded.error());
  fmt::print("recorded and served {} events in {:.1f} s, {:.0f} events/s, {} records\n",
             recorded->stats.events, seconds, static_cast<double>(recorded->stats.events) / seconds,
             recorded->stats.records);
  print_latency("append to visible in a book query", std::move(ms));
  return (*running)->engine->stop();
}

int run_latency(const LatencyArguments& arguments) {
  watch_signals();
  TapeOptions tape = arguments.tape;
  const bool temporary = tape.directory.empty() && tape.topic.empty();
  if (temporary) {
    tape.directory =
        (fs::temp_directory_path() / fmt::format("tapedeck-bench-{}", ::getpid())).string();
  }
  const auto done = measure_latency(arguments, tape);
  if (temporary) fs::remove_all(tape.directory);
  return done ? kDone : report(done.error());
}

// ---- travel: the book at random instants

struct TravelArguments {
  TapeOptions tape;
  std::uint64_t pairs = 1000, seed = 1;
  bool check = false;
};

Result<std::uint64_t> travel(const TravelArguments& arguments, const OpenTape& open,
                             std::vector<double>& ms) {
  const auto symbols = open.tape->symbols();
  if (!symbols) return tl::unexpected(symbols.error());
  if (symbols->empty()) return fail(ErrorCode::not_found, "the tape holds no symbol", "--tape");
  std::mt19937_64 random(arguments.seed);
  std::uint64_t refolded = 0;
  for (std::uint64_t i = 0; i < arguments.pairs; ++i) {
    const auto& symbol = (*symbols)[random() % symbols->size()];
    const auto partition = storage::partition_of(symbol, open.tape->partitions());
    const auto end = open.tape->end(partition);
    if (!end) return tl::unexpected(end.error());
    const auto index = open.tape->index(symbol, 0, *end);
    if (!index) return tl::unexpected(index.error());
    const auto& entry = (*index)[random() % index->size()];
    const replay::Moment moment =
        replay::AtInstant{entry.max_event_time - static_cast<market::TimeNs>(random() % 1'000'000)};
    const auto start = Clock::now();
    const auto at = replay::state_at(*open.tape, open.state.get(), symbol, moment, open.rules);
    ms.push_back(seconds_since(start) * 1e3);
    if (!at) return tl::unexpected(at.error());
    refolded += at->refolded_events;
    if (!arguments.check) continue;
    const auto naive = replay::state_at(*open.tape, nullptr, symbol, moment, open.rules);
    if (!naive) return tl::unexpected(naive.error());
    if (naive->fold.state().digest() != at->fold.state().digest()) {
      return fail(ErrorCode::corrupt,
                  fmt::format("{} at {} differs from a fold from the beginning (seed {})", symbol,
                              entry.max_event_time, arguments.seed));
    }
  }
  return refolded;
}

int run_travel(const TravelArguments& arguments) {
  auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  std::vector<double> cold, warm;
  TravelArguments unchecked = arguments;
  unchecked.check = false;
  const auto first = travel(unchecked, *open, cold);
  if (!first) return report(first.error());
  const auto refolded = travel(arguments, *open, warm);
  if (!refolded) return report(refolded.error());
  print_latency("state at a random symbol and instant, first time", std::move(cold));
  print_latency("state at a random symbol and instant, warm", std::move(warm));
  fmt::print("{} events refolded a question on average{}\n", *refolded / arguments.pairs,
             arguments.check ? "; each equal to a fold from the beginning" : "");
  return kDone;
}

}  // namespace

void add_bench(CLI::App& app, Chosen& chosen) {
  CLI::App* bench = app.add_subcommand("bench", "Measure the engine on this machine");
  bench->require_subcommand(1);

  add_bench_player(bench, chosen);
  add_bench_restarts(bench, chosen);
  add_bench_trades(bench, chosen);

  auto engine = std::make_shared<EngineArguments>();
  CLI::App* command =
      bench->add_subcommand("engine", "Record in bulk, then tape to books, beside a std::map book");
  command->add_option("--feed", engine->feed, "Format")->capture_default_str();
  command->add_option("--input", engine->input.input, "File or parameters")->required();
  command->add_option("--date", engine->input.date, "Day of the session");
  command->add_option("--tape", engine->directory,
                      "Keep the tape here (default: a temporary folder)");
  command->add_option("--threads", engine->threads, "Threads that fold")->capture_default_str();
  command->add_option("--repeat", engine->repeat, "Runs of engine and yardstick in turn")
      ->check(CLI::Range(1u, 100u))
      ->capture_default_str();
  run_with(command, chosen, [engine] { return run_engine(*engine); });

  auto latency = std::make_shared<LatencyArguments>();
  command = bench->add_subcommand(
      "latency",
      "Record and serve at a rate, in a temporary folder unless told: from append to visible in a "
      "book query");
  command->add_option("--input", latency->parameters, "Parameters of sim:l3")
      ->capture_default_str();
  command->add_option("--rate", latency->rate, "Messages a second")->capture_default_str();
  add_tape_options(command, latency->tape);
  command->add_option("--threads", latency->threads, "Threads that fold")->capture_default_str();
  run_with(command, chosen, [latency] { return run_latency(*latency); });

  auto travelling = std::make_shared<TravelArguments>();
  command = bench->add_subcommand("travel", "The book at random symbols and instants");
  add_tape_options(command, travelling->tape);
  command->add_option("--pairs", travelling->pairs, "Questions")->capture_default_str();
  command->add_option("--seed", travelling->seed, "Of the questions")->capture_default_str();
  command->add_flag("--check", travelling->check, "Compare each with a fold from the beginning");
  run_with(command, chosen, [travelling] { return run_travel(*travelling); });
}

}  // namespace tapedeck::apps
