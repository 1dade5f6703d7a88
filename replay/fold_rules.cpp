#include "replay/fold_rules.hpp"

#include <algorithm>

namespace tapedeck::replay {

Offset SymbolRules::next_release(Offset from) const noexcept {
  Offset next = kNotReleased;
  for (const auto& item : items) {
    if (item.released_at >= from) next = std::min(next, item.released_at);
  }
  return next;
}

FoldRules::FoldRules(const market::FoldSettings& settings,
                     std::span<const schemas::ControlRecord> records)
    : settings_(std::make_shared<const market::FoldSettings>(settings)) {
  using Kind = schemas::ControlRecord::Kind;
  std::map<std::string, std::map<market::FoldItem, Offset>, std::less<>> found;
  auto changes = std::make_shared<Changes>();
  auto outdated = std::make_shared<AllOutdated>();
  for (const auto& record : records) {
    auto& old = (*outdated)[record.item.position.partition].emplace_back(
        Outdated{record.symbol, record.at});
    if (record.kind == Kind::settings) {
      add_change(*changes, record);
      continue;
    }
    auto& items = found[record.symbol];
    if (record.kind == Kind::quarantine) {
      // Where it was released before, everything up to there was folded without it, and is right.
      const auto released = items.try_emplace(record.item, kNotReleased).first->second;
      old.from = record.item.position.offset;
      if (released != kNotReleased) old.from = std::max(old.from, released);
      items[record.item] = kNotReleased;
    } else if (const auto item = items.find(record.item);
               item != items.end() && item->second == kNotReleased) {
      item->second = record.at;
    }
  }
  if (!changes->empty()) changes_ = std::move(changes);
  if (!outdated->empty()) outdated_ = std::move(outdated);
  if (found.empty()) return;
  auto symbols = std::make_shared<Symbols>();
  for (const auto& [symbol, items] : found) {
    auto rules = std::make_shared<SymbolRules>();
    for (const auto& [item, released_at] : items) rules->items.push_back({item, released_at});
    symbols->emplace(symbol, std::move(rules));
  }
  symbols_ = std::move(symbols);
}

Result<FoldRules> FoldRules::edited(
    const std::function<Result<void>(market::FoldSettings&)>& edit) const {
  const auto copy = [&](const SettingsPtr& from) -> Result<SettingsPtr> {
    auto settings = std::make_shared<market::FoldSettings>(*from);
    if (auto done = edit(*settings); !done) return tl::unexpected(std::move(done.error()));
    return settings;
  };
  FoldRules other = *this;
  auto first = copy(settings_);
  if (!first) return tl::unexpected(std::move(first.error()));
  other.settings_ = std::move(*first);
  if (newest_ == nullptr) return other;
  auto newest = copy(newest_);
  if (!newest) return tl::unexpected(std::move(newest.error()));
  other.newest_ = std::move(*newest);
  auto changes = std::make_shared<Changes>(*changes_);
  for (auto& [partition, list] : *changes) {
    for (auto& one : list) {
      auto settings = copy(one.settings);
      if (!settings) return tl::unexpected(std::move(settings.error()));
      one.settings = std::move(*settings);
    }
  }
  other.changes_ = std::move(changes);
  return other;
}

void FoldRules::add_change(Changes& changes, const schemas::ControlRecord& record) {
  newest_ = std::make_shared<const market::FoldSettings>(record.settings);
  changes[record.item.position.partition].push_back({record.at, newest_, record.feed_times});
}

std::vector<market::CandleWidth> FoldRules::candle_widths() const {
  std::vector<market::CandleWidth> all = settings_->candle_widths;
  if (changes_ != nullptr) {
    for (const auto& [partition, list] : *changes_) {
      for (const auto& change : list)
        all.insert(all.end(), change.settings->candle_widths.begin(),
                   change.settings->candle_widths.end());
    }
  }
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::size_t FoldRules::changes_before(Partition partition, Offset next) const noexcept {
  std::size_t count = 0;
  for (const auto* one = change(partition, 0); one != nullptr && one->at < next;
       one = change(partition, count)) {
    ++count;
  }
  return count;
}

const SettingsChange* FoldRules::change(Partition partition, std::size_t index) const noexcept {
  if (changes_ == nullptr) return nullptr;
  const auto list = changes_->find(partition);
  return list == changes_->end() || index >= list->second.size() ? nullptr : &list->second[index];
}

SettingsPtr FoldRules::settings_after(Partition partition, std::size_t changes) const {
  return changes == 0 ? settings_ : change(partition, changes - 1)->settings;
}

std::span<const Outdated> FoldRules::outdated(Partition partition) const noexcept {
  if (outdated_ == nullptr) return {};
  const auto list = outdated_->find(partition);
  return list == outdated_->end() ? std::span<const Outdated>() : list->second;
}

Offset FoldRules::usable_upto(Partition partition, std::uint64_t met,
                              std::string_view symbol) const noexcept {
  const auto all = outdated(partition);
  Offset upto = ~Offset{0};
  for (const auto& one : all.subspan(std::min<std::uint64_t>(met, all.size()))) {
    if (symbol.empty() || one.symbol.empty() || one.symbol == symbol)
      upto = std::min(upto, one.from);
  }
  return upto;
}

std::shared_ptr<const SymbolRules> FoldRules::of(std::string_view symbol) const {
  if (symbols_ == nullptr) return nullptr;
  const auto found = symbols_->find(symbol);
  return found == symbols_->end() ? nullptr : found->second;
}

}  // namespace tapedeck::replay
