// The tapes behind --tape and --brokers.
#include "apps/cli.hpp"
#include "config/config.hpp"
#include "storage/rocksdb_tape.hpp"

namespace tapedeck::apps {

Result<std::optional<storage::KafkaOptions>> kafka_options(const TapeOptions& options) {
  if (!options.directory.empty()) {
    if (options.topic.empty()) return std::nullopt;
    return fail(ErrorCode::invalid, "a tape is a folder or a topic, not both", "--topic");
  }
  config::Overrides flags;
  if (!options.brokers.empty()) flags.emplace_back("kafka.brokers", options.brokers);
  if (!options.topic.empty()) flags.emplace_back("kafka.topic", options.topic);
  const auto file = options.config_file.empty() ? std::nullopt : std::optional(options.config_file);
  const auto config = config::load(file, config::process_environment(), flags);
  if (!config) return tl::unexpected(config.error());
  for (const auto& [value, flag] :
       {std::pair(config->kafka.brokers, "--brokers"), std::pair(config->kafka.topic, "--topic")}) {
    if (value.empty()) {
      return fail(ErrorCode::invalid,
                  std::string("which tape? expected --tape DIR, or --brokers LIST --topic T; ") +
                      flag + " is missing",
                  flag);
    }
  }
  storage::KafkaOptions kafka;
  kafka.brokers = config->kafka.brokers;
  kafka.topic = config->kafka.topic;
  kafka.client = config->kafka.client;
  kafka.state = options.state;
  const auto asked = [&](const char* key) { return config->origins.contains(key); };
  if (asked("kafka.codec") || asked("kafka.columns") || asked("kafka.price_exponent") ||
      asked("kafka.size_exponent")) {
    kafka.codec = {static_cast<storage::TopicCodec::Kind>(config->kafka.codec),
                   config->kafka.columns, config->kafka.price_exponent,
                   config->kafka.size_exponent};
  }
  return kafka;
}

Result<std::unique_ptr<storage::TapeWriter>> open_writer(const TapeOptions& options, Linger linger,
                                                         std::uint32_t partitions) {
  auto kafka = kafka_options(options);
  if (!kafka) return tl::unexpected(kafka.error());
  if (*kafka) {
    (*kafka)->partitions = partitions;
    return storage::open_kafka_writer(**kafka);
  }
  storage::WriterOptions writer;
  writer.partitions = partitions;
  writer.compress = linger == Linger::live;
  const auto file = options.config_file.empty() ? std::nullopt : std::optional(options.config_file);
  const auto config = config::load(file, config::process_environment(), {});
  if (!config) return tl::unexpected(config.error());
  switch (config->record.fsync) {
    case config::Fsync::never: writer.fsync = storage::WriterOptions::Fsync::never; break;
    case config::Fsync::interval: writer.fsync = storage::WriterOptions::Fsync::interval; break;
    case config::Fsync::always: writer.fsync = storage::WriterOptions::Fsync::always; break;
  }
  return storage::open_tape_writer(options.directory, writer);
}

Result<std::unique_ptr<storage::TapeReader>> open_reader(const TapeOptions& options) {
  const auto kafka = kafka_options(options);
  if (!kafka) return tl::unexpected(kafka.error());
  return *kafka ? storage::open_kafka_reader(**kafka)
                : storage::open_tape_reader(options.directory);
}

}  // namespace tapedeck::apps
