#include "chaos/workload.hpp"

#include <algorithm>
#include <array>

#include "feeds/random.hpp"

namespace tapedeck::chaos {

namespace {

using feeds::Random;
using market::Event;
using market::EventKind;
using market::Side;
using market::TimeNs;

constexpr TimeNs kMillisecond = 1'000'000;
constexpr TimeNs kStart = 1'700'000'000 * market::kSecond;

/// Makes one source's messages: orders, levels, trades, breaks, gaps, snapshots; late, refused and
/// garbled ones among them.
class Generator {
public:
  Generator(Random& random, std::uint32_t symbols, bool per_symbol, TimeNs begin)
      : random_(random), per_symbol_(per_symbol), now_(begin), symbols_(symbols) {}

  std::vector<market::FeedBatch> run(std::uint64_t messages) {
    std::vector<market::FeedBatch> batches;
    while (made_ < messages) {
      auto& batch = batches.emplace_back();
      for (auto n = 1 + random_.below(24); n > 0 && made_ < messages; --n) message(batch);
      batch.messages = made_;
      batch.feed_time = now_;
    }
    batches.back().end = true;
    return batches;
  }

  [[nodiscard]] TimeNs now() const { return now_; }

private:
  struct Symbol {
    bool named = false;
    std::uint32_t index = 0;
    std::vector<market::OrderId> orders;
    std::array<market::Sequence, market::kStreams> sequence{};
  };

  void step_time() {
    const auto kind = random_.below(100);
    if (kind < 70) {
      now_ += static_cast<TimeNs>(random_.below(60)) * kMillisecond;
    } else if (kind < 97) {
      now_ += static_cast<TimeNs>(random_.below(400)) * kMillisecond;
    } else if (kind < 99) {
      now_ += static_cast<TimeNs>(random_.below(5000)) * kMillisecond;
    } else {
      now_ += static_cast<TimeNs>(random_.below(30)) * market::kSecond;
    }
  }

  Symbol& pick(market::FeedBatch& batch) {
    const auto n = static_cast<std::uint32_t>(symbols_.size());
    const auto at = std::min(random_.below32(n), random_.below32(n));  // some are busier
    auto& symbol = symbols_[at];
    if (!symbol.named) {
      symbol.named = true;
      symbol.index = named_++;
      batch.new_symbols.push_back("S" + std::to_string(at));
    }
    return symbol;
  }

  void message(market::FeedBatch& batch) {
    step_time();
    ++made_;
    auto& symbol = pick(batch);
    const auto first = batch.events.size();
    if (random_.chance(1, 60)) {
      snapshot(batch, symbol);
    } else {
      for (auto n = random_.chance(4, 5) ? 1 : 1 + random_.below(4); n > 0; --n)
        batch.events.push_back({symbol.index, event(symbol)});
    }
    const auto sequence = next_sequence(symbol, batch.events[first].event.kind);
    for (auto i = first; i < batch.events.size(); ++i) {
      batch.events[i].event.sequence = sequence;
      if (i + 1 < batch.events.size()) batch.events[i].event.flags |= market::kMore;
    }
  }

  market::Sequence next_sequence(Symbol& symbol, EventKind kind) {
    if (!per_symbol_) return made_;
    auto& sequence = symbol.sequence[static_cast<std::size_t>(market::stream_of(kind))];
    sequence += random_.chance(1, 25) ? 2 + random_.below(3) : 1;  // a gap now and then
    return sequence;
  }

  Event blank(EventKind kind) {
    Event event;
    event.kind = kind;
    event.time = event.feed_time = now_;
    if (random_.chance(1, 6)) event.time -= static_cast<TimeNs>(random_.below(4000)) * kMillisecond;
    if (random_.chance(1, 60)) event.time = now_ + 1;  // too far ahead: refused
    return event;
  }

  Event order(Symbol& symbol) {
    const auto kind = random_.below(10);
    if (kind < 5 || symbol.orders.size() < 3) {
      Event event = blank(EventKind::add);
      event.id = ++next_id_;
      event.side = random_.chance(1, 2) ? Side::bid : Side::ask;
      const auto away = static_cast<market::Price>(random_.below(12));
      event.price = event.side == Side::bid ? 1000 - away : 1001 + away;
      event.size = static_cast<market::Size>(1 + random_.below(500));
      symbol.orders.push_back(event.id);
      return event;
    }
    const auto at = random_.below(symbol.orders.size());
    Event event = blank(kind < 7   ? EventKind::execute
                        : kind < 8 ? EventKind::reduce
                        : kind < 9 ? EventKind::remove
                                   : EventKind::replace);
    event.id = random_.chance(1, 20) ? 900'000 + random_.below(9) : symbol.orders[at];
    event.size = static_cast<market::Size>(1 + random_.below(200));
    event.other = event.kind == EventKind::replace ? ++next_id_ : ++match_;
    event.price = 1000 + static_cast<market::Price>(random_.below(5));
    if (event.kind == EventKind::remove) event.other = 0;
    if (event.kind == EventKind::remove || event.kind == EventKind::replace)
      symbol.orders.erase(symbol.orders.begin() + static_cast<std::ptrdiff_t>(at));
    if (event.kind == EventKind::replace) symbol.orders.push_back(event.other);
    return event;
  }

