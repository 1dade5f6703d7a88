// schemas/snapshot_codec.cpp -- snapshots. Structured bindings: a field more or less does not
// compile until it is handled here.
#include "schemas/snapshot_rows.hpp"
#include "schemas/state_codec.hpp"
#include "schemas/state_message.hpp"

namespace tapedeck::schemas {
namespace {

using market::SymbolSnapshot;
using Builder = wire::Snapshot::Builder;
using Reader = wire::Snapshot::Reader;

/// `recovering` is never part of what is stored.
constexpr std::uint8_t kTrusts = static_cast<std::uint8_t>(market::Trust::recovering);
constexpr std::uint8_t kSequencings = 2;
constexpr std::uint8_t kCrossings = 3;
constexpr std::size_t kMaxTold = std::size_t{market::kAlertRules} * market::kAlertLevels;

/// The sections with many rows.
struct Rows {
  VarintWriter orders, levels, kept_updates, candles, kept_trades;

  explicit Rows(const SymbolSnapshot& snapshot) {
    put_rows(orders, snapshot.orders);
    put_rows(levels, snapshot.levels);
    put_rows(kept_updates, snapshot.kept_updates);
    put_rows(candles, snapshot.candles);
    put_rows(kept_trades, snapshot.kept_trades);
  }
  /// With what each takes to be whole words.
  [[nodiscard]] std::size_t bytes() const {
    std::size_t sum = 0;
    for (const VarintWriter* rows : {&orders, &levels, &kept_updates, &candles, &kept_trades})
      sum += rows->bytes().size() + 8;
    return sum;
  }
};

template <class Group>
void put_position(Group to, const market::Position& position) {
  const auto& [partition, offset, index] = position;
  to.setPartition(partition), to.setOffset(offset), to.setIndex(index);
}

template <class Group>
market::Position take_position(Group from) {
  return {from.getPartition(), from.getOffset(), from.getIndex()};
}

void put_counts(Builder to, const SymbolSnapshot& snapshot) {
  const auto& [read, folded, duplicates, refused, filtered] = snapshot.counts;
  auto counts = to.getCounts();
  counts.setRead(read), counts.setFolded(folded), counts.setDuplicates(duplicates);
  counts.setRefused(refused), counts.setFiltered(filtered);
  const auto& [gaps, crossed, locked, unknown_orders, oversized_reductions, late_trades,
               late_breaks] = snapshot.integrity;
  auto integrity = to.getIntegrity();
  integrity.setGaps(gaps), integrity.setCrossed(crossed), integrity.setLocked(locked);
  integrity.setUnknownOrders(unknown_orders);
  integrity.setOversizedReductions(oversized_reductions);
  integrity.setLateTrades(late_trades), integrity.setLateBreaks(late_breaks);
  const auto& [price_exponent, size_exponent, round_lot] = snapshot.instrument;
  auto instrument = to.getInstrument();
  instrument.setPriceExponent(price_exponent), instrument.setSizeExponent(size_exponent);
  instrument.setRoundLot(round_lot);
}

void take_counts(Reader from, SymbolSnapshot& snapshot) {
  const auto counts = from.getCounts();
  snapshot.counts = {counts.getRead(), counts.getFolded(), counts.getDuplicates(),
                     counts.getRefused(), counts.getFiltered()};
  const auto integrity = from.getIntegrity();
  snapshot.integrity = {integrity.getGaps(),
                        integrity.getCrossed(),
                        integrity.getLocked(),
                        integrity.getUnknownOrders(),
                        integrity.getOversizedReductions(),
                        integrity.getLateTrades(),
                        integrity.getLateBreaks()};
  const auto instrument = from.getInstrument();
  snapshot.instrument = {instrument.getPriceExponent(), instrument.getSizeExponent(),
                         instrument.getRoundLot()};
}

void put_statuses(Builder to, const SymbolSnapshot& snapshot) {
  unsigned told = 0;
  for (const auto& status : snapshot.statuses) told += status != market::StatusSnapshot{} ? 1 : 0;
  auto list = to.initStatuses(told);
  for (unsigned i = 0, kind = 0; kind < market::kStatusKinds; ++kind) {
    if (snapshot.statuses[kind] == market::StatusSnapshot{}) continue;
    const auto& [is_told, time, price, size, other] = snapshot.statuses[kind];
    auto status = list[i++];
    status.setKind(static_cast<std::uint8_t>(kind)), status.setTold(is_told);
    status.setTime(time), status.setPrice(price), status.setSize(size), status.setOther(other);
  }
  auto streams = to.initStreams(market::kStreams);
  for (unsigned i = 0; i < market::kStreams; ++i) {
    const auto& [last, pending_jump] = snapshot.streams[i];
    streams[i].setLast(last), streams[i].setPendingJump(pending_jump);
  }
}

/// What is wrong, or nothing.
const char* take_statuses(Reader from, SymbolSnapshot& snapshot) {
  const auto list = from.getStatuses();
  unsigned next = 0;
  if (list.size() > market::kStatusKinds) return "too many statuses";
  for (const auto status : list) {
    const unsigned kind = status.getKind();
    if (kind < next || kind >= market::kStatusKinds) return "unknown or repeated status";
    next = kind + 1;
    snapshot.statuses[kind] = {status.getTold(), status.getTime(), status.getPrice(),
                               status.getSize(), status.getOther()};
  }
  const auto streams = from.getStreams();
  if (streams.size() > market::kStreams) return "too many streams";
  for (unsigned i = 0; i < streams.size(); ++i)
    snapshot.streams[i] = {streams[i].getLast(), streams[i].getPendingJump()};
  return nullptr;
}

void put_alerts(wire::Alerts::Builder to, const market::AlertSnapshot& snapshot) {
  const auto& [silent_since, imbalance_level, flip_side, spread_is_wide, spread_sum, spread_count,
               told, patterns] = snapshot;
  to.setSilentSince(silent_since), to.setImbalanceLevel(imbalance_level);
  to.setFlipSide(flip_side), to.setSpreadIsWide(spread_is_wide);
  to.setSpreadSumHigh(high_of(spread_sum)), to.setSpreadSumLow(low_of(spread_sum));
  to.setSpreadCount(spread_count);
  auto rules = to.initTold(static_cast<unsigned>(told.size()));
  for (unsigned i = 0; i < rules.size(); ++i) {
    const auto& [rule, level, time] = snapshot.told[i];
    rules[i].setRule(static_cast<std::uint8_t>(rule));
    rules[i].setLevel(static_cast<std::uint8_t>(level));
    rules[i].setTime(time);
  }
  auto list = to.initPatterns(static_cast<unsigned>(patterns.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    const auto& [told_at, starts] = snapshot.patterns[i];
    list[i].setTold(told_at);
    auto times = list[i].initStarts(static_cast<unsigned>(starts.size()));
    for (unsigned k = 0; k < times.size(); ++k) times.set(k, starts[k]);
  }
}

/// More than put_alerts() needs.
std::size_t alert_bytes(const market::AlertSnapshot& alerts) {
  std::size_t bytes = 128 + alerts.told.size() * 16;
  for (const auto& pattern : alerts.patterns) bytes += 32 + pattern.starts.size() * 8;
  return bytes;
}

/// What is wrong, or nothing.
const char* take_alerts(wire::Alerts::Reader from, market::AlertSnapshot& alerts) {
  alerts.silent_since = from.getSilentSince();
  alerts.imbalance_level = from.getImbalanceLevel(), alerts.flip_side = from.getFlipSide();
  alerts.spread_is_wide = from.getSpreadIsWide();
  alerts.spread_sum = wide(from.getSpreadSumHigh(), from.getSpreadSumLow());
  alerts.spread_count = from.getSpreadCount();
  const auto told = from.getTold();
  const auto patterns = from.getPatterns();
  if (told.size() > kMaxTold || patterns.size() > kMaxPatterns) return "too many alerts";
  for (const auto one : told) {
    if (one.getRule() >= market::kAlertRules || one.getLevel() >= market::kAlertLevels) {
      return "unknown alert";
    }
    alerts.told.push_back({static_cast<market::AlertRule>(one.getRule()),
                           static_cast<market::AlertLevel>(one.getLevel()), one.getTime()});
  }
  for (const auto one : patterns) {
    if (one.getStarts().size() > kMaxSteps) return "too many steps of a pattern";
    alerts.patterns.push_back({one.getTold(), vector_of(one.getStarts())});
  }
  return nullptr;
}

template <class Group>
void put_pair(Group to, const market::Digest& digest) {
  to.setHigh(digest.high), to.setLow(digest.low);
}

template <class Group>
void put_quote(Group to, const market::QuoteSnapshot& quote) {
  const auto& [price, size] = quote;
  to.setPrice(price), to.setSize(size);
}

void put_rest(Builder to, const SymbolSnapshot& snapshot) {
  const auto& [symbol, source, source_name, earlier_sources, sequencing, position, trust,
               trust_since, suspect, suspect_since, event_time, max_event_time, feed_time, counts,
               integrity, instrument, statuses, streams, orders, levels, quotes, depth_seen,
               in_snapshot, crossing, kept_updates, candles, width_starts, kept_trades, trades,
               session_trades, last_trade, beyond_band, price_beyond, beyond_sequence, window_open,
               window, alerts, chain, digest, marked] = snapshot;
  to.setVersion(kStateVersion);
  put_text([&](auto text) { to.setSymbol(text); }, symbol);
  put_text([&](auto text) { to.setSourceName(text); }, source_name);
  to.setSource(source);
  auto earlier = to.initEarlierSources(static_cast<unsigned>(earlier_sources.size()));
  for (unsigned i = 0; i < earlier.size(); ++i) earlier.set(i, earlier_sources[i]);
  if (!width_starts.empty()) {
    auto starts = to.initWidthStarts(static_cast<unsigned>(width_starts.size()));
    for (unsigned i = 0; i < starts.size(); ++i) {
      starts[i].setWidth(width_starts[i].width);
      starts[i].setAfter(width_starts[i].after);
    }
  }
  to.setSequencing(static_cast<std::uint8_t>(sequencing));
  to.setTrust(static_cast<std::uint8_t>(trust));
  put_position(to.getPosition(), position);
  put_position(to.getTrustSince(), trust_since);
  to.setSuspect(suspect);
  put_position(to.getSuspectSince(), suspect_since);
  to.setEventTime(event_time), to.setMaxEventTime(max_event_time), to.setFeedTime(feed_time);
  put_counts(to, snapshot);
  put_statuses(to, snapshot);
  put_quote(to.getBid(), quotes[0]);
  put_quote(to.getAsk(), quotes[1]);
  to.setDepthSeen(depth_seen), to.setInSnapshot(in_snapshot), to.setCrossing(crossing);
  to.setTrades(trades), to.setSessionTrades(session_trades), to.setLastTrade(last_trade);
  to.setBeyondBand(beyond_band), to.setPriceBeyond(price_beyond);
  to.setBeyondSequence(beyond_sequence);
  to.setWindowOpen(window_open), to.setMarked(marked);
  put_metrics(to.initWindow(), window);
  if (alerts != market::AlertSnapshot{}) put_alerts(to.initAlerts(), alerts);
  put_pair(to.getChain(), chain);
  put_pair(to.getDigest(), digest);
}

::capnp::Data::Reader data_of(const VarintWriter& rows) {
  return {rows.bytes().data(), rows.bytes().size()};
}

void put_sections(Builder to, const Rows& rows, const SymbolSnapshot& snapshot) {
  const auto count = [](const auto& list) { return static_cast<std::uint32_t>(list.size()); };
  to.setOrderCount(count(snapshot.orders)), to.setOrders(data_of(rows.orders));
  to.setLevelCount(count(snapshot.levels)), to.setLevels(data_of(rows.levels));
  to.setKeptUpdateCount(count(snapshot.kept_updates));
  to.setKeptUpdates(data_of(rows.kept_updates));
  to.setCandleCount(count(snapshot.candles)), to.setCandles(data_of(rows.candles));
  to.setKeptTradeCount(count(snapshot.kept_trades));
  to.setKeptTrades(data_of(rows.kept_trades));
}

template <class Fault>
Result<void> take_sections(Reader from, SymbolSnapshot& snapshot, Fault&& fault) {
  const auto section = [&](const char* name, ::capnp::Data::Reader data, std::uint32_t count,
                           auto& rows) -> Result<void> {
    const RowFault wrong = get_rows({data.begin(), data.size()}, count, rows);
    if (wrong.what.empty()) return {};
    return fault(data.size() != 0 ? data.begin() + wrong.byte : nullptr,
                 std::string(name) + ": " + wrong.what);
  };
  Result<void> taken = section("orders", from.getOrders(), from.getOrderCount(), snapshot.orders);
  if (taken) taken = section("levels", from.getLevels(), from.getLevelCount(), snapshot.levels);
  if (taken) {
    taken = section("kept updates", from.getKeptUpdates(), from.getKeptUpdateCount(),
                    snapshot.kept_updates);
  }
  if (taken) taken = section("candles", from.getCandles(), from.getCandleCount(), snapshot.candles);
  if (taken) {
    taken = section("kept trades", from.getKeptTrades(), from.getKeptTradeCount(),
                    snapshot.kept_trades);
  }
  return taken;
}

void take_rest(Reader from, SymbolSnapshot& snapshot) {
  snapshot.symbol = text_of(from.getSymbol());
  snapshot.source = from.getSource();
  snapshot.source_name = text_of(from.getSourceName());
  snapshot.sequencing = static_cast<market::Sequencing>(from.getSequencing());
  snapshot.position = take_position(from.getPosition());
  snapshot.trust = static_cast<market::Trust>(from.getTrust());
  snapshot.trust_since = take_position(from.getTrustSince());
  snapshot.suspect = from.getSuspect();
  snapshot.suspect_since = take_position(from.getSuspectSince());
  snapshot.event_time = from.getEventTime();
  snapshot.max_event_time = from.getMaxEventTime();
  snapshot.feed_time = from.getFeedTime();
  snapshot.quotes = {{{from.getBid().getPrice(), from.getBid().getSize()},
                      {from.getAsk().getPrice(), from.getAsk().getSize()}}};
  snapshot.depth_seen = from.getDepthSeen(), snapshot.in_snapshot = from.getInSnapshot();
  snapshot.crossing = from.getCrossing();
  snapshot.trades = from.getTrades(), snapshot.session_trades = from.getSessionTrades();
  snapshot.last_trade = from.getLastTrade();
  snapshot.beyond_band = from.getBeyondBand(), snapshot.price_beyond = from.getPriceBeyond();
  snapshot.beyond_sequence = from.getBeyondSequence();
  snapshot.window_open = from.getWindowOpen(), snapshot.marked = from.getMarked();
  snapshot.chain = {from.getChain().getHigh(), from.getChain().getLow()};
  snapshot.digest = {from.getDigest().getHigh(), from.getDigest().getLow()};
}

template <class Fault>
Result<SymbolSnapshot> take_snapshot(Reader from, std::size_t bytes, Fault&& fault) {
  SymbolSnapshot snapshot;
  const auto symbol = from.getSymbol(), source_name = from.getSourceName();
  if (symbol.size() > kMaxTextBytes) return fault(symbol.begin(), "symbol too long");
  if (source_name.size() > kMaxTextBytes) return fault(source_name.begin(), "source name too long");
  if (from.getTrust() >= kTrusts) return fault(nullptr, "unknown trust");
  if (from.getSequencing() >= kSequencings) return fault(nullptr, "unknown sequencing");
  if (from.getCrossing() >= kCrossings) return fault(nullptr, "unknown crossing");
  const auto earlier = from.getEarlierSources();
  // A list of no-byte elements may claim any size.
  if (earlier.size() > bytes / 8) return fault(nullptr, "too many earlier sources");
  snapshot.earlier_sources = vector_of(earlier);
  take_rest(from, snapshot);
  if (from.getWidthStarts().size() > bytes / 8) return fault(nullptr, "too many width starts");
  for (const auto start : from.getWidthStarts())
    snapshot.width_starts.push_back({start.getWidth(), start.getAfter()});
  auto window = take_metrics(from.getWindow());
  if (!window) return fault(nullptr, "unknown metric");
  snapshot.window = std::move(*window);
  take_counts(from, snapshot);
  if (const char* wrong = take_statuses(from, snapshot)) return fault(nullptr, wrong);
  if (from.hasAlerts()) {
    if (const char* wrong = take_alerts(from.getAlerts(), snapshot.alerts))
      return fault(nullptr, wrong);
  }
  if (auto taken = take_sections(from, snapshot, fault); !taken)
    return tl::unexpected(std::move(taken.error()));
  return snapshot;
}

}  // namespace

std::string encode(const SymbolSnapshot& snapshot) {
  const Rows rows(snapshot);
  const std::size_t bytes = rows.bytes() + snapshot.symbol.size() + snapshot.source_name.size() +
                            snapshot.earlier_sources.size() * 8 + 64 +
                            alert_bytes(snapshot.alerts) + snapshot.window.further.size() * 64 +
                            snapshot.width_starts.size() * 16;
  return write_message<wire::Snapshot>(bytes, [&](Builder to) {
    put_rest(to, snapshot);
    put_sections(to, rows, snapshot);
  });
}

Result<SymbolSnapshot> decode_snapshot(std::span<const std::byte> bytes) {
  return read_message<wire::Snapshot, SymbolSnapshot>(
      "snapshot", bytes, [&](Reader from, auto&& fault) -> Result<SymbolSnapshot> {
        return take_snapshot(from, bytes.size(), fault);
      });
}

}  // namespace tapedeck::schemas
