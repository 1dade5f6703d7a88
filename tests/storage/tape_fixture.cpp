#include "tests/storage/tape_fixture.hpp"

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>

namespace tapedeck::storage::test {

OwnRecord make_record(const std::string& symbol, std::uint64_t id, std::size_t events) {
  std::vector<market::Event> batch(events);
  for (std::size_t i = 0; i < events; ++i) {
    auto& event = batch[i];
    event.kind = market::EventKind::add;
    event.side = market::Side::bid;
    event.time = event.feed_time = static_cast<TimeNs>(id * 1000 + i);
    event.sequence = id * 1000 + i + 1;
    event.id = id;
    event.price = 100;
    event.size = 1;
  }
  schemas::BatchEncoder encoder;
  const auto bytes = encoder.encode(7, {}, batch);
  if (!bytes) throw std::runtime_error(bytes.error().message);
  return {symbol,
          {bytes->begin(), bytes->end()},
          static_cast<std::uint32_t>(events),
          batch.back().time};
}

std::uint64_t id_of(const Record& record) {
  schemas::BatchReader batch;
  if (auto ok = batch.open(record.payload); !ok) throw std::runtime_error(ok.error().message);
  market::Event first;
  return batch.next(std::span(&first, 1)) == 1 ? first.id : 0;
}

schemas::MarkPayload make_mark(const std::string& source, TimeNs feed_time, std::uint64_t cursor,
                               bool complete) {
  schemas::MarkPayload mark;
  mark.source = 7;
  mark.source_name = source;
  mark.feed_time = feed_time;
  mark.cursor_messages = cursor;
  mark.cursor_bytes = cursor * 30;
  mark.complete = complete;
  return mark;
}

void append(TapeWriter& writer, const std::vector<OwnRecord>& records,
            const std::vector<NewMark>& marks) {
  std::vector<NewRecord> views;
  for (const auto& record : records) views.push_back(record.view());
  if (auto ok = writer.append(views, marks); !ok) throw std::runtime_error(ok.error().message);
}

std::vector<RecordBlockPtr> read_all(const TapeReader& reader, Partition partition,
                                     ReadLimits limits) {
  std::vector<RecordBlockPtr> blocks;
  Offset next = 0;
  while (true) {
    auto block = reader.read(partition, next, limits);
    if (!block) throw std::runtime_error(block.error().message);
    if ((*block)->records.empty()) return blocks;
    for (const auto& record : (*block)->records) {
      if (record.offset < next || (reader.dense() && record.offset != next))
        throw std::runtime_error("a hole before " + std::to_string(record.offset));
      next = record.offset + 1;
    }
    blocks.push_back(*block);
  }
}

std::vector<Offset> offsets_of(const TapeReader& reader, Partition partition) {
  std::vector<Offset> offsets;
  for (const auto& block : read_all(reader, partition)) {
    for (const auto& record : block->records) offsets.push_back(record.offset);
  }
  return offsets;
}

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "tapedeck-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace tapedeck::storage::test
