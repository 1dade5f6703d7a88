#include "storage/kafka_tape.hpp"

#include <mutex>

#include "storage/kafka_log.hpp"
#include "storage/kafka_record.hpp"
#include "storage/kafka_tape_reader.hpp"
#include "storage/kafka_topics.hpp"

namespace tapedeck::storage {
namespace {

constexpr std::string_view kSettingsKey = "settings";
constexpr std::string_view kRecordKey = "record";

Result<std::unique_ptr<KafkaClient>> admin(const KafkaOptions& options) {
  return KafkaClient::make(RD_KAFKA_PRODUCER, options, {});
}

Result<void> check_codec(const KafkaOptions& asked, const TopicCodec& stored) {
  if (!asked.codec || *asked.codec == stored) return {};
  return fail(ErrorCode::conflict,
              "topic " + asked.topic + " was made as a tape of " + to_text(stored) + ", not of " +
                  to_text(*asked.codec) +
                  ": leave kafka.codec out, or copy the records into another topic",
              "kafka.codec");
}

class KafkaControl final : public ControlStore {
public:
  explicit KafkaControl(const KafkaOptions& options) : log_(options, control_topic(options)) {}

  Result<std::optional<market::FoldSettings>> settings() const override {
    const std::lock_guard lock(mutex_);
    return first_settings();
  }

  /// Two engines may write at once: the record with the lowest offset is in force.
  Result<market::FoldSettings> settle(const market::FoldSettings& settings) override {
    const std::lock_guard lock(mutex_);
    auto stored = first_settings();
    if (stored && !*stored) {
      const auto bytes = schemas::encode(settings);
      if (auto ok = log_.append(
              kSettingsKey, bytes,
              {{"schema", std::string(kKafkaSchema)}, {"codec", std::string(kControlCodec)}});
          !ok) {
        return tl::unexpected(ok.error());
      }
      stored = first_settings();
    }
    if (!stored) return tl::unexpected(stored.error());
    return stored->value_or(settings);
  }

  Result<std::vector<schemas::ControlRecord>> records() const override {
    const std::lock_guard lock(mutex_);
    std::vector<schemas::ControlRecord> all;
    const auto done = log_.read([&](const rd_kafka_message_t& message) -> Result<void> {
      if (key_of(message) != kRecordKey) return {};
      auto record = schemas::decode_control(std::as_bytes(std::span(value_of(message))));
      if (!record) {
        return fail(ErrorCode::corrupt, "control record " + at(log_.topic(), 0, message.offset) +
                                            ": " + record.error().message);
      }
      all.push_back(std::move(*record));
      return {};
    });
    if (!done) return tl::unexpected(done.error());
    return all;
  }

  Result<void> append(const schemas::ControlRecord& record) override {
    const std::lock_guard lock(mutex_);
    return log_.append(
        kRecordKey, schemas::encode(record),
        {{"schema", std::string(kKafkaSchema)}, {"codec", std::string(kControlCodec)}});
  }

private:
  Result<std::optional<market::FoldSettings>> first_settings() const {
    std::optional<market::FoldSettings> found;
    const auto done = log_.read([&](const rd_kafka_message_t& message) -> Result<void> {
      if (found || key_of(message) != kSettingsKey) return {};
      auto settings = schemas::decode_settings(std::as_bytes(std::span(value_of(message))));
      if (!settings) {
        return fail(ErrorCode::corrupt, "control record " + at(log_.topic(), 0, message.offset) +
                                            ": " + settings.error().message);
      }
      found = std::move(*settings);
      return {};
    });
    if (!done) return tl::unexpected(done.error());
    return found;
  }

