// The only place that knows toml++.
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

#include "config/config.hpp"
#include "config/settings.hpp"
#include "config/value_text.hpp"
#include "market/output.hpp"

extern char** environ;  // NOLINT(readability-identifier-naming): POSIX's

namespace tapedeck::config {
namespace {

constexpr std::string_view kPrefix = "TAPEDECK_";
constexpr std::string_view kClientVariables = "TAPEDECK_KAFKA_CLIENT_";
constexpr std::string_view kClientKey = "kafka.client";
constexpr std::string_view kFileSuffix = "_file";
constexpr std::size_t kMaxSecretBytes = std::size_t{64} << 10;
// Variables with our prefix that are no settings: test and build switches.
constexpr std::string_view kOtherVariables[] = {
    "TAPEDECK_FAULT", "TAPEDECK_BENCH_", "TAPEDECK_TEST_", "TAPEDECK_MARCH", "TAPEDECK_PYTHON"};

/// The nearest of the names, if it is near enough to be what was meant.
template <class Name>
std::string suggestion(std::string_view found, Name name) {
  std::string best;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const Setting& setting : settings()) {
    const std::string candidate(name(setting));
    const std::size_t distance = edit_distance(found, candidate);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  if (best_distance > std::max<std::size_t>(3, found.size() / 3)) return {};
  return "; the nearest known one is " + best;
}

std::string unknown_key(std::string_view key) {
  return "unknown setting " + std::string(key) +
         suggestion(key, [](const Setting& s) { return s.key; });
}

tl::unexpected<Error> bad_value(const std::string& place, const Setting& setting,
                                const std::string& found) {
  return fail(ErrorCode::invalid,
              place + ": " + std::string(setting.key) + ": expected " + setting.expected() +
                  "; found " + found,
              std::string(setting.key));
}

/// A setting of the client library; `NAME_file` stands for NAME with the content of that file.
Result<void> set_client(Config& config, std::string name, std::string text,
                        const std::string& place) {
  if (name.ends_with(kFileSuffix)) {
    name.resize(name.size() - kFileSuffix.size());
    std::ifstream file(text);
    std::string content{std::istreambuf_iterator<char>(file), {}};
    while (content.ends_with('\n') || content.ends_with('\r')) content.pop_back();
    if (!file || content.size() > kMaxSecretBytes) {
      return fail(ErrorCode::invalid,
                  place + ": kafka.client." + name + ": the file " + text + " cannot be read",
                  "kafka.client." + name);
    }
    text = std::move(content);
  }
  config.origins["kafka.client." + name] = place;
  config.kafka.client[std::move(name)] = std::move(text);
  return {};
}

constexpr std::string_view kPatternKey = "alerts.pattern";
constexpr std::string_view kSymbolsKey = "alerts.symbols";
constexpr std::size_t kMaxSymbols = 65'536;
constexpr std::size_t kMaxPatterns = 16, kMaxSteps = 16, kMaxNameBytes = 64;

/// A setting of [alerts.symbols.SYMBOL].
struct SymbolValue {
  std::string symbol;
  const Setting* setting;
  Value value;
};

/// Walks one TOML file into a Config. What [alerts.symbols] has goes to `own`: it counts on top of
/// the [alerts] of file, environment and flags together.
class FileLoader {
public:
  FileLoader(std::string path, Config& config, std::vector<SymbolValue>& own)
      : path_(std::move(path)), config_(config), own_(own) {}

  Result<void> load() {
    std::ifstream file(path_);
    if (!file)
      return fail(ErrorCode::not_found, "configuration file " + path_ + " cannot be read",
                  "config");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    try {
      return table(toml::parse(text, path_), "");
    } catch (const toml::parse_error& error) {
      return fail(ErrorCode::invalid,
                  place(error.source()) + ": not valid TOML: " + std::string(error.description()),
                  "config");
    }
  }

private:
  [[nodiscard]] std::string place(const toml::source_region& source) const {
    return path_ + ":" + std::to_string(source.begin.line) + ":" +
           std::to_string(source.begin.column);
  }