  Event event(Symbol& symbol) {
    const auto kind = random_.below(100);
    if (kind < 55) return order(symbol);
    if (kind < 85) {
      Event event = blank(EventKind::trade);
      event.id = ++match_;
      event.side = static_cast<Side>(random_.below(3));
      event.price = 990 + static_cast<market::Price>(random_.below(30));
      event.size = static_cast<market::Size>(random_.below(60));
      return event;
    }
    if (kind < 90) {
      Event event = blank(EventKind::trade_break);
      event.id = match_ - std::min(match_, random_.below(20));
      return event;
    }
    if (kind < 92) return blank(EventKind::gap);
    if (kind < 93) {
      symbol.orders.clear();
      return blank(EventKind::clear);
    }
    Event event = blank(EventKind::level);
    event.side = random_.chance(1, 2) ? Side::bid : Side::ask;
    event.price = 1000 + (event.side == Side::bid ? -1 : 1) * market::Price(1 + random_.below(9));
    event.size = static_cast<market::Size>(random_.below(300));
    return event;
  }

  void snapshot(market::FeedBatch& batch, Symbol& symbol) {
    symbol.orders.clear();
    batch.events.push_back({symbol.index, blank(EventKind::snapshot_begin)});
    for (auto n = random_.below(6); n > 0; --n) {
      Event event = blank(EventKind::add);
      event.id = ++next_id_;
      event.side = random_.chance(1, 2) ? Side::bid : Side::ask;
      event.price = event.side == Side::bid ? 999 : 1002;
      event.size = 10;
      event.flags |= market::kInSnapshot;
      symbol.orders.push_back(event.id);
      batch.events.push_back({symbol.index, event});
    }
    batch.events.push_back({symbol.index, blank(EventKind::snapshot_end)});
  }

