#include "storage/kafka_topics.hpp"

#include <array>
#include <cstdlib>
#include <map>
#include <thread>

namespace tapedeck::storage {
namespace {

constexpr std::int64_t kMinRetentionMs = std::int64_t{24} * 3600 * 1000;
constexpr auto kLookForTopicAgain = std::chrono::milliseconds(20);

using Settings = std::map<std::string, std::string>;

/// What every topic of a tape has. Nothing is ever deleted: base snapshots, which would allow it,
/// are not there yet.
Settings wanted_settings() {
  return {{"cleanup.policy", "delete"},
          {"retention.ms", "-1"},
          {"retention.bytes", "-1"},
          {"max.message.bytes", std::to_string(kMaxMessageBytes)},
          {"compression.type", "producer"}};
}

Error bad_setting(const std::string& topic, const std::string& name, const std::string& found,
                  const std::string& expected) {
  return {ErrorCode::conflict,
          "topic " + topic + ": " + name + " is " + found + ", expected " + expected +
              ": change it on the brokers (kafka-configs --alter), or name another topic",
          name};
}

/// `foreign`: nothing of ours is written there.
Result<void> check_settings(const std::string& topic, const Settings& found, bool foreign) {
  const auto of = [&](const char* name) {
    const auto it = found.find(name);
    return it == found.end() ? std::string() : it->second;
  };
  const auto number = [&](const char* name) { return std::strtoll(of(name).c_str(), nullptr, 10); };
  if (of("cleanup.policy") != "delete") {
    return tl::unexpected(bad_setting(topic, "cleanup.policy", of("cleanup.policy"),
                                      "delete (a compacted topic loses records)"));
  }
  if (number("retention.ms") >= 0 && number("retention.ms") < kMinRetentionMs) {
    return tl::unexpected(
        bad_setting(topic, "retention.ms", of("retention.ms"), "-1 (for ever), or a day at least"));
  }
  if (number("retention.bytes") >= 0) {
    return tl::unexpected(bad_setting(topic, "retention.bytes", of("retention.bytes"),
                                      "-1 (by size, records could go at any time)"));
  }
  if (!foreign && number("max.message.bytes") < kMaxMessageBytes) {
    return tl::unexpected(bad_setting(topic, "max.message.bytes", of("max.message.bytes"),
                                      std::to_string(kMaxMessageBytes) + " at least"));
  }
  return {};
}

/// Waits for the result of one admin request.
Result<EventHandle> answer(const KafkaClient& client, rd_kafka_queue_t& queue,
                           const std::string& doing) {
  EventHandle event(rd_kafka_queue_poll(&queue, kFirstAnswerMs));
  if (!event) return tl::unexpected(client.error(RD_KAFKA_RESP_ERR__TIMED_OUT, doing));
  const auto code = rd_kafka_event_error(event.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(client.error(code, doing));
  return event;
}

Result<Settings> read_settings(const KafkaClient& client, const std::string& topic) {
  using Resource =
      std::unique_ptr<rd_kafka_ConfigResource_t, KafkaDelete<rd_kafka_ConfigResource_destroy>>;
  const std::string doing = "reading the settings of topic " + topic;
  const Resource resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  const QueueHandle queue(rd_kafka_queue_new(client.get()));
  auto* wanted = resource.get();
  rd_kafka_DescribeConfigs(client.get(), &wanted, 1, nullptr, queue.get());
  const auto event = answer(client, *queue, doing);
  if (!event) return tl::unexpected(event.error());
  std::size_t count = 0;
  const auto* result = rd_kafka_event_DescribeConfigs_result(event->get());
  auto** resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
  if (count != 1) return tl::unexpected(client.error(RD_KAFKA_RESP_ERR__BAD_MSG, doing));
  const auto code = rd_kafka_ConfigResource_error(resources[0]);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(client.error(code, doing));
  const auto** entries = rd_kafka_ConfigResource_configs(resources[0], &count);
  Settings found;
  for (std::size_t i = 0; i < count; ++i) {
    const char* value = rd_kafka_ConfigEntry_value(entries[i]);
    found[rd_kafka_ConfigEntry_name(entries[i])] = value == nullptr ? "" : value;
  }
  return found;
}

Result<void> make_topic(const KafkaClient& client, const std::string& topic,
                        std::uint32_t partitions, const Settings& settings) {
  using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, KafkaDelete<rd_kafka_NewTopic_destroy>>;
  const std::string doing = "making topic " + topic;
  std::array<char, 256> why{};
  const NewTopic wanted(rd_kafka_NewTopic_new(topic.c_str(), static_cast<int>(partitions), -1,
                                              why.data(), why.size()));
  if (!wanted) return fail(ErrorCode::invalid, "topic " + topic + ": " + why.data(), "topic");
  for (const auto& [name, value] : settings)
    (void)rd_kafka_NewTopic_set_config(wanted.get(), name.c_str(), value.c_str());
  const QueueHandle queue(rd_kafka_queue_new(client.get()));
  auto* one = wanted.get();
  rd_kafka_CreateTopics(client.get(), &one, 1, nullptr, queue.get());
  const auto event = answer(client, *queue, doing);
  if (!event) return tl::unexpected(event.error());
  std::size_t count = 0;
  const auto* result = rd_kafka_event_CreateTopics_result(event->get());
  const auto** topics = rd_kafka_CreateTopics_result_topics(result, &count);
  const auto code =
      count == 1 ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
  // Another process made it at the same time: as good.
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
    return {};
  if (code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
    return fail(ErrorCode::invalid,
                "topic '" + topic + "': expected letters, digits, '.', '_' and '-', at most 249",
                "topic");
  }
  return tl::unexpected(client.error(code, doing));
}

/// Makes the topic if it is missing (true) and waits until the brokers know it.
Result<bool> make_missing(const KafkaClient& client, const std::string& topic,
                          std::uint32_t partitions, const Settings& wanted) {
  auto count = count_partitions(client, topic);
  if (!count) return tl::unexpected(count.error());
  if (*count) return false;
  if (auto ok = make_topic(client, topic, partitions, wanted); !ok)
    return tl::unexpected(ok.error());
  const Deadline deadline(kFirstAnswerMs);
  while (count && !*count && !deadline.passed()) {  // the brokers tell each other
    std::this_thread::sleep_for(kLookForTopicAgain);
    count = count_partitions(client, topic);
  }
  if (!count) return tl::unexpected(count.error());
  if (!*count) {
    return tl::unexpected(
        client.error(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "waiting for topic " + topic));
  }
  return true;
}

/// Makes the topic if it is missing (true), else checks its settings.
Result<bool> settle(const KafkaClient& client, const std::string& topic, std::uint32_t partitions,
                    bool foreign) {
  const auto missing = make_missing(client, topic, partitions, wanted_settings());
  if (!missing) return missing;
  const auto settings = read_settings(client, topic);
  if (!settings) return tl::unexpected(settings.error());
  if (auto ok = check_settings(topic, *settings, foreign); !ok) return tl::unexpected(ok.error());
  return missing;
}

Result<void> check_count(const KafkaOptions& options, std::uint32_t found) {
  if (options.partitions == 0 || options.partitions == found) return {};
  return fail(ErrorCode::conflict,
              "topic " + options.topic + " has " + std::to_string(found) + " partitions, " +
                  std::to_string(options.partitions) +
                  " were asked for: a tape keeps the number it was made with",
              "partitions");
}

}  // namespace

std::string control_topic(const KafkaOptions& options) { return options.topic + ".control"; }
std::string dead_letter_topic(const KafkaOptions& options) { return options.topic + ".dlq"; }

Result<std::optional<std::uint32_t>> count_partitions(const KafkaClient& client,
                                                      const std::string& topic, int wait_ms) {
  const auto handle = client.topic(topic);
  if (!handle)
    return fail(ErrorCode::invalid, "'" + topic + "' cannot be the name of a topic", "topic");
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto code = rd_kafka_metadata(client.get(), 0, handle.get(), &metadata, wait_ms);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(client.error(code, "asking for topic " + topic));
  const std::unique_ptr<const rd_kafka_metadata_t, KafkaDelete<rd_kafka_metadata_destroy>> owned(
      metadata);
  if (metadata->topic_cnt != 1) return std::optional<std::uint32_t>{};
  const auto& found = metadata->topics[0];
  if (found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return std::optional<std::uint32_t>{};
  if (found.err == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
    return fail(ErrorCode::invalid, "'" + topic + "' cannot be the name of a topic", "topic");
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR && found.partition_cnt == 0)
    return tl::unexpected(client.error(found.err, "asking for topic " + topic));
  return std::optional(static_cast<std::uint32_t>(found.partition_cnt));
}

Result<std::vector<std::string>> settle_topics(const KafkaClient& client,
                                               const KafkaOptions& options) {
  if (options.partitions > kMaxPartitions) {
    return fail(ErrorCode::invalid,
                std::to_string(options.partitions) + " partitions: a tape has at most " +
                    std::to_string(kMaxPartitions),
                "partitions");
  }
  const auto partitions = options.partitions == 0 ? kDefaultPartitions : options.partitions;
  std::vector<std::string> made;
  // The data topic last: where it is, the others are.
  const std::pair<std::string, std::uint32_t> topics[] = {
      {control_topic(options), 1}, {dead_letter_topic(options), 1}, {options.topic, partitions}};
  for (const auto& [topic, count] : topics) {
    const bool foreign = topic == options.topic && options.codec && options.codec->foreign();
    const auto missing = settle(client, topic, count, foreign);
    if (!missing) return tl::unexpected(missing.error());
    if (*missing) made.push_back(topic);
  }
  const auto found = count_partitions(client, options.topic);
  if (!found) return tl::unexpected(found.error());
  if (auto ok = check_count(options, found->value_or(partitions)); !ok)
    return tl::unexpected(ok.error());
  return made;
}

Result<bool> settle_output_topic(const KafkaClient& client, const std::string& topic,
                                 std::uint32_t partitions) {
  const auto missing = make_missing(client, topic, partitions, {{"cleanup.policy", "delete"}});
  if (!missing) return missing;
  auto settings = read_settings(client, topic);
  if (!settings) return tl::unexpected(settings.error());
  if (const auto& policy = (*settings)["cleanup.policy"]; policy != "delete") {
    return tl::unexpected(bad_setting(topic, "cleanup.policy", policy,
                                      "delete (a compacted topic loses all but a symbol's last "
                                      "row)"));
  }
  return missing;
}

Result<std::uint32_t> settle_compacted_topic(const KafkaClient& client, const std::string& topic,
                                             std::uint32_t partitions) {
  const auto missing = make_missing(client, topic, partitions, {{"cleanup.policy", "compact"}});
  if (!missing) return tl::unexpected(missing.error());
  auto settings = read_settings(client, topic);
  if (!settings) return tl::unexpected(settings.error());
  if (const auto& policy = (*settings)["cleanup.policy"]; policy != "compact") {
    return tl::unexpected(bad_setting(topic, "cleanup.policy", policy,
                                      "compact (each record replaces the one of its key)"));
  }
  const auto found = count_partitions(client, topic);
  if (!found) return tl::unexpected(found.error());
  return found->value_or(partitions);
}

Result<std::uint32_t> check_tape_topic(const KafkaClient& client, const KafkaOptions& options) {
  const auto found = count_partitions(client, options.topic);
  if (!found) return tl::unexpected(found.error());
  if (!*found) {
    return fail(ErrorCode::not_found,
                "the brokers at " + options.brokers + " have no topic " + options.topic +
                    ": record into it, or make it with `tapedeck topics create`",
                "topic");
  }
  if (auto ok = check_count(options, **found); !ok) return tl::unexpected(ok.error());
  const auto settings = read_settings(client, options.topic);
  if (!settings) return tl::unexpected(settings.error());
  const bool foreign = options.codec && options.codec->foreign();
  if (auto ok = check_settings(options.topic, *settings, foreign); !ok)
    return tl::unexpected(ok.error());
  return **found;
}

}  // namespace tapedeck::storage
