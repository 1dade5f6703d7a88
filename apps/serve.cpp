// tapedeck serve, tape index: the engine over a tape.
#include "apps/serve.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "api/server.hpp"
#include "apps/commands.hpp"
#include "apps/engine_backend.hpp"
#include "apps/progress.hpp"
#include "apps/requests.hpp"
#include "apps/retention.hpp"
#include "apps/running.hpp"
#include "apps/signals.hpp"
#include "web/assets.hpp"

namespace tapedeck::apps {

namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(20);

Result<std::unique_ptr<api::Server>> start_server(const config::Config& config,
                                                  api::Backend& backend,
                                                  telemetry::Metrics& metrics,
                                                  const api::Peers* peers) {
  api::ServerOptions options;
  options.address = config.http.address;
  options.port = static_cast<std::uint16_t>(config.http.port);
  options.threads = config.http.threads;
  options.peers = peers;
  options.files = [](std::string_view path) -> std::optional<api::StaticFile> {
    const auto* asset = web::find(path);
    if (asset == nullptr) return std::nullopt;
    return api::StaticFile{asset->content_type, asset->bytes};
  };
  return api::Server::start(std::move(options), backend, &metrics);
}

/// An address that stands for every one of the machine's is of no use to others.
std::string advertised(const config::Config& config, std::uint16_t port) {
  if (!config.http.advertise.empty()) return config.http.advertise;
  const auto& address = config.http.address;
  if (address != "0.0.0.0" && address != "::") return fmt::format("{}:{}", address, port);
  std::array<char, 256> host{};
  (void)gethostname(host.data(), host.size() - 1);
  return fmt::format("{}:{}", host.data(), port);
}

ReplayDeskOptions replay_options(const config::Config& config) {
  const auto& replays = config.replays;
  return {replays.max,
          std::chrono::nanoseconds(replays.idle_after),
          {replays.kept_messages, replays.subscribers}};
}

/// A feed being recorded beside the engine, on a thread of its own.
class Recording {
public:
  Recording(const ServeOptions::Recording& what, storage::TapeWriter& writer)
      : what_(what), writer_(writer) {}
  ~Recording() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  Result<void> start() {
    auto feed = open_checked_feed(what_.feed, what_.input);
    if (!feed) return tl::unexpected(feed.error());
    auto source = feeds::source_name(what_.feed, what_.input);
    if (!source) return tl::unexpected(source.error());
    options_ = what_.options;
    options_.recorder.source_name = recorded_name(*source, options_.recorder.symbols);
    options_.recorder.sequencing = (*feed)->sequencing();
    feed_ = std::move(*feed);
    thread_ = std::thread([this] {
      outcome_ = record_feed(writer_, *feed_, options_, stop_);
      done_ = true;
    });
    return {};
  }
  /// Stops reading the feed; what was read is on the tape then. Error: why the recording ended.
  Result<RecordingSummary> finish() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return std::move(*outcome_);
  }
  [[nodiscard]] bool failed() const { return done_ && !*outcome_; }

private:
  const ServeOptions::Recording& what_;
  storage::TapeWriter& writer_;
  RecordingOptions options_;
  std::unique_ptr<feeds::Feed> feed_;
  std::atomic<bool> stop_ = false, done_ = false;
  std::optional<Result<RecordingSummary>> outcome_;
  std::thread thread_;
};

/// Ends what runs, in order: no more questions, no more input, then the engine with a last
/// checkpoint.
int end(Running& running, api::Server& server, Recording* recording) {
  server.stop();
  int code = kDone;
  if (recording != nullptr) {
    if (auto outcome = recording->finish(); !outcome) code = report(with_remedy(outcome.error()));
  }
  if (const auto failure = running.engine->failure()) return report(*failure);
  const auto stopped = running.engine->board().stopped();  // before its partitions are let go
  if (auto ended = running.engine->stop(); !ended) return report(with_remedy(ended.error()));
  running.leave();
  if (auto synced = running.state->sync(); !synced) return report(synced.error());
  if (stopped) return report(*stopped);
  return code;
}

}  // namespace

int serve(const ServeOptions& options) {
  const auto config = load_config(options.tape.config_file, options.overrides);
  if (!config) return report(config.error());
  watch_signals();
  std::optional<std::uint32_t> partitions;
  if (options.recording) partitions = options.recording->partitions;
  auto running = start_engine(options.tape, *config, partitions, true);
  if (!running) return report(running.error());
  EngineBackend backend(*(*running)->engine, *(*running)->tape, *(*running)->state,
                        (*running)->settings, *(*running)->metrics, *(*running)->live,
                        (*running)->history.get(), replay_options(*config));
  auto* delivery = (*running)->delivery.get();
  auto server = start_server(*config, backend, *(*running)->metrics,
                             delivery == nullptr ? nullptr : delivery->peers());
  if (!server) return report(server.error());
  if (delivery != nullptr) delivery->announce(advertised(*config, (*server)->port()));
  std::unique_ptr<Recording> recording;
  std::unique_ptr<Retainer> retention;
  if (options.recording) {
    recording = std::make_unique<Recording>(*options.recording, *(*running)->writer);
    if (auto started = recording->start(); !started) return report(started.error());
    // Past what is only in memory nothing may go.
    retention = start_retention(*(*running)->writer, options.tape, config->retention,
                                [&] { (void)(*running)->state->sync(); });
  }
  fmt::print("serving {} on http://{}:{}\n{}", options.tape.name(), config->http.address,
             (*server)->port(), options.greeting);
  std::fflush(stdout);
  RequestDesk requests(*(*running)->engine, options.tape.state_folder());
  while (!stop_requested && !(*running)->engine->failure() && !(recording && recording->failed())) {
    requests.look();
    std::this_thread::sleep_for(kLookEvery);
  }
  retention.reset();
  return end(**running, **server, recording.get());
}

