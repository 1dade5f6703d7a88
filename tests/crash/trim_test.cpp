// Retention of an embedded tape: what is left folds to the same, whatever the trim dies of.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "actors/engine.hpp"
#include "replay/time_travel.hpp"
#include "replay/trim.hpp"
#include "replay/verify.hpp"
#include "storage/memory_state_store.hpp"
#include "storage/memory_tape.hpp"
#include "storage/rocksdb_common.hpp"
#include "storage/rocksdb_state.hpp"
#include "storage/rocksdb_tape.hpp"
#include "storage/tape_copy.hpp"
#include "storage/verify.hpp"
#include "tests/crash/power_loss_files.hpp"
#include "tests/replay/sessions.hpp"

using namespace tapedeck;

namespace {

const market::FoldSettings kSettings;
const std::string kSession = "seed=5,symbols=10,messages=6000,open=34200,close=34290";
constexpr storage::Partition kPartitions = 2;

std::filesystem::path memory_or_disk() {
  const std::filesystem::path memory = "/dev/shm";
  return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

struct Folder {
  Folder() {
    auto name = (memory_or_disk() / "tapedeck-trim-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path;
};

std::unique_ptr<storage::TapeWriter> open_writer(const std::string& dir) {
  storage::WriterOptions options;
  options.partitions = kPartitions;
  options.write_buffer_bytes = std::size_t{64} << 10;  // many files
  options.write_buffers_bytes = std::size_t{128} << 10;
  options.wal_bytes = std::size_t{64} << 10;
  auto writer = storage::open_tape_writer(dir, options);
  if (!writer) FAIL(writer.error().message);
  return std::move(*writer);
}

actors::EngineOptions engine_options() {
  actors::EngineOptions options;
  options.threads = 2;
  options.poll_records = 32;
  options.checkpoint_events = 700;
  options.snapshots = {200, 8};
  options.store_interval = std::chrono::milliseconds(1);
  return options;
}

void record(storage::TapeWriter& tape) { tests::record_session(tape, {kSession, 64, 256}); }

/// What the engine says of the tape in this folder.
void index(const std::string& dir, storage::TapeReader& tape) {
  auto state = storage::open_state_store(dir);
  REQUIRE(state);
  telemetry::Metrics metrics(kPartitions);
  actors::Engine engine(tape, **state, kSettings, engine_options(), metrics);
  const auto done = engine.run_to_end();
  if (!done) FAIL(done.error().message);
}

struct Stored {
  tests::OutputMap outputs;
  tests::DigestMap digests;
};
Stored stored(const std::string& dir, const storage::TapeReader& tape) {
  const auto state = storage::open_state_reader(dir);
  REQUIRE(state);
  Stored all;
  const auto symbols = tape.symbols().value();
  for (const auto& symbol : symbols) {
    REQUIRE((*state)->outputs(symbol, "", "", [&](const market::Output& output) {
      all.outputs.emplace(std::pair(symbol, market::identity(output)), output);
      return true;
    }));
    const auto digests =
        (*state)->digests(symbol, storage::partition_of(symbol, kPartitions)).value();
    REQUIRE_FALSE(digests.empty());
    all.digests[symbol] = {digests.back().events, digests.back().digest};
  }
  return all;
}

using Starts = std::vector<market::Offset>;
Starts starts_of(const storage::TapeReader& tape) {
  Starts starts;
  for (storage::Partition p = 0; p < tape.partitions(); ++p)
    starts.push_back(tape.start(p).value());
  return starts;
}
replay::Wanted middle_of(const storage::TapeReader& tape, unsigned part = 2) {
  replay::Wanted wanted;
  for (storage::Partition p = 0; p < tape.partitions(); ++p)
    wanted.push_back(tape.end(p).value() / part);
  return wanted;
}

Result<replay::Trimmed> trim(storage::TapeWriter& tape, const std::string& dir,
                             const replay::Wanted& wanted) {
  const auto state = storage::open_state_reader(dir);
  return replay::trim(tape, state ? state->get() : nullptr, kSettings, {}, wanted);
}

/// Those emitted at or behind the starts.
tests::OutputMap since(const tests::OutputMap& outputs, const Starts& starts) {
  tests::OutputMap later;
  for (const auto& [key, output] : outputs) {
    if (output.position.offset >= starts[output.position.partition]) later.emplace(key, output);
  }
  return later;
}

void check_whole(const storage::TapeReader& tape, const tests::Expected& expected) {
  const auto verified = storage::verify(tape);
  if (!verified) FAIL(verified.error().message);
  const auto found = tests::plain_refold(tape, kSettings);
  CHECK(found.digests == expected.digests);
  CHECK(found.counts == expected.counts);
  tests::check_same_outputs(found.outputs, since(expected.outputs, starts_of(tape)), true);
}

}  // namespace

TEST_CASE("a trimmed tape folds to the same digests, counts and later outputs", "[trim]") {
  Folder folder;
  tests::Expected expected;
  for (int round = 0; round < 3; ++round) {
    auto writer = open_writer(folder.path);
    auto& tape = writer->reader();
    if (round == 0) {
      record(*writer);
      expected = tests::plain_refold(tape, kSettings);
      index(folder.path, tape);
    }
    const auto before = starts_of(tape);
    const auto wanted = middle_of(tape, round == 0 ? 3 : 2);
    const auto trimmed = trim(*writer, folder.path, wanted);
    if (!trimmed) FAIL(trimmed.error().message);
    for (storage::Partition p = 0; p < kPartitions; ++p) {
      INFO("round " << round << ", partition " << p);
      CHECK(trimmed->parts[p].held.empty());
      CHECK(tape.start(p).value() == wanted[p]);
      CHECK((round == 2) == (trimmed->parts[p].start == before[p]));
      const auto first = tape.read(p, 0, {1, 1}).value();
      REQUIRE(first->records.size() == 1);
      CHECK(first->records[0].offset == wanted[p]);
    }
    check_whole(tape, expected);
    const auto state = storage::open_state_reader(folder.path);
    REQUIRE(state);
    const auto verified = replay::verify(tape, **state, kSettings, 1, {});
    REQUIRE(verified);
    CHECK(verified->digests > 0);
    CHECK(verified->mismatches.empty());
    CHECK(verified->bad_snapshots.empty());
    // A reader beside it sees the same.
    const auto reader = storage::open_tape_reader(folder.path);
    REQUIRE(reader);
    CHECK(starts_of(**reader) == starts_of(tape));
    check_whole(**reader, expected);
  }
}

TEST_CASE("a state that is deleted after a trim is made again, equal from the start on", "[trim]") {
  Folder folder;
  auto writer = open_writer(folder.path);
  auto& tape = writer->reader();
  record(*writer);
  const auto expected = tests::plain_refold(tape, kSettings);
  index(folder.path, tape);
  REQUIRE(trim(*writer, folder.path, middle_of(tape)));
  const auto kept = stored(folder.path, tape);
  tests::check_same_outputs(kept.outputs, expected.outputs, true);  // those before it stay
  std::filesystem::remove_all(folder.path + "/state");
  index(folder.path, tape);
  const auto again = stored(folder.path, tape);
  CHECK(again.digests == expected.digests);
  tests::check_same_outputs(again.outputs, since(expected.outputs, starts_of(tape)), true);
}

TEST_CASE("a position before the start is an error that names the first valid one", "[trim]") {
  Folder folder;
  auto writer = open_writer(folder.path);
  auto& tape = writer->reader();
  record(*writer);
  index(folder.path, tape);
  const auto state = storage::open_state_reader(folder.path);
  REQUIRE(state);
  const auto wanted = middle_of(tape);
  const auto symbols = tape.symbols().value();
  const auto at = [&](const std::string& symbol, market::Offset offset) {
    return replay::state_at(tape, state->get(), symbol, replay::AtOffset{{}, offset, {}},
                            kSettings);
  };
  std::map<std::string, market::Digest> digests;
  for (const auto& symbol : symbols) {
    const auto p = storage::partition_of(symbol, kPartitions);
    const auto there = at(symbol, wanted[p]);
    REQUIRE(there);
    digests[symbol] = there->fold.state().digest();
  }
  REQUIRE(trim(*writer, folder.path, wanted));
  for (const auto& symbol : symbols) {
    INFO(symbol);
    const auto p = storage::partition_of(symbol, kPartitions);
    const auto there = at(symbol, wanted[p]);
    if (!there) FAIL(there.error().message);
    CHECK(there->fold.state().digest() == digests[symbol]);
    const auto without =
        replay::state_at(tape, nullptr, symbol, replay::AtOffset{{}, wanted[p], {}}, kSettings);
    REQUIRE(without);
    CHECK(without->fold.state().digest() == digests[symbol]);
    const auto before = at(symbol, wanted[p] - 1);
    REQUIRE_FALSE(before);
    CHECK(before.error().code == ErrorCode::out_of_range);
    CHECK(before.error().field == "at");
    CHECK(before.error().message.find("first valid position is " + replay::place(p, wanted[p])) !=
          std::string::npos);
    const auto base = tape.base_of(symbol).value();
    REQUIRE(base);
    const auto newest = base->snapshot.max_event_time;
    const auto instant = [&](market::TimeNs time) {
      return replay::state_at(tape, state->get(), symbol, replay::AtInstant{time}, kSettings);
    };
    CHECK(instant(newest));
    const auto early = instant(newest - 1);
    REQUIRE_FALSE(early);
    CHECK(early.error().code == ErrorCode::out_of_range);
    CHECK(early.error().message.find("first valid instant") != std::string::npos);
  }
}

TEST_CASE("nothing goes that a resume still reads, and never a partition's newest mark", "[trim]") {
  Folder folder;
  auto writer = open_writer(folder.path);
  auto& tape = writer->reader();
  record(*writer);
  const auto expected = tests::plain_refold(tape, kSettings);
  const auto end = replay::wanted_before(tape, replay::AtEnd{}).value();
  SECTION("no engine has folded it") {
    const auto trimmed = trim(*writer, folder.path, end);
    REQUIRE(trimmed);
    for (const auto& part : trimmed->parts) {
      CHECK(part.start == 0);
      CHECK(part.held.find("no engine") != std::string::npos);
    }
  }
  SECTION("the engine was stopped hard in the middle") {
    {
      auto state = storage::open_state_store(folder.path);
      REQUIRE(state);
      telemetry::Metrics metrics(kPartitions);
      actors::Engine engine(tape, **state, kSettings, engine_options(), metrics);
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (metrics.partitions[0]->checkpoints + metrics.partitions[1]->checkpoints < 2 &&
             std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    }
    const auto trimmed = trim(*writer, folder.path, end);
    if (!trimmed) FAIL(trimmed.error().message);
    index(folder.path, tape);
    const auto all = stored(folder.path, tape);
    CHECK(all.digests == expected.digests);
    tests::check_same_outputs(all.outputs, expected.outputs, true);
  }
  SECTION("all is folded") {
    index(folder.path, tape);
    const auto trimmed = trim(*writer, folder.path, end);
    if (!trimmed) FAIL(trimmed.error().message);
    for (const auto& part : trimmed->parts) {
      const auto last = tape.marks(part.partition, 0, ~market::Offset{0}).value();
      REQUIRE_FALSE(last->records.empty());
      CHECK(part.start == last->records.back().offset);
      CHECK(tape.end(part.partition).value() > part.start);
    }
  }
  check_whole(tape, expected);
}

TEST_CASE("a recording that was interrupted goes on behind a trim, nothing twice or missing",
          "[trim]") {
  storage::MemoryTape whole(kPartitions);
  record(whole);
  const auto expected = tests::plain_refold(whole, kSettings);
  for (const unsigned part : {1u, 2u, 5u}) {
    Folder folder;
    auto writer = open_writer(folder.path);
    auto& tape = writer->reader();
    const feeds::FeedOptions input{kSession, "2026-01-05"};
    {
      auto feed = feeds::open_feed("sim:l3", input);
      storage::RecorderOptions options;
      options.source_name = feeds::source_name("sim:l3", input).value();
      options.sequencing = (*feed)->sequencing();
      options.linger_events = 64;
      options.mark_events = 256;
      auto recorder = storage::Recorder::open(*writer, options);
      REQUIRE(recorder);
      market::FeedBatch batch;
      for (int polls = 0; polls < 20; ++polls) {
        REQUIRE((*feed)->poll(batch, 128));
        REQUIRE(recorder->add(batch));
      }
    }  // it dies
    index(folder.path, tape);
    const auto trimmed = trim(*writer, folder.path, middle_of(tape, part));
    if (!trimmed) FAIL(trimmed.error().message);
    CHECK(trimmed->records > 0);
    record(*writer);
    const auto found = tests::plain_refold(tape, kSettings);
    CHECK(found.digests == expected.digests);
    CHECK(found.counts.read == expected.counts.read);
    CHECK(found.counts.duplicates == expected.counts.duplicates);
  }
}

TEST_CASE("a copy of a trimmed tape begins where it does, and is gone on with", "[trim]") {
  Folder from, to;
  auto writer = open_writer(from.path);
  auto& tape = writer->reader();
  record(*writer);
  const auto expected = tests::plain_refold(tape, kSettings);
  index(from.path, tape);
  REQUIRE(trim(*writer, from.path, middle_of(tape)));
  auto copy = open_writer(to.path);
  storage::CopyOptions options;
  options.append_bytes = 4 << 10;
  int appends = 0;
  options.stop = [&] { return ++appends == 12; };
  REQUIRE(storage::copy_tape(tape, *copy, options));
  options.stop = nullptr;
  const auto done = storage::copy_tape(tape, *copy, options);
  if (!done) FAIL(done.error().message);
  CHECK(starts_of(copy->reader()) == starts_of(tape));
  check_whole(copy->reader(), expected);
  // One of before the trim stays as it is.
  Folder older;
  auto whole = open_writer(older.path);
  record(*whole);
  const auto same = storage::copy_tape(tape, *whole);
  if (!same) FAIL(same.error().message);
  CHECK(same->records == 0);
  CHECK(starts_of(whole->reader()) == Starts{0, 0});
  storage::MemoryTape memory(kPartitions);
  const auto refused = storage::copy_tape(tape, memory);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::invalid);
}

TEST_CASE("retention by age and by size keeps what is younger, and what fits", "[trim]") {
  Folder folder;
  {
    auto writer = open_writer(folder.path);
    record(*writer);
  }
  auto writer = open_writer(folder.path);  // its bytes are in files now
  auto& tape = writer->reader();
  const auto all = replay::wanted_by(tape, {}).value();
  CHECK(all == starts_of(tape));
  const auto newest = tape.last_mark(0).value()->feed_time;
  const auto young = replay::wanted_by(tape, {30 * market::kSecond, 0}).value();
  for (storage::Partition p = 0; p < kPartitions; ++p) {
    INFO("partition " << p);
    CHECK(young[p] > 0);
    for (market::Offset offset = 0; offset < young[p]; ++offset) {
      const auto record = tape.read(p, offset, {1, 1}).value()->records.at(0);
      CHECK(record.max_event_time < newest - 30 * market::kSecond);
    }
  }
  std::uint64_t bytes = 0, left = 0;
  for (storage::Partition p = 0; p < kPartitions; ++p) bytes += tape.stored_bytes(p, 0).value();
  REQUIRE(bytes > 0);
  const auto fits = replay::wanted_by(tape, {0, bytes / 2}).value();
  for (storage::Partition p = 0; p < kPartitions; ++p)
    left += tape.stored_bytes(p, fits[p]).value();
  CHECK(left <= bytes / 2 + bytes / 8);  // sizes are the store's estimates
  CHECK(left > 0);
}

TEST_CASE("a trim that dies at any write leaves the old tape or the new one", "[trim]") {
  Folder original;
  Starts before, after;
  tests::Expected expected;
  {
    auto writer = open_writer(original.path);
    record(*writer);
    expected = tests::plain_refold(writer->reader(), kSettings);
    index(original.path, writer->reader());
    before = starts_of(writer->reader());
    after = middle_of(writer->reader());
  }
  const auto dies = [&](std::uint64_t cut_at, std::uint64_t& operations) {
    Folder folder;
    std::filesystem::remove_all(folder.path);
    std::filesystem::copy(original.path, folder.path, std::filesystem::copy_options::recursive);
    auto files = std::make_shared<tests::PowerLossFiles>(cut_at, cut_at);
    storage::use_file_system(files);
    {
      storage::WriterOptions options;
      options.fsync = cut_at % 3 == 0 ? storage::WriterOptions::Fsync::never
                                      : storage::WriterOptions::Fsync::interval;
      const auto writer = storage::open_tape_writer(folder.path, options);
      if (writer) (void)trim(**writer, folder.path, after);
      files->cut();
    }
    operations = files->operations();
    storage::use_file_system(nullptr);
    files->settle(false);
    // To read first, as whoever looks at it; then the recorder opens it again.
    const auto reader = storage::open_tape_reader(folder.path);
    if (!reader) FAIL(reader.error().message);
    const auto found = starts_of(**reader);
    CHECK((found == before || found == after));
    check_whole(**reader, expected);
    const auto writer = storage::open_tape_writer(folder.path);
    if (!writer) FAIL(writer.error().message);
    CHECK(starts_of((*writer)->reader()) == found);
    check_whole((*writer)->reader(), expected);
    const auto done = trim(**writer, folder.path, after);
    if (!done) FAIL(done.error().message);
    CHECK(starts_of((*writer)->reader()) == after);
    check_whole((*writer)->reader(), expected);
    return found == after;
  };
  std::uint64_t operations = 0, now = 0;
  CHECK(dies(~std::uint64_t{0} >> 1, operations));
  REQUIRE(operations > 20);
  std::size_t old_tapes = 0, new_tapes = 0;
  const auto step = std::max<std::uint64_t>(1, operations / 60);
  for (std::uint64_t cut_at = 0; cut_at < operations; cut_at += step) {
    INFO("power lost at " << cut_at << " of " << operations);
    ++(dies(cut_at, now) ? new_tapes : old_tapes);
  }
  CHECK(old_tapes > 0);
  CHECK(new_tapes > 0);
}
