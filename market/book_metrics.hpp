// market/book_metrics.hpp -- the tumbling window of book samples, and the metrics of a book as it
// stands.
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

/// One side's best level by its ladder key; size 0: the side is empty.
struct Touch {
  std::int64_t key = Ladder::kLowest;
  Size size = 0;
};

[[gnu::always_inline]] [[nodiscard]] inline Touch touch_of(const Book& book, Side side) noexcept {
  const Level* level = book.best(side);
  return level == nullptr ? Touch{} : Touch{level->key, level->size};
}

/// A side's part of e_n of Cont, Kukanov, Stoikov, "The price impact of order book events" (2014):
/// e_n is the bid's minus the ask's. An empty side has the lowest key and size 0, so it needs no
/// case of its own.
[[nodiscard]] constexpr std::int64_t flow(const Touch& now, const Touch& before) noexcept {
  const std::int64_t not_worse = -static_cast<std::int64_t>(now.key >= before.key);
  const std::int64_t not_better = -static_cast<std::int64_t>(now.key <= before.key);
  return (now.size & not_worse) - (before.size & not_better);
}

/// The window that is open, if any. It opens with the first message that changes the top N levels.
class MetricsWindow {
public:
  explicit MetricsWindow(TimeNs width) noexcept : width_(width) {}

  [[nodiscard]] bool open() const noexcept { return end_ != kNever; }
  /// When it closes; kNever while none is open.
  [[nodiscard]] TimeNs end() const noexcept { return end_; }
  [[nodiscard]] Int128 order_flow() const noexcept { return order_flow_; }

  void open_at(TimeNs feed_time) noexcept {
    open_time_ = interval_start(feed_time, width_);
    end_ = later(open_time_, width_);
  }
  /// True if the spread is another than before, or the first of the window.
  [[gnu::always_inline]] inline bool sample(const Book& book, const Touch& bid, const Touch& ask,
                                            std::int64_t order_flow) noexcept {
    bool other_spread = false;
    if (order_flow != 0) order_flow_ = wrapping_add(order_flow_, order_flow);
    if (bid.size != 0 || ask.size != 0) [[likely]] {
      // Millionths of no more samples than there are nanoseconds: 64 bits hold their sum.
      imbalance_.put(imbalance_ppm(book.top_volume(Side::bid), book.top_volume(Side::ask)));
    }
    if (bid.size != 0 && ask.size != 0) [[likely]] {
      const std::int64_t spread = -(ask.key + bid.key);  // an ask's key is its negative price
      if (spread != spread_) [[unlikely]] {
        flush_spread(spread);
        other_spread = true;
      }
      ++same_spread_;
    }
    return other_spread;
  }
  /// Of the last sample.
  [[nodiscard]] std::int64_t imbalance() const noexcept { return imbalance_.last; }
  [[nodiscard]] Price spread() const noexcept { return spread_; }
  /// Of the samples before the run of equal spreads that is under way.
  [[nodiscard]] Int128 spread_sum() const noexcept { return spreads_.sum; }
  [[nodiscard]] std::uint64_t spread_count() const noexcept { return spread_samples_; }

  void reset() noexcept { *this = MetricsWindow(width_); }

  [[nodiscard]] MetricsRow row() const noexcept {
    MetricsWindow flushed = *this;
    flushed.flush_spread(spread_);
    MetricsRow row;
    row.width = width_;
    row.open_time = open_time_;
    row.samples = imbalance_.count;
    row.imbalance_ppm = {imbalance_.min, imbalance_.max, imbalance_.last, imbalance_.sum};
    row.spread = flushed.spreads_;
    row.spread_samples = flushed.spread_samples_;
    row.order_flow_imbalance = order_flow_;
    return row;
  }
  void restore(const MetricsRow& row) noexcept {
    reset();
    open_at(row.open_time);
    imbalance_ = {row.imbalance_ppm.min, row.imbalance_ppm.max, row.imbalance_ppm.last,
                  static_cast<std::int64_t>(row.imbalance_ppm.sum), row.samples};
    spreads_ = row.spread;
    spread_samples_ = row.spread_samples;
    spread_ = row.spread_samples == 0 ? kNoSpread : row.spread.last;
    order_flow_ = row.order_flow_imbalance;
  }

private:
  struct Imbalance {
    std::int64_t min = 0, max = 0, last = 0, sum = 0;
    std::uint64_t count = 0;

    [[gnu::always_inline]] inline void put(std::int64_t value) noexcept {
      if (count == 0) [[unlikely]]
        min = max = value;
      min = std::min(min, value);
      max = std::max(max, value);
      last = value;
      sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) +
                                      static_cast<std::uint64_t>(value));
      ++count;
    }
  };

  /// Spreads come in runs: a run is added up when it ends.
  [[gnu::noinline]] void flush_spread(std::int64_t next) noexcept {
    if (same_spread_ != 0) {
      if (spread_samples_ == 0) spreads_.min = spreads_.max = spread_;
      spreads_.min = std::min(spreads_.min, spread_);
      spreads_.max = std::max(spreads_.max, spread_);
      spreads_.last = spread_;
      spreads_.sum = static_cast<Int128>(static_cast<UInt128>(spreads_.sum) +
                                         static_cast<UInt128>(Int128{spread_}) * same_spread_);
      spread_samples_ += same_spread_;
      same_spread_ = 0;
    }
    spread_ = next;
  }

  static constexpr std::int64_t kNoSpread = kNoTime;  ///< no prices are so far apart

  TimeNs width_;
  TimeNs end_ = kNever;
  Imbalance imbalance_;
  std::int64_t spread_ = kNoSpread;
  std::uint64_t same_spread_ = 0;  ///< samples of spread_ that spreads_ lacks
  TimeNs open_time_ = 0;
  Int128 order_flow_ = 0;
  Summary spreads_;
  std::uint64_t spread_samples_ = 0;
};

/// Volume of a side's best `levels` levels, level k (1 = best) times levels + 1 - k.
[[nodiscard]] Int128 weighted_volume(const Book& book, Side side, std::uint32_t levels) noexcept;
/// Fills the metrics of a view: imbalances, spread, VTOB, microprice over the best `levels` levels.
void fill_metrics(const Book& book, std::uint32_t levels, MetricsView& view);

}  // namespace tapedeck::market
