#include "config/settings.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <type_traits>

#include "config/day_time.hpp"
#include "config/value_text.hpp"

namespace tapedeck::config {
namespace {

constexpr std::int64_t kDay = 24 * 3600 * kSecond;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kMillion = 1'000'000;  ///< of a ratio

constexpr std::array<std::string_view, 3> kFsync = {"never", "interval", "always"};
constexpr std::array<std::string_view, 3> kDeliveries = {"transactional", "idempotent", "none"};
constexpr std::array<std::string_view, 3> kCodecs = {"capnp", "json", "csv"};
constexpr std::array<std::string_view, 2> kStrategies = {"one_for_one", "one_for_all"};
constexpr std::array<std::string_view, 2> kEscalations = {"escalate", "retry"};
constexpr std::array<std::string_view, market::kFurtherMetrics> kFurther = {
    "weighted_imbalance", "vtob", "microprice", "depth", "trade_flow", "variance"};
constexpr std::array<std::string_view, 6> kLevels = {"trace", "debug", "info",
                                                     "warn",  "error", "off"};

template <class T>
Value to_value(const T& member) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string> ||
                std::is_same_v<T, std::vector<std::int64_t>>) {
    return member;
  } else {
    return static_cast<std::int64_t>(member);
  }
}

template <class T>
void from_value(T& member, const Value& value) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string> ||
                std::is_same_v<T, std::vector<std::int64_t>>) {
    member = std::get<T>(value);
  } else {
    member = static_cast<T>(std::get<std::int64_t>(value));
  }
}

// `member` is a lambda that gives the setting's place in a Config, const or not.
template <class Member>
constexpr Setting make(std::string_view key, Kind kind, std::int64_t min, std::int64_t max,
                       std::string_view description, Member,
                       std::span<const std::string_view> choices = {}, std::size_t most = 0) {
  return {key,
          kind,
          min,
          max,
          description,
          [](const Config& config) { return to_value(Member{}(config)); },
          [](Config& config, const Value& value) { from_value(Member{}(config), value); },
          choices,
          most};
}

#define AT(member) ([](auto& config) -> auto& { return config.member; })

#define STRATEGY(name, node, description)                                \
  make("supervision." name ".strategy", Kind::choice, 0, 0, description, \
       AT(supervision.node.strategy), kStrategies)
#define NODE(name, node)                                                                         \
  make("supervision." name ".backoff_min", Kind::duration, kMillisecond, kDay,                   \
       "Wait before the second restart (the first is at once); doubles with each",               \
       AT(supervision.node.backoff_min)),                                                        \
      make("supervision." name ".backoff_max", Kind::duration, kMillisecond, kDay,               \
           "Longest such wait", AT(supervision.node.backoff_max)),                               \
      make("supervision." name ".jitter_percent", Kind::integer, 0, 100,                         \
           "How much of a wait is left to chance", AT(supervision.node.jitter_percent)),         \
      make("supervision." name ".reset_after", Kind::duration, kMillisecond, kDay,               \
           "Time of health after which the waits start anew", AT(supervision.node.reset_after)), \
      make("supervision." name ".budget", Kind::integer, 1, 1'000'000,                           \
           "Restarts within the window", AT(supervision.node.budget)),                           \
      make("supervision." name ".budget_window", Kind::duration, kMillisecond, kDay,             \
           "That window", AT(supervision.node.budget_window)),                                   \
      make("supervision." name ".escalation", Kind::choice, 0, 0,                                \
           "Where the budget is spent: the supervisor fails in turn, up to the process, or "     \
           "tries again after the longest wait",                                                 \
           AT(supervision.node.escalation), kEscalations)

