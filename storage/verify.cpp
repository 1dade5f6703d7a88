#include "storage/verify.hpp"

#include <algorithm>
#include <map>

#include "schemas/batch_codec.hpp"
#include "storage/frame.hpp"

namespace tapedeck::storage {
namespace {

/// Records and index entries of one symbol as numbers that do not depend on the order they are
/// added in.
struct Tally {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  void add(const IndexEntry& entry) noexcept {
    const std::uint64_t fields[] = {entry.offset, static_cast<std::uint64_t>(entry.max_event_time),
                                    std::uint64_t{entry.event_count} << 32 | entry.payload_bytes};
    ++count;
    sum += checksum(std::as_bytes(std::span(fields)), 0);
  }
  friend bool operator==(const Tally&, const Tally&) = default;
};

IndexEntry entry_of(const Record& record) {
  return {record.offset, record.event_count, record.max_event_time,
          static_cast<std::uint32_t>(record.payload.size())};
}

bool same(const IndexEntry& a, const IndexEntry& b) {
  return a.offset == b.offset && a.event_count == b.event_count &&
         a.max_event_time == b.max_event_time && a.payload_bytes == b.payload_bytes;
}

Result<void> check_record(const Record& record, std::uint32_t partitions) {
  if (record.kind == RecordKind::mark) {
    const auto mark = schemas::decode_mark(record.payload);
    if (!mark) return damaged_record(record.partition, record.offset, mark.error().message);
    if (!record.symbol.empty())
      return damaged_record(record.partition, record.offset, "a mark names a symbol");
    if (mark->feed_time != record.max_event_time)
      return damaged_record(record.partition, record.offset, "its times differ");
    return {};
  }
  if (record.symbol.empty())
    return damaged_record(record.partition, record.offset, "it has no symbol");
  if (partition_of(record.symbol, partitions) != record.partition) {
    return damaged_record(record.partition, record.offset,
                          std::string(record.symbol) + " belongs to partition " +
                              std::to_string(partition_of(record.symbol, partitions)));
  }
  schemas::BatchReader batch;
  if (auto opened = batch.open(record.payload); !opened) {
    return damaged_record(record.partition, record.offset, opened.error().message);
  }
  if (batch.size() != record.event_count) {
    return damaged_record(record.partition, record.offset,
                          "its header says " + std::to_string(record.event_count) +
                              " events, its payload " + std::to_string(batch.size()));
  }
  return {};
}

class Verifier {
public:
  Verifier(const TapeReader& tape,
           const std::function<void(std::uint64_t, std::uint64_t)>& progress)
      : tape_(tape), progress_(progress) {}

  Result<std::uint64_t> run() {
    for (Partition p = 0; p < tape_.partitions(); ++p) {
      const auto end = tape_.end(p);
      if (!end) return tl::unexpected(end.error());
      const auto start = tape_.start(p);
      if (!start) return tl::unexpected(start.error());
      ends_.push_back(*end);
      starts_.push_back(*start);
      total_ += *end - *start;
    }
    for (Partition p = 0; p < tape_.partitions(); ++p) {
      if (auto ok = read_partition(p); !ok) return tl::unexpected(ok.error());
    }
    if (auto ok = check_index(); !ok) return tl::unexpected(ok.error());
    if (auto ok = check_bases(); !ok) return tl::unexpected(ok.error());
    if (auto ok = tape_.check_files(); !ok) return tl::unexpected(ok.error());
    return done_;
  }

private:
  Result<void> read_partition(Partition partition) {
    std::uint64_t marks = 0, progressed = 0;
    for (Partition p = 0; p < partition; ++p) progressed += ends_[p] - starts_[p];
    for (Offset next = starts_[partition]; next < ends_[partition];) {
      const auto block = tape_.read(partition, next, {});
      if (!block) return tl::unexpected(block.error());
      if ((*block)->records.empty()) return damaged_record(partition, next, "it is missing");
      for (const auto& record : (*block)->records) {
        if (record.offset >= ends_[partition]) break;
        if (record.offset < next || (tape_.dense() && record.offset != next))
          return damaged_record(partition, next, "it is missing");
        if (auto ok = check_record(record, tape_.partitions()); !ok) return ok;
        record.kind == RecordKind::mark
            ? void(++marks)
            : tallies_[std::string(record.symbol)].add(entry_of(record));
        next = record.offset + 1;
        ++done_;
      }
      if (progress_) progress_(progressed + next - starts_[partition], total_);
    }
    return check_marks(partition, marks);
  }

