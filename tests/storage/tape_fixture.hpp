// tests/storage/tape_fixture.hpp -- what the tape suite needs of a tape under test, and small
// helpers for records.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "schemas/batch_codec.hpp"
#include "storage/tape.hpp"

namespace tapedeck::storage::test {

/// A new, empty tape. Removed when destroyed.
class TapeFixture {
public:
  virtual ~TapeFixture() = default;
  virtual TapeWriter& writer() = 0;
  /// May be another object than the writer's own; the suite calls refresh() before it looks for
  /// news.
  virtual TapeReader& reader() = 0;
};

/// Each program of the suite names its tapes and makes them.
std::vector<std::string> tape_variants();
std::unique_ptr<TapeFixture> make_tape(const std::string& variant, std::uint32_t partitions);

/// A record that owns its bytes: a valid batch of `events` events, the id of each being `id`.
struct OwnRecord {
  std::string symbol;
  std::vector<std::byte> payload;
  std::uint32_t event_count = 0;
  TimeNs max_event_time = 0;
  [[nodiscard]] NewRecord view() const { return {symbol, payload, event_count, max_event_time}; }
};
OwnRecord make_record(const std::string& symbol, std::uint64_t id, std::size_t events = 3);
/// The id given to make_record.
std::uint64_t id_of(const Record& record);

schemas::MarkPayload make_mark(const std::string& source, TimeNs feed_time,
                               std::uint64_t cursor = 0, bool complete = false);

/// Appends and requires success.
void append(TapeWriter& writer, const std::vector<OwnRecord>& records,
            const std::vector<NewMark>& marks = {});

/// All records of a partition, read in blocks of `limits`; requires offsets that grow, without a
/// hole where the tape is dense.
std::vector<RecordBlockPtr> read_all(const TapeReader& reader, Partition partition,
                                     ReadLimits limits = {});

/// Where each record of a partition stands.
std::vector<Offset> offsets_of(const TapeReader& reader, Partition partition);

/// A folder of its own, removed when destroyed.
class TempDir {
public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
  std::string path_;
};

}  // namespace tapedeck::storage::test
