// schemas/settings_codec.cpp -- fold settings, time marks and metric rows. Structured bindings: a
// field more or less does not compile until it is handled here.
#include "schemas/state_codec.hpp"
#include "schemas/state_message.hpp"

namespace tapedeck::schemas {
namespace {

using market::AlertPattern;
using market::AlertSettings;
using market::MetricsRow;
using market::SymbolAlerts;

constexpr std::size_t kMaxCandleWidths = 16;
constexpr std::size_t kMaxSilences = 3;

template <class Builder>
void put_summary(Builder to, const market::Summary& summary) {
  const auto& [min, max, last, sum] = summary;
  to.setMin(min), to.setMax(max), to.setLast(last);
  to.setSumHigh(high_of(sum)), to.setSumLow(low_of(sum));
}

template <class Reader>
market::Summary take_summary(Reader from) {
  return {from.getMin(), from.getMax(), from.getLast(), wide(from.getSumHigh(), from.getSumLow())};
}

void put(wire::AlertSettings::Builder to, const AlertSettings& settings) {
  const auto& [imbalance_high, imbalance_medium, imbalance_hysteresis, flip, spread_factor,
               spread_samples, outlier, outlier_trades, silence, crossed, gap, cooldown] = settings;
  to.setImbalanceHigh(imbalance_high), to.setImbalanceMedium(imbalance_medium);
  to.setImbalanceHysteresis(imbalance_hysteresis), to.setFlip(flip);
  to.setSpreadFactor(spread_factor), to.setSpreadSamples(spread_samples);
  to.setOutlier(outlier), to.setOutlierTrades(outlier_trades);
  to.setCrossed(crossed), to.setGap(gap);
  auto levels = to.initSilence(static_cast<unsigned>(settings.silence.size()));
  for (unsigned i = 0; i < levels.size(); ++i) levels.set(i, settings.silence[i]);
  auto cooldowns = to.initCooldown(static_cast<unsigned>(settings.cooldown.size()));
  for (unsigned i = 0; i < cooldowns.size(); ++i) cooldowns.set(i, settings.cooldown[i]);
}

/// What is wrong, or nothing.
const char* take(wire::AlertSettings::Reader from, AlertSettings& settings) {
  settings.imbalance_high = from.getImbalanceHigh();
  settings.imbalance_medium = from.getImbalanceMedium();
  settings.imbalance_hysteresis = from.getImbalanceHysteresis(), settings.flip = from.getFlip();
  settings.spread_factor = from.getSpreadFactor();
  settings.spread_samples = from.getSpreadSamples();
  settings.outlier = from.getOutlier(), settings.outlier_trades = from.getOutlierTrades();
  settings.crossed = from.getCrossed(), settings.gap = from.getGap();
  const auto silence = from.getSilence(), cooldown = from.getCooldown();
  if (silence.size() > kMaxSilences) return "too many silences";
  if (cooldown.size() > settings.cooldown.size()) return "too many cool-downs";
  settings.silence = vector_of(silence);
  settings.cooldown = {};
  for (unsigned i = 0; i < cooldown.size(); ++i) settings.cooldown[i] = cooldown[i];
  return nullptr;
}

void put(wire::RefusalSettings::Builder to, const market::RefusalSettings& settings) {
  const auto& [time_lead, zero_size, crossed_quotes, price_band, symbols] = settings;
  to.setTimeLead(time_lead), to.setPriceBand(price_band);
  to.setZeroSize(zero_size), to.setCrossedQuotes(crossed_quotes);
  put_text([&](auto text) { to.setSymbols(text); }, symbols);
}

void take(wire::RefusalSettings::Reader from, market::RefusalSettings& settings) {
  settings = {from.getTimeLead(), from.getZeroSize(), from.getCrossedQuotes(), from.getPriceBand(),
              text_of(from.getSymbols())};
}

const char* take(wire::AlertPattern::Reader from, AlertPattern& pattern) {
  const auto steps = from.getSteps();
  if (from.getName().size() > kMaxTextBytes) return "a pattern's name is too long";
  if (steps.size() < 2 || steps.size() > kMaxSteps) return "a pattern has too few or many steps";
  pattern.name = text_of(from.getName());
  for (const std::uint8_t step : steps) {
    if (step >= static_cast<std::uint8_t>(market::AlertRule::pattern)) return "unknown alert rule";
    pattern.steps.push_back(static_cast<market::AlertRule>(step));
  }
  pattern.within = from.getWithin(), pattern.cooldown = from.getCooldown();
  return nullptr;
}

void put_alerts(wire::FoldSettings::Builder to, const market::FoldSettings& settings) {
  put(to.initAlerts(), settings.alerts);
  auto own = to.initSymbolAlerts(static_cast<unsigned>(settings.symbol_alerts.size()));
  for (unsigned i = 0; i < own.size(); ++i) {
    const auto& [symbol, alerts] = settings.symbol_alerts[i];
    put_text([&](auto text) { own[i].setSymbol(text); }, symbol);
    put(own[i].initSettings(), alerts);
  }
  auto patterns = to.initPatterns(static_cast<unsigned>(settings.patterns.size()));
  for (unsigned i = 0; i < patterns.size(); ++i) {
    const auto& [name, steps, within, cooldown] = settings.patterns[i];
    put_text([&](auto text) { patterns[i].setName(text); }, name);
    patterns[i].setWithin(within), patterns[i].setCooldown(cooldown);
    auto list = patterns[i].initSteps(static_cast<unsigned>(steps.size()));
    for (unsigned k = 0; k < list.size(); ++k) list.set(k, static_cast<std::uint8_t>(steps[k]));
  }
}

/// More than put_alerts() needs.
std::size_t alert_bytes(const market::FoldSettings& settings) {
  constexpr std::size_t kOne = 512;
  std::size_t bytes = kOne;
  for (const auto& own : settings.symbol_alerts) bytes += kOne + own.symbol.size();
  for (const auto& pattern : settings.patterns)
    bytes += kOne + pattern.name.size() + pattern.steps.size();
  return bytes;
}

const char* take_alerts(wire::FoldSettings::Reader from, std::size_t bytes,
                        market::FoldSettings& settings) {
  settings.alerts = market::no_alerts();
  if (from.hasAlerts()) {
    if (const char* wrong = take(from.getAlerts(), settings.alerts)) return wrong;
  }
  const auto own = from.getSymbolAlerts();
  if (own.size() > bytes / 8) return "too many symbols with alerts of their own";
  for (const auto one : own) {
    SymbolAlerts& alerts = settings.symbol_alerts.emplace_back();
    if (one.getSymbol().size() > kMaxTextBytes) return "symbol too long";
    alerts.symbol = text_of(one.getSymbol());
    if (const char* wrong = take(one.getSettings(), alerts.settings)) return wrong;
  }
  const auto patterns = from.getPatterns();
  if (patterns.size() > kMaxPatterns) return "too many patterns";
  for (const auto pattern : patterns) {
    if (const char* wrong = take(pattern, settings.patterns.emplace_back())) return wrong;
  }
  return nullptr;
}

}  // namespace

void put_metrics(wire::MetricsRow::Builder to, const MetricsRow& row) {
  const auto& [width, open_time, samples, imbalance_ppm, spread, spread_samples,
               order_flow_imbalance, further] = row;
  to.setWidth(width), to.setOpenTime(open_time), to.setSamples(samples);
  to.setSpreadSamples(spread_samples);
  put_summary(to.getImbalancePpm(), imbalance_ppm);
  put_summary(to.getSpread(), spread);
  to.setOrderFlowImbalanceHigh(high_of(order_flow_imbalance));
  to.setOrderFlowImbalanceLow(low_of(order_flow_imbalance));
  if (row.further.empty()) return;
  auto list = to.initFurther(static_cast<unsigned>(row.further.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    const auto& [series, count, values] = row.further[i];
    list[i].setSeries(static_cast<std::uint8_t>(series)), list[i].setCount(count);
    put_summary(list[i], values);
  }
}

std::optional<MetricsRow> take_metrics(wire::MetricsRow::Reader from) {
  MetricsRow row;
  row.width = from.getWidth(), row.open_time = from.getOpenTime();
  row.samples = from.getSamples(), row.spread_samples = from.getSpreadSamples();
  row.imbalance_ppm = take_summary(from.getImbalancePpm());
  row.spread = take_summary(from.getSpread());
  row.order_flow_imbalance =
      wide(from.getOrderFlowImbalanceHigh(), from.getOrderFlowImbalanceLow());
  if (from.getFurther().size() > market::kMetricSeries) return std::nullopt;
  for (const auto one : from.getFurther()) {
    if (one.getSeries() >= market::kMetricSeries) return std::nullopt;
    row.further.push_back({static_cast<market::MetricSummary::Series>(one.getSeries()),
                           one.getCount(), take_summary(one)});
  }
  return row;
}

std::string encode(const market::FoldSettings& settings) {
  const auto& [candle_widths, lateness, idle_after, correction_horizon, kept_trades, metrics_levels,
               metrics_window, max_sequence_jump, max_kept_updates, allow_negative_prices, alerts,
               symbol_alerts, patterns, candle_origin, further_metrics, refusals] = settings;
  const std::size_t list_bytes =
      candle_widths.size() * 8 + alert_bytes(settings) + refusals.symbols.size();
  return write_message<wire::FoldSettings>(list_bytes, [&](wire::FoldSettings::Builder to) {
    to.setVersion(kStateVersion);
    auto widths = to.initCandleWidths(static_cast<unsigned>(settings.candle_widths.size()));
    for (unsigned i = 0; i < widths.size(); ++i) widths.set(i, settings.candle_widths[i]);
    to.setLateness(settings.lateness), to.setIdleAfter(settings.idle_after);
    to.setCorrectionHorizon(settings.correction_horizon);
    to.setKeptTrades(settings.kept_trades), to.setMetricsLevels(settings.metrics_levels);
    to.setMetricsWindow(settings.metrics_window);
    to.setMaxSequenceJump(settings.max_sequence_jump);
    to.setMaxKeptUpdates(settings.max_kept_updates);
    to.setAllowNegativePrices(settings.allow_negative_prices);
    to.setCandleOrigin(settings.candle_origin);
    to.setFurtherMetrics(settings.further_metrics);
    put_alerts(to, settings);
    if (settings.refusals != market::no_refusals()) put(to.initRefusals(), settings.refusals);
  });
}

Result<market::FoldSettings> decode_settings(std::span<const std::byte> bytes) {
  return read_message<wire::FoldSettings, market::FoldSettings>(
      "settings", bytes,
      [&](wire::FoldSettings::Reader from, auto&& fault) -> Result<market::FoldSettings> {
        market::FoldSettings settings;
        const auto widths = from.getCandleWidths();
        if (widths.size() > kMaxCandleWidths) return fault(nullptr, "too many candle widths");
        settings.candle_widths = vector_of(widths);
        settings.lateness = from.getLateness(), settings.idle_after = from.getIdleAfter();
        settings.correction_horizon = from.getCorrectionHorizon();
        settings.kept_trades = from.getKeptTrades();
        settings.metrics_levels = from.getMetricsLevels();
        settings.metrics_window = from.getMetricsWindow();
        settings.max_sequence_jump = from.getMaxSequenceJump();
        settings.max_kept_updates = from.getMaxKeptUpdates();
        settings.allow_negative_prices = from.getAllowNegativePrices();
        settings.candle_origin = from.getCandleOrigin();
        settings.further_metrics = from.getFurtherMetrics();
        if (const char* wrong = take_alerts(from, bytes.size(), settings))
          return fault(nullptr, wrong);
        settings.refusals = market::no_refusals();
        if (from.hasRefusals()) take(from.getRefusals(), settings.refusals);
        return settings;
      });
}

std::string encode(const MarkPayload& mark) {
  const auto& [source, source_name, feed_time, cursor_messages, cursor_bytes, complete] = mark;
  const std::size_t text_bytes = source_name.size() + 8;
  return write_message<wire::Mark>(text_bytes, [&](wire::Mark::Builder to) {
    to.setVersion(kStateVersion);
    to.setSource(mark.source), to.setFeedTime(mark.feed_time), to.setComplete(mark.complete);
    to.setCursorMessages(mark.cursor_messages), to.setCursorBytes(mark.cursor_bytes);
    put_text([&](auto text) { to.setSourceName(text); }, mark.source_name);
  });
}

Result<MarkPayload> decode_mark(std::span<const std::byte> bytes) {
  return read_message<wire::Mark, MarkPayload>(
      "mark", bytes, [](wire::Mark::Reader from, auto&& fault) -> Result<MarkPayload> {
        const auto name = from.getSourceName();
        if (name.size() > kMaxTextBytes) return fault(name.begin(), "source name too long");
        return MarkPayload{from.getSource(),         text_of(name),         from.getFeedTime(),
                           from.getCursorMessages(), from.getCursorBytes(), from.getComplete()};
      });
}

}  // namespace tapedeck::schemas
