#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "config/config.hpp"
#include "config/settings.hpp"

using namespace tapedeck;
using namespace tapedeck::config;
using Catch::Contains;

namespace {

/// A file of its own, gone with the test.
class TomlFile {
public:
  explicit TomlFile(const std::string& text) {
    std::string folder =
        (std::filesystem::temp_directory_path() / "tapedeck-config-XXXXXX").string();
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
    std::ofstream(path()) << text;
  }
  ~TomlFile() { std::filesystem::remove_all(folder_); }
  TomlFile(const TomlFile&) = delete;
  TomlFile& operator=(const TomlFile&) = delete;
  [[nodiscard]] std::string path() const { return (folder_ / "t.toml").string(); }

private:
  std::filesystem::path folder_;
};

Result<Config> load_toml(const std::string& text, const Environment& environment = {},
                         const Overrides& flags = {}) {
  const TomlFile file(text);
  return load(file.path(), environment, flags);
}

Error error_of(const Result<Config>& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error();
}

}  // namespace

TEST_CASE("candles by activity, an origin and further metrics are settings", "[config]") {
  const auto good = load_toml(R"([candles]
widths = ["1s", "1m", "100t", "0.5v", "1000000n"]
origin = "09:30 -04:00"
[metrics]
further = ["vtob", "variance"]
)");
  REQUIRE(good);
  CHECK(good->fold.candle_widths ==
        std::vector<tapedeck::market::CandleWidth>{kSecond, 60 * kSecond,
                                                   *tapedeck::market::parse_activity("100t"),
                                                   *tapedeck::market::parse_activity("0.5v"),
                                                   *tapedeck::market::parse_activity("1000000n")});
  CHECK(good->fold.candle_origin == (13 * 3600 + 1800) * kSecond);
  CHECK(good->fold.further_metrics == 0b100010);
  for (const char* bad :
       {"[candles]\nwidths = [\"100t\", \"1s\"]\n", "[candles]\nwidths = [\"1x\"]\n",
        "[candles]\norigin = \"25:00\"\n", "[metrics]\nfurther = [\"vtop\"]\n"}) {
    INFO(bad);
    CHECK_FALSE(load_toml(bad));
  }
}

TEST_CASE("without file, environment and flags all settings are the defaults", "[config]") {
  const auto config = load(std::nullopt, {});
  REQUIRE(config);
  CHECK(config->fold == market::FoldSettings{});
  CHECK(config->engine == EngineSettings{});
  CHECK(config->supervision == SupervisionSettings{});
  CHECK(config->record == RecordSettings{});
  CHECK(config->http == HttpSettings{});
  CHECK(config->log == LogSettings{});
  CHECK(config->origins.empty());
}

