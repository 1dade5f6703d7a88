#include "market/quality.hpp"

#include <algorithm>

#include "market/emitter.hpp"
#include "market/mixing.hpp"

namespace tapedeck::market {
namespace {

constexpr std::array<std::string_view, kFindings> kNames = {
    "time_gap",     "backwards",   "duplicate", "outlier", "crossed_quote",
    "locked_quote", "stale_quote", "skew",      "refused"};

/// Of what an event says, not of when it was heard or numbered. Never 0.
std::uint64_t fingerprint(Event event) {
  event.feed_time = event.receive_time = 0;
  event.sequence = 0;
  event.flags = 0;
  return static_cast<std::uint64_t>(mixing::event_hash(event)) | 1;
}

bool is_market_event(EventKind kind) {
  return kind != EventKind::session && kind != EventKind::instrument;
}

}  // namespace

std::string_view name(Finding finding) noexcept {
  return kNames[static_cast<std::size_t>(finding)];
}

void Activity::add(TimeNs time) {
  ++spans[interval_start(time, width)];
  while (spans.size() > kMaxSpans) {
    width *= 2;
    std::map<TimeNs, std::uint64_t> wider;
    for (const auto& [begin, count] : spans) wider[interval_start(begin, width)] += count;
    spans = std::move(wider);
  }
}

/// One symbol being looked at.
struct QualityProfile::Watch {
  Watch(std::string symbol, const FoldSettings& fold, std::uint32_t slots)
      : name(symbol), state(std::move(symbol), fold), seen(slots) {}

