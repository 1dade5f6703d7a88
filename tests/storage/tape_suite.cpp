// tests/storage/tape_suite.cpp -- what every tape has to do; compiled into one program for each
// kind of tape.
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <thread>

#include "storage/frame.hpp"
#include "storage/verify.hpp"
#include "tests/storage/tape_fixture.hpp"

namespace tapedeck::storage::test {
namespace {

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string any_tape() { return GENERATE(from_range(tape_variants())); }

/// What a tape should hold, kept the naive way.
struct Expected {
  struct Entry {
    std::string symbol;
    std::string payload;
    std::uint32_t event_count;
    TimeNs max_event_time;
  };
  std::vector<std::vector<Entry>> partitions;

  explicit Expected(std::uint32_t count) : partitions(count) {}
  void add(const std::vector<OwnRecord>& records, const std::vector<NewMark>& marks) {
    const auto count = static_cast<std::uint32_t>(partitions.size());
    for (const auto& r : records) {
      partitions[partition_of(r.symbol, count)].push_back(
          {r.symbol, text(r.payload), r.event_count, r.max_event_time});
    }
    for (const auto& m : marks) {
      partitions[m.partition].push_back({"", schemas::encode(m.mark), 0, m.mark.feed_time});
    }
  }
  /// `number`: how many records of the partition stand before it.
  void check(const Record& record, std::size_t number) const {
    REQUIRE(number < partitions[record.partition].size());
    const auto& entry = partitions[record.partition][number];
    CHECK(record.symbol == entry.symbol);
    CHECK(record.kind == (entry.symbol.empty() ? RecordKind::mark : RecordKind::events));
    CHECK(text(record.payload) == entry.payload);
    CHECK(record.event_count == entry.event_count);
    CHECK(record.max_event_time == entry.max_event_time);
    CHECK(reinterpret_cast<std::uintptr_t>(record.payload.data()) % 8 == 0);
  }
};

/// A tape of random appends and the same in the naive form.
struct RandomTape {
  std::unique_ptr<TapeFixture> tape;
  Expected expected;
  std::vector<std::string> symbols;