  Result<void> table(const toml::table& nodes, const std::string& prefix) {
    for (const auto& [name, node] : nodes) {
      const std::string key = prefix + std::string(name.str());
      const Setting* setting = find_setting(key);
      Result<void> done;
      if (setting) {
        done = value(*setting, node);
      } else if (key == kClientKey && node.is_table()) {
        done = client(*node.as_table(), "");
      } else if (key == kPatternKey && node.is_array()) {
        done = patterns(*node.as_array());
      } else if (key == kSymbolsKey && node.is_table()) {
        done = symbols(*node.as_table());
      } else if (node.is_table() && is_section(key)) {
        done = table(*node.as_table(), key + ".");
      } else {
        done = fail(ErrorCode::invalid, place(name.source()) + ": " + unknown_key(key), key);
      }
      if (!done) return done;
    }
    return {};
  }

  /// `sasl.username = "x"` is a table in a table to TOML, and one name to the client library.
  Result<void> client(const toml::table& nodes, const std::string& prefix) {
    for (const auto& [name, node] : nodes) {
      const std::string key = prefix + std::string(name.str());
      Result<void> done;
      if (node.is_table()) {
        done = client(*node.as_table(), key + ".");
      } else if (node.is_string() || node.is_integer() || node.is_boolean()) {
        const auto text = node.value<std::string>();
        done = set_client(config_, key, text ? *text : shown(node),
                          path_ + ":" + std::to_string(node.source().begin.line));
      } else {
        done = fail(ErrorCode::invalid,
                    place(node.source()) + ": kafka.client." + key +
                        ": expected a text, an integer, true or false",
                    "kafka.client." + key);
      }
      if (!done) return done;
    }
    return {};
  }

  /// A table of each symbol: settings of [alerts] by their names there.
  Result<void> symbols(const toml::table& nodes) {
    for (const auto& [symbol, node] : nodes) {
      if (!node.is_table() || symbol.str().empty()) {
        return fail(ErrorCode::invalid,
                    place(node.source()) + ": " + std::string(kSymbolsKey) +
                        ": expected a table of settings of [alerts] for each symbol",
                    std::string(kSymbolsKey));
      }
      if (auto done = symbol_settings(std::string(symbol.str()), *node.as_table(), "alerts.");
          !done)
        return done;
    }
    return {};
  }

  Result<void> symbol_settings(const std::string& symbol, const toml::table& nodes,
                               const std::string& prefix) {
    for (const auto& [name, node] : nodes) {
      const std::string key = prefix + std::string(name.str());
      if (node.is_table() && is_section(key)) {
        if (auto done = symbol_settings(symbol, *node.as_table(), key + "."); !done) return done;
        continue;
      }
      const Setting* setting = find_setting(key);
      if (!setting)
        return fail(ErrorCode::invalid, place(name.source()) + ": " + unknown_key(key), key);
      const std::optional<Value> typed = convert(*setting, node);
      if (!typed || !in_range(*setting, *typed))
        return bad_value(place(node.source()), *setting, shown(node));
      own_.push_back({symbol, setting, *typed});
    }
    return {};
  }

  tl::unexpected<Error> bad_pattern(const toml::node& node, const std::string& what) const {
    return fail(ErrorCode::invalid,
                place(node.source()) + ": " + std::string(kPatternKey) + ": " + what,
                std::string(kPatternKey));
  }

  Result<void> patterns(const toml::array& nodes) {
    if (nodes.size() > kMaxPatterns)
      return bad_pattern(nodes, "at most " + std::to_string(kMaxPatterns) + " patterns");
    for (const toml::node& node : nodes) {
      if (!node.is_table()) return bad_pattern(node, "expected a table");
      if (auto done = pattern(*node.as_table()); !done) return done;
    }
    return {};
  }

  /// name, within, cooldown; and sequence = ["spread_widening", ...], or count = 3 and of = "gap".
  Result<void> pattern(const toml::table& table) {
    market::AlertPattern pattern;
    std::optional<market::AlertRule> of;
    std::int64_t count = 0;
    for (const auto& [name, node] : table) {
      const auto text = node.is_string() ? node.value<std::string>() : std::nullopt;
      const auto duration = text ? parse_duration(*text) : std::nullopt;
      bool good = false;
      if (name.str() == "name" && text) {
        pattern.name = *text, good = is_name(*text);
      } else if (name.str() == "within" && duration) {
        pattern.within = *duration, good = *duration > 0;
      } else if (name.str() == "cooldown" && duration) {
        pattern.cooldown = *duration, good = *duration >= 0;
      } else if (name.str() == "of" && text) {
        of = rule_of(*text), good = of.has_value();
      } else if (name.str() == "count" && node.is_integer()) {
        count = *node.value<std::int64_t>();
        good = count >= 2 && count <= static_cast<std::int64_t>(kMaxSteps);
      } else if (name.str() == "sequence" && node.is_array()) {
        good = steps(*node.as_array(), pattern.steps);
      }
      if (!good) {
        return bad_pattern(
            node, std::string(name.str()) + ": found " + shown(node) + "; " + kPatternExpected);
      }
    }
    if (of && count != 0 && pattern.steps.empty())
      pattern.steps.assign(static_cast<std::size_t>(count), *of);
    else if (of || count != 0)
      return bad_pattern(table,
                         std::string("either sequence, or count and of; ") + kPatternExpected);
    if (pattern.name.empty() || pattern.within == 0 || pattern.steps.empty())
      return bad_pattern(table, std::string("incomplete; ") + kPatternExpected);
    for (const auto& other : config_.fold.patterns) {
      if (other.name == pattern.name) return bad_pattern(table, "two are named " + pattern.name);
    }
    config_.fold.patterns.push_back(std::move(pattern));
    return {};
  }

