#include "storage/tape_copy.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "storage/frame.hpp"

namespace tapedeck::storage {
namespace {

constexpr std::size_t kReadAhead = std::size_t{64} << 20;  // of all partitions together
constexpr std::size_t kLeastBlock = std::size_t{64} << 10;
constexpr std::size_t kLargestBlock = std::size_t{4} << 20;

/// One partition of a tape, read record by record up to the end it had at the start.
class Cursor {
public:
  static Result<Cursor> open(const TapeReader& tape, Partition partition) {
    const auto end = tape.end(partition);
    if (!end) return tl::unexpected(end.error());
    const auto start = tape.start(partition);
    if (!start) return tl::unexpected(start.error());
    return Cursor(tape, partition, *start, *end);
  }

  /// The record it stands at; null at the end. Valid until the next call.
  Result<const Record*> peek() {
    while (!block_ || at_ == block_->records.size()) {
      if (next_ >= end_) return nullptr;
      auto block = tape_->read(partition_, next_, limits_);
      if (!block) return tl::unexpected(block.error());
      if ((*block)->records.empty())
        return fail(ErrorCode::corrupt, "record " + at(partition_, next_) + " is missing");
      block_ = std::move(*block);
      at_ = 0;
    }
    const Record& record = block_->records[at_];
    return record.offset < end_ ? &record : nullptr;
  }
  /// To the first record at or behind `offset`.
  void skip_to(Offset offset) {
    if (offset <= next_) return;
    next_ = offset;
    block_ = nullptr;
  }
  void take() { next_ = block_->records[at_++].offset + 1; }
  /// Whether peek() would leave the block that is being read.
  [[nodiscard]] bool at_block_end() const { return !block_ || at_ == block_->records.size(); }
  [[nodiscard]] const RecordBlockPtr& block() const noexcept { return block_; }
  [[nodiscard]] Offset next() const noexcept { return next_; }
  [[nodiscard]] Offset end() const noexcept { return end_; }

private:
  Cursor(const TapeReader& tape, Partition partition, Offset start, Offset end)
      : tape_(&tape), partition_(partition), end_(end), next_(start) {
    limits_.bytes = std::clamp(kReadAhead / tape.partitions(), kLeastBlock, kLargestBlock);
  }

  const TapeReader* tape_;
  Partition partition_;
  Offset end_, next_;
  ReadLimits limits_;
  RecordBlockPtr block_;
  std::size_t at_ = 0;
};

Result<bool> same(const Record& a, const Record& b) {
  if (a.kind != b.kind || a.symbol != b.symbol || a.event_count != b.event_count ||
      a.max_event_time != b.max_event_time)
    return false;
  if (std::ranges::equal(a.payload, b.payload)) return true;
  if (a.kind != RecordKind::mark) return false;
  // A mark of an older version is encoded anew.
  const auto left = schemas::decode_mark(a.payload), right = schemas::decode_mark(b.payload);
  if (!left) return tl::unexpected(left.error());
  if (!right) return tl::unexpected(right.error());
  return *left == *right;
}

class Copier {
public:
  Copier(const TapeReader& from, TapeWriter& to, const CopyOptions& options)
      : from_(from), to_(to), options_(options) {}

  Result<CopySummary> run() {
    if (auto ok = check_counts(); !ok) return tl::unexpected(ok.error());
    for (Partition p = 0; p < from_.partitions(); ++p) {
      auto source = Cursor::open(from_, p);
      if (!source) return tl::unexpected(source.error());
      total_ += source->end();
      sources_.push_back(std::move(*source));
    }
    for (Partition p = 0; p < from_.partitions(); ++p) {
      if (auto ok = pass_what_is_there(p); !ok) return tl::unexpected(ok.error());
      if (stopped()) return summary_;
    }
    if (auto ok = match_dead_letters(); !ok) return tl::unexpected(ok.error());
    if (options_.accepted) {
      if (auto ok = options_.accepted(); !ok) return tl::unexpected(ok.error());
    }
    if (auto ok = begin_as_the_tape(); !ok) return tl::unexpected(ok.error());
    for (const auto& letter : letters_) {
      if (auto ok = to_.append(letter); !ok) return tl::unexpected(ok.error());
      ++summary_.dead_letters;
    }
    while (!stopped()) {
      const auto more = copy_some();
      if (!more) return tl::unexpected(more.error());
      if (!*more) break;
    }
    if (auto ok = to_.sync(); !ok) return tl::unexpected(ok.error());
    return summary_;
  }

private:
  bool stopped() {
    summary_.interrupted = summary_.interrupted || (options_.stop && options_.stop());
    return summary_.interrupted;
  }

