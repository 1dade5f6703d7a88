#include "storage/recorder.hpp"

#include <algorithm>
#include <span>

namespace tapedeck::storage {

using market::Event;
using market::FeedBatch;
using market::kNoTime;
using market::Sequence;
using market::Sequencing;
using market::SymbolIndex;

namespace {

constexpr std::size_t kBytesPerEvent = 24;
/// Buffers that together have grown beyond this many times the linger are given back.
constexpr std::uint64_t kMaxSlack = 4;
constexpr std::uint64_t kReleaseCheckEvents = 1 << 21;
/// Thousands of symbols: the place where an event goes is in no cache, unless it is asked for so
/// many events before.
constexpr std::size_t kPrefetch = 12;

bool message_ends(const FeedBatch& batch, std::size_t i, Sequencing sequencing) {
  if (i + 1 == batch.events.size()) return true;
  // A message about the whole market is one event for each symbol, all with its number.
  if (sequencing == Sequencing::message_number)
    return batch.events[i + 1].event.sequence != batch.events[i].event.sequence;
  return (batch.events[i].event.flags & market::kMore) == 0;
}

/// The last message end at or before `count`, or the first one at all.
std::size_t cut_at_message(std::span<const Event> events, std::size_t count) {
  if (count >= events.size()) return events.size();
  auto open = [&](std::size_t end) { return (events[end - 1].flags & market::kMore) != 0; };
  std::size_t end = count;
  while (end > 0 && open(end)) --end;
  if (end > 0) return end;
  end = std::max<std::size_t>(count, 1);
  while (end < events.size() && open(end)) ++end;
  return end;
}

TimeNs highest_time(std::span<const Event> events) {
  TimeNs highest = kNoTime;
  for (const Event& event : events) highest = std::max(highest, event.time);
  return highest;
}

/// Highest sequence in the payload.
Sequence highest_sequence(schemas::BatchReader& reader) {
  Sequence highest = 0;
  Event buffer[64];
  while (const std::size_t count = reader.next(buffer)) {
    for (std::size_t i = 0; i < count; ++i) highest = std::max(highest, buffer[i].sequence);
    if (count < 64) break;
  }
  return highest;
}

}  // namespace

Recorder::Recorder(TapeWriter& writer, RecorderOptions options)
    : writer_(&writer),
      options_(std::move(options)),
      source_(market::source_id(options_.source_name)) {
  const std::uint64_t by_bytes = std::max<std::uint64_t>(options_.linger_bytes / kBytesPerEvent, 1);
  limit_ = std::clamp<std::uint64_t>(options_.linger_events, 1, by_bytes);
  record_events_ = std::clamp<std::size_t>(options_.max_record_bytes / kBytesPerEvent, 1,
                                           schemas::kMaxBatchEvents);
}

Result<Recorder> Recorder::open(TapeWriter& writer, RecorderOptions options) {
  if (options.source_name.empty())
    return fail(ErrorCode::invalid, "a source needs a name", "source_name");
  Recorder recorder(writer, std::move(options));
  if (auto found = recorder.find_source(); !found) return tl::unexpected(found.error());
  return recorder;
}

Result<void> Recorder::find_source() {
  partitions_ = writer_->reader().partitions();
  resume_cursor_.assign(partitions_, 0);
  resume_bytes_.assign(partitions_, 0);
  auto sources = writer_->reader().sources();
  if (!sources) return tl::unexpected(sources.error());
  for (const SourceInfo& info : *sources) {
    if (info.name != options_.source_name) continue;
    already_recorded_ = info.complete;
    resuming_ = true;
    for (std::size_t p = 0; p < info.marks.size() && p < partitions_; ++p)
      if (info.marks[p])
        resume_cursor_[p] = info.marks[p]->cursor_messages,
        resume_bytes_[p] = info.marks[p]->cursor_bytes;
  }
  resume_min_ = *std::min_element(resume_cursor_.begin(), resume_cursor_.end());
  return {};
}

Result<void> Recorder::failed(Error error) {
  error_ = error;
  return tl::unexpected(std::move(error));
}

Result<void> Recorder::add(const FeedBatch& batch) {
  if (error_) return tl::unexpected(*error_);
  if (already_recorded_) return {};
  if (auto done = take_dead_letters(batch); !done) return failed(done.error());
  name_symbols(batch);
  if (auto done = take_events(batch); !done) return failed(done.error());
  read_ = {batch.messages, batch.bytes, batch.feed_time};
  if (pending_ == 0) flushed_ = read_;
  return {};
}

Result<void> Recorder::take_dead_letters(const FeedBatch& batch) {
  for (const market::FeedDeadLetter& letter : batch.dead_letters) {
    auto done = writer_->append(
        RecorderDeadLetter{options_.source_name, letter.byte_offset, letter.reason, letter.bytes});
    if (!done) return done;
    ++stats_.dead_letters;
  }
  return {};
}

void Recorder::name_symbols(const FeedBatch& batch) {
  for (const std::string& name : batch.new_symbols) {
    const bool wanted = options_.symbols.empty() || options_.symbols.contains(name);
    slots_.push_back({{}, wanted ? Stage::fresh : Stage::filtered});
    symbols_.push_back({name, partition_of(name, partitions_), false, 0});
  }
}

Result<void> Recorder::take_events(const FeedBatch& batch) {
  const std::size_t count = batch.events.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto& [symbol, event] = batch.events[i];
    if (i + kPrefetch < count) prefetch_buffer(batch.events[i + kPrefetch].symbol);
    if (symbol >= slots_.size())
      return fail(ErrorCode::invalid,
                  "the feed never named the symbol with index " + std::to_string(symbol));
    Slot& slot = slots_[symbol];
    bool keep = true;
    if (slot.stage != Stage::active) {
      auto admitted = admit(symbol, event);
      if (!admitted) return tl::unexpected(admitted.error());
      keep = *admitted;
    }
    if (keep) {
      if (slot.buffer.empty()) touched_.push_back(symbol);
      if (pending_++ == 0) pending_since_ = now_;
      slot.buffer.push_back(event);
    }
    if (pending_ < limit_ || !message_ends(batch, i, options_.sequencing)) continue;
    // The number of the message is known only where it is the sequence; elsewhere the cursor stays
    // at the last batch.
    if (options_.sequencing == Sequencing::message_number) read_.messages = event.sequence;
    read_.feed_time = std::max(read_.feed_time, event.feed_time);
    if (auto done = flush(); !done) return done;
  }
  return {};
}

