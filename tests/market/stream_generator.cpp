#include "tests/market/stream_generator.hpp"

#include <algorithm>

#include "market/units.hpp"

namespace tapedeck::market {
namespace {

constexpr TimeNs kMillisecond = 1'000'000;

class Generator {
public:
  Generator(std::uint64_t seed, const StreamOptions& options) : random_(seed), options_(options) {}

  std::vector<Message> run() {
    start_source();
    while (messages_.size() < options_.messages) {
      if (options_.sessions && random_.below(400) == 0) start_source();
      if (options_.invalid && messages_.size() > 4 && random_.chance(3)) {
        messages_.push_back(messages_[random_.below(messages_.size())]);  // reached the tape twice
        continue;
      }
      step_time();
      if (options_.resync && random_.below(150) == 0) {
        snapshot();
      } else {
        message();
      }
    }
    return std::move(messages_);
  }

private:
  void start_source() {
    source_ = ++sources_ * 1000 + 1;
    // A new source may begin before the old one ended.
    feed_time_ = sources_ == 1 ? 1'000 * kSecond : feed_time_ - TimeNs(random_.below(3)) * kSecond;
    sequence_ = 0;
    for (Sequence& sequence : stream_sequence_) sequence = 0;
    orders_.clear();
    Event event = blank(EventKind::session);
    event.time = event.feed_time;
    event.other = source_;
    event.code = static_cast<std::uint8_t>(options_.sequencing);
    if (options_.resync && random_.chance(60)) event.code |= 0x80;
    event.sequence = 0;
    messages_.push_back({source_, {event}});
  }

  void step_time() {
    const std::uint64_t kind = random_.below(100);
    if (kind < 60) {
      feed_time_ += TimeNs(random_.below(20)) * kMillisecond;
    } else if (kind < 95) {
      feed_time_ += TimeNs(random_.below(300)) * kMillisecond;
    } else if (kind < 98) {
      feed_time_ += TimeNs(random_.below(6000)) * kMillisecond;
    } else if (kind == 98) {
      feed_time_ = (feed_time_ / kSecond + 1) * kSecond;  // exactly on an end
    } else {
      feed_time_ += TimeNs(random_.below(30)) * kSecond;
    }
  }

  Event blank(EventKind kind) {
    Event event;
    event.kind = kind;
    event.feed_time = feed_time_;
    event.time = feed_time_;
    event.receive_time = TimeNs(random_.below(1000));
    if (options_.late && random_.chance(20)) {
      event.time -= TimeNs(random_.below(random_.chance(30) ? 30'000 : 2'500)) * kMillisecond;
    }
    if (options_.invalid && random_.chance(1)) event.time = feed_time_ + 1;
    return event;
  }

  Price price(Side side) {
    const auto away = static_cast<Price>(random_.below(options_.spread_of_prices));
    const Price offset = random_.chance(5) ? -3 : 1;  // sometimes across
    return side == Side::bid ? options_.middle - offset - away : options_.middle + offset + away;
  }
  Side side() { return random_.chance(50) ? Side::bid : Side::ask; }

  OrderId some_order() {
    if (orders_.empty() || (options_.invalid && random_.chance(3)))
      return 900'000 + random_.below(50);
    return orders_[random_.below(orders_.size())];
  }

  Event order_event() {
    const std::uint64_t kind = random_.below(100);
    if (kind < 45 || orders_.size() < 3) {
      Event event = blank(EventKind::add);
      event.id = next_id_++;
      if (options_.invalid && random_.chance(3)) event.id = some_order();
      event.side = side();
      event.price = price(event.side);
      event.size = static_cast<Size>(1 + random_.below(500));
      orders_.push_back(event.id);
      return event;
    }
    if (kind < 60) {
      const bool priced = random_.chance(30);
      Event event = blank(priced ? EventKind::execute_price : EventKind::execute);
      event.id = some_order();
      event.size = static_cast<Size>(1 + random_.below(120));
      event.other = ++match_;
      event.price = options_.middle + static_cast<Price>(random_.below(5));
      if (random_.chance(70)) event.flags |= kPrintable;
      return event;
    }
    if (kind < 70) {
      Event event = blank(EventKind::reduce);
      event.id = some_order();
      event.size = static_cast<Size>(1 + random_.below(100));
      return event;
    }
    if (kind < 90) {
      Event event = blank(EventKind::remove);
      event.id = some_order();
      std::erase(orders_, event.id);
      return event;
    }
    Event event = blank(EventKind::replace);
    event.id = some_order();
    event.other = random_.chance(10) ? event.id : next_id_++;
    event.price = price(side());
    event.size = static_cast<Size>(1 + random_.below(500));
    std::erase(orders_, event.id);
    orders_.push_back(event.other);
    return event;
  }

