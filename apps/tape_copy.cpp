// tapedeck tape copy: a tape onto another one, between Kafka and RocksDB or within one of them.
#include "storage/tape_copy.hpp"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "apps/progress.hpp"
#include "apps/signals.hpp"
#include "storage/rocksdb_state.hpp"

namespace tapedeck::apps {

namespace {

constexpr const char* kFooter =
    "Records, time marks, sources, the recorder's dead letters, fold settings and what is in "
    "quarantine. Run it again "
    "after "
    "an interruption, or\nwhen the tape has grown: what the copy holds is compared, the rest is "
    "appended, nothing twice. A target that holds\nsomething else is refused. Offsets stay equal "
    "between folders; a topic's have holes, which a folder has not.\n"
    "Examples:\n"
    "  tapedeck tape copy --tape day --to-brokers 127.0.0.1:9092 --to-topic market\n"
    "  tapedeck tape copy --brokers 127.0.0.1:9092 --topic market --state market-state --to-tape "
    "archive";

struct CopyArguments {
  TapeOptions from, to;
};

/// A target is named by flags alone: a topic from the settings would be the source's.
Result<void> check_target(const CopyArguments& arguments) {
  const auto& to = arguments.to;
  if (to.directory.empty() == to.topic.empty())
    return fail(ErrorCode::invalid, "where to? expected --to-tape DIR, or --to-topic T",
                to.directory.empty() ? "--to-topic" : "--to-tape");
  if (to.topic.empty() && !(to.brokers.empty() && to.state.empty()))
    return fail(ErrorCode::invalid, "--to-brokers and --to-state go with --to-topic", "--to-topic");
  const auto from_kafka = kafka_options(arguments.from);
  if (!from_kafka) return tl::unexpected(from_kafka.error());
  if (*from_kafka && !to.topic.empty()) {
    const auto to_kafka = kafka_options(to);
    if (!to_kafka) return tl::unexpected(to_kafka.error());
    if ((*from_kafka)->topic == (*to_kafka)->topic &&
        (*from_kafka)->brokers == (*to_kafka)->brokers)
      return fail(ErrorCode::invalid, "the topic would be copied onto itself", "--to-topic");
  }
  std::error_code none;
  if (!*from_kafka && !to.directory.empty() &&
      std::filesystem::equivalent(arguments.from.directory, to.directory, none))
    return fail(ErrorCode::invalid, "the tape would be copied onto itself", "--to-tape");
  return {};
}

Result<std::unique_ptr<storage::ControlStore>> open_target_control(const TapeOptions& to) {
  const auto kafka = kafka_options(to);
  if (!kafka) return tl::unexpected(kafka.error());
  return *kafka ? storage::open_kafka_control(**kafka) : storage::open_control_store(to.directory);
}

Result<void> copy_settings(const CopyArguments& arguments) {
  const auto from = open_control(arguments.from);
  if (!from && from.error().code == ErrorCode::not_found) return {};
  if (!from) return tl::unexpected(from.error());
  const auto to = open_target_control(arguments.to);
  if (!to) return tl::unexpected(to.error());
  return storage::copy_control(**from, **to);
}

/// Quarantines and releases: once all records they speak of are there.
Result<void> copy_records(const CopyArguments& arguments, const storage::TapeReader& from_tape,
                          const storage::TapeReader& to_tape) {
  const auto from = open_control(arguments.from);
  if (!from && from.error().code == ErrorCode::not_found) return {};
  if (!from) return tl::unexpected(from.error());
  const auto records = (*from)->records();
  if (!records) return tl::unexpected(records.error());
  if (records->empty()) return {};
  const auto to = open_target_control(arguments.to);
  if (!to) return tl::unexpected(to.error());
  return storage::copy_control_records(**from, from_tape, **to, to_tape);
}

Result<storage::CopySummary> copy(const CopyArguments& arguments) {
  if (auto ok = check_target(arguments); !ok) return tl::unexpected(ok.error());
  const auto from = open_reader(arguments.from);
  if (!from) return tl::unexpected(from.error());
  const auto to = open_writer(arguments.to, Linger::live, (*from)->partitions());
  if (!to) return tl::unexpected(to.error());
  Progress progress("copying", "records");
  storage::CopyOptions options;
  options.stop = [] { return stop_requested.load(); };
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    progress.update(done, total, done);
  };
  options.accepted = [&] { return copy_settings(arguments); };
  auto summary = storage::copy_tape(**from, **to, options);
  if (!summary || summary->interrupted) return summary;
  if (auto copied = copy_records(arguments, **from, (*to)->reader()); !copied)
    return tl::unexpected(copied.error());
  return summary;
}

int run_copy(const CopyArguments& arguments) {
  watch_signals();
  const auto start = std::chrono::steady_clock::now();
  const auto summary = copy(arguments);
  if (!summary) return report(summary.error());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (summary->found > 0)
    fmt::print("{} records were there already and are equal\n", summary->found);
  fmt::print("copied {} records with {} events, {} dead letters, {:.1f} s\n", summary->records,
             summary->events, summary->dead_letters, seconds.count());
  if (summary->interrupted) fmt::print("interrupted: run the same command again to go on\n");
  return kDone;
}

}  // namespace

void add_copy(CLI::App* tape, Chosen& chosen) {
  auto arguments = std::make_shared<CopyArguments>();
  CLI::App* command = tape->add_subcommand("copy", "Copy a tape to a folder or to a topic");
  command->footer(kFooter);
  add_tape_options(command, arguments->from);
  auto& to = arguments->to;
  command->add_option("--to-tape", to.directory, "Folder of the copy; or a copy on Kafka:")
      ->type_name("DIR");
  command->add_option("--to-topic", to.topic, "Topic of the copy, made if it is not there")
      ->type_name("T");
  command->add_option("--to-brokers", to.brokers, "Its brokers (default: kafka.brokers)")
      ->type_name("LIST");
  command->add_option("--to-state", to.state, "Folder of what is derived from that topic")
      ->type_name("DIR");
  run_with(command, chosen, [arguments] {
    arguments->to.config_file = arguments->from.config_file;
    return run_copy(*arguments);
  });
}

}  // namespace tapedeck::apps