void Recorder::prefetch_buffer(SymbolIndex symbol) const noexcept {
  if (symbol >= slots_.size()) return;
  const auto& buffer = slots_[symbol].buffer;
  if (buffer.size() == buffer.capacity()) return;
  const char* end = reinterpret_cast<const char*>(buffer.data() + buffer.size());
  __builtin_prefetch(end, 1);
  __builtin_prefetch(end + sizeof(Event) - 1, 1);
}

/// Whether an event of a symbol that is not active yet goes to the tape.
Result<bool> Recorder::admit(SymbolIndex symbol, const Event& event) {
  Slot& slot = slots_[symbol];
  SymbolInfo& info = symbols_[symbol];
  if (slot.stage == Stage::filtered) {
    ++stats_.filtered;
    return false;
  }
  const bool numbered = options_.sequencing == Sequencing::message_number;
  if (slot.stage == Stage::fresh && resuming_) {
    if (numbered && event.sequence <= resume_cursor_[info.partition]) {
      ++stats_.passed_over;
      return false;
    }
    if (auto done = look_up(symbol); !done) return tl::unexpected(done.error());
    slot.stage = Stage::passing;
  }
  if (slot.stage == Stage::passing) {
    if (numbered ? event.sequence <= info.pass : info.pass > 0) {
      if (!numbered) --info.pass;
      ++stats_.passed_over;
      return false;
    }
  }
  slot.stage = Stage::active;
  if (!info.has_session) {
    Event session;
    session.kind = market::EventKind::session;
    // An event whose time is not believed is refused; the session it opens is not.
    session.time = std::min(event.time, event.feed_time), session.feed_time = event.feed_time,
    session.receive_time = event.receive_time;
    session.sequence = event.sequence;
    session.flags = market::kMore;
    session.other = source_;
    session.code = static_cast<std::uint8_t>(options_.sequencing);
    info.has_session = true;
    touched_.push_back(symbol);
    slot.buffer.push_back(session);
    ++pending_sessions_;
  }
  return true;
}

