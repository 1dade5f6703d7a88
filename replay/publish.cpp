#include "replay/publish.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace tapedeck::replay {

namespace {

/// A record is ended after so many events, at the end of a message.
constexpr std::size_t kMaxEvents = 4096;
constexpr std::size_t kEventBytes = 24;

}  // namespace

Result<Publisher> Publisher::open(const storage::TapeReader& from, storage::TapeWriter& to) {
  for (Partition p = 0; p < to.reader().partitions(); ++p) {
    const auto end = to.reader().end(p);
    if (!end) return tl::unexpected(end.error());
    if (*end == 0) continue;
    return fail(ErrorCode::conflict,
                "what is published to holds records already: expected an empty tape", "publish");
  }
  Publisher publisher(to);
  const auto sources = from.sources();
  if (!sources) return tl::unexpected(sources.error());
  for (const auto& source : *sources)
    publisher.sources_[market::source_id(source.name)] = {source.name, source.complete,
                                                          market::kNoTime, market::kNoTime};
  return publisher;
}

void Publisher::take(const Told& told) {
  if (told.events.empty()) return;
  const auto& symbol = told.fold.state().symbol();
  const auto known = newest_.find(symbol);
  auto* pending = known == newest_.end() ? nullptr : &pending_[known->second];
  if (pending == nullptr || pending->source != told.source ||
      pending->events.size() >= kMaxEvents) {
    newest_.insert_or_assign(symbol, pending_.size());
    pending = &pending_.emplace_back(Pending{symbol, told.source, {}, {}});
  }
  auto& source = sources_[told.source];
  for (const auto& event : told.events) {
    if (event.kind == market::EventKind::session) pending->source_name = told.source_name;
    if (event.feed_time < source.marked && !untrue_) {
      untrue_ = Error{
          ErrorCode::invalid,
          fmt::format("{} goes back in time at {}: an earlier session stands behind a "
                      "later one, which cannot be published in the order of time",
                      symbol, place(told.place.position.partition, told.place.position.offset)),
          "publish"};
    }
    if (event.time <= event.feed_time)
      source.feed_time = std::max(source.feed_time, event.feed_time);
  }
  pending->events.insert(pending->events.end(), told.events.begin(), told.events.end());
  waiting_ += kEventBytes * told.events.size();
}

void Publisher::take(const market::TimeMark& mark) {
  auto& source = sources_[mark.source];
  source.feed_time = std::max(source.feed_time, mark.feed_time);
}

Result<void> Publisher::flush(TimeNs reached) { return write(reached, false, false); }

Result<void> Publisher::finish(TimeNs reached, bool whole) { return write(reached, whole, true); }

Result<void> Publisher::write(TimeNs reached, bool whole, bool last) {
  if (untrue_) return tl::unexpected(*untrue_);
  std::vector<std::vector<std::byte>> payloads;
  std::vector<storage::NewRecord> records;
  payloads.reserve(pending_.size());
  for (const auto& one : pending_) {
    const auto bytes = encoder_.encode(one.source, one.source_name, one.events);
    if (!bytes) return tl::unexpected(bytes.error());
    payloads.emplace_back(bytes->begin(), bytes->end());
    const auto newest = std::ranges::max(one.events, {}, &market::Event::time).time;
    records.push_back(
        {one.symbol, payloads.back(), static_cast<std::uint32_t>(one.events.size()), newest});
  }
  std::vector<storage::NewMark> marks;
  for (const auto& [id, source] : sources_) {
    const auto time = std::min(source.feed_time, reached);
    const bool complete = last && whole && source.complete;
    if (source.feed_time == market::kNoTime || (time <= source.marked && !complete)) continue;
    for (Partition p = 0; p < to_->reader().partitions(); ++p)
      marks.push_back({p, {id, source.name, time, 0, 0, complete}});
  }
  if (records.empty() && marks.empty()) return {};
  if (auto appended = to_->append(records, marks); !appended) return appended;
  for (const auto& mark : marks) sources_[mark.mark.source].marked = mark.mark.feed_time;
  pending_.clear();
  newest_.clear();
  waiting_ = 0;
  return last ? to_->sync() : Result<void>();
}

}  // namespace tapedeck::replay
