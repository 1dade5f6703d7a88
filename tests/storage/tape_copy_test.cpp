// tests/storage/tape_copy_test.cpp -- a copy goes on wherever it ended; compiled into one program
// for each kind of tape.
#include "storage/tape_copy.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <stdexcept>

#include "storage/memory_tape.hpp"
#include "storage/verify.hpp"
#include "tests/storage/tape_fixture.hpp"

namespace tapedeck::storage::test {
namespace {

constexpr std::uint32_t kPartitions = 3;
constexpr std::size_t kSmallAppend = 600;

std::string any_tape() { return GENERATE(from_range(tape_variants())); }

/// Records and marks in any order, some dead letters.
void fill(TapeWriter& writer, unsigned seed, int appends) {
  const std::vector<std::string> symbols{"AAPL", "MSFT", "A", "ZVZZT", "BRK.B", "BTCUSDT"};
  std::mt19937 random(seed);
  std::uint64_t id = 0;
  for (int i = 0; i < appends; ++i) {
    std::vector<OwnRecord> records;
    std::vector<NewMark> marks;
    for (auto n = random() % 5; n > 0; --n)
      records.push_back(make_record(symbols[random() % symbols.size()], ++id, 1 + random() % 20));
    for (Partition p = 0; p < kPartitions; ++p) {
      if (random() % 3 == 0)
        marks.push_back({p, make_mark("source", static_cast<TimeNs>(id), id, i + 1 == appends)});
    }
    append(writer, records, marks);
    if (i % 7 == 3) REQUIRE(writer.append(RecorderDeadLetter{"source", id, "cut", "bytes"}));
  }
}

/// What a tape holds, without where it stands.
std::vector<std::string> content(const TapeReader& tape) {
  std::vector<std::string> all;
  for (Partition p = 0; p < tape.partitions(); ++p) {
    for (const auto& block : read_all(tape, p)) {
      for (const auto& r : block->records) {
        all.push_back(
            std::to_string(p) + ' ' + std::string(r.symbol) + ' ' + std::to_string(r.event_count) +
            ' ' + std::to_string(r.max_event_time) + ' ' +
            std::string(reinterpret_cast<const char*>(r.payload.data()), r.payload.size()));
      }
    }
  }
  const auto letters = tape.dead_letters().value();
  for (const auto& letter : letters)
    all.push_back(letter.source + std::to_string(letter.byte_offset) + letter.reason +
                  letter.bytes);
  const auto sources = tape.sources().value();
  for (const auto& source : sources) {
    all.push_back(source.name + (source.complete ? " complete" : ""));
    for (const auto& mark : source.marks) all.push_back(mark ? schemas::encode(*mark) : "none");
  }
  return all;
}

/// A writer that dies after so many appends: before the next one, or with it done and nobody told.
class Dying final : public TapeWriter {
public:
  Dying(TapeWriter& writer, int appends, bool unheard)
      : writer_(writer), left_(appends), unheard_(unheard) {}
  Result<void> append(std::span<const NewRecord> records, std::span<const NewMark> marks) override {
    if (left_ == 0 && unheard_) REQUIRE(writer_.append(records, marks));
    if (left_-- <= 0) return dead();
    return writer_.append(records, marks);
  }
  Result<void> append(const RecorderDeadLetter& letter) override {
    if (left_ == 0 && unheard_) REQUIRE(writer_.append(letter));
    if (left_-- <= 0) return dead();
    return writer_.append(letter);
  }
  Result<void> sync() override { return writer_.sync(); }
  TapeReader& reader() override { return writer_.reader(); }

private:
  static Result<void> dead() { return fail(ErrorCode::environment, "killed"); }
  TapeWriter& writer_;
  int left_;
  bool unheard_;
};

CopyOptions small() {
  CopyOptions options;
  options.append_bytes = kSmallAppend;
  return options;
}

/// Copies with a crash after `step` appends, again and again; how many crashes there were.
int copy_with_crashes(const TapeReader& from, TapeWriter& to, int step, bool unheard) {
  for (int crashes = 0;; ++crashes) {
    REQUIRE(crashes < 1000);
    Dying dying(to, step, unheard);
    const auto done = copy_tape(from, dying, small());
    if (done) return crashes;
    REQUIRE(done.error().message == "killed");
    REQUIRE(to.reader().refresh());
  }
}

void require_copy(const TapeReader& from, TapeReader& to) {
  REQUIRE(to.refresh());
  REQUIRE(verify(to));
  CHECK(content(to) == content(from));
  for (Partition p = 0; from.dense() && to.dense() && p < kPartitions; ++p)
    CHECK(offsets_of(to, p) == offsets_of(from, p));
}

}  // namespace

TEST_CASE("a copy that dies between any two appends is gone on with, nothing lost or doubled") {
  const auto variant = any_tape();
  const int step = GENERATE(1, 2, 5);
  const bool unheard = GENERATE(false, true);
  CAPTURE(variant, step, unheard);
  MemoryTape from(kPartitions);
  fill(from, 1, 24);
  const auto to = make_tape(variant, kPartitions);
  CHECK(copy_with_crashes(from, to->writer(), step, unheard) > 2);
  require_copy(from, to->reader());
}

TEST_CASE("a tape of any kind is copied to memory, and further when it has grown") {
  const auto variant = any_tape();
  CAPTURE(variant);
  const auto from = make_tape(variant, kPartitions);
  fill(from->writer(), 2, 20);
  REQUIRE(from->reader().refresh());
  MemoryTape to(kPartitions);
  copy_with_crashes(from->reader(), to, 3, true);
  require_copy(from->reader(), to);
  fill(from->writer(), 3, 5);
  REQUIRE(from->reader().refresh());
  const auto before = content(to).size();
  const auto more = copy_tape(from->reader(), to).value();
  CHECK(more.found > 0);
  CHECK(more.records > 0);
  CHECK(content(to).size() > before);
  require_copy(from->reader(), to);
  const auto again = copy_tape(from->reader(), to).value();
  CHECK(again.records + again.dead_letters == 0);
  CHECK(again.found == more.found + more.records);
}

TEST_CASE("a target that holds something else is refused, and left as it is") {
  const auto variant = any_tape();
  const unsigned seed = GENERATE(4u, 5u);
  CAPTURE(variant, seed);
  MemoryTape from(kPartitions);
  fill(from, 1, 10);
  const auto to = make_tape(variant, kPartitions);
  if (seed == 4) fill(to->writer(), 4, 3);
  if (seed == 5) {  // the tape, and more
    fill(to->writer(), 1, 10);
    append(to->writer(), {make_record("AAPL", 999)});
  }
  REQUIRE(to->reader().refresh());
  const auto before = content(to->reader());
  CopyOptions options;
  options.accepted = []() -> Result<void> { throw std::runtime_error("accepted"); };
  const auto done = copy_tape(from, to->writer(), options);
  REQUIRE_FALSE(done);
  CHECK(done.error().code == ErrorCode::conflict);
  CHECK_THAT(done.error().message, Catch::Contains("something else"));
  REQUIRE(to->reader().refresh());
  CHECK(content(to->reader()) == before);
}

TEST_CASE("a target with another number of partitions is refused") {
  const auto variant = any_tape();
  MemoryTape from(kPartitions);
  const auto to = make_tape(variant, kPartitions + 1);
  const auto done = copy_tape(from, to->writer());
  REQUIRE_FALSE(done);
  CHECK(done.error().field == "partitions");
}

TEST_CASE("a copy stops where it is asked to, and goes on from there") {
  const auto variant = any_tape();
  CAPTURE(variant);
  MemoryTape from(kPartitions);
  fill(from, 6, 24);
  const auto to = make_tape(variant, kPartitions);
  auto options = small();
  int asked = 0;
  options.stop = [&] { return ++asked > 8; };
  const auto stopped = copy_tape(from, to->writer(), options).value();
  CHECK(stopped.interrupted);
  CHECK(stopped.records > 0);
  REQUIRE(to->reader().refresh());
  const auto rest = copy_tape(from, to->writer()).value();
  CHECK(rest.found == stopped.records);
  require_copy(from, to->reader());
}

}  // namespace tapedeck::storage::test
