#include "storage/kafka_client.hpp"

#include <array>

namespace tapedeck::storage {
namespace {

/// What the tape's promises rest on: not to be set from outside.
constexpr std::array<std::string_view, 13> kReserved = {"bootstrap.servers",
                                                        "metadata.broker.list",
                                                        "isolation.level",
                                                        "auto.offset.reset",
                                                        "enable.idempotence",
                                                        "transactional.id",
                                                        "enable.partition.eof",
                                                        "check.crcs",
                                                        "group.id",
                                                        "group.instance.id",
                                                        "partition.assignment.strategy",
                                                        "enable.auto.commit",
                                                        "partitioner"};

using ConfHandle = std::unique_ptr<rd_kafka_conf_t, KafkaDelete<rd_kafka_conf_destroy>>;

Result<void> set(rd_kafka_conf_t& conf, const std::string& name, const std::string& value) {
  std::array<char, 256> why{};
  const auto done = rd_kafka_conf_set(&conf, name.c_str(), value.c_str(), why.data(), why.size());
  if (done == RD_KAFKA_CONF_OK) return {};
  // The library repeats the value in its reason, and a value may be a secret.
  const char* reason = done == RD_KAFKA_CONF_UNKNOWN ? "the client library knows no such setting"
                                                     : "the client library refuses its value";
  return fail(ErrorCode::invalid, "kafka.client." + name + ": " + reason, "kafka.client." + name);
}

/// A producer knows not every setting of a consumer, and the other way round: the library only
/// warns then.
Result<void> set_from_outside(rd_kafka_conf_t& conf,
                              const std::map<std::string, std::string>& client) {
  for (const auto& [name, value] : client) {
    for (const auto reserved : kReserved) {
      if (name == reserved) {
        return fail(ErrorCode::invalid,
                    "kafka.client." + name + ": is set by tapedeck itself, leave it out",
                    "kafka.client." + name);
      }
    }
    if (auto ok = set(conf, name, value); !ok) return ok;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<KafkaClient>> KafkaClient::make(rd_kafka_type_t type,
                                                       const KafkaOptions& options,
                                                       const ClientSettings& settings,
                                                       Delivered delivered, int events) {
  if (options.brokers.empty())
    return fail(ErrorCode::invalid, "expected host:port of a Kafka broker", "brokers");
  std::unique_ptr<KafkaClient> client(new KafkaClient(options.brokers));
  ConfHandle conf(rd_kafka_conf_new());
  auto ok = set(*conf, "bootstrap.servers", options.brokers);
  if (ok) ok = set(*conf, "client.id", "tapedeck");
  if (ok) ok = set(*conf, "log_level", "3");
  if (ok) ok = set(*conf, "socket.nagle.disable", "true");
  if (ok) ok = set(*conf, "reconnect.backoff.ms", "20");
  if (ok) ok = set(*conf, "reconnect.backoff.max.ms", "1000");
  for (const auto& [name, value] : settings)
    if (ok) ok = set(*conf, name, value);
  if (ok) ok = set_from_outside(*conf, options.client);
  if (!ok) return tl::unexpected(ok.error());
  rd_kafka_conf_set_opaque(conf.get(), client.get());
  rd_kafka_conf_set_log_cb(conf.get(),
                           [](const rd_kafka_t* rk, int, const char*, const char* line) {
                             static_cast<KafkaClient*>(rd_kafka_opaque(rk))->note(line);
                           });
  if (delivered != nullptr) rd_kafka_conf_set_dr_msg_cb(conf.get(), delivered);
  if (events != 0) rd_kafka_conf_set_events(conf.get(), events);
  std::array<char, 256> why{};
  client->client_ = rd_kafka_new(type, conf.get(), why.data(), why.size());
  if (client->client_ == nullptr) {
    return fail(ErrorCode::invalid, std::string("the Kafka client cannot be set up: ") + why.data(),
                "kafka.client");
  }
  (void)conf.release();  // the client's now
  return client;
}

KafkaClient::~KafkaClient() {
  if (client_ != nullptr) rd_kafka_destroy(client_);
}

TopicHandle KafkaClient::topic(const std::string& name) const {
  return TopicHandle(rd_kafka_topic_new(client_, name.c_str(), nullptr));
}

void KafkaClient::note(const char* line) {
  const std::lock_guard lock(mutex_);
  last_words_ = line;
}

std::string KafkaClient::last_words() const {
  const std::lock_guard lock(mutex_);
  return last_words_.empty() ? std::string() : " (" + last_words_ + ")";
}

Error KafkaClient::error(rd_kafka_resp_err_t code, std::string_view doing) const {
  const std::string text = rd_kafka_err2str(code);
  const std::string tail = " while " + std::string(doing);
  switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return {ErrorCode::environment,
              "the brokers at " + brokers_ + " know no such topic or partition" + tail +
                  ": it was deleted, or is still being made; make it with `tapedeck topics "
                  "create`",
              std::string(kUnknownTopicField)};
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
      return {ErrorCode::conflict,
              "another recorder has taken the tape over" + tail + ": end one of them",
              {}};
    default: break;
  }
  if (is_transient(code)) {
    return {ErrorCode::environment,
            "the brokers at " + brokers_ + " do not answer" + tail + ": " + text + last_words() +
                ": check that they run and can be reached",
            std::string(kTransientField)};
  }
  return {ErrorCode::environment, "Kafka refused" + tail + ": " + text + last_words(), {}};
}

Error KafkaClient::error(const rd_kafka_error_t& code, std::string_view doing) const {
  auto error = this->error(rd_kafka_error_code(&code), doing);
  error.message += std::string(" [") + rd_kafka_error_string(&code) + "]";
  return error;
}

ClientSettings reading_settings() {
  return {{"isolation.level", "read_committed"},
          {"auto.offset.reset", "error"},
          {"enable.partition.eof", "true"},
          {"check.crcs", "true"},
          {"enable.auto.commit", "false"},
          {"fetch.wait.max.ms", "10"},
          {"fetch.message.max.bytes", "4194304"},
          {"fetch.max.bytes", "67108864"},
          {"receive.message.max.bytes", "134217728"},
          {"queued.min.messages", "1000000"},
          {"queued.max.messages.kbytes", "65536"},
          {"topic.metadata.refresh.interval.ms", "5000"}};
}

ClientSettings jumping_settings() {
  auto settings = reading_settings();
  settings.insert(settings.end(), {{"fetch.wait.max.ms", "1"},
                                   {"fetch.message.max.bytes", "65536"},
                                   {"fetch.error.backoff.ms", "5"}});
  return settings;
}

std::string at(const std::string& topic, Partition partition, std::int64_t offset) {
  return topic + "[" + std::to_string(partition) + "]:" + std::to_string(offset);
}

bool is_transient(rd_kafka_resp_err_t code) noexcept {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE: return true;
    default: return false;
  }
}

}  // namespace tapedeck::storage