const Setting kSettings[] = {
    make("candles.widths", Kind::widths, kMillisecond, kDay,
         "Candle widths, at most 16: times, then trades (100t), volume (5000v), notional "
         "(1000000n), "
         "imbalance of buyers' and sellers' volume (500i), each ascending",
         AT(fold.candle_widths), {}, 16),
    make("candles.origin", Kind::day_time, 0, kDay - 1,
         "Time of the day from which intervals are counted: \"13:30\" (UTC), \"09:30 -04:00\", or "
         "\"09:30 America/New_York 2012-06-21\", with the offset that the zone had on that day",
         AT(fold.candle_origin)),
    make("candles.lateness", Kind::duration, 0, kDay,
         "How far a symbol's event time must pass a candle's end to close it", AT(fold.lateness)),
    make(
        "candles.idle_after", Kind::duration, 0, kDay,
        "How far feed time must pass a candle's end to close it, where the symbol itself is silent",
        AT(fold.idle_after)),
    make("candles.correction_horizon", Kind::duration, 0, kDay,
         "How long after its end a candle is still corrected by late trades and breaks",
         AT(fold.correction_horizon)),
    make("candles.kept_trades", Kind::integer, 0, 65'536, "Trades of a symbol kept for breaks",
         AT(fold.kept_trades)),
    make("metrics.levels", Kind::integer, 1, 64, "Price levels a side that book metrics look at",
         AT(fold.metrics_levels)),
    make("metrics.window", Kind::duration, kMillisecond, kDay, "Tumbling window of the metric rows",
         AT(fold.metrics_window)),
    make("metrics.further", Kind::names, 0, (1 << market::kFurtherMetrics) - 1,
         "What metric rows hold beside imbalance, spread and order-flow imbalance",
         AT(fold.further_metrics), kFurther),
    make("fold.max_sequence_jump", Kind::integer, 1, std::int64_t{1} << 62,
         "A larger jump of a sequence is believed only when the next message follows it",
         AT(fold.max_sequence_jump)),
    make("fold.max_kept_updates", Kind::integer, 1, 1 << 24,
         "Updates of a symbol kept while its depth snapshot is awaited", AT(fold.max_kept_updates)),
    make("fold.allow_negative_prices", Kind::boolean, 0, 0,
         "Whether prices below zero are accepted", AT(fold.allow_negative_prices)),

    make("refusals.time_lead", Kind::duration, 0, 3650 * kDay,
         "How far an event time may be past its receive time, where it has one; 0s: any",
         AT(fold.refusals.time_lead)),
    make("refusals.zero_size", Kind::boolean, 0, 0, "Whether trades of size 0 are refused",
         AT(fold.refusals.zero_size)),
    make("refusals.crossed_quotes", Kind::boolean, 0, 0,
         "Whether quotes are refused after which the bid is not below the ask",
         AT(fold.refusals.crossed_quotes)),
    make("refusals.price_band", Kind::ratio, 0, 1000 * kMillion,
         "Distance of a print from the symbol's last trade beyond which it is refused; the second "
         "in a row near the first is believed; 0: any",
         AT(fold.refusals.price_band)),
    make("refusals.symbols", Kind::text, 0, 0,
         "Symbols that are known, like \"AAPL,BTC*\": those of others are refused; empty: all",
         AT(fold.refusals.symbols)),

    make("alerts.imbalance_high", Kind::ratio, 0, kMillion,
         "Imbalance of the top levels that is HIGH; 0: never", AT(fold.alerts.imbalance_high)),
    make("alerts.imbalance_medium", Kind::ratio, 0, kMillion, "... that is MEDIUM; 0: never",
         AT(fold.alerts.imbalance_medium)),
    make("alerts.imbalance_hysteresis", Kind::ratio, 0, kMillion,
         "How far the imbalance must fall below a level's threshold to leave the level",
         AT(fold.alerts.imbalance_hysteresis)),
    make("alerts.flip", Kind::ratio, 0, kMillion,
         "Imbalance on one side, then on the other, that is a flip; 0: never",
         AT(fold.alerts.flip)),
    make("alerts.spread_factor", Kind::ratio, 0, 1000 * kMillion,
         "Multiple of the spread's rolling mean that is a widening; 0: never",
         AT(fold.alerts.spread_factor)),
    make("alerts.spread_samples", Kind::integer, 1, 1'000'000'000,
         "Samples of the spread that the mean needs", AT(fold.alerts.spread_samples)),
    make("alerts.outlier", Kind::ratio, 0, 1000 * kMillion,
         "Deviation of a trade's price from the mean of the kept trades that makes it an outlier; "
         "0: never",
         AT(fold.alerts.outlier)),
    make("alerts.outlier_trades", Kind::integer, 1, 65'536, "Trades that the mean needs",
         AT(fold.alerts.outlier_trades)),
    make("alerts.silence", Kind::durations, kMillisecond, kDay,
         "Times without an event that are a silence: low, medium, high", AT(fold.alerts.silence),
         {}, 3),
    make("alerts.crossed", Kind::boolean, 0, 0, "Whether crossed and locked books are told",
         AT(fold.alerts.crossed)),
    make("alerts.gap", Kind::boolean, 0, 0, "Whether gaps are told", AT(fold.alerts.gap)),
    make("alerts.cooldown.imbalance", Kind::duration, 0, kDay,
         "After an extreme imbalance, those due earlier than this are not told (of the same level)",
         AT(fold.alerts.cooldown[0])),
    make("alerts.cooldown.flip", Kind::duration, 0, kDay,
         "After a flip, those due earlier than this are not told (of the same level)",
         AT(fold.alerts.cooldown[1])),
    make("alerts.cooldown.spread", Kind::duration, 0, kDay,
         "After a spread widening, those due earlier than this are not told (of the same level)",
         AT(fold.alerts.cooldown[2])),
    make("alerts.cooldown.outlier", Kind::duration, 0, kDay,
         "After an outlier, those due earlier than this are not told (of the same level)",
         AT(fold.alerts.cooldown[3])),
    make("alerts.cooldown.silence", Kind::duration, 0, kDay,
         "After a silence, those due earlier than this are not told (of the same level)",
         AT(fold.alerts.cooldown[4])),
    make("alerts.cooldown.crossed", Kind::duration, 0, kDay,
         "After a crossed book, those due earlier than this are not told (of the same level)",
         AT(fold.alerts.cooldown[5])),
    make("alerts.cooldown.locked", Kind::duration, 0, kDay,
         "After a locked book, those due earlier than this are not told (of the same level)",
         AT(fold.alerts.cooldown[6])),
    make("alerts.cooldown.gap", Kind::duration, 0, kDay,
         "After a gap, those due earlier than this are not told (of the same level)",
         AT(fold.alerts.cooldown[7])),

    make("engine.threads", Kind::integer, 0, 256, "Threads that fold; 0: one for each processor",
         AT(engine.threads)),
    make("engine.poll_bytes", Kind::size, 4096, kGiB,
         "Bytes that one read of the tape brings at most", AT(engine.poll_bytes)),
    make("engine.poll_records", Kind::integer, 1, 1 << 24,
         "Records that one read of the tape brings at most", AT(engine.poll_records)),
    make("engine.max_inflight_bytes", Kind::size, 4096, 64 * kGiB,
         "Bytes of a partition that were read and are not folded yet; the reader waits beyond that",
         AT(engine.max_inflight_bytes)),
    make("engine.checkpoint_events", Kind::integer, 1, std::int64_t{1} << 62,
         "A partition checkpoints after so many events, or after the interval",
         AT(engine.checkpoint_events)),
    make("engine.checkpoint_interval", Kind::duration, 10 * kMillisecond, kDay, "That interval",
         AT(engine.checkpoint_interval)),
    make("engine.snapshot_events", Kind::integer, 1, std::int64_t{1} << 62,
         "A symbol snapshots itself after so many of its events, or of its records",
         AT(engine.snapshot_events)),
    make("engine.snapshot_records", Kind::integer, 1, std::int64_t{1} << 62, "Those records",
         AT(engine.snapshot_records)),
    make("engine.thin_keep", Kind::duration, 0, 3650 * kDay,
         "All snapshots of this time are kept, of older ones one an hour", AT(engine.thin_keep)),
    make("engine.idle_passivate", Kind::duration, 0, 3650 * kDay,
         "A symbol without a record or a question for so much feed time leaves memory until the "
         "next one; 0: never",
         AT(engine.idle_passivate)),
    make("engine.watchdog", Kind::duration, 10 * kMillisecond, kDay,
         "A fold that makes no progress for so long ends the process with exit code 4",
         AT(engine.watchdog)),

    make("supervision.seed", Kind::integer, 0, std::int64_t{1} << 62,
         "Seed of what is left to chance in waits", AT(supervision.seed)),
    make("supervision.root.budget", Kind::integer, 1, 1'000'000,
         "Restarts of all actors below the root together within the window; one more ends the "
         "process with exit code 4",
         AT(supervision.root.budget)),
    make("supervision.root.budget_window", Kind::duration, kMillisecond, kDay, "That window",
         AT(supervision.root.budget_window)),
    make("supervision.root.flush_within", Kind::duration, 0, kDay,
         "How long what was read may take to be folded and stored before the process ends so",
         AT(supervision.root.flush_within)),
    STRATEGY("partition", partition, "A failed partition restarts alone, or all of them with it"),
    NODE("partition", partition),
    STRATEGY("symbol", symbol, "A failed symbol restarts alone, or its whole partition with it"),
    NODE("symbol", symbol),
    NODE("checkpointer", checkpointer),
    NODE("sink", sink),
    NODE("gateway", gateway),

    make("record.partitions", Kind::integer, 1, 4096, "Partitions of a new tape",
         AT(record.partitions)),
    make("record.linger_events", Kind::integer, 1, 1 << 24,
         "Events of the whole feed that are grouped into records by symbol",
         AT(record.linger_events)),
    make("record.linger_bytes", Kind::size, 4096, 4 * kGiB, "Bytes that are grouped at most",
         AT(record.linger_bytes)),
    make("record.linger_time", Kind::duration, 0, 60 * kSecond,
         "How long an event of a live feed may wait for others of its symbol",
         AT(record.linger_time)),
    make("record.fsync", Kind::choice, 0, 0,
         "When appended records are forced to the disk: never, once a second and at the end, or "
         "always",
         AT(record.fsync), kFsync),

    make("tape.retention.max_age", Kind::duration, 0, 3650 * kDay,
         "How long events stay on an embedded tape, by feed time back from its newest; 0: for ever",
         AT(retention.max_age)),
    make("tape.retention.max_bytes", Kind::size, 0, std::int64_t{1} << 60,
         "Bytes of records that stay on an embedded tape, the oldest go first; 0: no limit",
         AT(retention.max_bytes)),
    make("tape.retention.check_interval", Kind::duration, kSecond, kDay,
         "How often that is looked after while recording", AT(retention.check_interval)),

    make("kafka.brokers", Kind::text, 0, 0,
         "Kafka brokers, host:port, separated by commas, where no --tape names a folder",
         AT(kafka.brokers)),
    make("kafka.topic", Kind::text, 0, 0,
         "Topic of the tape; control records go to TOPIC.control, dead letters to TOPIC.dlq",
         AT(kafka.topic)),

    make("kafka.group", Kind::text, 0, 0,
         "Consumer group of the engines that share a tape's partitions; empty: tapedeck.TOPIC",
         AT(kafka.group)),
    make("kafka.node", Kind::text, 0, 0,
         "Name of this engine in the group, no other's; empty: of the machine's name and the state "
         "folder",
         AT(kafka.node)),
    make("kafka.members", Kind::text, 0, 0,
         "Compacted topic in which the group's engines say where they answer and what they own; "
         "empty: questions are not forwarded",
         AT(kafka.members)),
    make("kafka.standby", Kind::integer, 0, 16,
         "Other engines of the group that keep a warm copy of each partition, as far as its owner "
         "has committed; the copies are where partitions go when an engine dies",
         AT(kafka.standby)),
    make("kafka.codec", Kind::choice, 0, 0,
         "What the topic's records are: tapedeck's own, or a JSON object or a line of CSV each, "
         "keyed by symbol, that other clients write; kept with the tape",
         AT(kafka.codec), kCodecs),
    make("kafka.columns", Kind::text, 0, 0,
         "Fields of such JSON or CSV, like \"ts_ms=T,price=p,size=q,side\"; empty: the usual ones. "
         "A sequence is named only where each record has it, contiguous for a symbol",
         AT(kafka.columns)),
    make("kafka.price_exponent", Kind::integer, -18, 9, "Their prices are counted in 10^this",
         AT(kafka.price_exponent)),
    make("kafka.size_exponent", Kind::integer, -18, 9, "Their sizes are counted in 10^this",
         AT(kafka.size_exponent)),

    make("outputs.delivery", Kind::choice, 0, 0,
         "How an engine on Kafka sends outputs: in transactions with the group's offsets (each row "
         "once), idempotently (lower latency; after a crash a row may come again, with the same "
         "identity), or not at all",
         AT(outputs.delivery), kDeliveries),
    make("outputs.processed", Kind::text, 0, 0, "Topic of candles, metric rows, late trades",
         AT(outputs.processed)),
    make("outputs.alerts", Kind::text, 0, 0, "Topic of alerts", AT(outputs.alerts)),
    make("outputs.dlq", Kind::text, 0, 0, "Topic of refused input", AT(outputs.dlq)),
    make("outputs.max_rows", Kind::integer, 1, 1'000'000,
         "Rows that one delivery of a partition brings at most; those of one record stay together",
         AT(outputs.max_rows)),
    make("outputs.snapshots", Kind::text, 0, 0,
         "Compacted topic of checkpoints, from which a partition's next owner begins; empty: none",
         AT(outputs.snapshots)),
    make("outputs.snapshot_interval", Kind::duration, 10 * kMillisecond, kDay,
         "A partition's checkpoints are published at most this often",
         AT(outputs.snapshot_interval)),
    make("outputs.adopt_events", Kind::integer, 1, std::int64_t{1} << 62,
         "A new owner begins at a published checkpoint that is so many events ahead of its own; it "
         "folds a smaller distance",
         AT(outputs.adopt_events)),

    make("http.address", Kind::address, 0, 0,
         "IP address to listen on; 127.0.0.1 is reached from this machine only", AT(http.address)),
    make("http.port", Kind::integer, 0, 65'535, "Port to listen on; 0: any free one",
         AT(http.port)),
    make("http.advertise", Kind::text, 0, 0,
         "host:port at which the group's other engines reach this one; empty: address and port",
         AT(http.advertise)),
    make("http.threads", Kind::integer, 1, 64, "Threads that answer requests", AT(http.threads)),

    make("replays.max", Kind::integer, 0, 1024,
         "Replays of the HTTP interface at a time; one more is refused with 503", AT(replays.max)),
    make("replays.idle_after", Kind::duration, kSecond, 365 * kDay,
         "A replay without a subscriber that nobody asked for so long ends",
         AT(replays.idle_after)),
    make("replays.kept_messages", Kind::integer, 16, 1 << 20,
         "Messages of a replay's stream that are kept for who resumes; it waits for subscribers "
         "that are half as far behind",
         AT(replays.kept_messages)),
    make("replays.subscribers", Kind::integer, 1, 1024,
         "Subscribers of one replay; one more is refused with 503", AT(replays.subscribers)),

    make("quality.live", Kind::boolean, 0, 0,
         "Whether every event is looked at while it is folded (metric quality_findings_total)",
         AT(quality.live)),
    make("quality.fingerprints", Kind::integer, 0, 1 << 16,
         "Events of each symbol that a new one is compared with, a power of two, 16 bytes each; 0: "
         "no duplicates are looked for",
         AT(quality.fingerprints)),
    make("quality.outlier", Kind::ratio, 1, 1000 * kMillion,
         "Deviation of a trade's price from the mean of the last 64 that makes it an outlier",
         AT(quality.outlier)),
    make("quality.stale_after", Kind::duration, kMillisecond, kDay,
         "Age of a symbol's quote that makes it stale for a trade", AT(quality.stale_after)),

    make("stream.depth", Kind::integer, 1, 100, "Levels a side of the live stream's books",
         AT(stream.depth)),
    make("stream.kept_messages", Kind::integer, 16, 1 << 20,
         "Messages of the live stream that are kept for who resumes; who is further behind is told "
         "of a gap",
         AT(stream.kept_messages)),
    make("stream.subscribers", Kind::integer, 1, 65'536,
         "Subscribers of the live stream; one more is refused with 503", AT(stream.subscribers)),
    make("stream.max_waiting", Kind::integer, 1, 1 << 24,
         "Outputs that wait to be told at most; beyond that everybody is told of a gap",
         AT(stream.max_waiting)),
    make("stream.linger", Kind::duration, 0, kDay,
         "How long the stream goes on without subscribers, for who resumes", AT(stream.linger)),

    make("log.level", Kind::choice, 0, 0, "How much is logged", AT(log.level), kLevels),
};

