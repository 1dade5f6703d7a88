#include <string>

#include "config/config.hpp"
#include "config/settings.hpp"

namespace tapedeck::config {
namespace {

/// `engine.restart.min` -> {`engine.restart`, `min`}.
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
         client;
}

std::string example() {
  const Config defaults;
  return "# Every setting of tapedeck at its default. A flag wins over the environment variable, "
         "the variable over this\n"
         "# file. Settings of [fold] are kept with a tape: the first engine that opens it stores "
         "them.\n\n" +
         sections([&defaults](const Setting& setting, std::string_view name) {
           return "# " + std::string(setting.description) + ".\n# " + setting.variable() + ": " +
                  setting.expected() + ".\n" + std::string(name) + " = " +
                  to_toml(setting, setting.get(defaults)) + "\n";
         }) +
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