  Result<void> check_marks(Partition partition, std::uint64_t expected) {
    std::uint64_t found = 0;
    constexpr Offset kWindow = 1u << 20;
    for (Offset from = starts_[partition]; from < ends_[partition]; from += kWindow) {
      const auto marks = tape_.marks(partition, from, std::min(from + kWindow, ends_[partition]));
      if (!marks) return tl::unexpected(marks.error());
      for (const auto& mark : (*marks)->records) {
        if (mark.kind != RecordKind::mark)
          return damaged_record(partition, mark.offset, "the index takes it for a mark");
        ++found;
      }
    }
    if (found == expected) return {};
    return fail(ErrorCode::corrupt, "partition " + std::to_string(partition) + " holds " +
                                        std::to_string(expected) + " marks, its index lists " +
                                        std::to_string(found));
  }

  Result<void> check_index() {
    const auto symbols = tape_.symbols();
    if (!symbols) return tl::unexpected(symbols.error());
    for (const auto& symbol : *symbols) tallies_.try_emplace(symbol);
    for (const auto& [symbol, expected] : tallies_) {
      const auto partition = partition_of(symbol, tape_.partitions());
      const Offset end = ends_[partition];
      Tally found;
      constexpr Offset kWindow = 1u << 22;
      for (Offset from = starts_[partition]; from < end; from += kWindow) {
        const auto entries = tape_.index(symbol, from, std::min(from + kWindow, end));
        if (!entries) return tl::unexpected(entries.error());
        for (const auto& entry : *entries) found.add(entry);
      }
      if (found != expected) return name_difference(symbol);
    }
    return {};
  }

  /// Only once something differs: finds the first record that does.
  Result<void> name_difference(const std::string& symbol) {
    const Partition partition = partition_of(symbol, tape_.partitions());
    for (Offset next = starts_[partition]; next < ends_[partition];) {
      const auto block = tape_.read(partition, next, {});
      if (!block) return tl::unexpected(block.error());
      if ((*block)->records.empty()) break;
      for (const auto& record : (*block)->records) {
        const auto entries = tape_.index(symbol, record.offset, record.offset + 1);
        if (!entries) return tl::unexpected(entries.error());
        const bool its = record.symbol == symbol;
        if (its != !entries->empty() || (its && !same(entries->front(), entry_of(record)))) {
          return damaged_record(partition, record.offset,
                                "the index of " + symbol + " says something else about it");
        }
      }
      next = (*block)->records.back().offset + 1;
    }
    return fail(ErrorCode::corrupt, "the index of " + symbol + " lists records that partition " +
                                        std::to_string(partition) + " does not hold");
  }

  /// Of a trimmed tape: every base snapshot decodes and is its symbol's.
  Result<void> check_bases() {
    for (Partition p = 0; p < tape_.partitions(); ++p) {
      const auto symbols = tape_.base_symbols(p);
      if (!symbols) return tl::unexpected(symbols.error());
      for (const auto& symbol : *symbols) {
        const auto base = tape_.base_of(symbol);
        if (!base) return tl::unexpected(base.error());
        const auto bytes = std::as_bytes(std::span((*base)->snapshot.bytes));
        const auto snapshot = schemas::decode_snapshot(bytes);
        if (!snapshot || snapshot->symbol != symbol) {
          return fail(ErrorCode::corrupt,
                      "the base snapshot of " + symbol + " at " + at(p, starts_[p]) +
                          " is damaged: " +
                          (snapshot ? "it is of " + snapshot->symbol : snapshot.error().message));
        }
      }
    }
    return {};
  }

  const TapeReader& tape_;
  const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
  std::vector<Offset> ends_, starts_;
  std::map<std::string, Tally, std::less<>> tallies_;
  std::uint64_t done_ = 0, total_ = 0;
};

}  // namespace

Result<std::uint64_t> verify(const TapeReader& tape,
                             const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  return Verifier(tape, progress).run();
}

}  // namespace tapedeck::storage
