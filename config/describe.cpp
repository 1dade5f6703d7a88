#include <string>

#include "config/config.hpp"
#include "config/settings.hpp"
#include "config/value_text.hpp"
#include "market/output.hpp"

namespace tapedeck::config {
namespace {

/// `supervision.symbol.budget` -> {`supervision.symbol`, `budget`}.
std::pair<std::string_view, std::string_view> split(std::string_view key) {
  const auto dot = key.rfind('.');
  return {key.substr(0, dot), key.substr(dot + 1)};
}

/// One line for each setting under the heading of its section; `line` says the setting's own text.
template <class Line>
std::string sections(Line line) {
  std::string text;
  std::string_view open;
  for (const Setting& setting : settings()) {
    const auto [section, name] = split(setting.key);
    if (section != open) text += (open.empty() ? "[" : "\n[") + std::string(section) + "]\n";
    open = section;
    text += line(setting, name);
  }
  return text;
}

/// Settings of [alerts] that differ, and patterns.
std::string alerts_text(const Config& config) {
  std::string text;
  for (const auto& [symbol, alerts] : config.fold.symbol_alerts) {
    Config alone = config;
    alone.fold.alerts = alerts;
    text += "\n[alerts.symbols." + quoted(symbol) + "]\n";
    for (const Setting& setting : settings()) {
      if (!setting.key.starts_with("alerts.") || setting.get(alone) == setting.get(config))
        continue;
      text += std::string(setting.key.substr(std::string_view("alerts.").size())) + " = " +
              to_toml(setting, setting.get(alone)) + "\n";
    }
  }
  for (const auto& [name, steps, within, cooldown] : config.fold.patterns) {
    text += "\n[[alerts.pattern]]\nname = " + quoted(name) + "\nsequence = [";
    for (std::size_t i = 0; i < steps.size(); ++i)
      text += (i > 0 ? ", " : "") + quoted(market::name(steps[i]));
    text += "]\nwithin = " + quoted(format_duration(within)) +
            "\ncooldown = " + quoted(format_duration(cooldown)) + "\n";
  }
  return text;
}

}  // namespace

std::string describe(const Config& config) {
  std::string client;
  for (const auto& [name, value] : config.kafka.client) {
    const auto origin = config.origins.find("kafka.client." + name);
    client += (client.empty() ? "\n[kafka.client]\n" : "") + quoted(name) + " = " +
              quoted(is_secret(name) ? "***" : value) + "  # " +
              (origin == config.origins.end() ? "default" : origin->second) + "\n";
  }
  return sections([&config](const Setting& setting, std::string_view name) {
           const auto origin = config.origins.find(setting.key);
           return std::string(name) + " = " + to_toml(setting, setting.get(config)) + "  # " +
                  (origin == config.origins.end() ? "default" : origin->second) + "\n";
         }) +
         alerts_text(config) + client;
}

std::string example() {
  const Config defaults;
  return "# Every setting of tapedeck at its default. A flag wins over the environment variable, "
         "the variable over this\n"
         "# file. Settings of [candles], [metrics], [alerts], [fold] and [refusals] are kept with "
         "a tape: the "
         "first engine that opens it stores them.\n\n" +
         sections([&defaults](const Setting& setting, std::string_view name) {
           return "# " + std::string(setting.description) + ".\n# " + setting.variable() + ": " +
                  setting.expected() + ".\n" + std::string(name) + " = " +
                  to_toml(setting, setting.get(defaults)) + "\n";
         }) +
         "\n# [alerts.symbols.SYMBOL]: settings of [alerts] that this symbol has for itself.\n"
         "# [alerts.symbols.AMZN]\n"
         "# imbalance_high = 0.9\n"
         "# cooldown.silence = \"5m\"\n"
         "\n# [[alerts.pattern]]: alerts in this order, the last at most `within` after the first, "
         "are an alert of their\n"
         "# own; count and of: so many of one rule. They go by the alerts that are told.\n"
         "# [[alerts.pattern]]\n"
         "# name = \"toxic_flow\"\n"
         "# sequence = [\"spread_widening\", \"extreme_imbalance\"]\n"
         "# within = \"5s\"\n"
         "# [[alerts.pattern]]\n"
         "# name = \"flicker\"\n"
         "# count = 3\n"
         "# of = \"imbalance_flip\"\n"
         "# within = \"1m\"\n"
         "\n# [kafka.client]: any setting of the Kafka client library (librdkafka) by its name. A "
         "name with _file "
         "behind it\n"
         "# names a file that holds the value; TAPEDECK_KAFKA_CLIENT_SASL_PASSWORD[_FILE] sets "
         "sasl.password.\n"
         "# [kafka.client]\n"
         "# security.protocol = \"SASL_SSL\"\n"
         "# sasl.mechanism = \"SCRAM-SHA-512\"\n"
         "# sasl.username = \"tapedeck\"\n"
         "# sasl.password_file = \"/run/secrets/kafka\"\n";
}

}  // namespace tapedeck::config