  mutable std::mutex mutex_;
  mutable KafkaLog log_;
};

}  // namespace

Result<KafkaOptions> with_codec(const KafkaClient& client, KafkaOptions options) {
  const auto control = count_partitions(client, control_topic(options));
  if (!control) return tl::unexpected(control.error());
  std::optional<TapeIdentity> stored;
  if (*control) {
    KafkaLog log(options, control_topic(options));
    auto read = read_identity(log);
    if (!read) return tl::unexpected(read.error());
    stored = std::move(*read);
  }
  if (stored) {
    if (auto ok = check_codec(options, stored->codec); !ok) return tl::unexpected(ok.error());
    options.codec = stored->codec;
  }
  if (!options.codec) options.codec.emplace();
  if (options.codec->foreign()) {
    if (const auto rows = row_format(*options.codec); !rows) return tl::unexpected(rows.error());
  }
  return options;
}

Result<KafkaOptions> settle_tape(KafkaOptions options, std::uint32_t partitions, bool write) {
  KafkaLog control(options, control_topic(options));
  const TapeIdentity wanted{partitions, options.codec.value_or(TopicCodec{})};
  auto stored = wanted;
  if (write) {
    auto settled = settle_identity(control, wanted);
    if (!settled) return tl::unexpected(settled.error());
    stored = std::move(*settled);
  } else {
    auto read = read_identity(control);
    if (!read) return tl::unexpected(read.error());
    stored = read->value_or(wanted);
  }
  if (stored.partitions != partitions) {
    return fail(ErrorCode::conflict,
                "topic " + options.topic + " has " + std::to_string(partitions) +
                    " partitions, the tape was made with " + std::to_string(stored.partitions) +
                    ": symbols would be looked for where they are not; copy the tape into a new "
                    "topic",
                "partitions");
  }
  if (auto ok = check_codec(options, stored.codec); !ok) return tl::unexpected(ok.error());
  options.codec = stored.codec;
  options.partitions = partitions;
  return options;
}

Result<std::vector<std::string>> create_kafka_topics(const KafkaOptions& asked) {
  const auto client = admin(asked);
  if (!client) return tl::unexpected(client.error());
  const auto options = with_codec(**client, asked);
  if (!options) return tl::unexpected(options.error());
  auto made = settle_topics(**client, *options);
  if (!made) return made;
  const auto partitions = check_tape_topic(**client, *options);
  if (!partitions) return tl::unexpected(partitions.error());
  if (auto ok = settle_tape(*options, *partitions, true); !ok) return tl::unexpected(ok.error());
  return made;
}

Result<std::vector<std::string>> create_output_topics(const KafkaOptions& options,
                                                      const std::vector<std::string>& topics) {
  const auto client = admin(options);
  if (!client) return tl::unexpected(client.error());
  const auto partitions = count_partitions(**client, options.topic);
  if (!partitions) return tl::unexpected(partitions.error());
  std::vector<std::string> made;
  for (const auto& topic : topics) {
    const auto missing = settle_output_topic(**client, topic, partitions->value_or(1));
    if (!missing) return tl::unexpected(missing.error());
    if (*missing) made.push_back(topic);
  }
  return made;
}

Result<std::unique_ptr<TapeReader>> open_kafka_reader(const KafkaOptions& asked) {
  const auto client = admin(asked);
  if (!client) return tl::unexpected(client.error());
  auto options = with_codec(**client, asked);
  if (!options) return tl::unexpected(options.error());
  const auto partitions = check_tape_topic(**client, *options);
  if (!partitions) return tl::unexpected(partitions.error());
  const auto control = count_partitions(**client, control_topic(*options));
  if (!control) return tl::unexpected(control.error());
  if (*control) {
    options = settle_tape(*options, *partitions, false);
    if (!options) return tl::unexpected(options.error());
  }
  options->partitions = *partitions;
  return KafkaTapeReader::open(*options);
}

Result<std::unique_ptr<ControlStore>> open_kafka_control(const KafkaOptions& options) {
  const auto client = admin(options);
  if (!client) return tl::unexpected(client.error());
  const auto control = count_partitions(**client, control_topic(options));
  if (!control) return tl::unexpected(control.error());
  if (!*control) {
    return fail(ErrorCode::not_found,
                "the brokers at " + options.brokers + " have no topic " + control_topic(options) +
                    ": make it with `tapedeck topics create`",
                "topic");
  }
  return std::make_unique<KafkaControl>(options);
}

}  // namespace tapedeck::storage
