// schemas/output_codec.cpp -- outputs, fold settings and time marks. Structured bindings: a field
// more or less does not compile until it is handled here.
#include "schemas/state_codec.hpp"
#include "schemas/state_message.hpp"

namespace tapedeck::schemas {
namespace {

using market::Candle;
using market::Event;
using market::LateTrade;
using market::MetricsRow;
using market::Output;
using market::Refusal;

constexpr std::uint8_t kRules = market::kRefusalRules;
/// `recovering` is never part of what is stored.
constexpr std::uint8_t kTrusts = static_cast<std::uint8_t>(market::Trust::recovering);
constexpr std::size_t kMaxCandleWidths = 16;

void put(wire::Candle::Builder to, const Candle& candle) {
  const auto& [width, open_time, open, high, low, close, volume, buy_volume, sell_volume, notional,
               trades, revision, closed, ohlc_exact] = candle;
  to.setWidth(width), to.setOpenTime(open_time);
  to.setOpen(open), to.setHigh(high), to.setLow(low), to.setClose(close);
  to.setVolumeHigh(high_of(volume)), to.setVolumeLow(low_of(volume));
  to.setBuyVolumeHigh(high_of(buy_volume)), to.setBuyVolumeLow(low_of(buy_volume));
  to.setSellVolumeHigh(high_of(sell_volume)), to.setSellVolumeLow(low_of(sell_volume));
  to.setNotionalHigh(high_of(notional)), to.setNotionalLow(low_of(notional));
  to.setTrades(trades), to.setRevision(revision);
  to.setClosed(closed), to.setOhlcExact(ohlc_exact);
}

Candle take(wire::Candle::Reader from) {
  Candle candle;
  candle.width = from.getWidth(), candle.open_time = from.getOpenTime();
  candle.open = from.getOpen(), candle.high = from.getHigh();
  candle.low = from.getLow(), candle.close = from.getClose();
  candle.volume = wide(from.getVolumeHigh(), from.getVolumeLow());
  candle.buy_volume = wide(from.getBuyVolumeHigh(), from.getBuyVolumeLow());
  candle.sell_volume = wide(from.getSellVolumeHigh(), from.getSellVolumeLow());
  candle.notional = wide(from.getNotionalHigh(), from.getNotionalLow());
  candle.trades = from.getTrades(), candle.revision = from.getRevision();
  candle.closed = from.getClosed(), candle.ohlc_exact = from.getOhlcExact();
  return candle;
}

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

/// Whole, kinds and sides that nobody knows included: it may have been refused for them.
void put(wire::Event::Builder to, const Event& event) {
  const auto& [time, feed_time, receive_time, sequence, id, price, size, other, kind, side, flags,
               code] = event;
  to.setTime(time), to.setFeedTime(feed_time), to.setReceiveTime(receive_time);
  to.setSequence(sequence), to.setId(id), to.setPrice(price), to.setSize(size), to.setOther(other);
  to.setKind(static_cast<std::uint8_t>(kind)), to.setSide(static_cast<std::uint8_t>(side));
  to.setFlags(flags), to.setCode(code);
}

Event take(wire::Event::Reader from) {
  Event event;
  event.time = from.getTime(), event.feed_time = from.getFeedTime();
  event.receive_time = from.getReceiveTime(), event.sequence = from.getSequence();
  event.id = from.getId(), event.price = from.getPrice();
  event.size = from.getSize(), event.other = from.getOther();
  event.kind = static_cast<market::EventKind>(from.getKind());
  event.side = static_cast<market::Side>(from.getSide());
  event.flags = from.getFlags(), event.code = from.getCode();
  return event;
}

void put_body(wire::Output::Builder to, const Candle& candle) { put(to.initCandle(), candle); }
void put_body(wire::Output::Builder to, const MetricsRow& row) {
  put_metrics(to.initMetrics(), row);
}
void put_body(wire::Output::Builder to, const LateTrade& late) {
  const auto& [width, event, message_index] = late;
  to.setLateWidth(width), to.setMessageIndex(message_index);
  put(to.initLateTrade(), event);
}
void put_body(wire::Output::Builder to, const Refusal& refusal) {
  const auto& [rule, event, message_index] = refusal;
  to.setRule(static_cast<std::uint8_t>(rule)), to.setMessageIndex(message_index);
  put(to.initRefusal(), event);
}

/// False if it is of no kind we know.
bool take_body(wire::Output::Reader from, Output& output) {
  switch (from.which()) {
    case wire::Output::CANDLE: output.body = take(from.getCandle()); return true;
    case wire::Output::METRICS: output.body = take_metrics(from.getMetrics()); return true;
    case wire::Output::LATE_TRADE:
      output.body =
          LateTrade{from.getLateWidth(), take(from.getLateTrade()), from.getMessageIndex()};
      return true;
    case wire::Output::REFUSAL:
      output.body = Refusal{static_cast<market::Refused>(from.getRule()), take(from.getRefusal()),
                            from.getMessageIndex()};
      return true;
    case wire::Output::NONE: return false;
  }
  return false;
}

}  // namespace

void put_metrics(wire::MetricsRow::Builder to, const MetricsRow& row) {
  const auto& [width, open_time, samples, imbalance_ppm, spread, spread_samples,
               order_flow_imbalance] = row;
  to.setWidth(width), to.setOpenTime(open_time), to.setSamples(samples);
  to.setSpreadSamples(spread_samples);
  put_summary(to.getImbalancePpm(), imbalance_ppm);
  put_summary(to.getSpread(), spread);
  to.setOrderFlowImbalanceHigh(high_of(order_flow_imbalance));
  to.setOrderFlowImbalanceLow(low_of(order_flow_imbalance));
}

MetricsRow take_metrics(wire::MetricsRow::Reader from) {
  MetricsRow row;
  row.width = from.getWidth(), row.open_time = from.getOpenTime();
  row.samples = from.getSamples(), row.spread_samples = from.getSpreadSamples();
  row.imbalance_ppm = take_summary(from.getImbalancePpm());
  row.spread = take_summary(from.getSpread());
  row.order_flow_imbalance =
      wide(from.getOrderFlowImbalanceHigh(), from.getOrderFlowImbalanceLow());
  return row;
}

std::string encode(const Output& output) {
  return write_message<wire::Output>(0, [&](wire::Output::Builder to) {
    const auto& [time, source, trust, position, body] = output;
    to.setVersion(kStateVersion);
    to.setTime(time), to.setSource(source), to.setTrust(static_cast<std::uint8_t>(trust));
    to.setPartition(position.partition), to.setOffset(position.offset), to.setIndex(position.index);
    std::visit([&](const auto& what) { put_body(to, what); }, body);
  });
}

Result<Output> decode_output(std::span<const std::byte> bytes) {
  return read_message<wire::Output, Output>(
      "output", bytes, [](wire::Output::Reader from, auto&& fault) -> Result<Output> {
        Output output;
        if (from.getTrust() >= kTrusts) return fault(nullptr, "unknown trust");
        if (from.getRule() >= kRules) return fault(nullptr, "unknown refusal rule");
        output.time = from.getTime(), output.source = from.getSource();
        output.trust = static_cast<market::Trust>(from.getTrust());
        output.position = {from.getPartition(), from.getOffset(), from.getIndex()};
        if (!take_body(from, output)) return fault(nullptr, "unknown kind of output");
        return output;
      });
}

std::string encode(const market::FoldSettings& settings) {
  const auto& [candle_widths, lateness, idle_after, correction_horizon, kept_trades, metrics_levels,
               metrics_window, max_sequence_jump, max_kept_updates, allow_negative_prices] =
      settings;
  const std::size_t list_bytes = candle_widths.size() * 8;
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
  });
}

Result<market::FoldSettings> decode_settings(std::span<const std::byte> bytes) {
  return read_message<wire::FoldSettings, market::FoldSettings>(
      "settings", bytes,
      [](wire::FoldSettings::Reader from, auto&& fault) -> Result<market::FoldSettings> {
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