  static constexpr const char* kPatternExpected =
      "expected name (letters, digits, _ and -), within (a duration) and either sequence (2 to 16 "
      "of extreme_imbalance, imbalance_flip, spread_widening, outlier, silence, crossed_book, "
      "locked_book, gap) or count (2 to 16) and of (one of these); cooldown if wanted";

  static bool is_name(const std::string& text) {
    return !text.empty() && text.size() <= kMaxNameBytes &&
           std::all_of(text.begin(), text.end(), [](char c) {
             return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-';
           });
  }
  static std::optional<market::AlertRule> rule_of(std::string_view text) {
    for (std::uint8_t i = 0; i + 1 < market::kAlertRules; ++i) {
      const auto rule = static_cast<market::AlertRule>(i);
      if (market::name(rule) == text) return rule;
    }
    return std::nullopt;
  }
  static bool steps(const toml::array& nodes, std::vector<market::AlertRule>& rules) {
    for (const toml::node& node : nodes) {
      const auto rule = node.is_string() ? rule_of(*node.value<std::string>()) : std::nullopt;
      if (!rule) return false;
      rules.push_back(*rule);
    }
    return rules.size() >= 2 && rules.size() <= kMaxSteps;
  }

  static bool is_section(const std::string& key) {
    const auto all = settings();
    return std::any_of(all.begin(), all.end(),
                       [&](const Setting& s) { return s.key.starts_with(key + "."); });
  }

  Result<void> value(const Setting& setting, const toml::node& node) {
    const std::optional<Value> typed = convert(setting, node);
    if (!typed || !in_range(setting, *typed))
      return bad_value(place(node.source()), setting, shown(node));
    setting.set(config_, *typed);
    config_.origins[std::string(setting.key)] =
        path_ + ":" + std::to_string(node.source().begin.line);
    return {};
  }

  static std::optional<Value> convert(const Setting& setting, const toml::node& node) {
    const auto number = node.is_integer() ? node.value<std::int64_t>() : std::nullopt;
    const auto text = node.is_string() ? node.value<std::string>() : std::nullopt;
    switch (setting.kind) {
      case Kind::boolean:
        if (node.is_boolean()) return *node.value<bool>();
        return std::nullopt;
      case Kind::integer:
        if (number) return *number;
        return std::nullopt;
      case Kind::ratio: return convert_ratio(node);
      case Kind::size:
        if (number) return *number;
        break;
      case Kind::durations:
      case Kind::widths:
      case Kind::names: return convert_list(setting, node);
      default: break;
    }
    return text ? parse_text(setting, *text) : std::nullopt;
  }

  /// As it is written: 0.1 is exactly 100,000 millionths.
  static std::optional<Value> convert_ratio(const toml::node& node) {
    if (!node.is_number()) return std::nullopt;
    char text[400];  // the shortest decimal that is this number
    const auto [end, error] = std::to_chars(std::begin(text), std::end(text), *node.value<double>(),
                                            std::chars_format::fixed);
    if (error != std::errc{}) return std::nullopt;
    const auto millionths = parse_ratio(std::string_view(text, end));
    if (!millionths) return std::nullopt;
    return *millionths;
  }

  static std::optional<Value> convert_list(const Setting& setting, const toml::node& node) {
    if (!node.is_array()) return std::nullopt;
    std::vector<std::int64_t> values;
    for (const toml::node& item : *node.as_array()) {
      const auto element =
          item.is_string() ? parse_element(setting, *item.value<std::string>()) : std::nullopt;
      if (!element) return std::nullopt;
      values.push_back(*element);
    }
    return list_value(setting, std::move(values));
  }

