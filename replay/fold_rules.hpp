// replay/fold_rules.hpp -- what changes folds beside events: the fold settings and where they
// change, and what control records leave out and release. Every fold takes them.
#pragma once

#include <functional>
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
using market::Partition;

constexpr Offset kNotReleased = ~Offset{0};
constexpr Offset kNoTurn = kNotReleased;

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

using SettingsPtr = std::shared_ptr<const market::FoldSettings>;

/// In front of the record at `at` all symbols of the partition go over to other settings.
struct SettingsChange {
  Offset at = 0;
  SettingsPtr settings;
  /// Newest of the marks before `at`, by source: a fold that was not told of them is advanced
  /// first.
  std::vector<schemas::FeedTime> feed_times;
};

/// What was stored by the rules before a control record is not to be used: of this symbol (empty:
/// of every one) all snapshots with a higher next, and the partition's checkpoints with one.
struct Outdated {
  std::string symbol;
  Offset from = 0;
};

/// A quarantine counts from its item on, wherever its record stands: nothing folded it since. Of
/// several records about one item the last one says what it is. Changes of a partition are stored
/// in the order of their offsets; those at one offset are met one after the other.
class FoldRules {
public:
  /// Nothing is left out or changes. `settings` outlives the rules and all that is folded by them.
  FoldRules(const market::FoldSettings& settings)  // NOLINT(google-explicit-constructor)
      : settings_(SettingsPtr(), &settings) {}
  /// Keeps a copy of the settings.
  FoldRules(const market::FoldSettings& settings, std::span<const schemas::ControlRecord> records);

  /// The same with every settings edited: those of the beginning and those of each change. The
  /// first error of `edit` is returned.
  [[nodiscard]] Result<FoldRules> edited(
      const std::function<Result<void>(market::FoldSettings&)>& edit) const;

  /// Those of the tape's beginning.
  [[nodiscard]] const market::FoldSettings& settings() const noexcept { return *settings_; }
  /// Those that were stored last, of whichever partition.
  [[nodiscard]] const market::FoldSettings& newest_settings() const noexcept {
    return newest_ == nullptr ? *settings_ : *newest_;
  }
  /// Every width that is or was kept anywhere.
  [[nodiscard]] std::vector<market::CandleWidth> candle_widths() const;

  /// Changes below `next`: those that a state as of `next` has met.
  [[nodiscard]] std::size_t changes_before(Partition partition, Offset next) const noexcept;
  /// The partition's change number `index`, from 0; null: there are no more.
  [[nodiscard]] const SettingsChange* change(Partition partition, std::size_t index) const noexcept;
  /// In force after so many changes.
  [[nodiscard]] SettingsPtr settings_after(Partition partition, std::size_t changes) const;

  /// One for each control record of the partition, in their order.
  [[nodiscard]] std::span<const Outdated> outdated(Partition partition) const noexcept;
  /// The highest next that may be used of a state in which what the partition's first `met` control
  /// records outdate is gone: of the symbol's snapshots, or, without one, of checkpoints.
  [[nodiscard]] Offset usable_upto(Partition partition, std::uint64_t met,
                                   std::string_view symbol = {}) const noexcept;

  /// Null: nothing is left out.
  [[nodiscard]] std::shared_ptr<const SymbolRules> of(std::string_view symbol) const;

private:
  using Symbols = std::map<std::string, std::shared_ptr<const SymbolRules>, std::less<>>;
  using Changes = std::map<Partition, std::vector<SettingsChange>>;
  using AllOutdated = std::map<Partition, std::vector<Outdated>>;
  void add_change(Changes& changes, const schemas::ControlRecord& record);

  SettingsPtr settings_;
  SettingsPtr newest_;
  std::shared_ptr<const Symbols> symbols_;
  std::shared_ptr<const Changes> changes_;       ///< null: none
  std::shared_ptr<const AllOutdated> outdated_;  ///< null: none
};

}  // namespace tapedeck::replay
