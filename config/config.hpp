// config/config.hpp -- the settings of a running tapedeck, typed, and how they are loaded. Start
// here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "market/result.hpp"
#include "market/settings.hpp"
#include "market/units.hpp"

namespace tapedeck::config {

using market::kSecond;
using market::TimeNs;

constexpr TimeNs kMillisecond = 1'000'000;

enum class Strategy : std::uint8_t { one_for_one, one_for_all };
enum class Escalation : std::uint8_t { escalate, retry };

/// How a failed actor is restarted: at once, then after `backoff_min`, doubling to `backoff_max`.
struct NodeSettings {
  Strategy strategy = Strategy::one_for_one;
  TimeNs backoff_min = 100 * kMillisecond;
  TimeNs backoff_max = 30 * kSecond;
  std::uint32_t jitter_percent = 20;
  TimeNs reset_after = 60 * kSecond;  ///< of health: the back-off starts anew
  std::uint32_t budget = 10;          ///< restarts within budget_window
  TimeNs budget_window = 60 * kSecond;
  Escalation escalation = Escalation::escalate;  ///< where the budget is spent
  friend bool operator==(const NodeSettings&, const NodeSettings&) = default;
};

struct RootSettings {
  std::uint32_t budget = 1'000;  ///< restarts of all its children together
  TimeNs budget_window = 60 * kSecond;
  TimeNs flush_within = 10 * kSecond;  ///< before the process ends
  friend bool operator==(const RootSettings&, const RootSettings&) = default;
};

/// The tree of supervision, node by node.
struct SupervisionSettings {
  std::uint64_t seed = 1;  ///< of the jitter
  RootSettings root;
  NodeSettings partition, symbol;
  NodeSettings checkpointer{.escalation = Escalation::retry};
  NodeSettings sink{.escalation = Escalation::retry};
  NodeSettings gateway{.escalation = Escalation::retry};
  friend bool operator==(const SupervisionSettings&, const SupervisionSettings&) = default;
};

struct EngineSettings {
  std::uint32_t threads = 0;  ///< scheduler threads; 0: one per processor
  std::uint64_t poll_bytes = std::uint64_t{16} << 20;
  std::uint64_t poll_records = 1'048'576;
  std::uint64_t max_inflight_bytes = std::uint64_t{32}
                                     << 20;  ///< per partition, between ingress and symbols
  std::uint64_t checkpoint_events = 2'000'000;
  TimeNs checkpoint_interval = 30 * kSecond;
  std::uint64_t snapshot_events = 65'536;
  std::uint64_t snapshot_records = 256;
  TimeNs thin_keep = 24 * 3600 * kSecond;  ///< older snapshots: one an hour stays
  TimeNs idle_passivate = 0;               ///< of feed time; 0: never
  TimeNs watchdog = 60 * kSecond;          ///< a fold without progress for so long ends the process
  friend bool operator==(const EngineSettings&, const EngineSettings&) = default;
};

enum class Fsync : std::uint8_t { never, interval, always };

/// A record is what one symbol did within a linger: the first bound that is reached ends it.
struct RecordSettings {
  std::uint32_t partitions = 4;
  std::uint64_t linger_events = 524'288;  ///< of the whole feed
  std::uint64_t linger_bytes = std::uint64_t{64} << 20;
  TimeNs linger_time = 1 * kMillisecond;  ///< live feeds only
  Fsync fsync = Fsync::interval;
  friend bool operator==(const RecordSettings&, const RecordSettings&) = default;
};

/// What of an embedded tape stays; zero: no limit.
struct RetentionSettings {
  TimeNs max_age = 0;           ///< of feed time
  std::uint64_t max_bytes = 0;  ///< of records
  TimeNs check_interval = 60 * kSecond;
  friend bool operator==(const RetentionSettings&, const RetentionSettings&) = default;
};

struct HttpSettings {
  std::string address = "127.0.0.1";  ///< an IP address
  std::uint16_t port = 8080;          ///< 0: any free one
  std::string advertise;              ///< host:port for other engines; empty: address and port
  std::uint32_t threads = 1;
  friend bool operator==(const HttpSettings&, const HttpSettings&) = default;
};

/// What the records of a topic are: tapedeck's own, or rows that other clients write.
enum class TopicCodec : std::uint8_t { capnp, json, csv };

/// Players of the HTTP interface.
struct ReplaySettings {
  std::uint32_t max = 16;
  TimeNs idle_after = 300 * kSecond;
  std::uint32_t kept_messages = 16'384;  ///< of each one's stream
  std::uint32_t subscribers = 64;        ///< of each one's stream
  friend bool operator==(const ReplaySettings&, const ReplaySettings&) = default;
};

/// What the running engine tells its subscribers.
struct StreamSettings {
  std::uint32_t depth = 10;
  std::uint32_t kept_messages = 16'384, subscribers = 64, max_waiting = 65'536;
  TimeNs linger = 30 * kSecond;
  friend bool operator==(const StreamSettings&, const StreamSettings&) = default;
};

/// What the running engine looks at beside its fold.
struct QualityChecks {
  bool live = true;
  std::uint32_t fingerprints = 0;
  std::int64_t outlier = 100'000;  ///< millionths
  TimeNs stale_after = 60 * kSecond;
  friend bool operator==(const QualityChecks&, const QualityChecks&) = default;
};

struct KafkaSettings {
  std::string brokers;  ///< host:port, separated by commas
  std::string topic;
  std::string group;  ///< empty: tapedeck.TOPIC
  std::string node;   ///< empty: made of the machine's name and the state folder
  std::string members = "tapedeck.members";  ///< topic; empty: no question is forwarded
  std::uint32_t standby = 0;                 ///< warm copies of each partition
  TopicCodec codec = TopicCodec::capnp;
  std::string columns;  ///< of json and csv; empty: the codec's own
  int price_exponent = -8, size_exponent = -8;
  /// [kafka.client]: settings of librdkafka by its names, as they are. Secrets among them are never
  /// shown.
  std::map<std::string, std::string> client;
  friend bool operator==(const KafkaSettings&, const KafkaSettings&) = default;
};

enum class OutputDelivery : std::uint8_t { transactional, idempotent, none };

/// Where an engine over a tape on Kafka sends what it says.
struct OutputSettings {
  OutputDelivery delivery = OutputDelivery::transactional;
  std::string processed = "orderbook.processed";
  std::string alerts = "orderbook.alerts";
  std::string dlq = "orderbook.dlq";
  std::uint64_t max_rows = 20'000;               ///< of one delivery
  std::string snapshots = "tapedeck.snapshots";  ///< empty: none are published
  TimeNs snapshot_interval = 30 * kSecond;
  std::uint64_t adopt_events = 1'000'000;
  friend bool operator==(const OutputSettings&, const OutputSettings&) = default;
};

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error, off };

