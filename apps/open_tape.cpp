#include "apps/open_tape.hpp"

#include <fmt/format.h>

#include "api/position_text.hpp"
#include "config/settings.hpp"
#include "storage/rocksdb_state.hpp"

namespace tapedeck::apps {

Result<std::unique_ptr<storage::ControlStore>> open_control(const TapeOptions& options) {
  const auto kafka = kafka_options(options);
  if (!kafka) return tl::unexpected(kafka.error());
  return *kafka ? storage::open_kafka_control(**kafka)
                : storage::open_control_reader(options.directory);
}

Error with_state_remedy(Error error, const TapeOptions& options) {
  if (error.code == ErrorCode::corrupt)
    error.message += ". It is made of the tape: delete " + options.state_folder() +
                     "/state, then tapedeck tape index makes it again";
  return error;
}

Result<OpenTape> open_tape(const TapeOptions& options) {
  static const market::FoldSettings kDefaults;
  OpenTape open{{}, {}, kDefaults};
  auto tape = open_reader(options);
  if (!tape) return tl::unexpected(tape.error());
  open.tape = std::move(*tape);
  auto control = open_control(options);
  if (!control && control.error().code != ErrorCode::not_found)
    return tl::unexpected(control.error());
  if (control) {
    auto settings = (*control)->settings();
    if (!settings) return tl::unexpected(settings.error());
    const auto records = (*control)->records();
    if (!records) return tl::unexpected(records.error());
    open.rules = replay::FoldRules(settings->value_or(kDefaults), *records);
  }
  if (options.state_folder().empty()) return open;
  auto state = storage::open_state_reader(options.state_folder());
  if (!state && state.error().code != ErrorCode::not_found)
    return tl::unexpected(with_state_remedy(state.error(), options));
  if (state) open.state = std::move(*state);
  return open;
}

Result<replay::Moment> parse_moment(const std::string& text, const std::string& field) {
  const auto parsed = api::parse_position(text, field);
  if (!parsed) return tl::unexpected(parsed.error());
  struct Convert {
    replay::Moment operator()(const api::AtEnd&) const { return replay::AtEnd{}; }
    replay::Moment operator()(const api::AtOffset& at) const {
      return replay::AtOffset{{}, at.offset, {}};
    }
    replay::Moment operator()(const api::AtPosition& at) const {
      return replay::AtOffset{at.partition, at.offset, at.index};
    }
    replay::Moment operator()(const api::AtInstant& at) const { return replay::AtInstant{at.time}; }
  };
  return std::visit(Convert{}, *parsed);
}

namespace {

/// The first setting that the user gave another value than the tape has; empty: none.
std::string asked_otherwise(const config::Config& config, const market::FoldSettings& stored) {
  config::Config other = config;
  other.fold = stored;
  for (const auto& [key, origin] : config.origins) {
    const auto* setting = config::find_setting(key);
    if (setting != nullptr && setting->get(config) != setting->get(other)) return key;
  }
  const bool own = !config.fold.symbol_alerts.empty();
  if (own && config.fold.symbol_alerts != stored.symbol_alerts) return "alerts.symbols";
  const bool patterns = !config.fold.patterns.empty();
  return patterns && config.fold.patterns != stored.patterns ? "alerts.pattern" : "";
}

}  // namespace

market::FoldSettings changed_settings(const market::FoldSettings& settings,
                                      const config::Config& config) {
  config::Config changed = config;
  changed.fold = settings;
  for (const auto& [key, origin] : config.origins) {
    if (const auto* setting = config::find_setting(key))
      setting->set(changed, setting->get(config));
  }
  if (!config.fold.symbol_alerts.empty()) changed.fold.symbol_alerts = config.fold.symbol_alerts;
  if (!config.fold.patterns.empty()) changed.fold.patterns = config.fold.patterns;
  return changed.fold;
}

Result<market::FoldSettings> settle_settings(storage::ControlStore& control,
                                             const config::Config& config) {
  auto settings = control.settle(config.fold);
  if (!settings) return settings;
  const auto records = control.records();
  if (!records) return tl::unexpected(records.error());
  const auto field =
      asked_otherwise(config, replay::FoldRules(*settings, *records).newest_settings());
  if (field.empty()) return settings;
  return fail(ErrorCode::conflict,
              fmt::format("{} differs from the setting stored with this tape: leave it out to go "
                          "on with the stored "
                          "settings, or change them by `tapedeck config apply`",
                          field),
              field);
}

}  // namespace tapedeck::apps