  Random& random_;
  bool per_symbol_;
  TimeNs now_;
  std::vector<Symbol> symbols_;
  std::uint32_t named_ = 0;
  std::uint64_t made_ = 0, match_ = 0;
  market::OrderId next_id_ = 0;
};

/// Of the numbers, one; the same chance for each.
template <class T>
T one_of(Random& random, std::initializer_list<T> choices) {
  return choices.begin()[random.below(choices.size())];
}

storage::RecorderOptions recording(Random& random, bool per_symbol, std::uint64_t number) {
  storage::RecorderOptions options;
  options.source_name = "sim:chaos:" + std::to_string(number);
  options.sequencing =
      per_symbol ? market::Sequencing::per_symbol : market::Sequencing::message_number;
  options.linger_events = one_of<std::uint64_t>(random, {1, 4, 16, 64, 256});
  options.mark_events = one_of<std::uint64_t>(random, {1, 10, 40, 200});
  options.max_record_bytes = one_of<std::size_t>(random, {300, 1000, 60 << 10});
  return options;
}

market::FoldSettings fold_settings(Random& random) {
  market::FoldSettings settings;
  settings.lateness = one_of<TimeNs>(random, {0, 0, 500 * kMillisecond, 3 * market::kSecond});
  settings.idle_after = static_cast<TimeNs>(random.below(4)) * market::kSecond;
  settings.correction_horizon = static_cast<TimeNs>(random.below(20)) * market::kSecond;
  settings.kept_trades = random.below32(40);
  settings.metrics_levels = 1 + random.below32(12);
  settings.metrics_window = one_of<TimeNs>(random, {1, 5, 60}) * market::kSecond;
  settings.max_kept_updates = one_of<std::uint32_t>(random, {10, 1000});
  return settings;
}

/// What an engine computes only where it is told to, and rules that refuse; each in half of the
/// workloads.
void add_features(market::FoldSettings& settings, Random& random) {
  using market::AlertRule;
  using market::CandleMeasure;
  using market::kMillionth;
  if (random.chance(1, 2)) {
    for (const auto& [measure, most] :
         {std::pair{CandleMeasure::ticks, 9}, std::pair{CandleMeasure::volume, 300},
          std::pair{CandleMeasure::notional, 200'000}, std::pair{CandleMeasure::imbalance, 90}}) {
      const auto amount = 1 + static_cast<std::int64_t>(random.below(std::uint64_t(most)));
      const auto unit = measure == CandleMeasure::ticks ? 1 : kMillionth;
      settings.candle_widths.push_back(market::candle_width(measure, amount * unit));
    }
    settings.candle_origin = static_cast<TimeNs>(random.below(3)) * 250 * kMillisecond;
  }
  if (random.chance(1, 2)) settings.further_metrics = random.below32(1U << market::kFurtherMetrics);
  if (random.chance(1, 2)) {
    settings.alerts.spread_samples = settings.alerts.outlier_trades = 3;
    settings.alerts.outlier = 5'000;
    settings.alerts.cooldown.fill(static_cast<TimeNs>(random.below(3)) * market::kSecond);
    settings.patterns = {{"storm", {AlertRule::gap, AlertRule::silence}, 20 * market::kSecond, 0},
                         {"flips", {3, AlertRule::imbalance_flip}, 10 * market::kSecond, 0}};
    settings.symbol_alerts = {{"S0", settings.alerts}, {"S2", market::no_alerts()}};
    settings.symbol_alerts[0].settings.imbalance_high = 200'000;
  }
  if (random.chance(1, 2)) {
    settings.refusals.zero_size = random.chance(1, 2);
    settings.refusals.crossed_quotes = random.chance(1, 2);
    settings.refusals.price_band = one_of<std::int64_t>(random, {0, 5'000, 20'000});
    settings.refusals.symbols = one_of<const char*>(random, {"", "S*", "S0,S1,S2"});
  }
}

actors::EngineOptions engine_options(Random& random) {
  using std::chrono::milliseconds;
  actors::EngineOptions options;
  options.own_threads = false;
  options.poll_bytes = one_of<std::size_t>(random, {200, 2'000, 20'000});
  options.poll_records = one_of<std::size_t>(random, {1, 4, 16, 1000});
  options.max_inflight_bytes = one_of<std::size_t>(random, {500, 4'000, 50'000});
  options.max_unstored_outputs = one_of<std::size_t>(random, {10, 100, 10'000});
  options.checkpoint_events = one_of<std::uint64_t>(random, {20, 100, 400, 100'000});
  options.checkpoint_interval = milliseconds(one_of<int>(random, {20, 200, 2'000, 30'000}));
  options.store_interval = milliseconds(one_of<int>(random, {1, 10, 100}));
  options.snapshots = {one_of<std::uint64_t>(random, {5, 50, 500}),
                       one_of<std::uint64_t>(random, {2, 8, 256})};
  options.thin_after = one_of<TimeNs>(random, {5, 60, 86'400}) * market::kSecond;
  options.kept_checkpoints = 1 + random.below(3);
  options.idle_passivate = one_of<TimeNs>(random, {0, 1, 500 * kMillisecond, 5 * market::kSecond});
  auto& supervision = options.supervision;
  actors::RestartPolicy policy;
  policy.backoff_min = milliseconds(one_of<int>(random, {1, 100}));
  policy.budget = one_of<std::uint32_t>(random, {3, 10, 1'000});
  policy.budget_window = milliseconds(one_of<int>(random, {100, 60'000}));
  policy.reset_after = milliseconds(one_of<int>(random, {100, 60'000}));
  supervision.symbol = supervision.partition = policy;
  const auto seed = random.next();
  policy.escalation = random.chance(1, 2) ? actors::Escalation::retry : policy.escalation;
  supervision.checkpointer = supervision.sink = supervision.gateway = policy;
  if (random.chance(1, 8)) supervision.symbol.strategy = actors::Strategy::one_for_all;
  if (random.chance(1, 8)) supervision.partition.strategy = actors::Strategy::one_for_all;
  supervision.set_seed(seed);
  options.max_undelivered_outputs = one_of<std::size_t>(random, {10, 100, 10'000});
  options.max_delivery_rows = one_of<std::size_t>(random, {1, 20, 20'000});
  options.delivery_backoff = milliseconds(one_of<int>(random, {1, 200}));
  return options;
}

}  // namespace

Workload make_workload(std::uint64_t seed) {
  Random random(seed ^ 0x3ea50);
  Workload workload;
  workload.partitions = 1 + random.below32(3);
  workload.settings = fold_settings(random);
  Random features(seed ^ 0xfea7);
  add_features(workload.settings, features);
  workload.engine = engine_options(random);
  workload.sink = random.chance(1, 2);
  const auto symbols = 1 + random.below32(8);
  const bool two = random.chance(1, 4);
  TimeNs begin = kStart;
  for (std::uint64_t number = 0; number < (two ? 2u : 1u); ++number) {
    const bool per_symbol = random.chance(1, 3);
    Generator generator(random, symbols, per_symbol, begin);
    auto& source = workload.sources.emplace_back();
    source.recording = recording(random, per_symbol, number);
    source.batches = generator.run(50 + random.below(two ? 250 : 500));
    // The next one may begin before this one ended.
    begin = generator.now() - static_cast<TimeNs>(random.below(3)) * market::kSecond;
  }
  return workload;
}

}  // namespace tapedeck::chaos
