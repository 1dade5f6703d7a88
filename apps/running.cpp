#include "apps/running.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <thread>

#include "apps/cli.hpp"
#include "apps/open_tape.hpp"
#include "storage/rocksdb_state.hpp"

namespace tapedeck::apps {

Result<config::Config> load_config(
    const std::string& file, const std::vector<std::pair<std::string, std::string>>& overrides) {
  return config::load(file.empty() ? std::nullopt : std::optional(file),
                      config::process_environment(), overrides);
}

namespace {

constexpr const char* kFault = "TAPEDECK_FAULT";

Result<actors::FaultPoint> fault_point(std::string_view text) {
  const auto wrong = [&] {
    return fail(ErrorCode::invalid,
                fmt::format("expected SYMBOL@partition:offset:index[*times][!crash|!hang], found "
                            "'{}'",
                            text),
                kFault);
  };
  actors::FaultPoint point;
  std::string_view rest = text;
  if (const auto bang = rest.find('!'); bang != rest.npos) {
    const auto action = rest.substr(bang + 1);
    if (action != "crash" && action != "hang") return wrong();
    point.action =
        action == "crash" ? actors::FaultPoint::Action::crash : actors::FaultPoint::Action::hang;
    rest = rest.substr(0, bang);
  }
  if (const auto star = rest.find('*'); star != rest.npos) {
    const auto times = rest.substr(star + 1);
    if (std::from_chars(times.data(), times.data() + times.size(), point.times).ec != std::errc{})
      return wrong();
    rest = rest.substr(0, star);
  }
  const auto at = rest.find('@');
  if (at == rest.npos) return wrong();
  point.symbol = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  const auto moment = parse_moment(std::string(rest), kFault);
  if (!moment) return tl::unexpected(moment.error());
  const auto* position = std::get_if<replay::AtOffset>(&*moment);
  if (position == nullptr || !position->partition) return wrong();
  point.position = {*position->partition, position->offset, position->index.value_or(0)};
  return point;
}

/// `*@1/N#SEED`: one record in N, at random.
std::optional<actors::RandomFaults> random_faults(std::string_view text) {
  actors::RandomFaults faults;
  constexpr std::string_view kStart = "*@1/";
  if (!text.starts_with(kStart)) return std::nullopt;
  const auto* const end = text.data() + text.size();
  const auto one_in = std::from_chars(text.data() + kStart.size(), end, faults.one_in);
  if (one_in.ec != std::errc{} || one_in.ptr == end || *one_in.ptr != '#') return std::nullopt;
  const auto seed = std::from_chars(one_in.ptr + 1, end, faults.seed);
  if (seed.ec != std::errc{} || seed.ptr != end) return std::nullopt;
  return faults;
}

/// Tests and chaos only: fault points out of the environment, separated by commas.
Result<void> read_faults(actors::EngineOptions& options) {
  const char* text = std::getenv(kFault);
  for (std::string_view rest = text == nullptr ? "" : text; !rest.empty();) {
    const auto one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (const auto random = random_faults(one)) {
      options.random_faults = *random;
      continue;
    }
    auto point = fault_point(one);
    if (!point) return tl::unexpected(point.error());
    options.faults.push_back(std::move(*point));
  }
  return {};
}

std::chrono::milliseconds milliseconds(market::TimeNs time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::nanoseconds(time));
}

actors::RestartPolicy policy(const config::NodeSettings& node) {
  actors::RestartPolicy policy;
  policy.backoff_min = milliseconds(node.backoff_min);
  policy.backoff_max = milliseconds(node.backoff_max);
  policy.jitter_percent = node.jitter_percent;
  policy.reset_after = milliseconds(node.reset_after);
  policy.budget = node.budget;
  policy.budget_window = milliseconds(node.budget_window);
  policy.strategy = static_cast<actors::Strategy>(node.strategy);
  policy.escalation = static_cast<actors::Escalation>(node.escalation);
  return policy;
}

actors::Supervision supervision(const config::SupervisionSettings& settings) {
  actors::Supervision all;
  all.symbol = policy(settings.symbol), all.partition = policy(settings.partition);
  all.checkpointer = policy(settings.checkpointer), all.sink = policy(settings.sink);
  all.gateway = policy(settings.gateway);
  all.root_budget = settings.root.budget;
  all.root_window = milliseconds(settings.root.budget_window);
  all.flush_within = milliseconds(settings.root.flush_within);
  all.set_seed(settings.seed);
  return all;
}

Result<actors::EngineOptions> engine_options(const config::Config& config) {
  actors::EngineOptions options;
  options.threads = config.engine.threads > 0 ? config.engine.threads
                                              : std::max(1u, std::thread::hardware_concurrency());
  options.poll_bytes = config.engine.poll_bytes;
  options.poll_records = config.engine.poll_records;
  options.max_inflight_bytes = config.engine.max_inflight_bytes;
  options.checkpoint_events = config.engine.checkpoint_events;
  options.checkpoint_interval = milliseconds(config.engine.checkpoint_interval);
  options.snapshots = {config.engine.snapshot_events, config.engine.snapshot_records};
  options.idle_passivate = config.engine.idle_passivate;
  options.thin_after = config.engine.thin_keep;
  options.max_delivery_rows = config.outputs.max_rows;
  options.supervision = supervision(config.supervision);
  if (auto read = read_faults(options); !read) return tl::unexpected(read.error());
  return options;
}

/// A running handler cannot be stopped, so nothing in this process can be waited for.
void end_hung(const actors::Hang& hang) {
  const auto& at = hang.item.position;
  const auto where =
      hang.named
          ? fmt::format("symbol {} at {}:{}:{}", hang.symbol, at.partition, at.offset, at.index)
          : fmt::format("symbol {}", hang.symbol.empty() ? "unknown" : hang.symbol);
  fmt::print(stderr,
             "tapedeck: {}: the fold made no progress for {} ms (engine.watchdog); started again, "
             "it counts this attempt\n",
             where, hang.since.count());
  std::fflush(stderr);
  std::_Exit(kGaveUp);
}

/// Nobody is left to end the actors, so they cannot be waited for.
void end_rootless(const std::string& what) {
  fmt::print(stderr, "tapedeck: {}; started again, it goes on where it was\n", what);
  std::fflush(stderr);
  std::_Exit(kGaveUp);
}

Result<std::unique_ptr<storage::ControlStore>> open_control(
    const TapeOptions& tape, const std::optional<storage::KafkaOptions>& kafka) {
  return kafka ? storage::open_kafka_control(*kafka) : storage::open_control_store(tape.directory);
}

/// Topics that are missing are made, whoever comes first.
Result<std::optional<storage::KafkaOptions>> prepare_kafka(const TapeOptions& tape,
                                                           std::uint32_t partitions) {
  auto kafka = kafka_options(tape);
  if (!kafka || !*kafka) return kafka;
  if (tape.state.empty()) {
    return fail(ErrorCode::invalid,
                "an engine on Kafka keeps snapshots and outputs in a folder: expected --state DIR",
                "--state");
  }
  (*kafka)->partitions = partitions;
  if (auto made = storage::create_kafka_topics(**kafka); !made) return tl::unexpected(made.error());
  return kafka;
}

Result<void> open_stores(Running& running, const TapeOptions& tape, const config::Config& config,
                         std::optional<std::uint32_t> record_partitions) {
  const auto kafka = prepare_kafka(tape, record_partitions.value_or(0));
  if (!kafka) return tl::unexpected(kafka.error());
  if (record_partitions) {
    auto writer = open_writer(tape, Linger::live, *record_partitions);
    if (!writer) return tl::unexpected(writer.error());
    running.writer = std::move(*writer);
    running.tape = &running.writer->reader();
  } else {
    auto reader = open_reader(tape);
    if (!reader) return tl::unexpected(reader.error());
    running.own_reader = std::move(*reader);
    running.tape = running.own_reader.get();
  }
  auto control = open_control(tape, *kafka);
  if (!control) return tl::unexpected(control.error());
  running.control = std::move(*control);
  auto settings = settle_settings(*running.control, config);
  if (!settings) return tl::unexpected(settings.error());
  running.settings = std::move(*settings);
  auto state = storage::open_state_store(tape.state_folder());
  if (!state) return tl::unexpected(with_state_remedy(state.error(), tape));
  running.state = std::move(*state);
  if (!*kafka) return {};
  auto history = History::open(tape.state_folder());
  if (!history) return tl::unexpected(history.error());
  running.history = std::move(*history);
  return {};
}

Result<void> share_snapshots(Running& running, const config::Config& config) {
  if (config.outputs.snapshots.empty()) return {};
  auto& group = running.delivery->group();
  auto topic = sinks::KafkaSnapshots::open(group, config.outputs.snapshots);
  if (!topic) return tl::unexpected(topic.error());
  running.delivery->share_snapshots(std::make_unique<SnapshotSharing>(SnapshotSharing::Parts{
      group, std::move(*topic), *running.tape, *running.state, *running.control, *running.history,
      *running.metrics, config.outputs.snapshot_interval, config.outputs.adopt_events}));
  return {};
}

Result<void> tell_others(Running& running, const config::Config& config) {
  if (config.kafka.members.empty()) return {};
  auto nodes = sinks::KafkaNodes::open(running.delivery->group().options(), config.kafka.members);
  if (!nodes) return tl::unexpected(nodes.error());
  running.delivery->tell_others(std::move(*nodes), running.tape->partitions());
  return {};
}

}  // namespace