  RandomTape(const std::string& variant, unsigned seed, std::uint32_t partitions, int appends)
      : tape(make_tape(variant, partitions)), expected(partitions) {
    std::mt19937 random(seed);
    for (int i = 0; i < 12; ++i)
      symbols.push_back(std::string(1 + random() % kMaxSymbolBytes, static_cast<char>('A' + i)));
    symbols.push_back("AA");  // one symbol may begin as another does
    symbols.push_back("A\x01");
    std::uint64_t id = 0;
    for (int i = 0; i < appends; ++i) {
      std::vector<OwnRecord> records;
      std::vector<NewMark> marks;
      for (auto n = random() % 6; n > 0; --n) {
        records.push_back(make_record(symbols[random() % symbols.size()], ++id, 1 + random() % 40));
      }
      if (random() % 3 == 0) {
        for (Partition p = 0; p < partitions; ++p)
          marks.push_back({p, make_mark("source", static_cast<TimeNs>(id), id)});
      }
      append(tape->writer(), records, marks);
      expected.add(records, marks);
    }
    REQUIRE(tape->reader().refresh());
  }
};

}  // namespace

TEST_CASE("a tape gives back what was appended, in order, for any size of reads") {
  const auto variant = any_tape();
  const unsigned seed = GENERATE(1u, 2u);
  CAPTURE(variant, seed);
  RandomTape random(variant, seed, 3, 60);
  const auto& reader = random.tape->reader();
  CHECK(reader.partitions() == 3);
  for (Partition p = 0; p < 3; ++p) {
    const auto size = random.expected.partitions[p].size();
    const auto offsets = offsets_of(reader, p);
    const Offset end = reader.end(p).value();
    CHECK(end == offsets.back() + 1);
    if (reader.dense()) CHECK(end == size);
    for (const auto& limits :
         {ReadLimits{}, ReadLimits{1, 1u << 20}, ReadLimits{1u << 20, 7}, ReadLimits{2000, 5}}) {
      std::size_t records = 0;
      for (const auto& block : read_all(reader, p, limits)) {
        std::size_t bytes = 0;
        for (const auto& record : block->records) {
          CHECK(bytes < limits.bytes);  // only the last record reaches the limit
          bytes += record.payload.size();
          random.expected.check(record, records++);
        }
        CHECK(block->bytes == bytes);
        CHECK(block->records.size() <= limits.records);
      }
      CHECK(records == size);
    }
    CHECK(reader.read(p, end, {}).value()->records.empty());
    CHECK(reader.read(p, end + 1000, {}).value()->records.empty());
  }
}

TEST_CASE("the index of a symbol names its records, and reads by symbol bring them") {
  const auto variant = any_tape();
  CAPTURE(variant);
  RandomTape random(variant, 3, 3, 80);
  const auto& reader = random.tape->reader();
  std::vector<std::string> present;
  for (const auto& symbol : random.symbols) {
    const auto& all = random.expected.partitions[partition_of(symbol, 3)];
    const auto place = offsets_of(reader, partition_of(symbol, 3));
    REQUIRE(place.size() == all.size());
    const auto [from, to] = GENERATE(
        table<Offset, Offset>({{0, 1'000'000}, {5, 30}, {30, 5}, {17, 18}, {40, 1'000'000}}));
    std::vector<std::size_t> numbers;
    std::optional<Offset> last;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].symbol != symbol) continue;
      last = place[i];
      if (place[i] >= from && place[i] < to) numbers.push_back(i);
    }
    const auto index = reader.index(symbol, from, to).value();
    REQUIRE(index.size() == numbers.size());
    const auto block = reader.read_symbol(symbol, from, to, {}).value();
    REQUIRE(block->records.size() == numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const auto& entry = all[numbers[i]];
      CHECK(index[i].offset == place[numbers[i]]);
      CHECK(index[i].event_count == entry.event_count);
      CHECK(index[i].max_event_time == entry.max_event_time);
      CHECK(index[i].payload_bytes == entry.payload.size());
      CHECK(block->records[i].offset == place[numbers[i]]);
      random.expected.check(block->records[i], numbers[i]);
    }
    const auto newest = reader.last_of(symbol).value();
    CHECK(newest.has_value() == last.has_value());
    if (newest && last) CHECK(newest->offset == *last);
    const auto few = reader.read_symbol(symbol, from, to, {1u << 20, 2}).value();
    CHECK(few->records.size() == std::min<std::size_t>(2, numbers.size()));
    const auto one = reader.read_symbol(symbol, from, to, {1, 1000}).value();
    CHECK(one->records.size() == std::min<std::size_t>(1, numbers.size()));
    if (last) present.push_back(symbol);
  }
  std::sort(present.begin(), present.end());
  CHECK(reader.symbols().value() == present);
  CHECK(reader.index("never seen", 0, 1000).value().empty());
  CHECK_FALSE(reader.last_of("never seen").value());
  CHECK_FALSE(reader.last_of("").value());
}

