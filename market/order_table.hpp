// market/order_table.hpp -- orders in a pool, and their ids in an open-addressing table. Memory
// follows live orders.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "market/units.hpp"

namespace tapedeck::market {

/// Slot that no order has: the end of a queue. Writing to it harms nobody.
constexpr std::uint32_t kNoOrder = 0;
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

/// A resting order; `prev` and `next` are its neighbours in its level's queue.
struct Order {
  OrderId id;
  Size size;
  std::uint64_t joined;  ///< increases along a queue
  std::uint32_t prev, next;
  std::uint32_t level;  ///< index in the book's level pool
  std::uint32_t unused;
};

/// Linear probing over {hash, slot} pairs, at most a quarter full; removal shifts back, so there
/// are no tombstones. The hash half decides nearly every comparison without touching the pool.
class OrderTable {
public:
  OrderTable() = default;
  OrderTable(const OrderTable&) = delete;
  OrderTable& operator=(const OrderTable&) = delete;

  static constexpr std::uint32_t kRoom =
      4;  ///< entries an order at least: probes are short, branches go as expected

  struct Found {
    std::uint32_t slot = kNone;   ///< of the order in the pool; kNone: not on the book
    std::uint32_t entry = kNone;  ///< in the table: of the order, or where it would go
    std::uint32_t hash = 0;
  };

  [[nodiscard]] std::uint32_t size() const noexcept { return live_; }
  [[nodiscard]] Order& operator[](std::uint32_t slot) noexcept { return pool_[slot]; }
  [[nodiscard]] const Order& operator[](std::uint32_t slot) const noexcept { return pool_[slot]; }

  [[nodiscard]] static constexpr std::uint32_t hash_of(OrderId id) noexcept {
    // Two rounds: ids of one symbol often come in even steps, which one multiplication leaves
    // clustered.
    std::uint64_t h = id * 0x9e3779b97f4a7c15;
    h ^= h >> 32;
    return static_cast<std::uint32_t>((h * 0xd6e8feb86659fd93) >> 32);
  }

  [[nodiscard]] Found find(OrderId id) const noexcept { return find(id, hash_of(id)); }
  [[gnu::always_inline]] [[nodiscard]] inline Found find(OrderId id,
                                                         std::uint32_t hash) const noexcept {
    const Entry* const table = table_;
    for (std::uint32_t i = home_of(hash);; i = (i + 1) & mask_) {
      const Entry entry = table[i];
      if (entry.slot == kNone) return {kNone, i, hash};
      if (entry.hash == hash && pool_[entry.slot].id == id) return {entry.slot, i, hash};
    }
  }

  /// Makes room for one more order, so that what find() then returns stays valid for insert().
  [[gnu::always_inline]] inline void reserve_one() {
    if (live_ >= most_) [[unlikely]]
      grow();
  }

  /// `where`: what find(id) gave, after reserve_one(). The caller fills the order.
  [[gnu::always_inline]] inline std::uint32_t insert(Found where) {
    std::uint32_t slot = free_;
    if (slot != kNone) {
      free_ = pool_[slot].next;
    } else {
      if (pool_.empty()) pool_.emplace_back();  // kNoOrder
      slot = static_cast<std::uint32_t>(pool_.size());
      pool_.emplace_back();
    }
    table_[where.entry] = {where.hash, slot};
    ++live_;
    return slot;
  }

  [[gnu::always_inline]] inline void erase(Found found) noexcept {
    pool_[found.slot].next = free_;
    free_ = found.slot;
    --live_;
    std::uint32_t hole = found.entry;
    for (std::uint32_t i = (hole + 1) & mask_;; i = (i + 1) & mask_) {
      const Entry entry = table_[i];
      if (entry.slot == kNone) break;
      if (((i - home_of(entry.hash)) & mask_) >= ((i - hole) & mask_)) {
        table_[hole] = entry;
        hole = i;
      }
    }
    table_[hole].slot = kNone;
  }

  void clear() noexcept {
    pool_ = {};
    entries_ = {};
    table_ = &nothing_;
    mask_ = most_ = live_ = 0;
    free_ = kNone;
    shift_ = 32;
  }

  [[gnu::always_inline]] inline void prefetch_entry(std::uint32_t hash) const noexcept {
    __builtin_prefetch(table_ + home_of(hash));
  }

  void prefetch_all() const noexcept {
    prefetch_lines(entries_.data(), entries_.size());
    prefetch_lines(pool_.data(), pool_.size());
  }

private:
  struct Entry {
    std::uint32_t hash;
    std::uint32_t slot;
  };

  [[gnu::noinline]] void grow() {
    const std::size_t capacity = entries_.empty() ? 16 : entries_.size() * 2;
    std::vector<Entry> old(capacity, Entry{0, kNone});
    old.swap(entries_);
    table_ = entries_.data();
    shift_ = 32 - static_cast<std::uint32_t>(__builtin_ctzll(capacity));
    mask_ = static_cast<std::uint32_t>(capacity - 1);
    most_ = static_cast<std::uint32_t>(capacity / kRoom);
    for (const Entry& entry : old) {
      if (entry.slot == kNone) continue;
      std::uint32_t i = home_of(entry.hash);
      while (table_[i].slot != kNone) i = (i + 1) & mask_;
      table_[i] = entry;
    }
  }
  [[nodiscard]] std::uint32_t home_of(std::uint32_t hash) const noexcept {
    return static_cast<std::uint32_t>(std::uint64_t{hash} >> shift_);
  }

  std::vector<Entry> entries_;
  std::vector<Order> pool_;
  Entry nothing_{0, kNone};  ///< the table while there is none: find() asks no more for that
  Entry* table_ = &nothing_;
  std::uint32_t mask_ = 0;
  std::uint32_t most_ = 0;  ///< orders that entries_ has room for
  std::uint32_t shift_ = 32;
  std::uint32_t free_ = kNone;
  std::uint32_t live_ = 0;
};

}  // namespace tapedeck::market
