// tests/market/naive_fold.hpp -- the oracle of the whole fold of one source without resyncing, by
// the design's text.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "market/output.hpp"
#include "tests/market/naive_activity.hpp"
#include "tests/market/naive_alerts.hpp"
#include "tests/market/naive_book.hpp"
#include "tests/market/naive_candles.hpp"
#include "tests/market/naive_further.hpp"
#include "tests/market/stream_generator.hpp"

namespace tapedeck::market {

class NaiveFold {
public:
  explicit NaiveFold(const FoldSettings& settings)
      : book(settings.metrics_levels),
        settings_(settings),
        candles_(settings),
        activity_(settings),
        further_(settings),
        alerts_(settings, say_candle<Alert>()) {}

  void message(const Message& message) {
    const Event& first = message.events.front();
    source_ = message.source;
    counts.read += message.events.size();
    if (first.kind == EventKind::session) {
      ++(started_ ? counts.duplicates : counts.folded);
      if (!started_) feed_time_ = event_time_ = first.feed_time, alerts_.event(first.feed_time);
      started_ = true;
      return;
    }
    Sequence& last = last_[static_cast<std::size_t>(stream_of(first.kind))];
    if (first.sequence != 0 && first.sequence <= last) {
      counts.duplicates += message.events.size();
      return;
    }
    const auto market_begins =
        std::ranges::find_if(message.events,
                             [](const Event& e) { return e.kind != EventKind::instrument; }) -
        message.events.begin();
    const auto rule_of_message =
        forbidden({message.events.begin() + market_begins, message.events.end()});
    book.touched = false;
    bool cleared = false;
    first_ = first;
    beyond_now_ = false;
    for (std::uint32_t i = 0; i < message.events.size(); ++i) {
      const Event& e = message.events[i];
      index_ = i;
      std::optional<Refused> rule;
      if (rule_of_message && i >= static_cast<std::size_t>(market_begins)) rule = rule_of_message;
      if (!rule) rule = broken(e);
      if (!rule && e.kind == EventKind::trade && e.size > 0 && out_of_band(e.price))
        rule = Refused::price_band;
      if (!rule) rule = book.apply(e);
      if (rule) {
        ++counts.refused;
        say(e.time, Refusal{*rule, e, i});
        continue;
      }
      ++counts.folded;
      if (first.sequence != 0) last = first.sequence;
      cleared |= e.kind == EventKind::clear;
      fold(e, i);
    }
    sample(cleared);
  }

  void advance(TimeNs feed_time) {
    for (;;) {
      const auto due = candles_.due(feed_time, settings_.idle_after);
      const auto silence = alerts_.silence_due().value_or(kNever);
      const TimeNs window = window_ ? window_end() : kNever;
      if (!due.empty() && due.front().due <= std::min(window, silence)) {
        candles_.close(due.front(), say_candle());
      } else if (window_ && window <= std::min(feed_time, silence)) {
        window_->further = further_.close();
        say(window_end(), *window_);
        window_.reset();
        alerts_.window_closed();
      } else if (silence <= feed_time) {
        alerts_.silence(silence);
      } else {
        break;
      }
    }
    feed_time_ = std::max(feed_time_, feed_time);
  }