TEST_CASE("marks are found apart from records, and tell how far each source is") {
  const auto variant = any_tape();
  CAPTURE(variant);
  auto tape = make_tape(variant, 2);
  auto& reader = tape->reader();
  CHECK_FALSE(reader.last_mark(0).value());
  CHECK(reader.sources().value().empty());
  append(tape->writer(), {make_record("A", 1), make_record("B", 2)},
         {{0, make_mark("one", 10, 1)}});
  append(tape->writer(), {make_record("A", 3)},
         {{0, make_mark("one", 20, 2, true)}, {1, make_mark("one", 20, 2)}});
  append(tape->writer(), {}, {{1, make_mark("two", 30, 5)}});
  REQUIRE(reader.refresh());
  CHECK(reader.last_mark(0).value() == make_mark("one", 20, 2, true));
  CHECK(reader.last_mark(1).value() == make_mark("two", 30, 5));
  const auto marks = reader.marks(0, 0, 1000).value();
  REQUIRE(marks->records.size() == 2);
  CHECK(schemas::decode_mark(marks->records[0].payload).value() == make_mark("one", 10, 1));
  CHECK(marks->records[1].max_event_time == 20);
  CHECK(reader.marks(0, marks->records[0].offset + 1, marks->records[1].offset)
            .value()
            ->records.empty());
  CHECK(reader.marks(0, marks->records[1].offset, marks->records[1].offset + 1)
            .value()
            ->records.size() == 1);

  auto sources = reader.sources().value();
  REQUIRE(sources.size() == 2);
  CHECK(sources[0].name == "one");
  CHECK_FALSE(sources[0].complete);  // partition 1 has not seen its end
  CHECK(sources[0].marks == std::vector<std::optional<schemas::MarkPayload>>{
                                make_mark("one", 20, 2, true), make_mark("one", 20, 2)});
  CHECK_FALSE(sources[1].marks[0]);
  append(tape->writer(), {}, {{1, make_mark("one", 40, 2, true)}});
  REQUIRE(reader.refresh());
  CHECK(reader.sources().value()[0].complete);
}

TEST_CASE("an append that breaks a rule names it and writes nothing") {
  const auto variant = any_tape();
  CAPTURE(variant);
  auto tape = make_tape(variant, 2);
  const auto good = make_record("GOOD", 1);
  const auto refused = [&](std::string symbol, std::size_t payload_bytes,
                           Partition mark_partition) {
    std::vector<std::byte> payload(payload_bytes);
    const std::vector<NewRecord> records{good.view(), {symbol, payload, 1, 0}};
    const std::vector<NewMark> marks{{mark_partition, make_mark("s", 1)}};
    const auto result = tape->writer().append(records, marks);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::invalid);
    return result.error().field;
  };
  CHECK(refused("", 8, 0) == "symbol");
  CHECK(refused(std::string(65, 'x'), 8, 0) == "symbol");
  CHECK(refused(std::string("a\0b", 3), 8, 0) == "symbol");
  CHECK(refused("X", schemas::kMaxPayloadBytes + 1, 0) == "payload");
  CHECK(refused("X", 8, 2) == "partition");
  REQUIRE(tape->reader().refresh());
  for (Partition p = 0; p < 2; ++p) CHECK(tape->reader().end(p).value() == 0);
  CHECK(tape->reader().read(2, 0, {}).error().code == ErrorCode::out_of_range);
  CHECK(tape->reader().end(9).error().field == "partition");
}

TEST_CASE("a dead letter is kept once, with its bytes, reason and place") {
  const auto variant = any_tape();
  CAPTURE(variant);
  auto tape = make_tape(variant, 1);
  const std::string bytes("\0\xff\1\0", 4);
  REQUIRE(tape->writer().append(RecorderDeadLetter{"s", 300, "unknown type", bytes}));
  REQUIRE(tape->writer().append(RecorderDeadLetter{"s", 20, "too short", ""}));
  REQUIRE(tape->writer().append(RecorderDeadLetter{"s", 300, "unknown type", bytes}));
  REQUIRE(tape->writer().append(RecorderDeadLetter{"r", 1'000'000, "", "x"}));
  REQUIRE(tape->reader().refresh());
  const auto letters = tape->reader().dead_letters().value();
  REQUIRE(letters.size() == 3);
  CHECK(letters[0].source == "r");
  CHECK(letters[1].byte_offset == 20);
  CHECK(letters[1].reason == "too short");
  CHECK(letters[2].byte_offset == 300);
  CHECK(letters[2].bytes == bytes);
}

TEST_CASE("an append wakes who asked for it, until they ask no more") {
  const auto variant = any_tape();
  CAPTURE(variant);
  auto tape = make_tape(variant, 1);
  auto& own = tape->writer().reader();
  int wakes = 0;
  own.on_append([&] { ++wakes; });
  append(tape->writer(), {make_record("A", 1)});
  append(tape->writer(), {}, {{0, make_mark("s", 1)}});
  CHECK(wakes == 2);
  own.on_append(nullptr);
  append(tape->writer(), {make_record("A", 2)});
  CHECK(wakes == 2);
}