#undef NODE
#undef STRATEGY
#undef AT

std::string list(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += '"' + std::string(name) + '"';
  }
  return text;
}

bool is_address(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  return inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

/// Items between commas, without the spaces around them; false as soon as `take` says so.
template <class Take>
bool each_item(std::string_view text, Take take) {
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!take(item)) return false;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

std::optional<Value> parse_list(const Setting& setting, std::string_view text) {
  std::vector<std::int64_t> values;
  const bool good = each_item(text, [&](std::string_view item) {
    const auto value = parse_element(setting, item);
    if (value) values.push_back(*value);
    return value.has_value();
  });
  if (!good) return std::nullopt;
  return list_value(setting, std::move(values));
}

std::optional<Value> parse_kind(const Setting& setting, std::string_view text) {
  std::optional<std::int64_t> number;
  switch (setting.kind) {
    case Kind::integer: number = parse_integer(text); break;
    case Kind::ratio: number = parse_ratio(text); break;
    case Kind::duration: number = parse_duration(text); break;
    case Kind::size: number = parse_size(text); break;
    case Kind::durations:
    case Kind::widths:
    case Kind::names: return parse_list(setting, text);
    case Kind::day_time: number = parse_day_time(text); break;
    case Kind::address:
    case Kind::text: return std::string(text);
    case Kind::boolean:
      if (text == "true" || text == "false") return text == "true";
      return std::nullopt;
    case Kind::choice: {
      const auto found = std::find(setting.choices.begin(), setting.choices.end(), text);
      if (found != setting.choices.end()) number = found - setting.choices.begin();
      break;
    }
  }
  if (!number) return std::nullopt;
  return *number;
}

}  // namespace

