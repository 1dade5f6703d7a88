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
  return sections([&config](const Setting& setting, std::string_view name) {
    const auto origin = config.origins.find(setting.key);
    return std::string(name) + " = " + to_toml(setting, setting.get(config)) + "  # " +
           (origin == config.origins.end() ? "default" : origin->second) + "\n";
  });
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
         });
}

}  // namespace tapedeck::config
