#include "replay/merge.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <utility>

namespace tapedeck::replay {

namespace {

constexpr std::size_t kChunkEvents = 32;
constexpr std::size_t kReadAheadRecords = 256;
constexpr std::size_t kReadAheadBytes = std::size_t{64} << 20;  ///< of all symbols together
constexpr std::size_t kMinReadAhead = std::size_t{4} << 10;
constexpr std::size_t kMaxReadAhead = std::size_t{1} << 20;
/// Records of several symbols that lie so near each other are read in one go.
constexpr Offset kNear = 16;
constexpr std::size_t kRunRecords = 1024;
constexpr std::size_t kRunBytes = std::size_t{16} << 20;

bool believed(const market::Event& event) { return event.time <= event.feed_time; }

/// For a heap whose front is the first place.
constexpr auto kLater = [](const auto& a, const auto& b) { return b.place < a.place; };

Result<storage::Record> record_at(const storage::TapeReader& tape, const std::string& symbol,
                                  Partition partition, Offset offset,
                                  storage::RecordBlockPtr& block) {
  auto read = tape.read_symbol(symbol, offset, offset + 1, {});
  if (!read) return tl::unexpected(read.error());
  block = *read;
  if (block->records.empty()) {
    return fail(ErrorCode::corrupt,
                fmt::format("record {} of {} is missing", place(partition, offset), symbol));
  }
  return block->records.front();
}

Error unreadable(const storage::Record& record, const Error& error) {
  return {error.code,
          fmt::format("record {} of {}: {}", place(record.partition, record.offset), record.symbol,
                      error.message),
          {}};
}

}  // namespace

Result<TapeMerge> TapeMerge::open(const storage::TapeReader& tape, MergeOptions options) {
  TapeMerge merge(tape);
  for (Partition p = 0; p < tape.partitions(); ++p) {
    const auto end = tape.end(p);
    if (!end) return tl::unexpected(end.error());
    merge.to_.push_back(options.to.empty() ? *end : std::min(options.to[p], *end));
  }
  merge.last_events_ = std::move(options.last_events);
  merge.last_events_.resize(tape.partitions(), SymbolFold::kWholeRecord);
  merge.instant_ = options.instant;
  merge.whole_ = options.to.empty() && options.instant == market::kNever;
  merge.symbols_ = std::move(options.symbols);
  if (merge.symbols_.empty()) {
    auto all = tape.symbols();
    if (!all) return tl::unexpected(all.error());
    merge.symbols_ = std::move(*all);
  }
  std::ranges::sort(merge.symbols_);
  merge.symbols_.erase(std::unique(merge.symbols_.begin(), merge.symbols_.end()),
                       merge.symbols_.end());
  if (auto loaded = merge.load_index(options); !loaded) return tl::unexpected(loaded.error());
  if (auto loaded = merge.load_marks(options); !loaded) return tl::unexpected(loaded.error());
  merge.read_ahead_bytes_ =
      std::clamp(kReadAheadBytes / std::max<std::size_t>(1, merge.symbols_.size()), kMinReadAhead,
                 kMaxReadAhead);
  if (auto done = merge.seek_begin(); !done) return tl::unexpected(done.error());
  return merge;
}

Result<void> TapeMerge::load_index(const MergeOptions& options) {
  std::size_t held = 0;
  for (const auto& symbol : symbols_) {
    Lane lane;
    lane.partition = storage::partition_of(symbol, tape_->partitions());
    const auto entries = tape_->index(symbol, 0, to_[lane.partition]);
    if (!entries) return tl::unexpected(entries.error());
    if (entries->empty()) {
      const auto last = tape_->last_of(symbol);
      if (!last) return tl::unexpected(last.error());
      const auto base = tape_->base_of(symbol);
      if (!base) return tl::unexpected(base.error());
      if (!*last && !*base) {
        return fail(ErrorCode::not_found,
                    fmt::format("no record of symbol '{}' on this tape", symbol), "symbols");
      }
    }
    lane.index.reserve(entries->size());
    for (const auto& entry : *entries) lane.index.push_back({entry.offset, entry.max_event_time});
    lanes_.push_back(std::move(lane));
    held += entries->size();
    if (held > options.max_entries) {
      return fail(ErrorCode::invalid,
                  fmt::format("these symbols have more than {} records on the tape, too many to be "
                              "played together: name fewer symbols",
                              options.max_entries),
                  "symbols");
    }
  }
  return {};
}

Result<void> TapeMerge::load_marks(const MergeOptions& options) {
  std::vector<bool> wanted(tape_->partitions());
  for (const auto& lane : lanes_) wanted[lane.partition] = true;
  std::size_t held = 0;
  for (Partition p = 0; p < tape_->partitions(); ++p) {
    if (!wanted[p]) continue;
    const auto block = tape_->marks(p, 0, to_[p]);
    if (!block) return tl::unexpected(block.error());
    held += (*block)->records.size();
    if (held > options.max_entries) {
      return fail(ErrorCode::invalid,
                  fmt::format("the tape has more than {} time marks", options.max_entries));
    }
    std::map<market::SourceId, std::size_t> lane_of;
    for (const auto& record : (*block)->records) {
      const auto mark = time_mark(record);
      if (!mark) return tl::unexpected(mark.error());
      if (mark->feed_time > instant_) continue;
      const auto [at, fresh] = lane_of.try_emplace(mark->source, marks_.size());
      if (fresh) marks_.push_back({p, mark->source, {}, 0});
      marks_[at->second].marks.push_back(*mark);
    }
  }
  return {};
}

const TapeMerge::MarkLane* TapeMerge::marks_of(Partition partition, market::SourceId source) const {
  const auto found = std::ranges::find_if(marks_, [&](const MarkLane& lane) {
    return lane.partition == partition && lane.source == source;
  });
  return found == marks_.end() ? nullptr : &*found;
}

// ---- one symbol's walk

void TapeMerge::rewind(Lane& lane, std::size_t record) const {
  lane.loaded = record;
  lane.block.reset();
  lane.in_block = lane.block_end = 0;
  lane.left = lane.at = lane.count = lane.message = 0;
  lane.time = market::kNoTime;
  lane.ended = false;
  lane.position = {lane.partition, 0, 0};
}

Result<bool> TapeMerge::next_record(std::uint32_t number) {
  Lane& lane = lanes_[number];
  if (lane.loaded == lane.index.size()) return false;
  if (lane.in_block == lane.block_end) {
    auto block =
        tape_->read_symbol(symbols_[number], lane.index[lane.loaded].offset,
                           lane.index.back().offset + 1, {read_ahead_bytes_, kReadAheadRecords});
    if (!block) return tl::unexpected(block.error());
    if ((*block)->records.empty()) {
      return fail(
          ErrorCode::corrupt,
          fmt::format("record {} of {} is missing",
                      place(lane.partition, lane.index[lane.loaded].offset), symbols_[number]));
    }
    lane.block = std::move(*block);
    lane.in_block = 0, lane.block_end = lane.block->records.size();
  }
  const auto& record = lane.block->records[lane.in_block++];
  ++lane.loaded;
  if (auto opened = lane.reader.open(record.payload); !opened) {
    return tl::unexpected(unreadable(record, opened.error()));
  }
  const bool last = record.offset + 1 == to_[lane.partition];
  lane.left = last ? std::min<std::size_t>(lane.reader.size(), last_events_[lane.partition])
                   : lane.reader.size();
  lane.position = {lane.partition, record.offset, 0};
  return true;
}

/// Decodes until the chunk holds the next message whole.
Result<void> TapeMerge::fill(std::uint32_t number) {
  Lane& lane = lanes_[number];
  lane.message = 0;
  while (!lane.ended && lane.message == 0) {
    std::size_t end = lane.at;
    while (end < lane.count && (lane.chunk[end].flags & market::kMore) != 0) ++end;
    if (end < lane.count) {
      lane.message = end + 1 - lane.at;
      break;
    }
    const std::size_t held = lane.count - lane.at;
    std::copy_n(lane.chunk.begin() + static_cast<std::ptrdiff_t>(lane.at), held,
                lane.chunk.begin());
    lane.at = 0, lane.count = held;
    if (held == lane.chunk.size()) lane.chunk.resize(std::max(kChunkEvents, 2 * held));
    const std::size_t more = std::min(lane.left, lane.chunk.size() - held);
    lane.count += lane.reader.next(std::span(lane.chunk).subspan(held, more));
    lane.left -= more;
    if (more > 0) continue;
    if (held > 0) {  // the message goes on behind the last event that counts
      lane.message = held;
      break;
    }
    const auto there = next_record(number);
    if (!there) return tl::unexpected(there.error());
    lane.ended = !*there;
  }
  for (std::size_t i = 0; i < lane.message; ++i) {
    const auto& event = lane.chunk[lane.at + i];
    if (believed(event)) lane.time = std::max(lane.time, event.time);
  }
  if (lane.message > 0 && lane.time > instant_) lane.message = 0, lane.ended = true;
  return {};
}

void TapeMerge::skip(Lane& lane) const {
  lane.position.index += static_cast<std::uint32_t>(lane.message);
  lane.at += lane.message;
}

TapeMerge::Next TapeMerge::next_of(std::uint32_t symbol) const {
  const Lane& lane = lanes_[symbol];
  if (lane.message > 0 || lane.at < lane.count || lane.left > 0) {
    const auto record = lane.loaded - 1;
    return {lane.position.offset, lane.position.index,
            record > 0 ? lane.index[record - 1].offset + 1 : 0};
  }
  if (lane.index.empty()) return {};
  const auto last = lane.index.back().offset;
  const auto events = last_events_[lane.partition];
  if (last + 1 == to_[lane.partition] && events != SymbolFold::kWholeRecord)
    return {last, events, lane.index.size() > 1 ? lane.index[lane.index.size() - 2].offset + 1 : 0};
  return {last + 1, 0, last + 1};
}

// ---- the order

std::optional<MergePlace> TapeMerge::place_of(std::uint32_t number) const {
  if (number < lanes_.size()) {
    const Lane& lane = lanes_[number];
    if (lane.message == 0) return std::nullopt;
    return MergePlace{lane.time, false, lane.position};
  }
  const MarkLane& lane = marks_[number - lanes_.size()];
  if (lane.next == lane.marks.size()) return std::nullopt;
  const auto& mark = lane.marks[lane.next];
  return MergePlace{mark.feed_time, true, mark.position};
}

void TapeMerge::gather_heads() {
  heap_.clear();
  head_.reset();
  for (std::uint32_t i = 0; i < lanes_.size() + marks_.size(); ++i) {
    if (const auto place = place_of(i)) heap_.push_back({*place, i});
  }
  std::ranges::make_heap(heap_, kLater);
  if (heap_.empty()) return;
  std::ranges::pop_heap(heap_, kLater);
  head_ = heap_.back().place, head_lane_ = heap_.back().lane;
  heap_.pop_back();
}

/// After the head's lane moved on.
void TapeMerge::replace_head() {
  head_ = place_of(head_lane_);
  if (heap_.empty() || (head_ && *head_ < heap_.front().place)) return;
  std::ranges::pop_heap(heap_, kLater);
  const Head first = heap_.back();
  if (head_) {
    heap_.back() = {*head_, head_lane_};
    std::ranges::push_heap(heap_, kLater);
  } else {
    heap_.pop_back();
  }
  head_ = first.place, head_lane_ = first.lane;
}

Result<const MergeItem*> TapeMerge::next() {
  item_.place = *head_;
  if (head_lane_ >= lanes_.size()) {
    MarkLane& lane = marks_[head_lane_ - lanes_.size()];
    item_.mark = lane.marks[lane.next++];
    replace_head();
    return &item_;
  }
  Lane& lane = lanes_[head_lane_];
  const auto first = lane.chunk.begin() + static_cast<std::ptrdiff_t>(lane.at);
  events_.assign(first, first + static_cast<std::ptrdiff_t>(lane.message));
  item_.symbol = head_lane_;
  item_.batch = {lane.reader.source(), {}, lane.position, events_};
  source_name_.assign(lane.reader.source_name());
  item_.batch.source_name = source_name_;
  item_.ends_record = lane.left == 0 && lane.at + lane.message == lane.count;
  skip(lane);
  if (auto filled = fill(head_lane_); !filled) return tl::unexpected(filled.error());
  replace_head();
  return &item_;
}

// ---- seeking

Result<void> TapeMerge::seek_begin() { return seek(market::kNoTime); }

Result<void> TapeMerge::seek(TimeNs time) {
  time = std::min(time, instant_);
  std::vector<std::uint32_t> found;
  for (std::uint32_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    const auto later = time == market::kNoTime
                           ? lane.index.begin()
                           : std::ranges::find_if(lane.index, [time](const Entry& entry) {
                               return entry.max_event_time > time;
                             });
    rewind(lane, static_cast<std::size_t>(later - lane.index.begin()));
    if (later != lane.index.end()) found.push_back(i);
  }
  if (auto loaded = preload(found); !loaded) return loaded;
  for (const auto i : found) {
    do {
      skip(lanes_[i]);
      if (auto filled = fill(i); !filled) return filled;
    } while (lanes_[i].message > 0 && time != market::kNoTime && lanes_[i].time <= time);
  }
  for (auto& lane : marks_) {
    const auto later = std::ranges::partition_point(
        lane.marks, [time](const market::TimeMark& mark) { return mark.feed_time <= time; });
    lane.next = static_cast<std::size_t>(later - lane.marks.begin());
  }
  gather_heads();
  return {};
}

TimeNs TapeMerge::last_event_time() const {
  TimeNs last = market::kNoTime;
  for (const auto& lane : lanes_) {
    for (const auto& entry : lane.index) last = std::max(last, entry.max_event_time);
  }
  return std::min(last, instant_);
}

TimeNs TapeMerge::last_time() const {
  TimeNs last = market::kNoTime;
  for (const auto& lane : marks_) {
    if (!lane.marks.empty()) last = std::max(last, lane.marks.back().feed_time);
  }
  return last != market::kNoTime ? last : last_event_time();
}

Result<TimeNs> TapeMerge::seek(const AtOffset& at, Side side) {
  std::optional<std::uint32_t> owner;
  for (std::uint32_t i = 0; i < lanes_.size() && !owner; ++i) {
    const auto& lane = lanes_[i];
    const auto there = std::ranges::lower_bound(lane.index, at.offset, {}, &Entry::offset);
    const bool here = there != lane.index.end() && there->offset == at.offset;
    if (at.partition == lane.partition && here) owner = i;
  }
  if (!owner) {
    return fail(
        ErrorCode::out_of_range,
        fmt::format("{} is no record of these symbols", place(at.partition.value_or(0), at.offset)),
        "at");
  }
  const auto index = at.index.value_or(side == Side::behind ? SymbolFold::kWholeRecord : 0);
  const auto time = time_at(*owner, at.offset, index);
  if (!time) return time;
  const bool none = *time == market::kNoTime;
  if (auto done = none ? seek_begin() : seek(*time - 1); !done) return tl::unexpected(done.error());
  const MergePlace there{*time, false, {lanes_[*owner].partition, at.offset, index}};
  while (head_ && (*head_ < there || (side == Side::behind && *head_ == there))) {
    if (const auto taken = next(); !taken) return tl::unexpected(taken.error());
  }
  return time;
}

/// Highest believed time of the record's events up to `index`.
Result<TimeNs> TapeMerge::time_in(std::uint32_t lane, Offset offset, std::uint32_t index) const {
  storage::RecordBlockPtr block;
  const auto record = record_at(*tape_, symbols_[lane], lanes_[lane].partition, offset, block);
  if (!record) return tl::unexpected(record.error());
  schemas::BatchReader reader;
  if (auto opened = reader.open(record->payload); !opened)
    return tl::unexpected(unreadable(*record, opened.error()));
  std::vector<market::Event> events(reader.size());
  events.resize(reader.next(events));
  TimeNs time = market::kNoTime;
  for (std::size_t i = 0; i < events.size() && i <= index; ++i)
    if (believed(events[i])) time = std::max(time, events[i].time);
  return time;
}

/// The time that the symbol has reached with this event.
Result<TimeNs> TapeMerge::time_at(std::uint32_t lane, Offset offset, std::uint32_t index) const {
  auto time = time_in(lane, offset, index);
  if (!time) return time;
  std::vector<Entry> before;
  for (const auto& entry : lanes_[lane].index) {
    if (entry.offset < offset && entry.max_event_time > *time) before.push_back(entry);
  }
  std::ranges::sort(before, std::greater{}, &Entry::max_event_time);
  for (const auto& entry : before) {
    if (entry.max_event_time <= *time) break;
    const auto there = time_in(lane, entry.offset, SymbolFold::kWholeRecord);
    if (!there) return there;
    time = std::max(*time, *there);
  }
  return time;
}

/// Reads the next record of each of these, those that lie near each other together.
Result<void> TapeMerge::preload(std::vector<std::uint32_t> lanes) {
  const auto wanted = [this](std::uint32_t i) {
    return std::pair(lanes_[i].partition, lanes_[i].index[lanes_[i].loaded].offset);
  };
  std::ranges::sort(lanes, {}, wanted);
  for (std::size_t first = 0, last = 0; first < lanes.size(); first = last) {
    const auto [partition, from] = wanted(lanes[first]);
    Offset to = from;
    for (last = first + 1; last < lanes.size(); ++last) {
      const auto [other, offset] = wanted(lanes[last]);
      if (other != partition || offset > to + kNear || offset - from >= kRunRecords) break;
      to = offset;
    }
    if (last - first < 2) continue;
    auto block = tape_->read(partition, from, {kRunBytes, to - from + 1});
    if (!block) return tl::unexpected(block.error());
    for (auto i = first; i < last; ++i) {
      Lane& lane = lanes_[lanes[i]];
      const auto offset = lane.index[lane.loaded].offset;
      const auto at =
          std::ranges::lower_bound((*block)->records, offset, {}, &storage::Record::offset);
      if (at == (*block)->records.end() || at->offset != offset) continue;
      lane.block = *block;
      lane.in_block = static_cast<std::size_t>(at - (*block)->records.begin());
      lane.block_end = lane.in_block + 1;
    }
  }
  return {};
}

}  // namespace tapedeck::replay