TEST_CASE("a block stays as it was read while the tape goes on") {
  const auto variant = any_tape();
  CAPTURE(variant);
  auto tape = make_tape(variant, 1);
  append(tape->writer(), {make_record("A", 1), make_record("B", 2)});
  REQUIRE(tape->reader().refresh());
  const auto block = tape->reader().read(0, 0, {}).value();
  for (std::uint64_t i = 0; i < 200; ++i) append(tape->writer(), {make_record("C", i)});
  REQUIRE(block->records.size() == 2);
  CHECK(id_of(block->records[1]) == 2);
  REQUIRE(tape->reader().refresh());
  const auto next =
      tape->reader().read(0, block->records[1].offset + 1, {});  // reads on where it stopped
  INFO((next ? "" : next.error().message));
  REQUIRE(next);
  CHECK(id_of((*next)->records.front()) == 0);
}

TEST_CASE("readers in several threads see a growing tape without holes") {
  const auto variant = any_tape();
  CAPTURE(variant);
  auto tape = make_tape(variant, 2);
  constexpr std::uint64_t kAppends = 400;
  std::atomic<bool> wrong = false;
  const auto follow = [&](Partition partition, const std::string& symbol) {
    auto& reader = tape->reader();
    Offset next = 0;
    std::uint64_t last_id = 0;
    while (last_id < kAppends && !wrong) {
      const auto block =
          reader.refresh().and_then([&] { return reader.read(partition, next, {}); });
      if (!block) wrong = true;
      if (!block || (*block)->records.empty()) continue;
      for (const auto& record : (*block)->records) {
        const bool hole = reader.dense() ? record.offset != next : record.offset < next;
        wrong = wrong || hole || id_of(record) != last_id + 1;
        last_id = id_of(record);
        next = record.offset + 1;
      }
      // What was read is also in the index.
      const auto entry = reader.index(symbol, next - 1, next);
      wrong = wrong || !entry || entry->size() != 1;
    }
  };
  std::vector<std::string> symbols(2);
  for (char c = 'A'; c <= 'Z'; ++c) symbols[partition_of(std::string(1, c), 2)] = std::string(1, c);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { follow(i % 2, symbols[i % 2]); });
  for (std::uint64_t id = 1; id <= kAppends; ++id) {
    append(tape->writer(), {make_record(symbols[0], id, 20), make_record(symbols[1], id, 20)});
  }
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(wrong);
}

TEST_CASE("verify reads every record and says how many") {
  const auto variant = any_tape();
  CAPTURE(variant);
  RandomTape random(variant, 4, 3, 50);
  std::uint64_t total = 0, records = 0, told = 0;
  for (const auto& partition : random.expected.partitions) records += partition.size();
  for (Partition p = 0; p < 3; ++p) total += random.tape->reader().end(p).value();
  const auto verified = verify(random.tape->reader(), [&](std::uint64_t done, std::uint64_t all) {
    CHECK(all == total);
    CHECK(done >= told);
    told = done;
  });
  REQUIRE(verified);
  CHECK(*verified == records);
  CHECK(told == total);
}

TEST_CASE("verify names a record whose batch does not decode, or whose header disagrees with it") {
  const auto variant = any_tape();
  CAPTURE(variant);
  auto tape = make_tape(variant, 1);
  append(tape->writer(), {make_record("A", 1), make_record("B", 2)});
  auto third = make_record("C", 3);
  SECTION("bytes that are no batch") { third.payload.assign(64, std::byte{0xee}); }
  SECTION("another count of events") { third.event_count = 4; }
  append(tape->writer(), {third});
  REQUIRE(tape->reader().refresh());
  const auto verified = verify(tape->reader());
  REQUIRE_FALSE(verified);
  CHECK(verified.error().code == ErrorCode::corrupt);
  const auto place = at(0, offsets_of(tape->reader(), 0).back());
  CHECK_THAT(verified.error().message, Catch::Contains(place));
}

}  // namespace tapedeck::storage::test
