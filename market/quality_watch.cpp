#include "market/quality_watch.hpp"

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

/// `a` - `b`; times are hostile, so it ends where the range does.
TimeNs apart(TimeNs a, TimeNs b) noexcept {
  TimeNs result;
  if (!__builtin_sub_overflow(a, b, &result)) return result;
  return a < b ? kNoTime : kNever;
}

}  // namespace

std::string_view name(Finding finding) noexcept {
  return kNames[static_cast<std::size_t>(finding)];
}

bool QualityWatch::is_market_event(EventKind kind) noexcept {
  return kind != EventKind::session && kind != EventKind::instrument;
}

void QualityWatch::found(Finding finding, std::int64_t value) noexcept {
  found_ |= bit(finding);
  values_[static_cast<std::size_t>(finding)] = value;
  note(finding);
}

/// Of an event of whose fields none but the event time can be a finding.
bool QualityWatch::tells_only_time(const Event& event) const noexcept {
  const bool of_an_order = event.kind >= EventKind::add && event.kind <= EventKind::level;
  return of_an_order && event.time <= event.feed_time &&
         (event.receive_time == 0 || event.receive_time >= event.time);
}

void QualityWatch::look_at(std::span<const Event> events) {
  const bool compares = !seen_.empty();
  for (const Event& event : events) {
    // Nearly every event: a little later than the one before.
    const auto gap =
        static_cast<std::uint64_t>(event.time) - static_cast<std::uint64_t>(quality_.last_time);
    if (gap < remarkable_gap_ && !compares && tells_only_time(event)) [[likely]] {
      ++quality_.events;
      quality_.last_time = event.time;
    } else if (is_market_event(event.kind)) {
      (void)look_at(event);
    }
  }
}

std::uint32_t QualityWatch::look_at(const Event& event) {
  found_ = 0;
  ++quality_.events;
  // Else it is refused, and tells nothing about time.
  if (event.time <= event.feed_time) look_at_gaps(event);
  if (!seen_.empty()) {
    const std::uint64_t print = fingerprint(event);
    Seen& slot = seen_[(print >> 8) & (seen_.size() - 1)];
    if (slot.print == print && quality_.events - slot.ordinal <= settings_->fingerprints)
      found(Finding::duplicate, 0);
    slot = {print, quality_.events};
  }
  if (event.receive_time != 0 && event.receive_time < event.time)
    found(Finding::skew, apart(event.receive_time, event.time));
  if (event.kind == EventKind::trade) look_at_trade(event);
  if (event.kind == EventKind::quote) look_at_quote(event);
  return found_;
}

void QualityWatch::look_at_gaps(const Event& event) {
  if (quality_.last_time != kNoTime) {
    const TimeNs gap = apart(event.time, quality_.last_time);
    if (gap < 0) found(Finding::backwards, gap);
    if (gap > settings_->gap_scales[0]) {
      for (std::size_t i = 0; i < kGapScales; ++i)
        quality_.gaps[i] += gap > settings_->gap_scales[i] ? 1 : 0;
      found(Finding::time_gap, gap);
    }
    if (gap > quality_.longest_gap) {
      quality_.longest_gap = gap;
      quality_.longest_gap_at = quality_.last_time;
      remarkable_gap_ = static_cast<std::uint64_t>(std::min(gap, settings_->gap_scales[0])) + 1;
    }
  }
  quality_.first_time = std::min(quality_.first_time, event.time);
  quality_.last_time = std::max(quality_.last_time, event.time);
}

void QualityWatch::look_at_trade(const Event& event) {
  quality_.low = quality_.trades == 0 ? event.price : std::min(quality_.low, event.price);
  quality_.high = quality_.trades == 0 ? event.price : std::max(quality_.high, event.price);
  ++quality_.trades;
  const TimeNs quoted_before = apart(event.time, quote_time_);
  if (quote_time_ != kNoTime && quoted_before > settings_->stale_after)
    found(Finding::stale_quote, quoted_before);
  const std::size_t wanted = settings_->outlier_trades;
  if (recent_.size() == wanted) {
    // |price * n - sum| > sum * ppm / 10^6, without dividing.
    const auto n = static_cast<Int128>(wanted);
    Int128 off = Int128{event.price} * n - recent_sum_;
    if (off < 0) off = -off;
    const Int128 sum = recent_sum_ < 0 ? -recent_sum_ : recent_sum_;
    if (off * 1'000'000 > sum * settings_->outlier_ppm)  // it does not move the mean
      return found(Finding::outlier, static_cast<std::int64_t>(recent_sum_ / n));
    recent_sum_ -= recent_[oldest_];
    recent_[oldest_] = event.price;
    oldest_ = (oldest_ + 1) % wanted;
  } else {
    recent_.push_back(event.price);
  }
  recent_sum_ += event.price;
}

void QualityWatch::look_at_quote(const Event& event) {
  ++quality_.quotes;
  quote_time_ = std::max(quote_time_, event.time);
  if (event.side == Side::bid) bid_ = event.price, bid_size_ = event.size;
  if (event.side == Side::ask) ask_ = event.price, ask_size_ = event.size;
  // A message may bring both sides: judged when it is whole.
  const bool both = bid_size_ > 0 && ask_size_ > 0 && (event.flags & kMore) == 0;
  if (both && bid_ > ask_) found(Finding::crossed_quote, bid_ - ask_);
  if (both && bid_ == ask_) found(Finding::locked_quote, 0);
}

}  // namespace tapedeck::market