  void tell() const {
    if (!options_.progress) return;
    std::uint64_t done = 0;
    for (const auto& source : sources_) done += source.next();
    options_.progress(done, total_);
  }

  Result<void> check_counts() const {
    const auto have = to_.reader().partitions(), need = from_.partitions();
    if (have == need) return {};
    return fail(ErrorCode::conflict,
                "the target has " + std::to_string(have) + " partitions, the tape " +
                    std::to_string(need) + ": a copy has as many",
                "partitions");
  }

  static tl::unexpected<Error> other(const std::string& what) {
    return fail(
        ErrorCode::conflict,
        "the target holds something else, " + what + " is not the tape's: copy onto a new one",
        "target");
  }

  /// Of a trimmed tape: what is empty begins where it does, with its base snapshots.
  Result<void> begin_as_the_tape() {
    std::vector<Checkpoint> starts;
    for (Partition p = 0; p < from_.partitions(); ++p) {
      auto base = from_.base(p);
      if (!base) return tl::unexpected(base.error());
      const auto end = to_.reader().end(p);
      if (!end) return tl::unexpected(end.error());
      if (!*base || *end > 0) continue;
      if (starts.empty()) {
        if (auto ok = to_.forget_bases(); !ok) return ok;
      }
      if (auto ok = copy_bases(p); !ok) return ok;
      starts.push_back(std::move(**base));
    }
    return starts.empty() ? Result<void>{} : to_.trim(starts);
  }

  Result<void> copy_bases(Partition partition) {
    const auto symbols = from_.base_symbols(partition);
    if (!symbols) return tl::unexpected(symbols.error());
    for (const auto& symbol : *symbols) {
      const auto base = from_.base_of(symbol);
      if (!base) return tl::unexpected(base.error());
      if (!*base) continue;
      if (auto ok = to_.put_base(**base); !ok) return ok;
    }
    return {};
  }

  Result<void> pass_what_is_there(Partition partition) {
    auto target = Cursor::open(to_.reader(), partition);
    if (!target) return tl::unexpected(target.error());
    auto& source = sources_[partition];
    if (target->next() > source.next() && target->next() < target->end())
      return other("partition " + std::to_string(partition) + " begins later, so it");
    // What the tape has been trimmed of since is there, and stays.
    if (target->end() > 0 && target->end() < source.next())
      return other("partition " + std::to_string(partition) +
                   " ends before the tape begins, so it");
    target->skip_to(source.next());
    while (!(target->at_block_end() && stopped())) {
      const auto there = target->peek();
      if (!there) return tl::unexpected(there.error());
      if (*there == nullptr) return {};
      const auto wanted = source.peek();
      if (!wanted) return tl::unexpected(wanted.error());
      if (*wanted == nullptr) return other("record " + at(partition, (*there)->offset));
      const auto equal = same(**wanted, **there);
      if (!equal) return tl::unexpected(equal.error());
      if (!*equal) return other("record " + at(partition, (*there)->offset));
      if (target->at_block_end()) tell();
      source.take();
      target->take();
      ++summary_.found;
    }
    return {};
  }

  /// Leaves those that the target has not.
  Result<void> match_dead_letters() {
    const auto theirs = from_.dead_letters();
    if (!theirs) return tl::unexpected(theirs.error());
    const auto ours = to_.reader().dead_letters();
    if (!ours) return tl::unexpected(ours.error());
    std::map<std::pair<std::string, std::uint64_t>, const RecorderDeadLetter*> wanted;
    for (const auto& letter : *theirs) wanted[{letter.source, letter.byte_offset}] = &letter;
    for (const auto& letter : *ours) {
      const auto found = wanted.find({letter.source, letter.byte_offset});
      if (found == wanted.end() || found->second->reason != letter.reason ||
          found->second->bytes != letter.bytes)
        return other("dead letter " + letter.source + ":" + std::to_string(letter.byte_offset));
      wanted.erase(found);
    }
    for (const auto& [identity, letter] : wanted) letters_.push_back(*letter);
    return {};
  }

  /// One append: of each partition records, then the marks behind them, so that the order of both
  /// stays; up to append_bytes. False: there is nothing left.
  Result<bool> copy_some() {
    records_.clear();
    marks_.clear();
    held_.clear();
    std::size_t bytes = 0;
    const auto count = static_cast<Partition>(sources_.size());
    for (Partition i = 0; i < count && bytes < options_.append_bytes; ++i) {
      const Partition p = (first_ + i) % count;
      const auto taken = take_run(p, options_.append_bytes / count);
      if (!taken) return tl::unexpected(taken.error());
      bytes += *taken;
    }
    first_ = (first_ + 1) % count;
    if (records_.empty() && marks_.empty()) return false;
    if (auto ok = to_.append(records_, marks_); !ok) return tl::unexpected(ok.error());
    summary_.records += records_.size() + marks_.size();
    for (const auto& record : records_) summary_.events += record.event_count;
    tell();
    return true;
  }