int index_tape(const IndexOptions& options) {
  const auto config = load_config(options.tape.config_file, options.overrides);
  if (!config) return report(config.error());
  watch_signals();
  auto running = start_engine(options.tape, *config, std::nullopt);
  if (!running) return report(running.error());
  Progress progress("indexing", "events");
  std::optional<Result<void>> outcome;
  std::atomic<bool> done = false;
  std::thread folding([&] {
    outcome = (*running)->engine->run_to_end();
    done = true;
  });
  const auto start = std::chrono::steady_clock::now();
  market::EventCounts counts;
  bool stopped = false;
  do {
    std::this_thread::sleep_for(kLookEvery);
    if (stop_requested && !std::exchange(stopped, true))
      (void)(*running)->engine->stop();  // ends run_to_end() too
    std::uint64_t next = 0, total = 0;
    counts = {};
    for (const auto& partition : (*running)->engine->board().partitions()) {
      next += partition.next, total += partition.end;
      counts += partition.events;
    }
    progress.update(next, total, counts.read);
  } while (!done);
  folding.join();
  progress.finish();
  if (!*outcome) return report(with_remedy(outcome->error()));
  if (auto synced = (*running)->state->sync(); !synced) return report(synced.error());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (stopped) fmt::print("interrupted: run the same command again to go on\n");
  fmt::print("indexed {} events in {:.1f} s: {} folded, {} duplicates, {} refused\n", counts.read,
             seconds.count(), counts.folded, counts.duplicates, counts.refused);
  return kDone;
}

namespace {

struct ServeArguments {
  TapeOptions tape;
  ServeOptions options;
  std::string feed, rate = "realtime", linger, threads, port, address, group;
  feeds::FeedOptions input;
  std::uint32_t partitions = 0;
};

void add_engine_options(CLI::App* command, std::string& threads) {
  command->add_option("--threads", threads, "Threads that fold (engine.threads)")->type_name("N");
}

int run_serve(ServeArguments arguments) {
  auto& options = arguments.options;
  options.tape = arguments.tape;
  if (!arguments.threads.empty())
    options.overrides.emplace_back("engine.threads", arguments.threads);
  if (!arguments.port.empty()) options.overrides.emplace_back("http.port", arguments.port);
  if (!arguments.address.empty()) options.overrides.emplace_back("http.address", arguments.address);
  if (!arguments.group.empty()) options.overrides.emplace_back("kafka.group", arguments.group);
  if (!arguments.feed.empty()) {
    auto pace = parse_pace(arguments.rate, "--rate");
    if (!pace) return report(pace.error());
    ServeOptions::Recording recording{arguments.feed, arguments.input, arguments.partitions, {}};
    recording.options.pace = *pace;
    if (pace->mode != Pace::Mode::max) set_live_defaults(recording.options.recorder);
    if (!arguments.linger.empty()) {
      if (auto done = parse_linger(arguments.linger, "--linger", recording.options.recorder);
          !done) {
        return report(done.error());
      }
    }
    options.recording = std::move(recording);
  }
  return serve(options);
}

}  // namespace

void add_serve(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command =
      app.add_subcommand("serve", "Run the engine over a tape: API, page and /metrics");
  command->footer(
      "Examples:\n"
      "  tapedeck serve --tape day\n"
      "  tapedeck serve --tape live --feed itch --input day.itch --date 2012-06-21 --rate 100000\n"
      "\nWith a feed it records and serves in one process. SIGINT or SIGTERM ends it with a last "
      "checkpoint.");
  add_tape_options(command, arguments->tape);
  add_engine_options(command, arguments->threads);
  command->add_option("--port", arguments->port, "Port (http.port); 0: any free one")
      ->type_name("N");
  command->add_option("--address", arguments->address, "Address to bind (http.address)")
      ->type_name("ADDRESS");
  command
      ->add_option("--group", arguments->group,
                   "On Kafka: engines of one group share the partitions (kafka.group)")
      ->type_name("NAME");
  command->add_option("--feed", arguments->feed, "Record this format while serving")
      ->type_name("FORMAT");
  command->add_option("--input", arguments->input.input, "Its file or parameters")
      ->type_name("PATH");
  command->add_option("--date", arguments->input.date, "Day of its session")
      ->type_name("YYYY-MM-DD");
  add_row_options(command, arguments->input);
  command->add_option("--timezone", arguments->input.timezone, "Zone of its times of day")
      ->capture_default_str();
  command->add_option("--rate", arguments->rate, "Messages per second, max or realtime")
      ->type_name("N|max|realtime")
      ->capture_default_str();
  command->add_option("--linger", arguments->linger, "How long events wait to share a record")
      ->type_name("T|N");
  command->add_option("--partitions", arguments->partitions, "Partitions of a new tape (default 4)")
      ->type_name("N");
  run_with(command, chosen, [arguments] { return run_serve(*arguments); });
}

void add_index(CLI::App* tape, Chosen& chosen) {
  struct Arguments {
    TapeOptions tape;
    std::string threads;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      tape->add_subcommand("index", "Fold a tape once: snapshots, digests, outputs");
  command->footer(
      "Makes DIR/state as serving the tape would; goes on where an earlier run stopped.\n"
      "Example:\n  tapedeck tape index --tape day");
  add_tape_options(command, arguments->tape);
  add_engine_options(command, arguments->threads);
  run_with(command, chosen, [arguments] {
    IndexOptions options{arguments->tape, {}};
    if (!arguments->threads.empty())
      options.overrides.emplace_back("engine.threads", arguments->threads);
    return index_tape(options);
  });
}

}  // namespace tapedeck::apps