  struct Seen {
    std::uint64_t print = 0, ordinal = 0;
  };
  std::string name;
  SymbolState state;
  SymbolQuality quality;
  std::vector<Seen> seen;  ///< direct-mapped: a newer event may take an older one's place
  std::vector<Price> recent;
  std::size_t oldest = 0;
  Int128 recent_sum = 0;
  Price bid = 0, ask = 0;
  Size bid_size = 0, ask_size = 0;
  TimeNs quote_time = kNoTime;
};

QualityProfile::QualityProfile(const QualitySettings& settings, const FoldSettings& fold)
    : settings_(&settings), fold_(&fold) {}
QualityProfile::~QualityProfile() = default;

std::uint32_t QualityProfile::take(std::string_view symbol, const Batch& batch) {
  auto found = watches_.find(symbol);
  if (found == watches_.end()) {
    found =
        watches_
            .try_emplace(std::string(symbol), std::string(symbol), *fold_, settings_->fingerprints)
            .first;
  }
  Watch& watch = found->second;
  std::uint32_t findings = 0;
  const auto in_range = [&](const Event& event) {
    return event.time >= settings_->from && event.time <= settings_->to;
  };
  for (const Event& event : batch.events) {
    if (in_range(event) && (event.flags & kMore) == 0) ++report_.messages;
    if (event.kind == EventKind::instrument) {
      watch.quality.instrument = {static_cast<std::int32_t>(event.price),
                                  static_cast<std::int32_t>(event.size), event.other};
    }
    if (is_market_event(event.kind) && in_range(event)) findings |= look_at(watch, event);
  }
  outputs_.clear();
  watch.state.apply(batch, outputs_);
  for (const Output& output : outputs_) {
    const auto* refusal = std::get_if<Refusal>(&output.body);
    if (refusal != nullptr && in_range(refusal->event))
      note(watch, Finding::refused, refusal->event, static_cast<std::int64_t>(refusal->rule),
           findings);
  }
  return findings;
}

void QualityProfile::note(Watch& watch, Finding finding, const Event& event, std::int64_t value,
                          std::uint32_t& found) {
  const auto index = static_cast<std::size_t>(finding);
  found |= bit(finding);
  ++report_.findings[index];
  ++watch.quality.findings[index];
  auto& examples = report_.examples[index];
  if (examples.size() < settings_->examples)
    examples.push_back({watch.name, event.time, event.sequence, event.price, value});
}

std::uint32_t QualityProfile::look_at(Watch& watch, const Event& event) {
  std::uint32_t found = 0;
  SymbolQuality& quality = watch.quality;
  ++report_.events;
  ++report_.kinds[static_cast<std::size_t>(event.kind)];
  ++quality.events;
  if (event.time <= event.feed_time) {  // else it is refused, and tells nothing about time
    look_at_gaps(watch, event, found);
    report_.activity.add(event.time);
  }
  const std::uint64_t print = fingerprint(event);
  Watch::Seen& slot = watch.seen[(print >> 8) & (watch.seen.size() - 1)];
  if (slot.print == print && quality.events - slot.ordinal <= settings_->fingerprints)
    note(watch, Finding::duplicate, event, 0, found);
  slot = {print, quality.events};
  if (event.receive_time != 0) {
    const std::int64_t skew = wrapping_sub(event.receive_time, event.time);
    SkewStats& stats = report_.skew;
    stats.min = stats.count == 0 ? skew : std::min(stats.min, skew);
    stats.max = stats.count == 0 ? skew : std::max(stats.max, skew);
    stats.sum += skew;
    ++stats.count;
    if (skew < 0) note(watch, Finding::skew, event, skew, found);
  }
  if (event.kind == EventKind::trade) found |= look_at_trade(watch, event);
  if (event.kind == EventKind::quote) found |= look_at_quote(watch, event);
  return found;
}

void QualityProfile::look_at_gaps(Watch& watch, const Event& event, std::uint32_t& found) {
  SymbolQuality& quality = watch.quality;
  if (quality.last_time != kNoTime) {
    const TimeNs gap = event.time - quality.last_time;
    if (gap < 0) note(watch, Finding::backwards, event, gap, found);
    for (std::size_t i = 0; i < kGapScales; ++i)
      quality.gaps[i] += gap > settings_->gap_scales[i] ? 1 : 0;
    if (gap > settings_->gap_scales[0]) note(watch, Finding::time_gap, event, gap, found);
    if (gap > quality.longest_gap)
      quality.longest_gap = gap, quality.longest_gap_at = quality.last_time;
  }
  if (report_.last_time != kNoTime) {
    const TimeNs gap = event.time - report_.last_time;
    for (std::size_t i = 0; i < kGapScales; ++i)
      report_.feed_gaps[i] += gap > settings_->gap_scales[i] ? 1 : 0;
    if (gap > report_.longest_feed_gap)
      report_.longest_feed_gap = gap, report_.longest_feed_gap_at = report_.last_time;
  }
  quality.first_time = std::min(quality.first_time, event.time);
  quality.last_time = std::max(quality.last_time, event.time);
  report_.first_time = std::min(report_.first_time, event.time);
  report_.last_time = std::max(report_.last_time, event.time);
}

std::uint32_t QualityProfile::look_at_trade(Watch& watch, const Event& event) {
  std::uint32_t found = 0;
  SymbolQuality& quality = watch.quality;
  quality.low = quality.trades == 0 ? event.price : std::min(quality.low, event.price);
  quality.high = quality.trades == 0 ? event.price : std::max(quality.high, event.price);
  ++quality.trades;
  if (watch.quote_time != kNoTime && event.time - watch.quote_time > settings_->stale_after)
    note(watch, Finding::stale_quote, event, event.time - watch.quote_time, found);
  const std::size_t wanted = settings_->outlier_trades;
  if (watch.recent.size() == wanted) {
    // |price * n - sum| > sum * ppm / 10^6, without dividing.
    const auto n = static_cast<Int128>(wanted);
    Int128 off = Int128{event.price} * n - watch.recent_sum;
    if (off < 0) off = -off;
    const Int128 sum = watch.recent_sum < 0 ? -watch.recent_sum : watch.recent_sum;
    if (off * 1'000'000 > sum * settings_->outlier_ppm) {
      note(watch, Finding::outlier, event, static_cast<std::int64_t>(watch.recent_sum / n), found);
      return found;  // it does not move the mean
    }
    watch.recent_sum -= watch.recent[watch.oldest];
    watch.recent[watch.oldest] = event.price;
    watch.oldest = (watch.oldest + 1) % wanted;
  } else {
    watch.recent.push_back(event.price);
  }
  watch.recent_sum += event.price;
  return found;
}

std::uint32_t QualityProfile::look_at_quote(Watch& watch, const Event& event) {
  std::uint32_t found = 0;
  ++watch.quality.quotes;
  watch.quote_time = std::max(watch.quote_time, event.time);
  if (event.side == Side::bid) watch.bid = event.price, watch.bid_size = event.size;
  if (event.side == Side::ask) watch.ask = event.price, watch.ask_size = event.size;
  // A message may bring both sides: judged when it is whole.
  const bool both = watch.bid_size > 0 && watch.ask_size > 0 && (event.flags & kMore) == 0;
  if (both && watch.bid > watch.ask)
    note(watch, Finding::crossed_quote, event, watch.bid - watch.ask, found);
  if (both && watch.bid == watch.ask) note(watch, Finding::locked_quote, event, 0, found);
  return found;
}

Instrument QualityProfile::instrument(std::string_view symbol) const {
  const auto found = watches_.find(symbol);
  return found == watches_.end() ? Instrument{} : found->second.quality.instrument;
}

QualityReport QualityProfile::report() const {
  QualityReport report = report_;
  for (const auto& [symbol, watch] : watches_) {
    SymbolQuality& quality = report.symbols.emplace(symbol, watch.quality).first->second;
    const SymbolView view = watch.state.view();
    quality.counts = view.events;
    quality.integrity = view.integrity;
  }
  return report;
}

}  // namespace tapedeck::market
