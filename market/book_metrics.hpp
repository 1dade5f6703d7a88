// market/book_metrics.hpp -- the tumbling window of book samples, and the metrics of a book as it stands.
#pragma once

#include <algorithm>
#include <cstdint>

#include "market/book.hpp"
#include "market/emitter.hpp"
#include "market/output.hpp"
#include "market/view.hpp"

namespace tapedeck::market {

/// (bid - ask) / (bid + ask) in millionths, truncated toward zero. bid + ask must not be 0.
[[gnu::always_inline]] [[nodiscard]] inline std::int64_t imbalance_ppm(std::uint64_t bid,
                                                                       std::uint64_t ask) noexcept {
  constexpr std::int64_t million = 1'000'000;
  const std::uint64_t total = bid + ask;
  if (total < (std::uint64_t{1} << 43)) [[likely]] {
    const auto difference = static_cast<std::int64_t>(bid) - static_cast<std::int64_t>(ask);
    return difference * million / static_cast<std::int64_t>(total);
  }
  const Int128 difference = Int128{bid} - Int128{ask};
  return static_cast<std::int64_t>(difference * million / (Int128{bid} + Int128{ask}));
}

/// One side's best level; size 0: the side is empty.
struct Touch {
  Price price = 0;
  Size size = 0;
  friend bool operator==(const Touch&, const Touch&) = default;
};

[[nodiscard]] inline Touch touch_of(const Book& book, Side side) noexcept {
  const Level* level = book.best(side);
  return level == nullptr ? Touch{} : Touch{level->price, level->size};
}

/// A side's part of e_n of Cont, Kukanov, Stoikov, "The price impact of order book events" (2014): e_n is the bid's
/// minus the ask's.
[[nodiscard]] constexpr std::int64_t flow(const Touch& now, const Touch& before,
                                         bool bid) noexcept {
  if (now.size == 0) return -before.size;
  if (before.size == 0) return now.size;
  const bool not_worse = bid ? now.price >= before.price : now.price <= before.price;
  const bool not_better = bid ? now.price <= before.price : now.price >= before.price;
  return (not_worse ? now.size : 0) - (not_better ? before.size : 0);
}

/// The window that is open, if any. It opens with the first message that changes the top N levels.
class MetricsWindow {
public:
  explicit MetricsWindow(TimeNs width) noexcept { row_.width = width; }

  [[nodiscard]] bool open() const noexcept { return end_ != kNever; }
  /// When it closes; kNever while none is open.
  [[nodiscard]] TimeNs end() const noexcept { return end_; }
  [[nodiscard]] const MetricsRow& row() const noexcept { return row_; }

  /// True if this opened the window.
  [[gnu::always_inline]] inline bool sample(TimeNs feed_time, const Book& book, const Touch& bid,
                                            const Touch& ask, std::int64_t order_flow) noexcept {
    const bool opens = !open();
    if (opens) [[unlikely]] open_at(interval_start(feed_time, row_.width));
    row_.order_flow_imbalance = wrapping_add(row_.order_flow_imbalance, order_flow);
    if (bid.size != 0 || ask.size != 0) [[likely]] {
      put(row_.imbalance_ppm, row_.samples,
          imbalance_ppm(book.top_volume(Side::bid), book.top_volume(Side::ask)));
    }
    if (bid.size != 0 && ask.size != 0) [[likely]] {
      put(row_.spread, row_.spread_samples, ask.price - bid.price);
    }
    return opens;
  }

  void close(const Emitter& emitter) {
    emitter.say(end_, row_);
    reset();
  }
  void reset() noexcept {
    const TimeNs width = row_.width;
    row_ = {};
    row_.width = width;
    end_ = kNever;
  }
  void restore(const MetricsRow& row) noexcept {
    row_ = row;
    end_ = later(row.open_time, row.width);
  }

private:
  void open_at(TimeNs open_time) noexcept {
    row_.open_time = open_time;
    end_ = later(open_time, row_.width);
  }
  [[gnu::always_inline]] static inline void put(Summary& summary, std::uint64_t& count,
                                                std::int64_t value) noexcept {
    summary.min = count == 0 ? value : std::min(summary.min, value);
    summary.max = count == 0 ? value : std::max(summary.max, value);
    summary.last = value;
    summary.sum = wrapping_add(summary.sum, value);
    ++count;
  }

  MetricsRow row_;
  TimeNs end_ = kNever;
};

/// Fills the metrics of a view: imbalances, spread, VTOB, microprice over the best `levels` levels.
void fill_metrics(const Book& book, std::uint32_t levels, MetricsView& view);

}  // namespace tapedeck::market