  Event other_event() {
    const std::uint64_t kind = random_.below(100);
    if (kind < 60) {
      Event event = blank(EventKind::trade);
      event.id = ++match_;
      event.side = static_cast<Side>(random_.below(3));
      event.price = options_.middle + static_cast<Price>(random_.below(30));
      event.size = static_cast<Size>(random_.below(50));
      return event;
    }
    if (kind < 75) {
      Event event = blank(EventKind::trade_break);
      const std::uint64_t back = random_.below(30);
      event.id = match_ > back ? match_ - back : 0;
      return event;
    }
    if (kind < 85) {
      Event event = blank(EventKind::status);
      event.code =
          static_cast<std::uint8_t>(random_.below(kStatusKinds + (options_.invalid ? 1 : 0)));
      event.other = random_.below(100);
      return event;
    }
    if (kind < 88) {
      Event event = blank(EventKind::gap);
      event.other = random_.below(5);
      return event;
    }
    if (kind < 90) {
      orders_.clear();
      return blank(EventKind::clear);
    }
    Event event = blank(EventKind::instrument);
    event.price = -static_cast<Price>(random_.below(options_.invalid ? 22 : 18));
    event.other = 100;
    return event;
  }

  Event level_event() {
    Event event = blank(random_.chance(70) ? EventKind::level : EventKind::quote);
    event.side = side();
    event.price = price(event.side);
    event.size = random_.chance(25) ? 0 : static_cast<Size>(1 + random_.below(500));
    return event;
  }

  Event any_event() {
    Event event = options_.levels && random_.chance(40) ? level_event()
                  : random_.chance(75)                  ? order_event()
                                                        : other_event();
    if (options_.invalid && random_.chance(2)) spoil(event);
    return event;
  }

  void spoil(Event& event) {
    switch (random_.below(7)) {
      case 0: event.size = 0; break;
      case 1: event.size = kMaxSize + 1; break;
      case 2: event.price = -1; break;
      case 3: event.price = kMaxPrice + 1; break;
      case 4: event.side = static_cast<Side>(random_.below(5)); break;
      case 5: event.kind = static_cast<EventKind>(random_.below(20)); break;
      default: event.size = kMaxSize; break;
    }
    if (event.kind == EventKind::session || event.kind == EventKind::snapshot_begin ||
        event.kind == EventKind::snapshot_end) {
      event.kind = EventKind::gap;
    }
  }

  Sequence next_sequence(EventKind kind) {
    if (options_.sequencing == Sequencing::message_number) {
      sequence_ += 1 + random_.below(4);
      return random_.chance(3) ? 0 : sequence_;
    }
    Sequence& sequence = stream_sequence_[static_cast<std::size_t>(stream_of(kind))];
    ++sequence;
    if (options_.invalid && random_.chance(2)) sequence += random_.below(5);
    if (options_.invalid && random_.chance(1)) return sequence + 5'000;  // garbled once
    if (options_.invalid && random_.below(300) == 0) sequence += 3'000;  // and for good
    return sequence;
  }

  void message() {
    Message message{source_, {}};
    const std::uint64_t events = random_.chance(80) ? 1 : 2 + random_.below(3);
    for (std::uint64_t i = 0; i < events; ++i) message.events.push_back(any_event());
    finish(message);
  }

  void finish(Message& message) {
    const Sequence sequence = next_sequence(message.events.front().kind);
    for (Event& event : message.events) {
      event.sequence = sequence;
      event.flags |= kMore;
    }
    message.events.back().flags &= static_cast<std::uint8_t>(~kMore);
    messages_.push_back(std::move(message));
  }

  /// In one message, or in several with updates between them.
  void snapshot() {
    const bool whole = random_.chance(50);
    std::vector<Event> events = {blank(EventKind::snapshot_begin)};
    orders_.clear();
    for (std::uint64_t i = random_.below(12); i > 0; --i) {
      Event event = options_.levels ? level_event() : order_event();
      if (event.kind != EventKind::add && event.kind != EventKind::level) continue;
      event.flags |= kInSnapshot;
      events.push_back(event);
    }
    Event end = blank(EventKind::snapshot_end);
    const Sequence now =
        options_.sequencing == Sequencing::message_number ? sequence_ : stream_sequence_[0];
    if (random_.chance(50)) end.other = now - std::min<Sequence>(now, random_.below(8));
    events.push_back(end);
    if (whole) {
      Message message{source_, std::move(events)};
      finish(message);
      if (random_.chance(50)) {
        for (Event& event : messages_.back().events) event.sequence = 0;
      }
      return;
    }
    for (const Event& event : events) {
      Message message{source_, {event}};
      message.events.front().feed_time = feed_time_;
      message.events.front().time = std::min(event.time, feed_time_);
      finish(message);
      step_time();
      if (random_.chance(30)) this->message();
    }
  }