/// What an interrupted recording left of this symbol.
Result<void> Recorder::look_up(SymbolIndex symbol) {
  SymbolInfo& info = symbols_[symbol];
  const TapeReader& reader = writer_->reader();
  auto last = reader.last_of(info.name);
  if (!last) return tl::unexpected(last.error());
  const auto base = reader.base_of(info.name);
  if (!base) return tl::unexpected(base.error());
  if (*base) take_base(info, **base);
  if (!*last) return {};
  const Offset offset = (*last)->offset;
  auto block = reader.read_symbol(info.name, offset, offset + 1, {});
  if (!block) return tl::unexpected(block.error());
  for (const Record& record : (*block)->records) {
    schemas::BatchReader batch;
    if (auto done = batch.open(record.payload); !done) return done;
    info.has_session = batch.source() == source_;
    if (info.has_session && options_.sequencing == Sequencing::message_number) {
      info.pass = std::max<std::uint64_t>(info.pass, highest_sequence(batch));
      return {};
    }
  }
  return scan_symbol(info);
}

/// What its trimmed records told.
void Recorder::take_base(SymbolInfo& info, const SymbolBase& base) const {
  for (const auto& one : base.recorded) {
    if (one.source != source_) continue;
    info.pass =
        options_.sequencing == Sequencing::message_number ? one.highest_sequence : one.events;
    info.has_session = true;
  }
  // Whether its session is still open is told by the last record, if there is one.
  if (const auto snapshot = schemas::decode_snapshot(std::as_bytes(std::span(base.snapshot.bytes))))
    info.has_session = info.has_session && snapshot->source == source_;
}

/// The slow way, where the last record does not tell: another source was recorded since, or
/// sequences start anew.
Result<void> Recorder::scan_symbol(SymbolInfo& info) {
  const TapeReader& reader = writer_->reader();
  auto end = reader.end(info.partition);
  if (!end) return tl::unexpected(end.error());
  for (Offset from = 0; from < *end;) {
    auto block = reader.read_symbol(info.name, from, *end, {});
    if (!block) return tl::unexpected(block.error());
    if ((*block)->records.empty()) break;
    for (const Record& record : (*block)->records) {
      schemas::BatchReader batch;
      if (auto done = batch.open(record.payload); !done) return done;
      if (batch.source() != source_) continue;
      if (options_.sequencing == Sequencing::message_number)
        info.pass = std::max<std::uint64_t>(info.pass, highest_sequence(batch));
      else
        info.pass += batch.size() -
                     (batch.source_name().empty() ? 0 : 1);  // a session event is not the feed's
    }
    from = (*block)->records.back().offset + 1;
  }
  return {};
}

Result<void> Recorder::tick(TimeNs now_ns) {
  if (error_) return tl::unexpected(*error_);
  if (already_recorded_) return {};
  now_ = now_ns;
  if (options_.linger_time > 0 && pending_ > 0 && now_ - pending_since_ >= options_.linger_time)
    if (auto done = flush(); !done) return failed(done.error());
  const bool moved = flushed_ != marked_ && flushed_.feed_time != kNoTime;
  if (options_.mark_interval > 0 && moved && now_ - marked_at_ >= options_.mark_interval) {
    drafts_.clear();
    if (auto done = append(true, false); !done) return failed(done.error());
  }
  return {};
}

Result<void> Recorder::finish() {
  if (error_) return tl::unexpected(*error_);
  if (already_recorded_) return {};
  if (auto done = flush(); !done) return failed(done.error());
  drafts_.clear();
  if (auto done = append(true, true); !done) return failed(done.error());
  if (auto done = writer_->sync(); !done) return failed(done.error());
  already_recorded_ = true;
  return {};
}

Result<void> Recorder::suspend() {
  if (error_) return tl::unexpected(*error_);
  if (already_recorded_) return {};
  if (auto done = flush(); !done) return failed(done.error());
  if (flushed_ != marked_ && flushed_.feed_time != kNoTime) {
    drafts_.clear();
    if (auto done = append(true, false); !done) return failed(done.error());
  }
  if (auto done = writer_->sync(); !done) return failed(done.error());
  return {};
}

