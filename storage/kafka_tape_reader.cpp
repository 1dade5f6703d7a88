#include "storage/kafka_tape_reader.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <thread>

#include "storage/errors.hpp"
#include "storage/frame.hpp"
#include "storage/kafka_record.hpp"
#include "storage/kafka_topics.hpp"

namespace tapedeck::storage {
namespace {

constexpr int kAskMs = 2'000;  // one question of a refresh
// A broker that ends or has just started knows no topics for a moment.
constexpr std::chrono::seconds kUnknownFor{10};
constexpr int kPatienceMs = 100;   // a block that is not full waits so long for more
constexpr Offset kRunGap = 64;     // a symbol's records so near to each other are read in one go
constexpr Offset kStretch = 1024;  // a run so long is read as all else is
constexpr auto kCountEvery = std::chrono::seconds(5);
constexpr auto kLookAgain = std::chrono::microseconds(500);
constexpr ReadLimits kIndexLimits{std::size_t{16} << 20, 1u << 16};
constexpr ReadLimits kEverything{std::numeric_limits<std::size_t>::max(),
                                 std::numeric_limits<std::size_t>::max()};

bool possible(std::string_view symbol) {
  return !symbol.empty() && symbol.size() <= kMaxSymbolBytes && symbol.find('\0') == symbol.npos;
}

}  // namespace

Result<std::unique_ptr<KafkaTapeReader>> KafkaTapeReader::open(const KafkaOptions& options) {
  const auto partitions = options.partitions;
  std::unique_ptr<KafkaTapeReader> reader(new KafkaTapeReader(options));
  auto streams = KafkaStreams::open(options, options.topic, partitions);
  if (!streams) return tl::unexpected(streams.error());
  reader->streams_ = std::move(*streams);
  auto jumps = KafkaStreams::open(options, options.topic, partitions, KafkaStreams::Use::jumps);
  if (!jumps) return tl::unexpected(jumps.error());
  reader->jumps_ = std::move(*jumps);
  // An index of other records than these would give others again.
  const auto tape =
      options.topic + (options.codec->foreign() ? " as " + to_text(*options.codec) : std::string());
  auto index = options.state.empty() ? make_temporary_index(partitions)
                                     : open_tape_index(options.state, tape, partitions);
  if (!index && index.error().code == ErrorCode::conflict && index.error().field.empty())
    index = open_index_beside(options.state, tape, partitions);
  if (!index) return tl::unexpected(index.error());
  reader->index_ = std::move(*index);
  const auto ends = reader->streams_->offsets(KafkaStreams::Edge::end, kFirstAnswerMs);
  if (!ends) return tl::unexpected(ends.error());
  for (Partition p = 0; p < partitions; ++p) {
    const Offset indexed = reader->index_->next(p);
    reader->parts_[p].end = indexed;
    if ((*ends)[p] >= indexed) continue;
    return fail(ErrorCode::conflict,
                at(options.topic, p, static_cast<std::int64_t>((*ends)[p])) +
                    " is the topic's end, but the index in " + options.state + " has read up to " +
                    std::to_string(indexed) +
                    ": the topic was made anew since. Delete the folder, it is made again",
                "state");
  }
  if (auto ok = reader->look(*ends); !ok) return tl::unexpected(ok.error());
  reader->count_checked_ = Clock::now();
  return reader;
}

Result<void> KafkaTapeReader::check(Partition partition) const {
  if (partition < parts_.size()) return {};
  return fail(ErrorCode::out_of_range,
              "partition " + std::to_string(partition) + " does not exist: the tape has " +
                  std::to_string(parts_.size()),
              "partition");
}

Error KafkaTapeReader::missing(Partition partition, Offset offset) const {
  return {ErrorCode::corrupt,
          "record " + at(options_.topic, partition, static_cast<std::int64_t>(offset)) +
              " is missing: the index knows it, the brokers do not bring it",
          {}};
}

Result<Offset> KafkaTapeReader::end(Partition partition) const {
  return check(partition).map([&] { return parts_[partition].end.load(); });
}

Result<RecordBlockPtr> KafkaTapeReader::read(Partition partition, Offset from,
                                             ReadLimits limits) const {
  if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
  const Offset end = parts_[partition].end;
  if (from >= end) return BlockBuilder(0).finish();
  auto foreign = begin_pass(partition, from);
  if (!foreign) return tl::unexpected(foreign.error());
  const std::uint64_t most = std::min<std::uint64_t>(end - from, limits.records);
  BlockBuilder block(std::min(limits.bytes, most * std::size_t{8} << 10));
  const auto done = streams_->read(
      partition, from, end, kPatienceMs, [&](const rd_kafka_message_t& message) -> Result<bool> {
        if (auto added = add(partition, message, *foreign, true, block); !added)
          return tl::unexpected(added.error());
        return block.bytes() < limits.bytes && block.records() < limits.records;
      });
  // What is good before a bad record is handed out; the next call names the bad one.
  if (!done && block.records() == 0) {
    if (done.error().field == kLostField)
      return read_past_marker(partition, from, limits, done.error());
    return tl::unexpected(done.error());
  }
  auto finished = block.finish();
  if (auto ok = take_in(partition, from, *finished); !ok) return tl::unexpected(ok.error());
  return finished;
}

/// An append's records stand before the mark of its transaction: where one offset alone is missing,
/// no record is.
bool KafkaTapeReader::only_marker(Offset from, Offset first) const {
  return first == from + 1 && !options_.codec->foreign();
}

/// Retention may have cut as far as the mark behind the last record that was read.
Result<RecordBlockPtr> KafkaTapeReader::read_past_marker(Partition partition, Offset from,
                                                         ReadLimits limits,
                                                         const Error& lost) const {
  const auto firsts = streams_->offsets(KafkaStreams::Edge::first, kAskMs);
  if (!firsts) return tl::unexpected(firsts.error());
  if (!only_marker(from, (*firsts)[partition])) return tl::unexpected(lost);
  return read(partition, from + 1, limits);
}

/// What a foreign topic's messages stand behind has to be in the index.
Result<std::optional<ForeignPass>> KafkaTapeReader::begin_pass(Partition partition,
                                                               Offset from) const {
  if (!options_.codec->foreign()) return std::optional<ForeignPass>{};
  if (auto ok = ensure_indexed(partition, from); !ok) return tl::unexpected(ok.error());
  auto pass = ForeignPass::begin(options_, *index_, partition, from);
  if (!pass) return tl::unexpected(pass.error());
  return std::optional(std::move(*pass));
}

/// The message's record; `marks`: and the mark that a foreign one is taken for.
Result<void> KafkaTapeReader::add(Partition partition, const rd_kafka_message_t& message,
                                  std::optional<ForeignPass>& foreign, bool marks,
                                  BlockBuilder& block) const {
  if (foreign) return foreign->add(message, block, marks);
  const auto record = open_message(options_.topic, partition, message);
  if (!record) return tl::unexpected(record.error());
  block.add(*record);
  return {};
}

/// Whoever reads on where the index ends brings it forward.
Result<void> KafkaTapeReader::take_in(Partition partition, Offset from,
                                      const RecordBlock& block) const {
  if (block.records.empty()) return {};
  const Offset next = block.records.back().offset + 1;
  if (next <= index_->next(partition)) return {};
  const std::lock_guard lock(parts_[partition].indexing);
  const Offset indexed = index_->next(partition);
  if (from > indexed || next <= indexed) return {};
  const auto first = std::ranges::partition_point(
      block.records, [&](const Record& record) { return record.offset < indexed; });
  return index_->add(partition, std::span(first, block.records.end()), next);
}

Result<void> KafkaTapeReader::ensure_indexed(Partition partition, Offset to) const {
  to = std::min(to, parts_[partition].end.load());
  while (index_->next(partition) < to) {
    const auto block = read(partition, index_->next(partition), kIndexLimits);
    if (!block) return tl::unexpected(block.error());
    if ((*block)->records.empty())
      return tl::unexpected(missing(partition, index_->next(partition)));
  }
  return {};
}

Result<void> KafkaTapeReader::ensure_all_indexed() const {
  for (Partition p = 0; p < parts_.size(); ++p) {
    if (auto ok = ensure_indexed(p, parts_[p].end); !ok) return ok;
  }
  return {};
}

Result<RecordBlockPtr> KafkaTapeReader::read_symbol(std::string_view symbol, Offset from, Offset to,
                                                    ReadLimits limits) const {
  if (!possible(symbol)) return BlockBuilder(0).finish();
  const auto partition = partition_of(symbol, partitions());
  to = std::min(to, parts_[partition].end.load());
  if (auto ok = ensure_indexed(partition, to); !ok) return tl::unexpected(ok.error());
  const auto entries = index_->entries(partition, symbol, from, to, limits);
  if (!entries) return tl::unexpected(entries.error());
  return gather(partition, *entries);
}

Result<RecordBlockPtr> KafkaTapeReader::gather(Partition partition,
                                               std::span<const IndexEntry> wanted) const {
  std::size_t bytes = 0;
  for (const auto& entry : wanted) bytes += entry.payload_bytes + kMaxSymbolBytes;
  BlockBuilder block(bytes);
  auto foreign = begin_pass(partition, wanted.empty() ? 0 : wanted.front().offset);
  if (!foreign) return tl::unexpected(foreign.error());
  for (std::size_t next = 0; next < wanted.size();) {
    std::size_t last = next;
    while (last + 1 < wanted.size() && wanted[last + 1].offset - wanted[last].offset <= kRunGap)
      ++last;
    const bool stretch = wanted[last].offset - wanted[next].offset >= kStretch;
    const auto done =
        (stretch ? streams_ : jumps_)
            ->read(partition, wanted[next].offset, wanted[last].offset + 1, -1,
                   [&](const rd_kafka_message_t& message) -> Result<bool> {
                     const auto offset = static_cast<Offset>(message.offset);
                     if (offset < wanted[next].offset) return true;
                     if (offset > wanted[next].offset)
                       return tl::unexpected(missing(partition, wanted[next].offset));
                     if (*foreign) {
                       if (auto ok = (*foreign)->stand_at(offset); !ok)
                         return tl::unexpected(ok.error());
                     }
                     if (auto ok = add(partition, message, *foreign, false, block); !ok)
                       return tl::unexpected(ok.error());
                     return ++next <= last;
                   });
    if (!done) return tl::unexpected(done.error());
    if (next <= last) return tl::unexpected(missing(partition, wanted[next].offset));
  }
  return block.finish();
}

Result<std::vector<IndexEntry>> KafkaTapeReader::index(std::string_view symbol, Offset from,
                                                       Offset to) const {
  if (!possible(symbol)) return std::vector<IndexEntry>{};
  const auto partition = partition_of(symbol, partitions());
  to = std::min(to, parts_[partition].end.load());
  if (auto ok = ensure_indexed(partition, to); !ok) return tl::unexpected(ok.error());
  return index_->entries(partition, symbol, from, to, kEverything);
}

Result<std::optional<IndexEntry>> KafkaTapeReader::last_of(std::string_view symbol) const {
  if (!possible(symbol)) return std::optional<IndexEntry>{};
  const auto partition = partition_of(symbol, partitions());
  if (auto ok = ensure_indexed(partition, parts_[partition].end); !ok)
    return tl::unexpected(ok.error());
  return index_->last(partition, symbol);
}

Result<RecordBlockPtr> KafkaTapeReader::marks(Partition partition, Offset from, Offset to) const {
  if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
  to = std::min(to, parts_[partition].end.load());
  if (auto ok = ensure_indexed(partition, to); !ok) return tl::unexpected(ok.error());
  return index_->marks(partition, from, to);
}

Result<std::optional<schemas::MarkPayload>> KafkaTapeReader::last_mark(Partition partition) const {
  if (auto ok = check(partition); !ok) return tl::unexpected(ok.error());
  if (auto ok = ensure_indexed(partition, parts_[partition].end); !ok)
    return tl::unexpected(ok.error());
  return index_->last_mark(partition, kNoOffset);
}

Result<std::vector<std::string>> KafkaTapeReader::symbols() const {
  if (auto ok = ensure_all_indexed(); !ok) return tl::unexpected(ok.error());
  return index_->symbols();
}

Result<std::vector<SourceInfo>> KafkaTapeReader::sources() const {
  if (auto ok = ensure_all_indexed(); !ok) return tl::unexpected(ok.error());
  return index_->sources();
}

Result<std::vector<RecorderDeadLetter>> KafkaTapeReader::dead_letters() const {
  std::map<std::pair<std::string, std::uint64_t>, RecorderDeadLetter> letters;
  const auto done = letters_.read([&](const rd_kafka_message_t& message) -> Result<void> {
    RecorderDeadLetter letter;
    const auto place = header(message, "byte_offset");
    const auto [end, error] =
        std::from_chars(place.data(), place.data() + place.size(), letter.byte_offset);
    if (header(message, "codec") != kLetterCodec || error != std::errc{}) {
      return fail(ErrorCode::corrupt, "dead letter " + at(letters_.topic(), 0, message.offset) +
                                          " is not one of a recorder of tapedeck");
    }
    letter.source = key_of(message);
    letter.reason = header(message, "reason");
    letter.bytes = value_of(message);
    auto identity = std::pair(letter.source, letter.byte_offset);
    letters.insert_or_assign(std::move(identity), std::move(letter));
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  std::vector<RecorderDeadLetter> all;
  all.reserve(letters.size());
  for (auto& [identity, letter] : letters) all.push_back(std::move(letter));
  return all;
}

/// Brokers that do not answer are no error here: there is no news then. Somebody who wants a record
/// waits for it, and fails after kReadAnswerMs.
Result<void> KafkaTapeReader::refresh() {
  const std::lock_guard lock(refresh_mutex_);
  auto done = look_for_news();
  if (done || done.error().field == kTransientField) {
    unknown_since_.reset();
    return {};
  }
  if (done.error().field != kUnknownTopicField) return done;
  // The client remembers that a broker which was ending knew no topics, and says so for as long as
  // none answers: only an answer of now counts.
  const auto count = count_partitions(streams_->client(), options_.topic, kAskMs);
  if (!count || *count) {
    unknown_since_.reset();
    return {};
  }
  const auto now = std::chrono::steady_clock::now();
  if (!unknown_since_) unknown_since_ = now;
  return now - *unknown_since_ < kUnknownFor ? Result<void>{} : done;
}

Result<void> KafkaTapeReader::look_for_news() {
  // As of before the question: the writer in this process shows more meanwhile.
  std::vector<Offset> shown;
  for (const auto& part : parts_) shown.push_back(part.end);
  const auto ends = streams_->offsets(KafkaStreams::Edge::end, kAskMs);
  if (!ends) return tl::unexpected(ends.error());
  for (Partition p = 0; p < parts_.size(); ++p) {
    if ((*ends)[p] >= shown[p]) continue;
    return fail(ErrorCode::environment,
                at(options_.topic, p, static_cast<std::int64_t>(shown[p])) +
                    " was there, now the topic ends at " + std::to_string((*ends)[p]) +
                    ": it was deleted or made anew under us; what was read stays as it was read");
  }
  if (auto ok = look(*ends); !ok) return ok;
  return check_count();
}

/// A partition's end is one past its last record: what stands behind that, marks of transactions
/// for one, is nothing to read.
Result<void> KafkaTapeReader::look(const std::vector<Offset>& ends) {
  for (Partition p = 0; p < parts_.size(); ++p) {
    auto& part = parts_[p];
    if (ends[p] == part.committed || ends[p] <= part.end) continue;
    auto found = streams_->find_end(p, part.end, ends[p]);
    if (!found && found.error().field == kLostField) found = find_end_of_rest(p, ends[p]);
    if (!found) return tl::unexpected(found.error());
    if (*found) part.end = std::max(part.end.load(), **found);
    part.committed = ends[p];
  }
  return {};
}

/// Where retention has cut what was not seen yet. Whoever wants that is told when it reads.
Result<std::optional<Offset>> KafkaTapeReader::find_end_of_rest(Partition partition, Offset end) {
  const auto firsts = streams_->offsets(KafkaStreams::Edge::first, kAskMs);
  if (!firsts) return tl::unexpected(firsts.error());
  const Offset first = (*firsts)[partition];
  if (first >= end)
    return only_marker(parts_[partition].end, first) ? std::nullopt : std::optional(end);
  auto found = streams_->find_end(partition, first, end);
  if (found && !*found) return std::optional(end);
  return found;
}

/// A partition that was added sends symbols elsewhere than where their past is.
Result<void> KafkaTapeReader::check_count() {
  if (Clock::now() - count_checked_ < kCountEvery) return {};
  const auto count = count_partitions(streams_->client(), options_.topic);
  if (!count) return {};
  count_checked_ = Clock::now();
  if (*count == std::optional(partitions())) return {};
  if (!*count)
    return fail(ErrorCode::environment, "topic " + options_.topic + " was deleted under us",
                std::string(kUnknownTopicField));
  return fail(ErrorCode::conflict,
              "topic " + options_.topic + " has " + std::to_string(**count) +
                  " partitions now, the tape was made with " + std::to_string(partitions()) +
                  ": copy it into a new topic",
              "partitions");
}

Result<void> KafkaTapeReader::show(const std::vector<Offset>& ends) {
  const Deadline deadline(kSettleMs);
  while (!deadline.passed()) {
    const auto committed = streams_->offsets(KafkaStreams::Edge::end, kAskMs);
    bool all = committed.has_value();
    for (Partition p = 0; all && p < parts_.size(); ++p) all = (*committed)[p] >= ends[p];
    if (all) break;
    std::this_thread::sleep_for(kLookAgain);
  }
  for (Partition p = 0; p < parts_.size(); ++p)
    parts_[p].end = std::max(parts_[p].end.load(), ends[p]);
  const std::lock_guard lock(wake_mutex_);
  if (wake_) wake_();
  return {};
}

void KafkaTapeReader::on_append(std::function<void()> wake) {
  const std::lock_guard lock(wake_mutex_);
  wake_ = std::move(wake);
}

}  // namespace tapedeck::storage