TEST_CASE("every kind of setting is read from a file", "[config]") {
  const auto good = load_toml(R"(
[candles]
widths = ["500ms", "1m"]
[fold]
allow_negative_prices = true
[alerts]
imbalance_high = 0.81
spread_factor = 3
silence = ["2s"]
cooldown.flip = "0s"
[alerts.symbols."BRK.A"]
outlier = 0.000001
cooldown.gap = "1s"
[[alerts.pattern]]
name = "toxic"
sequence = ["spread_widening", "extreme_imbalance"]
within = "5s"
[[alerts.pattern]]
name = "flicker"
count = 3
of = "imbalance_flip"
within = "10s"
cooldown = "1m"
[engine]
threads = 3
poll_bytes = "1MiB"
max_inflight_bytes = 2097152
[supervision.symbol]
backoff_min = "5ms"
budget = 4
[supervision.sink]
escalation = "escalate"
[record]
fsync = "always"
[http]
address = "::1"
port = 0
[log]
level = "debug"
)");
  REQUIRE(good);
  CHECK(good->fold.candle_widths == std::vector<TimeNs>{500 * kMillisecond, 60 * kSecond});
  CHECK(good->fold.allow_negative_prices);
  const auto& alerts = good->fold.alerts;
  CHECK(alerts.imbalance_high == 810'000);
  CHECK(alerts.imbalance_medium == 500'000);
  CHECK(alerts.spread_factor == 3'000'000);
  CHECK(alerts.silence == std::vector<TimeNs>{2 * kSecond});
  CHECK(alerts.cooldown[1] == 0);
  REQUIRE(good->fold.symbol_alerts.size() == 1);
  market::AlertSettings own = alerts;
  own.outlier = 1;
  own.cooldown[7] = kSecond;
  CHECK(good->fold.symbol_alerts[0] == market::SymbolAlerts{"BRK.A", own});
  using market::AlertRule;
  const auto flip = AlertRule::imbalance_flip;
  CHECK(good->fold.patterns ==
        std::vector<market::AlertPattern>{
            {"toxic", {AlertRule::spread_widening, AlertRule::extreme_imbalance}, 5 * kSecond, 0},
            {"flicker", {flip, flip, flip}, 10 * kSecond, 60 * kSecond}});
  CHECK(good->engine.threads == 3);
  CHECK(good->engine.poll_bytes == 1 << 20);
  CHECK(good->engine.max_inflight_bytes == 2 << 20);
  CHECK(good->supervision.symbol.backoff_min == 5 * kMillisecond);
  CHECK(good->supervision.symbol.budget == 4);
  CHECK(good->supervision.sink.escalation == Escalation::escalate);
  CHECK(good->supervision.checkpointer.escalation == Escalation::retry);
  CHECK(good->record.fsync == Fsync::always);
  CHECK(good->http.address == "::1");
  CHECK(good->http.port == 0);
  CHECK(good->log.level == LogLevel::debug);
  CHECK(good->engine.checkpoint_events == 2'000'000);
}

TEST_CASE("a flag wins over the environment, the environment over the file", "[config]") {
  const std::string file = "[engine]\nthreads = 1\nsnapshot_records = 1\n[http]\nport = 1\n";
  const Environment environment = {
      {"TAPEDECK_ENGINE_THREADS", "2"}, {"TAPEDECK_HTTP_PORT", "2"}, {"HOME", "x"}};
  const auto config = load_toml(file, environment, {{"http.port", "3"}});
  REQUIRE(config);
  CHECK(config->engine.snapshot_records == 1);
  CHECK(config->engine.threads == 2);
  CHECK(config->http.port == 3);
  CHECK_THAT(config->origins.at("engine.snapshot_records"), Contains("t.toml:3"));
  CHECK(config->origins.at("engine.threads") == "environment TAPEDECK_ENGINE_THREADS");
  CHECK(config->origins.at("http.port") == "command line");
}

TEST_CASE("lists, durations and choices are read from the environment", "[config]") {
  const auto config = load(std::nullopt, {{"TAPEDECK_CANDLES_WIDTHS", "1s, 5s,1m"},
                                          {"TAPEDECK_SUPERVISION_GATEWAY_BACKOFF_MAX", "2m"},
                                          {"TAPEDECK_RECORD_FSYNC", "never"},
                                          {"TAPEDECK_FOLD_ALLOW_NEGATIVE_PRICES", "true"}});
  REQUIRE(config);
  CHECK(config->fold.candle_widths == std::vector<TimeNs>{kSecond, 5 * kSecond, 60 * kSecond});
  CHECK(config->supervision.gateway.backoff_max == 120 * kSecond);
  CHECK(config->record.fsync == Fsync::never);
  CHECK(config->fold.allow_negative_prices);
}

TEST_CASE("an unknown key is an error that names line, column and the nearest known key",
          "[config]") {
  const auto error = error_of(load_toml("[engine]\nthreads = 1\n  thread_count = 2\n"));
  CHECK(error.code == ErrorCode::invalid);
  CHECK(error.field == "engine.thread_count");
  CHECK_THAT(error.message, Contains("t.toml:3:3"));

  const auto typo = error_of(load_toml("[http]\nprot = 1\n"));
  CHECK_THAT(typo.message,
             Contains("t.toml:2:1: unknown setting http.prot; the nearest known one is http.port"));
  CHECK(typo.field == "http.prot");
  CHECK_THAT(error_of(load_toml("[enigne]\nthreads = 1\n")).message,
             Contains("t.toml:1:2: unknown setting enigne"));
  CHECK_THAT(error_of(load_toml("port = 1\n")).message, Contains("unknown setting port"));
  CHECK_THAT(error_of(load_toml("engine = 1\n")).message, Contains("unknown setting engine"));
  CHECK_THAT(
      error_of(load(std::nullopt, {}, {{"http.prt", "1"}})).message,
      Contains("command line: unknown setting http.prt; the nearest known one is http.port"));
  CHECK_THAT(error_of(load_toml("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz = 1\n")).message,
             !Contains("nearest"));
}

TEST_CASE("an unknown TAPEDECK_ variable is an error, test switches are not", "[config]") {
  const auto error = error_of(load(std::nullopt, {{"TAPEDECK_HTTP_PROT", "1"}}));
  CHECK_THAT(error.message,
             Contains("unknown variable TAPEDECK_HTTP_PROT") && Contains("TAPEDECK_HTTP_PORT"));
  CHECK(error.field == "TAPEDECK_HTTP_PROT");
  CHECK(load(std::nullopt,
             {{"TAPEDECK_FAULT", "x"}, {"TAPEDECK_BENCH_EVENTS", "x"}, {"TAPEDECK_PYTHON", "x"}}));
}

TEST_CASE(
    "a wrong type or a value out of range names the place, what was expected and what was found",
    "[config]") {
  struct Case {
    std::string toml, key, expected, found;
  };
  const Case cases[] = {
      {"[http]\nport = \"x\"", "http.port", "an integer, from 0 to 65535", "x"},
      {"[http]\nport = 65536", "http.port", "an integer, from 0 to 65535", "65536"},
      {"[http]\nport = -1", "http.port", "an integer", "-1"},
      {"[http]\nport = 1.5", "http.port", "an integer", "1.5"},
      {"[http]\naddress = \"nowhere\"", "http.address", "an IP address", "nowhere"},
      {"[candles]\nlateness = 5", "candles.lateness", "a duration like \"2s\", from 0s to 1d", "5"},
      {"[candles]\nlateness = \"-1s\"", "candles.lateness", "from 0s", "-1s"},
      {"[fold]\nallow_negative_prices = 1", "fold.allow_negative_prices", "true or false", "1"},
      {"[candles]\nwidths = [\"2s\", \"1s\"]", "candles.widths", "ascending", "1s"},
      {"[candles]\nwidths = [\"1s\", \"1s\"]", "candles.widths", "ascending", "1s"},
      {"[candles]\nwidths = [\"1ns\"]", "candles.widths", "from 1ms", "1ns"},
      {"[candles]\nwidths = [1]", "candles.widths", "durations", "1"},
      {"[engine]\npoll_bytes = \"4MB\"", "engine.poll_bytes", "a size like \"4MiB\"", "4MB"},
      {"[supervision]\nsymbol = 3\n", "supervision.symbol", "", ""},
      {"[record]\nfsync = \"maybe\"", "record.fsync", "one of \"never\", \"interval\", \"always\"",
       "maybe"},
      {"[log]\nlevel = 3", "log.level", "one of", "3"},
      {"[http.port]\na = 1", "http.port", "an integer", "a"},
  };
  for (const Case& c : cases) {
    INFO(c.toml);
    const auto error = error_of(load_toml(c.toml));
    INFO(error.message);
    CHECK(error.code == ErrorCode::invalid);
    CHECK(error.field == c.key);
    CHECK_THAT(error.message,
               Contains("t.toml:") && Contains(c.key) && Contains(c.expected) && Contains(c.found));
  }
  CHECK_THAT(error_of(load(std::nullopt, {{"TAPEDECK_HTTP_PORT", "x"}})).message,
             Contains("environment TAPEDECK_HTTP_PORT: http.port: expected an integer") &&
                 Contains("\"x\""));
  CHECK_THAT(error_of(load(std::nullopt, {}, {{"engine.threads", "many"}})).message,
             Contains("command line: engine.threads") && Contains("\"many\""));
}

TEST_CASE("settings that contradict each other are refused", "[config]") {
  const auto error = error_of(load(std::nullopt, {}, {{"supervision.symbol.backoff_min", "60s"}}));
  CHECK(error.field == "supervision.symbol.backoff_min");
  CHECK_THAT(error.message, Contains("command line") && Contains("the longest wait, 30s"));
  CHECK_FALSE(load(std::nullopt, {}, {{"engine.max_inflight_bytes", "4KiB"}}));
}

TEST_CASE("a list of known symbols that could mean none of them is refused", "[config]") {
  for (const char* good : {"", "AAPL", "AAPL,BTC*", "*", "A-B.C,x"})
    CHECK(load(std::nullopt, {}, {{"refusals.symbols", good}}));
  for (const char* bad : {",", "AAPL,", ",AAPL", "AAPL,,BTC", "AAPL, BTC", "*A", "A*B", "**"}) {
    CAPTURE(bad);
    const auto error = error_of(load(std::nullopt, {}, {{"refusals.symbols", bad}}));
    CHECK(error.field == "refusals.symbols");
    CHECK_THAT(error.message, Contains("is no symbol"));
  }
}

TEST_CASE("a missing file is not found, a broken one says where", "[config]") {
  const auto missing = error_of(load("/nowhere/t.toml", {}));
  CHECK(missing.code == ErrorCode::not_found);
  CHECK_THAT(missing.message, Contains("/nowhere/t.toml"));
  const auto broken = error_of(load_toml("[http\nport = 1\n"));
  CHECK(broken.code == ErrorCode::invalid);
  CHECK_THAT(broken.message, Contains("t.toml:1:"));
  CHECK_THAT(error_of(load_toml("[http]\nport = 1\nport = 2\n")).message, Contains("t.toml:3:"));
}

TEST_CASE("the effective settings read back as the same settings, and say where each came from",
          "[config]") {
  const auto config = load(std::nullopt, {{"TAPEDECK_LOG_LEVEL", "warn"}},
                           {{"candles.widths", "7ms,1h"}, {"engine.poll_bytes", "5000"}});
  REQUIRE(config);
  const std::string text = describe(*config);
  CHECK_THAT(text, Contains("level = \"warn\"  # environment TAPEDECK_LOG_LEVEL\n"));
  CHECK_THAT(text, Contains("widths = [\"7ms\", \"1h\"]  # command line\n"));
  CHECK_THAT(text, Contains("port = 8080  # default\n"));
  const auto again = load_toml(text);
  REQUIRE(again);
  for (const Setting& setting : settings()) {
    INFO(setting.key);
    CHECK(setting.get(*again) == setting.get(*config));
  }
}

TEST_CASE("[kafka.client] takes any name, from the file, the environment and files", "[config]") {
  const TomlFile secret("s3cret\n");
  const auto config = load_toml(
      "[kafka]\nbrokers = \"b:1\"\n[kafka.client]\nsasl.username = \"u\"\n"
      "\"ssl.ca.location\" = \"/ca\"\nsocket.keepalive.enable = true\n"
      "statistics.interval.ms = 5\nsasl.password_file = \"" +
          secret.path() + "\"\n",
      {{"TAPEDECK_KAFKA_TOPIC", "t"},
       {"TAPEDECK_KAFKA_CLIENT_SASL_USERNAME", "v"},
       {"TAPEDECK_KAFKA_CLIENT_SSL_KEY_PASSWORD_FILE", secret.path()}});
  if (!config) FAIL(config.error().message);
  CHECK(config->kafka.brokers == "b:1");
  CHECK(config->kafka.topic == "t");
  CHECK(config->kafka.client ==
        std::map<std::string, std::string>{{"sasl.username", "v"},
                                           {"ssl.ca.location", "/ca"},
                                           {"socket.keepalive.enable", "true"},
                                           {"statistics.interval.ms", "5"},
                                           {"sasl.password", "s3cret"},
                                           {"ssl.key.password", "s3cret"}});
  const auto shown = describe(*config);
  CHECK_THAT(shown,
             Contains("\"sasl.password\" = \"***\"") && Contains("\"sasl.username\" = \"v\""));
  CHECK_THAT(shown, !Contains("s3cret"));
}

TEST_CASE("a secret's file that cannot be read is named, a list is no setting of the client",
          "[config]") {
  const auto missing = error_of(load_toml("[kafka.client]\nsasl.password_file = \"/no/such\"\n"));
  CHECK(missing.field == "kafka.client.sasl.password");
  CHECK_THAT(missing.message, Contains("/no/such"));
  CHECK(error_of(load_toml("[kafka.client]\nx = [1]\n")).field == "kafka.client.x");
}