  Random random_;
  StreamOptions options_;
  std::vector<Message> messages_;
  std::vector<OrderId> orders_;
  std::uint64_t sources_ = 0;
  SourceId source_ = 0;
  TimeNs feed_time_ = 0;
  Sequence sequence_ = 0;
  Sequence stream_sequence_[kStreams] = {};
  OrderId next_id_ = 1;
  std::uint64_t match_ = 0;
};

}  // namespace

std::vector<Message> generate(std::uint64_t seed, const StreamOptions& options) {
  return Generator(seed, options).run();
}

namespace {

void random_alerts(Random& random, FoldSettings& settings) {
  AlertSettings& alerts = settings.alerts;
  alerts = no_alerts();
  if (random.chance(15)) return;
  const auto ppm = [&](std::int64_t from, std::int64_t to) {
    return random.chance(15)
               ? 0
               : from +
                     static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(to - from)));
  };
  alerts.imbalance_medium = ppm(100'000, 500'000);
  alerts.imbalance_high = ppm(500'000, 900'000);
  alerts.imbalance_hysteresis = ppm(1, 90'000);
  alerts.flip = ppm(50'000, 700'000);
  alerts.spread_factor = ppm(1'100'000, 3'000'000);
  alerts.spread_samples = static_cast<std::uint32_t>(random.below(20));
  alerts.outlier = ppm(1'000, 30'000);
  alerts.outlier_trades = static_cast<std::uint32_t>(random.below(10));
  alerts.crossed = random.chance(80);
  alerts.gap = random.chance(80);
  for (std::uint64_t level = random.below(4); level > 0; --level) {
    const TimeNs before = alerts.silence.empty() ? 0 : alerts.silence.back();
    alerts.silence.push_back(before + 1 + static_cast<TimeNs>(random.below(kSecond)));
  }
  for (TimeNs& cooldown : alerts.cooldown) {
    cooldown = random.chance(40) ? 0 : static_cast<TimeNs>(random.below(5 * kSecond));
  }
  for (std::uint64_t p = random.below(4); p > 0; --p) {
    AlertPattern pattern{"pattern" + std::to_string(p), {}, 0, 0};
    const bool alike = random.chance(40);
    for (std::uint64_t steps = 2 + random.below(3); steps > 0; --steps) {
      const auto rule = static_cast<AlertRule>(random.below(kAlertRules - 1));
      pattern.steps.push_back(alike && !pattern.steps.empty() ? pattern.steps[0] : rule);
    }
    pattern.within = static_cast<TimeNs>(random.below(20 * kSecond));
    pattern.cooldown = random.chance(50) ? 0 : static_cast<TimeNs>(random.below(10 * kSecond));
    settings.patterns.push_back(pattern);
  }
}

/// Often candles by activity, another origin, further metrics; drawn apart from the rest.
void random_further(std::uint64_t seed, FoldSettings& settings) {
  Random random(seed ^ 0xac717);
  const auto amount = [&](std::uint64_t most) {
    return static_cast<std::int64_t>(1 + random.below(most * kMillionth));
  };
  auto& widths = settings.candle_widths;
  if (random.chance(60)) {
    const auto ticks = static_cast<std::int64_t>(1 + random.below(8));
    widths.push_back(candle_width(CandleMeasure::ticks, ticks));
    widths.push_back(candle_width(CandleMeasure::ticks, ticks + 7));
  }
  if (random.chance(60)) widths.push_back(candle_width(CandleMeasure::volume, amount(100)));
  if (random.chance(60)) widths.push_back(candle_width(CandleMeasure::notional, amount(90'000)));
  if (random.chance(60)) widths.push_back(candle_width(CandleMeasure::imbalance, amount(60)));
  if (random.chance(50))
    settings.candle_origin = static_cast<TimeNs>(random.below(86'400 * kSecond));
  if (random.chance(60))
    settings.further_metrics = static_cast<std::uint32_t>(random.below(1U << kFurtherMetrics));
}

}  // namespace

FoldSettings random_settings(std::uint64_t seed) {
  Random random(seed ^ 0x5e771265);
  FoldSettings settings;
  settings.candle_widths = {kSecond, 5 * kSecond, 60 * kSecond};
  const TimeNs latenesses[] = {0, 0, kSecond / 2, 3 * kSecond};
  settings.lateness = latenesses[random.below(4)];
  settings.idle_after = TimeNs(random.below(4)) * kSecond;
  settings.correction_horizon = TimeNs(random.below(20)) * kSecond;
  settings.kept_trades = static_cast<std::uint32_t>(random.below(40));
  settings.metrics_levels = static_cast<std::uint32_t>(1 + random.below(12));
  settings.metrics_window = (random.chance(50) ? 1 : 4) * kSecond / 2;
  settings.max_sequence_jump = 1'000;
  settings.max_kept_updates = static_cast<std::uint32_t>(random.chance(50) ? 10 : 1000);
  random_alerts(random, settings);
  random_further(seed, settings);
  return settings;
}

}  // namespace tapedeck::market