struct LogSettings {
  LogLevel level = LogLevel::info;
  friend bool operator==(const LogSettings&, const LogSettings&) = default;
};

struct Config {
  market::FoldSettings fold;
  EngineSettings engine;
  SupervisionSettings supervision;
  RecordSettings record;
  RetentionSettings retention;
  KafkaSettings kafka;
  OutputSettings outputs;
  HttpSettings http;
  ReplaySettings replays;
  StreamSettings stream;
  QualityChecks quality;
  LogSettings log;
  /// Where a setting's value came from: key -> `file:line`, `environment NAME` or `command line`.
  /// No entry: default.
  std::map<std::string, std::string, std::less<>> origins;
};

/// Environment variables by name.
using Environment = std::map<std::string, std::string>;
/// Setting and value as typed, e.g. {"engine.threads", "4"} or {"candles.widths", "1s,1m"}.
using Overrides = std::vector<std::pair<std::string, std::string>>;

/// The variables of this process that begin with TAPEDECK_.
[[nodiscard]] Environment process_environment();

/// Settings by precedence: overrides (flags), then environment (TAPEDECK_SECTION_KEY), then the
/// TOML file, then the defaults. Errors name the place (file:line:column, variable, or command
/// line), the setting, what was expected and what was found; Error::field is the setting. An
/// unknown key or TAPEDECK_ variable is an error, with the nearest known name; but under
/// [kafka.client] and in TAPEDECK_KAFKA_CLIENT_ every name is taken (`_` is `.` there), and one
/// that ends in `_file` names a file with the value. A file that is not there: not_found; all else:
/// invalid.
[[nodiscard]] Result<Config> load(const std::optional<std::string>& path,
                                  const Environment& environment, const Overrides& overrides = {});

/// The effective settings as TOML, each with where its value came from.
[[nodiscard]] std::string describe(const Config& config);

/// config/tapedeck.toml: every setting at its default, with its meaning, range and environment
/// variable.
[[nodiscard]] std::string example();

}  // namespace tapedeck::config
