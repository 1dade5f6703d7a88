#include "apps/what_if.hpp"

#include <algorithm>

#include "config/settings.hpp"

namespace tapedeck::apps {

namespace {

constexpr std::string_view kFoldSections[] = {"candles.", "metrics.", "alerts.", "fold.",
                                              "refusals."};

/// Sets what each "KEY=VALUE" names.
Result<void> change_settings(market::FoldSettings& fold, const std::vector<std::string>& settings) {
  config::Config config;
  config.fold = fold;
  for (const auto& text : settings) {
    const auto equals = text.find('=');
    const auto key = text.substr(0, equals);
    const auto wrong = [&](const std::string& why) {
      return fail(ErrorCode::invalid, why, "--set " + key);
    };
    if (equals == std::string::npos) return wrong("expected KEY=VALUE, found '" + text + "'");
    const auto* setting = config::find_setting(key);
    const bool folds = std::ranges::any_of(
        kFoldSections, [&](std::string_view section) { return key.starts_with(section); });
    if (setting == nullptr || !folds)
      return wrong("expected a setting of [candles], [metrics], [alerts], [fold] or [refusals]");
    const auto value = config::parse_text(*setting, text.substr(equals + 1));
    if (!value)
      return wrong("expected " + setting->expected() + "; found " + text.substr(equals + 1));
    setting->set(config, *value);
  }
  if (const auto bad = config::contradiction(config))
    return fail(ErrorCode::invalid, bad->second, "--set " + std::string(bad->first));
  fold = config.fold;
  return {};
}

}  // namespace

Result<void> want_whole_tape(const storage::TapeReader& tape, const std::string& doing) {
  for (storage::Partition p = 0; p < tape.partitions(); ++p) {
    const auto start = tape.start(p);
    if (!start) return tl::unexpected(start.error());
    if (*start == 0) continue;
    return fail(ErrorCode::invalid, doing + " needs the tape from its beginning; it was trimmed: " +
                                        replay::place(p, *start) + " is its first position");
  }
  return {};
}

Result<replay::FoldRules> changed_rules(const OpenTape& open,
                                        const std::vector<std::string>& settings) {
  if (auto whole = want_whole_tape(*open.tape, "--set"); !whole)
    return tl::unexpected(whole.error());
  return open.rules.edited(
      [&](market::FoldSettings& fold) { return change_settings(fold, settings); });
}

void add_set_option(CLI::App* command, std::vector<std::string>& settings) {
  command->add_option("--set", settings, "Fold with this setting changed; may be repeated")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
}

}  // namespace tapedeck::apps