  Outputs outputs;
  EventCounts counts;
  NaiveBook book;
  Trust trust = Trust::clean;
  std::uint64_t gaps = 0, locked = 0, crossed = 0, late_trades = 0, late_breaks = 0;

private:
  [[nodiscard]] static bool is_sized(EventKind kind) {
    return kind == EventKind::add || kind == EventKind::execute ||
           kind == EventKind::execute_price || kind == EventKind::reduce ||
           kind == EventKind::replace;
  }
  [[nodiscard]] std::optional<Refused> forbidden(const std::vector<Event>& events) const {
    const RefusalSettings& rules = settings_.refusals;
    auto quotes = quotes_;
    bool empty_trade = false, quoted = false;
    for (const Event& e : events) {
      if (rules.time_lead != 0 && e.receive_time != 0 && e.time - e.receive_time > rules.time_lead)
        return Refused::future_time;
      empty_trade |= e.kind == EventKind::trade && e.size == 0;
      if (e.kind != EventKind::quote ||
          broken(e).value_or(Refused::time_ahead) != Refused::time_ahead)
        continue;
      quoted = true;
      quotes[e.side == Side::bid ? 0 : 1] = {e.price, e.size};
    }
    if (rules.zero_size && empty_trade) return Refused::zero_size;
    const bool whole = quotes[0].size > 0 && quotes[1].size > 0;
    if (rules.crossed_quotes && quoted && whole && quotes[1].price <= quotes[0].price)
      return Refused::crossed_quote;
    return std::nullopt;
  }
  [[nodiscard]] bool out_of_band(Price price) {
    const std::int64_t band = settings_.refusals.price_band;
    const auto far_from = [&](Price other) {
      return std::abs(static_cast<long double>(price) - other) * 1e6L >
             std::abs(static_cast<long double>(other)) * band;
    };
    const bool again = beyond_ && first_.sequence != 0 && first_.sequence <= beyond_->second;
    if (band != 0 && again && !beyond_now_) return true;
    const bool far = band != 0 && last_trade_ && far_from(*last_trade_) &&
                     !(beyond_ && !far_from(beyond_->first) &&
                       (first_.sequence == 0 || first_.sequence > beyond_->second));
    if (!far) {
      beyond_.reset();
    } else if (!beyond_ || first_.sequence == 0 || first_.sequence > beyond_->second) {
      beyond_ = {price, first_.sequence};
      beyond_now_ = true;
    }
    return far;
  }
  [[nodiscard]] std::optional<Refused> broken(const Event& e) const {
    if (e.time > e.feed_time) return Refused::time_ahead;
    const auto kind = static_cast<unsigned>(e.kind);
    if (kind > 17) return Refused::bad_value;
    if (e.kind == EventKind::undecodable) return Refused::undecodable;
    if (e.kind == EventKind::status) {
      return e.code < 8 ? std::nullopt : std::optional(Refused::bad_value);
    }
    if (e.kind == EventKind::instrument) {
      const bool good = std::abs(e.price) <= 18 && std::abs(e.size) <= 18;
      return good ? std::nullopt : std::optional(Refused::bad_value);
    }
    const bool has_levels =
        e.kind == EventKind::level || e.kind == EventKind::quote || e.kind == EventKind::trade;
    if (!is_sized(e.kind) && !has_levels && e.kind != EventKind::remove) return std::nullopt;
    if (static_cast<unsigned>(e.side) > 2) return Refused::bad_side;
    const bool sided = e.kind == EventKind::add || (has_levels && e.kind != EventKind::trade);
    if (sided && e.side == Side::none) return Refused::bad_side;
    if (e.kind == EventKind::remove) return std::nullopt;
    if (e.size < (has_levels ? 0 : 1)) return Refused::size_not_positive;
    if (e.size > kMaxSize) return Refused::size_too_large;
    if (e.kind == EventKind::execute || e.kind == EventKind::reduce) return std::nullopt;
    if (e.price < 0 || e.price > kMaxPrice) return Refused::price_not_allowed;
    return std::nullopt;
  }

  void fold(const Event& e, std::uint32_t index) {
    if (e.kind == EventKind::clear) quotes_ = {};
    if (e.kind == EventKind::quote) quotes_[e.side == Side::bid ? 0 : 1] = {e.price, e.size};
    if (const auto trade = trade_of(e)) last_trade_ = trade->price;
    // The book has the event already; what became due before it was said under the old trust.
    advance(e.feed_time);
    alerts_.event(e.feed_time);
    alert_time_ = e.feed_time;
    event_time_ = std::max(event_time_, e.time);
    for (const auto& closing : candles_.due(event_time_, settings_.lateness)) {
      candles_.close(closing, say_candle());
    }
    const auto say_late = [&](TimeNs width) { say(e.time, LateTrade{width, e, index}); };
    if (e.kind == EventKind::clear) trust = Trust::clean;
    if (e.kind == EventKind::gap) ++gaps, set_gapped();
    if (book.unknown_orders + book.oversized > wrong_) {
      wrong_ = book.unknown_orders + book.oversized;
      trouble_ = true;
    }
    // A trade of an order that is taken off too much is told before the book finds out.
    const bool unknown = trouble_ && !traded_with(e);
    if (unknown) set_gapped();
    if (e.kind == EventKind::trade_break) {
      alerts_.trade_break(e.id);
      bool late = candles_.trade_break(e.id, e.feed_time, feed_time_, say_candle(), say_late);
      late |= activity_.trade_break(e.id, e.feed_time, feed_time_, say_candle(), say_late);
      if (late) ++late_breaks;
    } else if (e.kind == EventKind::instrument) {
      activity_.instrument(static_cast<int>(e.price), static_cast<int>(e.size));
    } else if (const auto trade = trade_of(e)) {
      alerts_.trade(alert_time_, trade->price, trade->side, trade->id, cause());
      if (candles_.trade(*trade, e.feed_time, event_time_, feed_time_, say_candle(), say_late)) {
        ++late_trades;
      }
      activity_.trade(e.time, trade->price, trade->size, trade->side, trade->id, e.feed_time,
                      say_candle());
      if (further_.wants_trades()) {
        if (!window_) open_window();
        further_.trade(trade->size, trade->side);
      }
    }
    if (trouble_) set_gapped();
    trouble_ = false;
  }

  void set_gapped() {
    const bool was_clean = trust == Trust::clean;
    trust = Trust::gapped;
    if (was_clean) alerts_.gapped(alert_time_, cause());
  }
  [[nodiscard]] NaiveAlerts::Cause cause() const {
    return [this](Alert& alert) {
      const bool numbered = first_.sequence != 0;
      alert.stream = numbered ? static_cast<std::uint8_t>(stream_of(first_.kind)) : Alert::kByCount;
      alert.sequence = numbered ? first_.sequence : counts.folded;
      alert.message_index = numbered ? index_ : 0;
    };
  }