  static std::string shown(const toml::node& node) {
    std::ostringstream out;
    node.visit([&out](const auto& typed) { out << typed; });
    return out.str();
  }

  std::string path_;
  Config& config_;
  std::vector<SymbolValue>& own_;
};

Result<void> apply_text(Config& config, const Setting& setting, const std::string& place,
                        const std::string& text) {
  const auto value = parse_text(setting, text);
  if (!value) return bad_value(place, setting, '"' + text + '"');
  setting.set(config, *value);
  config.origins[std::string(setting.key)] = place;
  return {};
}

/// TAPEDECK_KAFKA_CLIENT_SASL_PASSWORD is sasl.password; ..._FILE keeps its underscore.
std::string client_name(std::string_view variable) {
  std::string name;
  for (const char c : variable.substr(kClientVariables.size()))
    name += c == '_' ? '.' : (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  if (name.ends_with(".file")) name[name.size() - kFileSuffix.size()] = '_';
  return name;
}

Result<void> apply_environment(Config& config, const Environment& environment) {
  for (const auto& [name, text] : environment) {
    if (!name.starts_with(kPrefix)) continue;
    if (std::any_of(std::begin(kOtherVariables), std::end(kOtherVariables),
                    [&name = name](std::string_view other) { return name.starts_with(other); })) {
      continue;
    }
    if (name.starts_with(kClientVariables)) {
      if (auto done = set_client(config, client_name(name), text, "environment " + name); !done)
        return done;
      continue;
    }
    const auto all = settings();
    const auto setting = std::find_if(
        all.begin(), all.end(), [&name = name](const Setting& s) { return s.variable() == name; });
    if (setting == all.end()) {
      return fail(ErrorCode::invalid,
                  "environment: unknown variable " + name +
                      suggestion(name, [](const Setting& s) { return s.variable(); }),
                  name);
    }
    if (auto done = apply_text(config, *setting, "environment " + name, text); !done) return done;
  }
  return {};
}

Result<void> apply_overrides(Config& config, const Overrides& overrides) {
  for (const auto& [key, text] : overrides) {
    const Setting* setting = find_setting(key);
    if (!setting) return fail(ErrorCode::invalid, "command line: " + unknown_key(key), key);
    if (auto done = apply_text(config, *setting, "command line", text); !done) return done;
  }
  return {};
}

/// Settings of a symbol's own, on top of those of all.
Result<void> apply_own(Config& config, const std::vector<SymbolValue>& own) {
  std::map<std::string, Config> by_symbol;
  for (const auto& [symbol, setting, value] : own) {
    setting->set(by_symbol.try_emplace(symbol, config).first->second, value);
  }
  if (by_symbol.size() > kMaxSymbols) {
    return fail(ErrorCode::invalid,
                std::string(kSymbolsKey) + ": " + std::to_string(by_symbol.size()) +
                    " symbols; expected at most " + std::to_string(kMaxSymbols),
                std::string(kSymbolsKey));
  }
  for (const auto& [symbol, alone] : by_symbol) {
    if (const auto wrong = contradiction(alone)) {
      return fail(ErrorCode::invalid,
                  std::string(kSymbolsKey) + "." + symbol + ": " + std::string(wrong->first) +
                      ": " + wrong->second,
                  std::string(wrong->first));
    }
    config.fold.symbol_alerts.push_back({symbol, alone.fold.alerts});
  }
  return {};
}

}  // namespace

Environment process_environment() {
  Environment variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

Result<Config> load(const std::optional<std::string>& path, const Environment& environment,
                    const Overrides& overrides) {
  Config config;
  Result<void> done;
  std::vector<SymbolValue> own;
  if (path) done = FileLoader(*path, config, own).load();
  if (done) done = apply_environment(config, environment);
  if (done) done = apply_overrides(config, overrides);
  if (!done) return tl::unexpected<Error>(done.error());
  if (const auto wrong = contradiction(config)) {
    const auto& [key, reason] = *wrong;
    const auto origin = config.origins.find(key);
    return fail(ErrorCode::invalid,
                (origin == config.origins.end() ? std::string("default") : origin->second) + ": " +
                    std::string(key) + ": " + reason,
                std::string(key));
  }
  if (auto taken = apply_own(config, own); !taken) return tl::unexpected<Error>(taken.error());
  return config;
}

}  // namespace tapedeck::config