/// Appends everything pending: what was read up to now is on the tape afterwards.
Result<void> Recorder::flush() {
  flushed_ = read_;
  if (pending_ == 0) return {};
  arena_.clear();
  drafts_.clear();
  for (const SymbolIndex symbol : touched_)
    if (auto done = encode_symbol(symbol); !done) return done;
  stats_.events += pending_;
  const bool due = marks_due();
  if (auto done = append(due, false); !done) {
    stats_.events -= pending_;
    return done;
  }
  ++stats_.flushes;
  stats_.sessions += pending_sessions_;
  for (const SymbolIndex symbol : touched_) slots_[symbol].buffer.clear();
  touched_.clear();
  since_release_ += pending_;
  pending_ = pending_sessions_ = 0;
  if (since_release_ >= std::max(kReleaseCheckEvents, 8 * limit_)) release_buffers();
  return {};
}

Result<void> Recorder::encode_symbol(SymbolIndex symbol) {
  const SymbolInfo& info = symbols_[symbol];
  std::span<const Event> rest = slots_[symbol].buffer;
  std::size_t guess = record_events_;
  while (!rest.empty()) {
    const std::size_t count = cut_at_message(rest, guess);
    const auto events = rest.first(count);
    const bool session = events.front().kind == market::EventKind::session;
    const auto name = session ? std::string_view(options_.source_name) : std::string_view();
    auto payload = encoder_.encode(source_, name, events);
    const bool too_large = payload ? payload->size() > options_.max_record_bytes : true;
    if (too_large) {
      const std::size_t fewer = count > 1 ? cut_at_message(rest, count / 2) : count;
      if (fewer < count) {
        guess = count / 2;
        continue;
      }
      if (!payload)
        return fail(payload.error().code, "symbol " + info.name + ", message " +
                                              std::to_string(events.front().sequence) + ": " +
                                              payload.error().message);
    }
    drafts_.push_back({symbol, static_cast<std::uint32_t>(count), highest_time(events),
                       arena_.size(), payload->size()});
    arena_.insert(arena_.end(), payload->begin(), payload->end());
    rest = rest.subspan(count);
    guess = record_events_;
  }
  return {};
}

bool Recorder::marks_due() const noexcept {
  if (!any_marks_) return true;  // without marks an interrupted recording would not be found again
  if (options_.mark_interval > 0) return now_ - marked_at_ >= options_.mark_interval;
  return stats_.events - events_at_mark_ >= options_.mark_events;
}

/// One atomic append: the drafts, then marks that tell `flushed_`.
Result<void> Recorder::append(bool with_marks, bool complete) {
  records_.clear();
  marks_.clear();
  std::uint64_t bytes = 0;
  for (const Draft& draft : drafts_) {
    records_.push_back({symbols_[draft.symbol].name,
                        std::span(arena_).subspan(draft.offset, draft.size), draft.events,
                        draft.max_time});
    bytes += draft.size;
  }
  if (with_marks) {
    const TimeNs feed_time = flushed_.feed_time == kNoTime ? 0 : flushed_.feed_time;
    for (Partition p = 0; p < partitions_; ++p) {
      if (flushed_.messages < resume_cursor_[p]) continue;  // an older mark says more
      const std::uint64_t read_bytes = std::max(flushed_.bytes, resume_bytes_[p]);
      marks_.push_back(
          {p, {source_, options_.source_name, feed_time, flushed_.messages, read_bytes, complete}});
    }
  }
  if (records_.empty() && marks_.empty()) return {};
  if (auto done = writer_->append(records_, marks_); !done) return done;
  stats_.records += records_.size();
  stats_.payload_bytes += bytes;
  stats_.marks += marks_.size();
  if (!marks_.empty()) {
    any_marks_ = true;
    marked_ = flushed_;
    marked_at_ = now_;
    events_at_mark_ = stats_.events;
  }
  return {};
}

void Recorder::release_buffers() {
  since_release_ = 0;
  std::uint64_t reserved = 0;
  for (const Slot& slot : slots_) reserved += slot.buffer.capacity();
  if (reserved <= kMaxSlack * std::max<std::uint64_t>(limit_, kReleaseCheckEvents / 8)) return;
  for (Slot& slot : slots_)
    if (slot.buffer.empty()) std::vector<Event>().swap(slot.buffer);
}

}  // namespace tapedeck::storage
