// tests/market/naive_activity.hpp -- the oracle of candles by activity: keeps every trade, and sums
// a candle anew whenever it looks at it.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <vector>

#include "market/output.hpp"
#include "market/settings.hpp"

namespace tapedeck::market {

class NaiveActivity {
public:
  using Say = std::function<void(TimeNs, Candle)>;
  using SayLate = std::function<void(CandleWidth)>;

  explicit NaiveActivity(const FoldSettings& settings) : settings_(settings) {
    for (const CandleWidth width : settings.candle_widths) {
      if (by_activity(width)) widths_.push_back({width, {}});
    }
  }

  void instrument(int price_exponent, int size_exponent) {
    price_exponent_ = price_exponent, size_exponent_ = size_exponent;
  }

  void trade(TimeNs time, Price price, Size size, Side side, std::uint64_t id, TimeNs due,
             const Say& say) {
    trades_.push_back({time, price, size, side, id, false});
    for (Width& width : widths_) {
      if (width.groups.empty() || width.groups.back().closed) {
        width.groups.push_back({trades_.size() - 1, 0, 0, false, 0, true, {}});
      }
      Group& group = width.groups.back();
      group.end = trades_.size();
      group.end_time = 0;
      for (std::size_t i = group.begin; i < group.end; ++i)
        group.end_time = std::max(group.end_time, trades_[i].time + 1);
      refresh(group);
      if (!full(width.width, group)) continue;
      group.closed = true;
      say(due, candle(width.width, group));
    }
    kept_.push_back(trades_.size() - 1);
    if (kept_.size() > settings_.kept_trades) kept_.pop_front();
  }

  /// True if late for some width.
  bool trade_break(std::uint64_t id, TimeNs due, TimeNs feed_time, const Say& say,
                   const SayLate& say_late) {
    const auto found = std::find_if(kept_.rbegin(), kept_.rend(), [&](std::size_t at) {
      return id != 0 && trades_[at].id == id;
    });
    if (found == kept_.rend()) {
      for (const Width& width : widths_) say_late(width.width);
      return !widths_.empty();
    }
    const std::size_t broken = *found;
    kept_.erase(std::next(found).base());
    trades_[broken].broken = true;
    bool late = false;
    for (Width& width : widths_) {
      for (Group& group : width.groups) {
        if (broken < group.begin || broken >= group.end) continue;
        if (group.closed && feed_time > group.end_time + settings_.correction_horizon) {
          trades_[broken].uncounted.push_back(width.width);
          say_late(width.width);
          late = true;
          continue;
        }
        refresh_after_break(group);
        if (!group.closed) continue;
        ++group.revision;
        say(due, candle(width.width, group));
      }
    }
    return late;
  }

private:
  struct Trade {
    TimeNs time;
    Price price;
    Size size;
    Side side;
    std::uint64_t id;
    bool broken;
    std::vector<CandleWidth> uncounted = {};  ///< widths whose candle was past its horizon
  };
  struct Prices {
    Price open = 0, high = 0, low = 0, close = 0;
  };
  /// trades_[begin, end).
  struct Group {
    std::size_t begin, end;
    TimeNs end_time;
    bool closed;
    std::uint32_t revision;
    bool exact;
    Prices prices;
  };
  struct Width {
    CandleWidth width;
    std::vector<Group> groups;
  };

  [[nodiscard]] std::vector<const Trade*> members(const Group& group) const {
    std::vector<const Trade*> all;
    for (std::size_t i = group.begin; i < group.end; ++i) {
      if (!trades_[i].broken) all.push_back(&trades_[i]);
    }
    return all;
  }
  [[nodiscard]] static Prices prices_of(const std::vector<const Trade*>& trades) {
    if (trades.empty()) return {};
    Prices prices{trades.front()->price, trades.front()->price, trades.front()->price,
                  trades.back()->price};
    for (const Trade* trade : trades) {
      prices.high = std::max(prices.high, trade->price);
      prices.low = std::min(prices.low, trade->price);
    }
    return prices;
  }
  void refresh(Group& group) {
    const auto all = members(group);
    if (group.exact || all.size() == 1) {
      group.exact = true;
      group.prices = prices_of(all);
      return;
    }
    const Price price = trades_[group.end - 1].price;
    group.prices.high = std::max(group.prices.high, price);
    group.prices.low = std::min(group.prices.low, price);
    group.prices.close = price;
  }
  void refresh_after_break(Group& group) {
    group.exact = true;
    for (std::size_t i = group.begin; i < group.end; ++i) {
      const bool kept = std::find(kept_.begin(), kept_.end(), i) != kept_.end();
      if (!trades_[i].broken && !kept) group.exact = false;
    }
    if (group.exact) group.prices = prices_of(members(group));
  }
  /// sum * 10^exponent >= amount * 10^-6, by whole numbers.
  [[nodiscard]] static bool reaches(Int128 sum, int exponent, std::int64_t amount) {
    if (sum <= 0) return false;
    for (int shift = exponent + 6; shift < 0; ++shift) sum /= 10;
    for (int shift = exponent + 6; shift > 0 && sum < amount; --shift) sum *= 10;
    return sum >= amount;
  }
  [[nodiscard]] bool full(CandleWidth width, const Group& group) const {
    const Candle now = candle(width, group);
    const std::int64_t amount = width & ((std::int64_t{1} << 56) - 1);
    const auto absolute = [](Int128 value) { return value < 0 ? -value : value; };
    switch (width >> 56) {
      case 1: return now.trades >= static_cast<std::uint64_t>(amount);
      case 2: return reaches(now.volume, size_exponent_, amount);
      case 3: return reaches(absolute(now.notional), price_exponent_ + size_exponent_, amount);
      default: return reaches(absolute(now.buy_volume - now.sell_volume), size_exponent_, amount);
    }
  }
  [[nodiscard]] Candle candle(CandleWidth width, const Group& group) const {
    Candle candle;
    candle.width = width;
    candle.open_time = trades_[group.begin].time;
    candle.number = group.begin + 1;
    candle.end_time = group.end_time;
    candle.open = group.prices.open, candle.high = group.prices.high;
    candle.low = group.prices.low, candle.close = group.prices.close;
    candle.revision = group.revision;
    candle.closed = group.closed;
    candle.ohlc_exact = group.exact;
    for (std::size_t i = group.begin; i < group.end; ++i) {
      const Trade& trade = trades_[i];
      const bool still =
          std::find(trade.uncounted.begin(), trade.uncounted.end(), width) != trade.uncounted.end();
      if (trade.broken && !still) continue;
      ++candle.trades;
      candle.volume += trade.size;
      candle.notional += Int128{trade.price} * trade.size;
      if (trade.side == Side::bid) candle.buy_volume += trade.size;
      if (trade.side == Side::ask) candle.sell_volume += trade.size;
    }
    return candle;
  }

  const FoldSettings& settings_;
  std::vector<Width> widths_;
  std::vector<Trade> trades_;
  std::deque<std::size_t> kept_;
  int price_exponent_ = 0, size_exponent_ = 0;
};

}  // namespace tapedeck::market