  Result<std::size_t> take_run(Partition partition, std::size_t most) {
    auto& source = sources_[partition];
    std::size_t bytes = 0;
    bool marked = false;
    do {
      const auto next = source.peek();
      if (!next) return tl::unexpected(next.error());
      if (*next == nullptr) break;
      const Record& record = **next;
      if (marked && record.kind == RecordKind::events) break;
      if (record.kind == RecordKind::mark) {
        auto mark = schemas::decode_mark(record.payload);
        if (!mark) return tl::unexpected(mark.error());
        marks_.push_back({partition, std::move(*mark)});
        marked = true;
      } else {
        if (held_.empty() || held_.back() != source.block()) held_.push_back(source.block());
        records_.push_back(
            {record.symbol, record.payload, record.event_count, record.max_event_time});
      }
      bytes += record.payload.size();
      source.take();
    } while (bytes < most);
    return bytes;
  }

  const TapeReader& from_;
  TapeWriter& to_;
  const CopyOptions& options_;
  std::vector<Cursor> sources_;
  std::vector<NewRecord> records_;
  std::vector<NewMark> marks_;
  std::vector<RecordBlockPtr> held_;  ///< what records_ views
  std::vector<RecorderDeadLetter> letters_;
  Partition first_ = 0;
  std::uint64_t total_ = 0;
  CopySummary summary_;
};

}  // namespace

Result<CopySummary> copy_tape(const TapeReader& from, TapeWriter& to, const CopyOptions& options) {
  return Copier(from, to, options).run();
}

Result<void> copy_control(const ControlStore& from, ControlStore& to) {
  const auto settings = from.settings();
  if (!settings) return tl::unexpected(settings.error());
  if (!*settings) return {};
  const auto in_force = to.settle(**settings);
  if (!in_force) return tl::unexpected(in_force.error());
  if (*in_force == **settings) return {};
  return fail(ErrorCode::conflict,
              "the target's fold settings are others than the tape's: copy onto a new one",
              "target");
}

namespace {

/// Records of the partition below `offset`.
Result<std::uint64_t> rank_of(const TapeReader& tape, Partition partition, Offset offset) {
  if (tape.dense()) return offset;
  std::uint64_t rank = 0;
  for (Offset next = 0;;) {
    const auto block = tape.read(partition, next, {kLargestBlock, 1u << 16});
    if (!block) return tl::unexpected(block.error());
    if ((*block)->records.empty()) return rank;
    for (const auto& record : (*block)->records) {
      if (record.offset >= offset) return rank;
      ++rank;
    }
    next = (*block)->records.back().offset + 1;
  }
}

/// The other way round; behind the last record: the end.
Result<Offset> offset_of(const TapeReader& tape, Partition partition, std::uint64_t rank) {
  if (tape.dense()) return rank;
  for (Offset next = 0;;) {
    const auto block = tape.read(partition, next, {kLargestBlock, 1u << 16});
    if (!block) return tl::unexpected(block.error());
    if ((*block)->records.empty()) return tape.end(partition);
    if (rank < (*block)->records.size()) return (*block)->records[rank].offset;
    rank -= (*block)->records.size();
    next = (*block)->records.back().offset + 1;
  }
}

}  // namespace

Result<void> copy_control_records(const ControlStore& from, const TapeReader& from_tape,
                                  ControlStore& to, const TapeReader& to_tape) {
  const auto records = from.records();
  if (!records) return tl::unexpected(records.error());
  const auto there = to.records();
  if (!there) return tl::unexpected(there.error());
  for (std::size_t i = 0; i < std::max(records->size(), there->size()); ++i) {
    if (i >= records->size())
      return fail(ErrorCode::conflict, "the target has control records that the tape has not",
                  "target");
    auto record = (*records)[i];
    const auto partition = record.item.position.partition;
    for (auto* offset : {&record.item.position.offset, &record.at}) {
      const auto rank = rank_of(from_tape, partition, *offset);
      if (!rank) return tl::unexpected(rank.error());
      const auto moved = offset_of(to_tape, partition, *rank);
      if (!moved) return tl::unexpected(moved.error());
      *offset = *moved;
    }
    if (i >= there->size()) {
      if (auto stored = to.append(record); !stored) return stored;
    } else if (!((*there)[i] == record)) {
      return fail(ErrorCode::conflict, "the target's control records are others than the tape's",
                  "target");
    }
  }
  return {};
}

}  // namespace tapedeck::storage