  [[nodiscard]] bool traded_with(const Event& e) const {
    return (e.kind == EventKind::execute || e.kind == EventKind::execute_price) &&
           book.traded_at.has_value();
  }

  [[nodiscard]] std::optional<NaiveCandles::Trade> trade_of(const Event& e) const {
    const Side aggressor = book.resting == Side::bid   ? Side::ask
                           : book.resting == Side::ask ? Side::bid
                                                       : Side::none;
    if (e.kind == EventKind::trade && e.size > 0) {
      return NaiveCandles::Trade{e.time, e.price, e.size, e.side, e.id, 0};
    }
    if (e.kind == EventKind::execute && book.traded_at) {
      return NaiveCandles::Trade{e.time, *book.traded_at, e.size, aggressor, e.other, 0};
    }
    if (e.kind == EventKind::execute_price && (e.flags & kPrintable) != 0) {
      return NaiveCandles::Trade{e.time, e.price, e.size, aggressor, e.other, 0};
    }
    return std::nullopt;
  }

  void sample(bool cleared) {
    if (!book.touched) return;
    const auto bids = book.top(Side::bid), asks = book.top(Side::ask);
    const auto flow = [](const auto& now, const auto& before, bool bid) -> Int128 {
      Int128 e = 0;
      const bool up = !now.empty() && (before.empty() || (bid ? now[0].price >= before[0].price
                                                              : now[0].price <= before[0].price));
      const bool down = !before.empty() && (now.empty() || (bid ? now[0].price <= before[0].price
                                                                : now[0].price >= before[0].price));
      if (up) e += now[0].size;
      if (down) e -= before[0].size;
      return e;
    };
    Int128 e = 0;
    if (!cleared) e = flow(bids, bids_before_, true) - flow(asks, asks_before_, false);
    bids_before_ = bids;
    asks_before_ = asks;
    int crossing = 0;
    if (!bids.empty() && !asks.empty() && bids[0].price >= asks[0].price) {
      crossing = bids[0].price == asks[0].price ? 1 : 2;
    }
    if (crossing != crossing_) {
      if (crossing == 1) ++locked;
      if (crossing == 2) ++crossed;
      if (crossing != 0) alerts_.crossed(alert_time_, bids[0].price - asks[0].price, cause());
    }
    crossing_ = crossing;
    if (bids.empty() && asks.empty() && e == 0) return;
    if (!window_) open_window();
    further_.sample(bids, asks);
    window_->order_flow_imbalance += e;
    Int128 b = 0, a = 0;
    for (const auto& level : bids) b += level.size;
    for (const auto& level : asks) a += level.size;
    const auto put = [](Summary& s, std::uint64_t& count, std::int64_t value) {
      s.min = count == 0 ? value : std::min(s.min, value);
      s.max = count == 0 ? value : std::max(s.max, value);
      s.last = value;
      s.sum += value;
      ++count;
    };
    std::optional<std::int64_t> imbalance;
    std::optional<Price> spread;
    if (a + b > 0) {
      imbalance = static_cast<std::int64_t>((b - a) * 1'000'000 / (a + b));
      put(window_->imbalance_ppm, window_->samples, *imbalance);
    }
    if (!bids.empty() && !asks.empty()) {
      spread = asks[0].price - bids[0].price;
      put(window_->spread, window_->spread_samples, *spread);
    }
    alerts_.sample(alert_time_, imbalance, spread, cause());
  }

  void open_window() {
    window_.emplace();
    window_->width = settings_.metrics_window;
    window_->open_time = feed_time_ / window_->width * window_->width;
  }
  [[nodiscard]] TimeNs window_end() const { return window_->open_time + window_->width; }
  template <class Body = Candle>
  std::function<void(TimeNs, const Body&)> say_candle() {
    return [this](TimeNs time, const Body& body) { say(time, body); };
  }
  template <class Body>
  void say(TimeNs time, const Body& body) {
    outputs.push_back({time, source_, trust, {}, body});
  }

  FoldSettings settings_;
  NaiveCandles candles_;
  NaiveActivity activity_;
  NaiveFurther further_;
  NaiveAlerts alerts_;
  Event first_;  ///< of the message
  std::uint32_t index_ = 0;
  TimeNs alert_time_ = 0;
  std::optional<MetricsRow> window_;
  SourceId source_ = 0;
  bool started_ = false;
  bool trouble_ = false;
  std::uint64_t wrong_ = 0;
  int crossing_ = 0;
  TimeNs feed_time_ = kNoTime, event_time_ = kNoTime;
  std::optional<Price> last_trade_;
  std::optional<std::pair<Price, Sequence>> beyond_;  ///< of the print refused last
  bool beyond_now_ = false;                           ///< it is of this message
  std::array<QuoteSnapshot, 2> quotes_{};
  Sequence last_[kStreams] = {};
  std::vector<NaiveBook::Touched> bids_before_, asks_before_;
};

}  // namespace tapedeck::market
