// feeds/symbol_table.hpp -- symbols to small numbers, in the order of their first appearance.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "market/feed_batch.hpp"

namespace tapedeck::feeds {

/// Symbols of up to 16 bytes are compared as two words in an open table, which is never more than
/// half full; longer ones go by a map.
class SymbolTable {
public:
  static constexpr market::SymbolIndex kNone = ~market::SymbolIndex{0};
  /// Bytes that must be readable from the symbol's begin.
  static constexpr std::size_t kReadable = 16;

  SymbolTable() : slots_(64) {}

  /// kNone if it is not known.
  [[nodiscard]] market::SymbolIndex find(std::string_view symbol) const noexcept {
    if (symbol.size() >= kReadable) [[unlikely]]
      return find_long(symbol);
    const Key key = key_of(symbol);
    for (std::size_t i = hash(key);; ++i) {
      const Slot& slot = slots_[i & (slots_.size() - 1)];
      if (slot.key == key) [[likely]]
        return slot.index;
      if (slot.index == kNone) return kNone;
    }
  }
  /// It must not be known yet.
  market::SymbolIndex add(std::string_view symbol) {
    const auto index = static_cast<market::SymbolIndex>(names_.size());
    names_.emplace_back(symbol);
    if (symbol.size() >= kReadable) return long_.emplace(symbol, index).first->second;
    if (2 * (names_.size() + 1) > slots_.size()) grow();
    place(slots_, {key_of(symbol), index});
    return index;
  }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

private:
  struct Key {
    std::uint64_t low = 0, high = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Slot {
    Key key;
    market::SymbolIndex index = kNone;
  };

  static std::uint64_t word(const char* at, std::size_t size) noexcept {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, at, sizeof bytes);
    return size >= 8 ? bytes : bytes & ((std::uint64_t{1} << 8 * size) - 1);
  }
  /// Of a symbol shorter than kReadable: its bytes, and in the last one its size, since bytes may
  /// be zero.
  static Key key_of(std::string_view symbol) noexcept {
    const std::size_t size = symbol.size();
    const std::uint64_t rest = size > 8 ? word(symbol.data() + 8, size - 8) : 0;
    return {word(symbol.data(), size), rest | std::uint64_t{size} << 56};
  }
  static std::size_t hash(const Key& key) noexcept {
    const std::uint64_t mixed = (key.low ^ key.high * 0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93;
    return mixed >> 32;
  }
  static void place(std::vector<Slot>& slots, const Slot& slot) {
    std::size_t i = hash(slot.key);
    while (slots[i & (slots.size() - 1)].index != kNone) ++i;
    slots[i & (slots.size() - 1)] = slot;
  }
  void grow() {
    std::vector<Slot> larger(slots_.size() * 2);
    for (const Slot& slot : slots_) {
      if (slot.index != kNone) place(larger, slot);
    }
    slots_ = std::move(larger);
  }
  [[nodiscard]] market::SymbolIndex find_long(std::string_view symbol) const noexcept {
    const auto found = long_.find(symbol);
    return found == long_.end() ? kNone : found->second;
  }

  std::vector<Slot> slots_;
  std::vector<std::string> names_;
  std::map<std::string, market::SymbolIndex, std::less<>> long_;
};

}  // namespace tapedeck::feeds
