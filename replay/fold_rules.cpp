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
    : own_settings_(std::make_shared<const market::FoldSettings>(settings)),
      settings_(own_settings_.get()) {
  std::map<std::string, std::map<market::FoldItem, Offset>, std::less<>> found;
  for (const auto& record : records) {
    auto& items = found[record.symbol];
    if (record.kind == schemas::ControlRecord::Kind::quarantine) {
      items[record.item] = kNotReleased;
    } else if (const auto item = items.find(record.item);
               item != items.end() && item->second == kNotReleased) {
      item->second = record.at;
    }
  }
  if (found.empty()) return;
  auto symbols = std::make_shared<Symbols>();
  for (const auto& [symbol, items] : found) {
    auto rules = std::make_shared<SymbolRules>();
    for (const auto& [item, released_at] : items) rules->items.push_back({item, released_at});
    symbols->emplace(symbol, std::move(rules));
  }
  symbols_ = std::move(symbols);
}

FoldRules FoldRules::with(const market::FoldSettings& settings) const {
  FoldRules other = *this;
  other.own_settings_ = std::make_shared<const market::FoldSettings>(settings);
  other.settings_ = other.own_settings_.get();
  return other;
}

std::shared_ptr<const SymbolRules> FoldRules::of(std::string_view symbol) const {
  if (symbols_ == nullptr) return nullptr;
  const auto found = symbols_->find(symbol);
  return found == symbols_->end() ? nullptr : found->second;
}

}  // namespace tapedeck::replay
