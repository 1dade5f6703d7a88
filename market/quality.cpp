#include "market/quality.hpp"

#include <algorithm>

#include "market/emitter.hpp"
#include "market/mixing.hpp"

namespace tapedeck::market {

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
  Watch(std::string symbol, const QualitySettings& settings, const FoldSettings& fold)
      : name(symbol), state(std::move(symbol), fold), watch(settings) {}

  std::string name;
  SymbolState state;
  QualityWatch watch;
};

QualityProfile::QualityProfile(const QualitySettings& settings, const FoldSettings& fold)
    : settings_(&settings), fold_(&fold) {}
QualityProfile::~QualityProfile() = default;

std::uint32_t QualityProfile::take(std::string_view symbol, const Batch& batch) {
  auto found = watches_.find(symbol);
  if (found == watches_.end())
    found =
        watches_.try_emplace(std::string(symbol), std::string(symbol), *settings_, *fold_).first;
  Watch& watch = found->second;
  std::uint32_t findings = 0;
  const auto in_range = [&](const Event& event) {
    return event.time >= settings_->from && event.time <= settings_->to;
  };
  for (const Event& event : batch.events) {
    if (in_range(event) && (event.flags & kMore) == 0) ++report_.messages;
    if (event.kind == EventKind::instrument) {
      watch.watch.set_instrument({static_cast<std::int32_t>(event.price),
                                  static_cast<std::int32_t>(event.size), event.other});
    }
    if (QualityWatch::is_market_event(event.kind) && in_range(event))
      findings |= look_at(watch, event);
  }
  outputs_.clear();
  watch.state.apply(batch, outputs_);
  for (const Output& output : outputs_) {
    const auto* refusal = std::get_if<Refusal>(&output.body);
    if (refusal == nullptr || !in_range(refusal->event)) continue;
    watch.watch.note(Finding::refused);
    note(watch, Finding::refused, refusal->event, static_cast<std::int64_t>(refusal->rule));
    findings |= bit(Finding::refused);
  }
  return findings;
}

void QualityProfile::note(const Watch& watch, Finding finding, const Event& event,
                          std::int64_t value) {
  const auto index = static_cast<std::size_t>(finding);
  ++report_.findings[index];
  auto& examples = report_.examples[index];
  if (examples.size() < settings_->examples)
    examples.push_back({watch.name, event.time, event.sequence, event.price, value});
}

std::uint32_t QualityProfile::look_at(Watch& watch, const Event& event) {
  ++report_.events;
  ++report_.kinds[static_cast<std::size_t>(event.kind)];
  const std::uint32_t found = watch.watch.look_at(event);
  for (std::size_t i = 0; i < kFindings && found != 0; ++i) {
    const auto finding = static_cast<Finding>(i);
    if ((found & bit(finding)) != 0) note(watch, finding, event, watch.watch.value(finding));
  }
  if (event.time <= event.feed_time) {  // else it is refused, and tells nothing about time
    look_at_feed_gaps(event);
    report_.activity.add(event.time);
  }
  if (event.receive_time != 0) {
    const std::int64_t skew = wrapping_sub(event.receive_time, event.time);
    SkewStats& stats = report_.skew;
    stats.min = stats.count == 0 ? skew : std::min(stats.min, skew);
    stats.max = stats.count == 0 ? skew : std::max(stats.max, skew);
    stats.sum += skew;
    ++stats.count;
  }
  return found;
}

void QualityProfile::look_at_feed_gaps(const Event& event) {
  if (report_.last_time != kNoTime) {
    const TimeNs gap = event.time - report_.last_time;
    for (std::size_t i = 0; i < kGapScales; ++i)
      report_.feed_gaps[i] += gap > settings_->gap_scales[i] ? 1 : 0;
    if (gap > report_.longest_feed_gap)
      report_.longest_feed_gap = gap, report_.longest_feed_gap_at = report_.last_time;
  }
  report_.first_time = std::min(report_.first_time, event.time);
  report_.last_time = std::max(report_.last_time, event.time);
}

Instrument QualityProfile::instrument(std::string_view symbol) const {
  const auto found = watches_.find(symbol);
  return found == watches_.end() ? Instrument{} : found->second.watch.quality().instrument;
}

QualityReport QualityProfile::report() const {
  QualityReport report = report_;
  for (const auto& [symbol, watch] : watches_) {
    SymbolQuality& quality = report.symbols.emplace(symbol, watch.watch.quality()).first->second;
    const SymbolView view = watch.state.view();
    quality.counts = view.events;
    quality.integrity = view.integrity;
  }
  return report;
}

}  // namespace tapedeck::market
