// replay/fold_rules.hpp -- what changes folds beside events: the fold settings, and what control
// records leave out and release. Every fold takes them.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "market/quarantine.hpp"
#include "market/settings.hpp"
#include "schemas/state_codec.hpp"

namespace tapedeck::replay {

using market::Offset;

constexpr Offset kNotReleased = ~Offset{0};

/// Of one symbol, ascending by item. Immutable.
struct SymbolRules {
  struct Item {
    market::FoldItem what;
    Offset released_at = kNotReleased;  ///< in front of this record the state becomes one with it
  };
  std::vector<Item> items;
  /// The first release at or after `from`; kNotReleased: none.
  [[nodiscard]] Offset next_release(Offset from) const noexcept;
};

/// A quarantine counts from its item on, wherever its record stands: nothing folded it since. Of
/// several records about one item the last one says what it is.
class FoldRules {
public:
  /// Nothing is left out. `settings` outlives the rules and all that is folded by them.
  FoldRules(const market::FoldSettings& settings) noexcept  // NOLINT(google-explicit-constructor)
      : settings_(&settings) {}
  /// Keeps a copy of the settings.
  FoldRules(const market::FoldSettings& settings, std::span<const schemas::ControlRecord> records);

  /// What is left out stays, under other settings, of which it keeps a copy.
  [[nodiscard]] FoldRules with(const market::FoldSettings& settings) const;

  [[nodiscard]] const market::FoldSettings& settings() const noexcept { return *settings_; }
  /// Null: nothing is left out.
  [[nodiscard]] std::shared_ptr<const SymbolRules> of(std::string_view symbol) const;

private:
  using Symbols = std::map<std::string, std::shared_ptr<const SymbolRules>, std::less<>>;
  std::shared_ptr<const market::FoldSettings> own_settings_;
  const market::FoldSettings* settings_;
  std::shared_ptr<const Symbols> symbols_;
};

}  // namespace tapedeck::replay
