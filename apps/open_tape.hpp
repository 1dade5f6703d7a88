// apps/open_tape.hpp -- a tape as the reading commands open it: log, state if there is one, fold
// settings in force.
#pragma once

#include <memory>
#include <string>

#include "apps/cli.hpp"
#include "config/config.hpp"
#include "market/result.hpp"
#include "market/settings.hpp"
#include "replay/fold_rules.hpp"
#include "replay/time_travel.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::apps {

/// Writes nothing. Where no engine has opened the tape yet, `state` is null and the settings are
/// the defaults.
struct OpenTape {
  std::unique_ptr<storage::TapeReader> tape;
  std::unique_ptr<storage::StateReader> state;
  replay::FoldRules rules;  ///< with what is in quarantine
};
[[nodiscard]] Result<OpenTape> open_tape(const TapeOptions& options);
/// A damaged DIR/state costs nothing but the time to make it again: says how.
[[nodiscard]] Error with_state_remedy(Error error, const TapeOptions& options);

/// Its control records, to read. Error `not_found` where there are none.
[[nodiscard]] Result<std::unique_ptr<storage::ControlStore>> open_control(
    const TapeOptions& options);

/// P of the command line and `at` of HTTP: empty or `end`, `offset:N`, `partition:offset[:index]`,
/// or an instant.
[[nodiscard]] Result<replay::Moment> parse_moment(const std::string& text,
                                                  const std::string& field);

/// Takes the fold settings that a tape's first engine stored, or stores those of `config` where it
/// is the first. Error `conflict` (field names the setting) where the user asked for another value
/// than the one in force by now.
[[nodiscard]] Result<market::FoldSettings> settle_settings(storage::ControlStore& control,
                                                           const config::Config& config);

/// The settings with what the user gave in their place.
[[nodiscard]] market::FoldSettings changed_settings(const market::FoldSettings& settings,
                                                    const config::Config& config);

}  // namespace tapedeck::apps