namespace {

LiveDeskOptions live_options(const config::Config& config) {
  const auto& stream = config.stream;
  return {{stream.kept_messages, stream.subscribers},
          stream.depth,
          stream.max_waiting,
          milliseconds(stream.linger)};
}

}  // namespace

Result<std::unique_ptr<Running>> start_engine(
    const TapeOptions& tape, const config::Config& config,
    std::optional<std::uint32_t> record_partitions, bool deliver,
    const std::function<void(actors::EngineOptions&)>& adjust) {
  auto options = engine_options(config);
  if (!options) return tl::unexpected(options.error());
  auto running = std::make_unique<Running>();
  if (auto opened = open_stores(*running, tape, config, record_partitions); !opened) {
    return tl::unexpected(opened.error());
  }
  // A question to the brokers each time, where it is no look at a folder.
  if (running->own_reader)
    options->refresh_interval = std::chrono::milliseconds(tape.directory.empty() ? 10 : 5);
  auto records = running->control->records();
  if (!records) return tl::unexpected(records.error());
  options->control = running->control.get();
  options->control_records = std::move(*records);
  options->attempts_file = tape.state_folder() + "/attempts";
  options->watchdog = milliseconds(config.engine.watchdog);
  options->on_hang = end_hung;
  options->on_root_failure = end_rootless;
  if (deliver) {
    auto delivery = open_delivery(tape, config);
    if (!delivery) return tl::unexpected(delivery.error());
    running->delivery = std::move(*delivery);
    options->partitions_on_demand = running->delivery != nullptr;
  }
  running->metrics = std::make_unique<telemetry::Metrics>(running->tape->partitions());
  running->live = std::make_unique<LiveDesk>(live_options(config), *running->metrics);
  options->tap = running->live.get();
  running->quality.fingerprints = config.quality.fingerprints;
  running->quality.outlier_ppm = static_cast<std::uint32_t>(config.quality.outlier);
  running->quality.stale_after = config.quality.stale_after;
  if (config.quality.live) options->quality = &running->quality;
  if (adjust) adjust(*options);
  running->engine = std::make_unique<actors::Engine>(
      *running->tape, *running->state, running->settings, std::move(*options), *running->metrics,
      running->delivery ? &running->delivery->sink() : nullptr);
  running->live->attach(*running->engine);
  if (running->delivery) {
    if (auto told = tell_others(*running, config); !told) return tl::unexpected(told.error());
    if (auto shared = share_snapshots(*running, config); !shared)
      return tl::unexpected(shared.error());
    if (config.kafka.standby > 0) running->delivery->stand_by(config.kafka.standby);
    if (auto joined = running->delivery->join(*running->engine); !joined)
      return tl::unexpected(joined.error());
  }
  return running;
}

}  // namespace tapedeck::apps