std::span<const Setting> settings() { return kSettings; }

const Setting* find_setting(std::string_view key) {
  const auto all = settings();
  const auto found =
      std::find_if(all.begin(), all.end(), [key](const Setting& s) { return s.key == key; });
  return found == all.end() ? nullptr : &*found;
}

std::string Setting::variable() const {
  std::string name = "TAPEDECK_";
  for (const char c : key)
    name += c == '.' ? '_' : (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::string Setting::expected() const {
  const auto range = [this](std::string (*text)(std::int64_t)) {
    return ", from " + text(min) + " to " + text(max);
  };
  switch (kind) {
    case Kind::integer:
      return "an integer" + range(+[](std::int64_t n) { return std::to_string(n); });
    case Kind::ratio: return "a number like 0.25" + range(&format_ratio);
    case Kind::boolean: return "true or false";
    case Kind::duration: return "a duration like \"2s\"" + range(&format_duration);
    case Kind::size: return "a size like \"4MiB\" or a number of bytes" + range(&format_size);
    case Kind::durations:
      return "at most " + std::to_string(most) + " ascending durations like \"2s\"" +
             range(&format_duration);
    case Kind::widths:
      return "at most " + std::to_string(most) + " widths, ascending: durations like \"2s\"" +
             range(&format_duration) +
             ", then amounts like \"100t\", \"5000v\", \"1000000n\", \"0.5i\"";
    case Kind::day_time:
      return "a time of the day like \"13:30\", \"09:30 -04:00\" or \"09:30 America/New_York "
             "2012-06-21\"";
    case Kind::names: return "some of " + list(choices);
    case Kind::address: return "an IP address";
    case Kind::text: return "a text";
    case Kind::choice: return "one of " + list(choices);
  }
  return {};
}

std::optional<std::int64_t> parse_element(const Setting& setting, std::string_view text) {
  if (setting.kind == Kind::names) {
    const auto found = std::find(setting.choices.begin(), setting.choices.end(), text);
    if (found == setting.choices.end()) return std::nullopt;
    return found - setting.choices.begin();
  }
  if (setting.kind == Kind::widths) {
    if (const auto activity = market::parse_activity(text)) return activity;
    const auto duration = parse_duration(text);  // a longer one would be taken for an amount
    return duration && market::by_activity(*duration) ? std::nullopt : duration;
  }
  return parse_duration(text);
}

Value list_value(const Setting& setting, std::vector<std::int64_t> elements) {
  if (setting.kind != Kind::names) return elements;
  std::int64_t bits = 0;
  for (const auto element : elements) bits |= std::int64_t{1} << element;
  return bits;
}

std::optional<Value> parse_text(const Setting& setting, std::string_view text) {
  auto value = parse_kind(setting, text);
  if (value && !in_range(setting, *value)) return std::nullopt;
  return value;
}

bool in_range(const Setting& setting, const Value& value) {
  const auto within = [&setting](std::int64_t n) { return setting.min <= n && n <= setting.max; };
  switch (setting.kind) {
    case Kind::integer:
    case Kind::ratio:
    case Kind::duration:
    case Kind::day_time:
    case Kind::names:
    case Kind::size: return within(std::get<std::int64_t>(value));
    case Kind::address: return is_address(std::get<std::string>(value));
    case Kind::durations: {
      const auto& all = std::get<std::vector<std::int64_t>>(value);
      return all.size() <= setting.most && std::all_of(all.begin(), all.end(), within) &&
             std::adjacent_find(all.begin(), all.end(), std::greater_equal<>{}) == all.end();
    }
    case Kind::widths: {
      const auto& all = std::get<std::vector<std::int64_t>>(value);
      const auto good = [&](std::int64_t n) { return within(n) || market::is_activity_width(n); };
      return all.size() <= setting.most && std::all_of(all.begin(), all.end(), good) &&
             std::adjacent_find(all.begin(), all.end(), std::greater_equal<>{}) == all.end();
    }
    case Kind::boolean:
    case Kind::text:
    case Kind::choice: return true;
  }
  return true;
}

bool is_secret(std::string_view client_setting) {
  constexpr std::string_view kWords[] = {"password", "secret", "token", ".pem",
                                         "oauthbearer.config"};
  return std::any_of(std::begin(kWords), std::end(kWords), [&](std::string_view word) {
    return client_setting.find(word) != std::string_view::npos;
  });
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string to_toml(const Setting& setting, const Value& value) {
  switch (setting.kind) {
    case Kind::integer: return std::to_string(std::get<std::int64_t>(value));
    case Kind::ratio: return format_ratio(std::get<std::int64_t>(value));
    case Kind::boolean: return std::get<bool>(value) ? "true" : "false";
    case Kind::duration: return quoted(format_duration(std::get<std::int64_t>(value)));
    case Kind::size: return quoted(format_size(std::get<std::int64_t>(value)));
    case Kind::address:
    case Kind::text: return quoted(std::get<std::string>(value));
    case Kind::choice:
      return quoted(
          std::string(setting.choices[static_cast<std::size_t>(std::get<std::int64_t>(value))]));
    case Kind::day_time: return quoted(format_day_time(std::get<std::int64_t>(value)));
    case Kind::names: {
      std::string text;
      for (std::size_t i = 0; i < setting.choices.size(); ++i) {
        if ((std::get<std::int64_t>(value) >> i & 1) == 0) continue;
        text += (text.empty() ? "" : ", ") + quoted(setting.choices[i]);
      }
      return "[" + text + "]";
    }
    case Kind::widths: {
      std::string text;
      for (const auto width : std::get<std::vector<std::int64_t>>(value)) {
        text += (text.empty() ? "" : ", ") + quoted(market::by_activity(width)
                                                        ? market::activity_text(width)
                                                        : format_duration(width));
      }
      return "[" + text + "]";
    }
    case Kind::durations: {
      std::string text;
      for (const auto ns : std::get<std::vector<std::int64_t>>(value)) {
        text += (text.empty() ? "" : ", ") + quoted(format_duration(ns));
      }
      return "[" + text + "]";
    }
  }
  return {};
}

}  // namespace tapedeck::config
