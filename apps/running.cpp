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

/// Tests only: TAPEDECK_FAULT=SYMBOL@partition:offset:index[*times], several separated by commas.
Result<std::vector<actors::FaultPoint>> fault_points() {
  std::vector<actors::FaultPoint> points;
  const char* text = std::getenv("TAPEDECK_FAULT");
  for (std::string_view rest = text == nullptr ? "" : text; !rest.empty();) {
    const auto one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const auto at = one.find('@');
    const auto star = one.find('*');
    const auto wrong = [&] {
      return fail(ErrorCode::invalid,
                  fmt::format("expected SYMBOL@partition:offset:index[*times], found '{}'", one),
                  "TAPEDECK_FAULT");
    };
    if (at == std::string_view::npos) return wrong();
    const auto moment = parse_moment(
        std::string(one.substr(at + 1, star == one.npos ? star : star - at - 1)), "TAPEDECK_FAULT");
    if (!moment) return tl::unexpected(moment.error());
    const auto* position = std::get_if<replay::AtOffset>(&*moment);
    if (position == nullptr || !position->partition) return wrong();
    actors::FaultPoint point{std::string(one.substr(0, at)),
                             {*position->partition, position->offset, position->index.value_or(0)},
                             1};
    if (star != one.npos) {
      const auto times = one.substr(star + 1);
      if (std::from_chars(times.data(), times.data() + times.size(), point.times).ec != std::errc{})
        return wrong();
    }
    points.push_back(std::move(point));
  }
  return points;
}

std::chrono::milliseconds milliseconds(market::TimeNs time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::nanoseconds(time));
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
  options.thin_after = config.engine.thin_keep;
  options.max_delivery_rows = config.outputs.max_rows;
  const auto& restart = config.engine.restart;
  options.restart.backoff_min = milliseconds(restart.min);
  options.restart.backoff_max = milliseconds(restart.max);
  options.restart.jitter_percent = restart.jitter_percent;
  options.restart.reset_after = milliseconds(restart.reset_after);
  options.restart.budget = restart.budget;
  options.restart.budget_window = milliseconds(restart.budget_window);
  auto faults = fault_points();
  if (!faults) return tl::unexpected(faults.error());
  options.faults = std::move(*faults);
  return options;
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
  return {};
}

}  // namespace

Result<std::unique_ptr<Running>> start_engine(const TapeOptions& tape, const config::Config& config,
                                              std::optional<std::uint32_t> record_partitions,
                                              bool deliver) {
  auto options = engine_options(config);
  if (!options) return tl::unexpected(options.error());
  auto running = std::make_unique<Running>();
  if (auto opened = open_stores(*running, tape, config, record_partitions); !opened) {
    return tl::unexpected(opened.error());
  }
  // A question to the brokers each time, where it is no look at a folder.
  if (running->own_reader)
    options->refresh_interval = std::chrono::milliseconds(tape.directory.empty() ? 10 : 5);
  if (deliver) {
    auto delivery = open_delivery(tape, config);
    if (!delivery) return tl::unexpected(delivery.error());
    running->delivery = std::move(*delivery);
    options->partitions_on_demand = running->delivery != nullptr;
  }
  running->metrics = std::make_unique<telemetry::Metrics>(running->tape->partitions());
  running->engine = std::make_unique<actors::Engine>(
      *running->tape, *running->state, running->settings, std::move(*options), *running->metrics,
      running->delivery ? &running->delivery->sink() : nullptr);
  if (running->delivery) {
    if (auto joined = running->delivery->join(*running->engine); !joined)
      return tl::unexpected(joined.error());
  }
  return running;
}

}  // namespace tapedeck::apps
