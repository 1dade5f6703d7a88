// config/settings.hpp -- the table of all settings: from it come parsing, checking, `config show`
// and the example file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.hpp"

namespace tapedeck::config {

enum class Kind : std::uint8_t {
  integer,
  ratio,  ///< decimal with at most 6 places; its value is in millionths
  boolean,
  duration,   ///< ns
  size,       ///< bytes
  durations,  ///< list of durations
  widths,     ///< list of candle widths: durations, then amounts of trading
  day_time,   ///< time of the day, perhaps in a zone; ns since midnight UTC
  names,      ///< some of Setting::choices; its value is a bit for each
  address,    ///< IP address
  text,       ///< as it is
  choice,     ///< one of Setting::choices; its value is the index
};

using Value = std::variant<std::int64_t, bool, std::string, std::vector<std::int64_t>>;

struct Setting {
  std::string_view key;  ///< TOML key with its section: `supervision.symbol.budget`
  Kind kind = Kind::integer;
  std::int64_t min = 0,
               max = 0;  ///< inclusive; of each element for `durations`; not used by other kinds
  std::string_view description;
  Value (*get)(const Config&);
  void (*set)(Config&, const Value&);
  std::span<const std::string_view> choices = {};
  std::size_t most = 0;  ///< elements of `durations` and `widths`

  /// TAPEDECK_SUPERVISION_SYMBOL_BUDGET.
  [[nodiscard]] std::string variable() const;
  /// What is accepted, for messages: `a duration like "2s", from 0s to 1d`.
  [[nodiscard]] std::string expected() const;
};

/// All settings, sections together, in the order of the example file.
[[nodiscard]] std::span<const Setting> settings();
[[nodiscard]] const Setting* find_setting(std::string_view key);

/// One element of a list; none if it is not one.
[[nodiscard]] std::optional<std::int64_t> parse_element(const Setting& setting,
                                                        std::string_view text);
[[nodiscard]] Value list_value(const Setting& setting, std::vector<std::int64_t> elements);

/// A value as typed in a variable or flag; none if it is not of the setting's kind or out of its
/// range.
[[nodiscard]] std::optional<Value> parse_text(const Setting& setting, std::string_view text);
/// Whether a value of the right type is in range.
[[nodiscard]] bool in_range(const Setting& setting, const Value& value);
/// Whether a setting of [kafka.client] is not to be shown.
[[nodiscard]] bool is_secret(std::string_view client_setting);
[[nodiscard]] std::string quoted(std::string_view text);
/// As TOML.
[[nodiscard]] std::string to_toml(const Setting& setting, const Value& value);
/// What settings must hold together: the key at fault and the reason.
[[nodiscard]] std::optional<std::pair<std::string_view, std::string>> contradiction(
    const Config& config);

}  // namespace tapedeck::config
