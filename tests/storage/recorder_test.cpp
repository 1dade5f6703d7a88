#include "storage/recorder.hpp"

#include <catch2/catch.hpp>

#include "storage/memory_tape.hpp"
#include "tests/storage/recorder_script.hpp"

using namespace tapedeck;
using namespace tapedeck::storage;
using namespace tapedeck::testing;
using market::Sequencing;

namespace {

constexpr const char* kSource = "script 1";

RecorderOptions options_with(std::uint64_t linger, std::uint64_t mark_events = 1) {
  RecorderOptions options;
  options.source_name = kSource;
  options.linger_events = linger;
  options.mark_events = mark_events;
  return options;
}

/// The disk takes so many appends, then none.
class FailingWriter final : public TapeWriter {
public:
  FailingWriter(TapeWriter& inner, std::size_t appends) : inner_(inner), left_(appends) {}
  Result<void> append(std::span<const NewRecord> records, std::span<const NewMark> marks) override {
    if (left_ == 0) return full();
    --left_;
    return inner_.append(records, marks);
  }
  Result<void> append(const RecorderDeadLetter& letter) override {
    if (left_ == 0) return full();
    --left_;
    return inner_.append(letter);
  }
  Result<void> sync() override { return inner_.sync(); }
  TapeReader& reader() override { return inner_.reader(); }

private:
  static Result<void> full() { return fail(ErrorCode::environment, "no space left"); }
  TapeWriter& inner_;
  std::size_t left_;
};

Recorder open_recorder(TapeWriter& tape, RecorderOptions options) {
  auto recorder = Recorder::open(tape, std::move(options));
  REQUIRE(recorder);
  return std::move(*recorder);
}

/// Records the whole script; returns the recorder's error if it had one.
std::optional<Error> record_all(TapeWriter& tape, const Script& script,
                                const RecorderOptions& options, std::size_t poll = 64,
                                RecorderStats* stats = nullptr) {
  Recorder recorder = open_recorder(tape, options);
  std::optional<Error> error;
  script.feed(poll, [&](const FeedBatch& batch) {
    auto done = recorder.add(batch);
    if (!done) error = done.error();
    return done.has_value();
  });
  if (!error)
    if (auto done = recorder.finish(); !done) error = done.error();
  if (stats) *stats = recorder.stats();
  return error;
}

bool complete(const TapeReader& tape, const std::string& source = kSource) {
  auto sources = tape.sources();
  REQUIRE(sources);
  for (const auto& info : *sources)
    if (info.name == source) return info.complete;
  return false;
}

}  // namespace

TEST_CASE("linger, marks and polls change how a tape is cut, never what a symbol's events are",
          "[recorder]") {
  const Script script = make_script(1, {});
  const auto expected = script.expected(kSource, Sequencing::message_number);
  for (const std::uint64_t linger : {1u, 7u, 64u, 1000u, 524'288u})
    for (const std::uint64_t marks : {1u, 500u, 1'000'000u})
      for (const std::size_t poll : {1u, 13u, 5000u}) {
        MemoryTape tape(3);
        RecorderStats stats;
        REQUIRE_FALSE(record_all(tape, script, options_with(linger, marks), poll, &stats));
        CAPTURE(linger, marks, poll);
        CHECK(events_on(tape) == expected);
        CHECK(complete(tape));
        std::uint64_t events = 0;
        for (const auto& [symbol, all] : expected) events += all.size();
        CHECK(stats.events + stats.sessions == events);
        CHECK(stats.sessions == expected.size());
      }
}

TEST_CASE("a recording that dies at any append goes on without losing or doubling an event",
          "[recorder]") {
  const Script script = make_script(2, {8, 600, true, true, Sequencing::message_number});
  const auto expected = script.expected(kSource, Sequencing::message_number);
  for (const std::uint64_t linger : {1u, 50u, 100'000u}) {
    for (std::size_t appends = 0;; appends += linger == 1 ? 7 : 1) {
      MemoryTape tape(3);
      FailingWriter failing(tape, appends);
      const auto error =
          record_all(failing, script, options_with(linger, linger == 1 ? 97 : 1), 33);
      if (!error) break;
      CHECK(error->code == ErrorCode::environment);
      CAPTURE(linger, appends);
      CHECK_FALSE(complete(tape));
      // Again from the start, grouped in another way.
      REQUIRE_FALSE(record_all(tape, script, options_with(40), 57));
      CHECK(events_on(tape) == expected);
      CHECK(complete(tape));
    }
  }
}

TEST_CASE("a recording that dies again and again still ends with each event once", "[recorder]") {
  const Script script = make_script(3, {});
  for (const std::uint64_t marks : {1u, 300u}) {
    MemoryTape tape(4);
    std::size_t runs = 0;
    for (;; ++runs) {
      REQUIRE(runs < 4000);
      // One append more than the dead letters that are written anew in each run.
      FailingWriter failing(tape, 60);
      if (!record_all(failing, script, options_with(1 + runs % 90, marks), 1 + runs % 70)) break;
    }
    CAPTURE(marks, runs);
    CHECK(runs > 2);
    CHECK(events_on(tape) == script.expected(kSource, Sequencing::message_number));
  }
}

TEST_CASE("a source that is complete is not recorded twice", "[recorder]") {
  const Script script = make_script(4, {});
  MemoryTape tape;
  REQUIRE_FALSE(record_all(tape, script, options_with(100)));
  const auto before = events_on(tape);
  Recorder again = open_recorder(tape, options_with(100));
  CHECK(again.already_recorded());
  script.feed(50, [&](const FeedBatch& batch) { return again.add(batch).has_value(); });
  CHECK(again.finish());
  CHECK(events_on(tape) == before);
}

TEST_CASE("a suspended recording is found again and goes on after its last message", "[recorder]") {
  const Script script = make_script(5, {});
  MemoryTape tape;
  {
    Recorder recorder = open_recorder(tape, options_with(100'000, 1'000'000));
    std::uint64_t batches = 0;
    script.feed(100, [&](const FeedBatch& batch) {
      return recorder.add(batch).has_value() && ++batches < 10;
    });
    REQUIRE(recorder.suspend());
    CHECK(recorder.pending() == 0);
  }
  CHECK_FALSE(complete(tape));
  CHECK(open_recorder(tape, options_with(100)).resumes_after() == 1000);
  RecorderStats stats;
  REQUIRE_FALSE(record_all(tape, script, options_with(100), 64, &stats));
  CHECK(stats.passed_over > 0);
  CHECK(events_on(tape) == script.expected(kSource, Sequencing::message_number));
}

TEST_CASE("an interrupted source goes on although another one was recorded since", "[recorder]") {
  const Script first = make_script(6, {6, 500, true, false, Sequencing::message_number});
  const Script second = make_script(7, {6, 300, true, false, Sequencing::message_number});
  // Marks are seldom, so that events lie beyond the newest one.
  MemoryTape tape(2);
  FailingWriter failing(tape, 20);
  REQUIRE(record_all(failing, first, options_with(10, 1'000'000)));
  auto other = options_with(25);
  other.source_name = "script 2";
  REQUIRE_FALSE(record_all(tape, second, other));
  REQUIRE_FALSE(record_all(tape, first, options_with(30)));

  auto only_first = events_on(tape, market::source_id(kSource));
  auto expected = first.expected(kSource, Sequencing::message_number);
  // Where the other source came between, a second session event tells the symbol that this source
  // is back.
  std::size_t sessions = 0;
  for (auto& [symbol, events] : only_first) {
    auto later = std::remove_if(events.begin() + 1, events.end(),
                                [](const Event& e) { return e.kind == EventKind::session; });
    sessions += static_cast<std::size_t>(events.end() - later);
    events.erase(later, events.end());
  }
  CHECK(only_first == expected);
  CHECK(sessions > 0);
  CHECK(events_on(tape, market::source_id("script 2")) ==
        second.expected("script 2", Sequencing::message_number));
}

TEST_CASE("a source numbered by symbol resumes exactly, repeated messages included", "[recorder]") {
  const Script script = make_script(8, {5, 800, false, false, Sequencing::per_symbol});
  for (std::size_t appends = 0;; ++appends) {
    MemoryTape tape(2);
    FailingWriter failing(tape, appends);
    auto options = options_with(30, 70);
    options.sequencing = Sequencing::per_symbol;
    if (!record_all(failing, script, options, 21)) break;
    REQUIRE_FALSE(record_all(tape, script, options, 50));
    CAPTURE(appends);
    CHECK(events_on(tape) == script.expected(kSource, Sequencing::per_symbol));
  }
}

TEST_CASE("only the symbols asked for are recorded, the others are counted", "[recorder]") {
  const Script script = make_script(9, {});
  auto options = options_with(64);
  options.symbols = {"S1", "S3", "NOT THERE"};
  MemoryTape tape;
  RecorderStats stats;
  REQUIRE_FALSE(record_all(tape, script, options, 64, &stats));
  auto expected = script.expected(kSource, Sequencing::message_number);
  std::uint64_t all = 0;
  for (const auto& [symbol, events] : expected) all += events.size() - 1;
  std::erase_if(expected,
                [&](const auto& entry) { return !options.symbols.contains(entry.first); });
  CHECK(events_on(tape) == expected);
  CHECK(stats.events + stats.filtered == all);
}

TEST_CASE(
    "inputs that could not be decoded are dead letters, kept once however often the source is read",
    "[recorder]") {
  const Script script = make_script(10, {});
  std::size_t letters = 0;
  for (const auto& message : script.messages) letters += message.dead_letters.size();
  REQUIRE(letters > 3);
  MemoryTape tape;
  FailingWriter failing(tape, 12);
  REQUIRE(record_all(failing, script, options_with(100)));
  REQUIRE_FALSE(record_all(tape, script, options_with(100)));
  auto kept = tape.dead_letters();
  REQUIRE(kept);
  REQUIRE(kept->size() == letters);
  for (const auto& letter : *kept) {
    CHECK(letter.source == kSource);
    CHECK(letter.reason == "unknown type");
    CHECK(letter.bytes == "x" + std::to_string(letter.byte_offset / 40));
  }
}

TEST_CASE("a mark never goes back and never lies", "[recorder]") {
  const Script script = make_script(11, {});
  for (const std::uint64_t linger : {1u, 20u, 400u}) {
    MemoryTape tape(3);
    FailingWriter failing(tape, 90);
    (void)record_all(failing, script, options_with(linger, 3), 17);
    REQUIRE_FALSE(record_all(tape, script, options_with(linger, 3), 29));
    for (Partition p = 0; p < 3; ++p) {
      schemas::MarkPayload newest;
      newest.feed_time = script.start;
      std::uint64_t marks = 0;
      for_each_record(tape, p, [&](const Record& record) {
        if (record.kind == RecordKind::mark) {
          const auto mark = schemas::decode_mark(record.payload);
          REQUIRE(mark);
          CHECK(mark->cursor_messages >= newest.cursor_messages);
          CHECK(mark->feed_time >= newest.feed_time);
          CHECK(mark->cursor_bytes >= newest.cursor_bytes);
          CHECK_FALSE(newest.complete);
          newest = *mark;
          ++marks;
          return;
        }
        for (const Event& event : events_of(record)) {
          CHECK(event.sequence > newest.cursor_messages);
          CHECK(event.feed_time >= newest.feed_time);
        }
      });
      CAPTURE(linger, p);
      CHECK(newest.complete);
      CHECK(newest.cursor_messages == script.messages.size());
      CHECK(marks > 1);
    }
  }
}

TEST_CASE("live, events wait no longer than the linger, and a mark does not push them out",
          "[recorder]") {
  const Script script = make_script(12, {4, 40, false, false, Sequencing::message_number});
  auto options = options_with(1000);
  options.linger_time = 1'000'000;
  options.mark_interval = 250'000'000;
  MemoryTape tape(2);
  Recorder recorder = open_recorder(tape, options);
  TimeNs now = 5'000'000'000;
  auto total = [&] {
    std::size_t count = 0;
    for (const auto& [symbol, events] : events_on(tape)) count += events.size();
    return count;
  };
  std::size_t batches = 0;
  script.feed(10, [&](const FeedBatch& batch) {
    REQUIRE(recorder.tick(now));
    REQUIRE(recorder.add(batch));
    const auto before = total();
    REQUIRE(recorder.tick(now + options.linger_time - 1));
    CHECK(total() == before);
    REQUIRE(recorder.tick(now + options.linger_time));
    CHECK(total() > before);
    CHECK(recorder.pending() == 0);
    now += 10'000'000;
    return ++batches < 3;
  });
  // Three flushes within 30 ms: only the first brought marks, one for each partition.
  CHECK(recorder.stats().marks == 2);
  REQUIRE(recorder.tick(now + 300'000'000));
  CHECK(recorder.stats().marks == 4);
  // Nothing new: no mark, however long it lasts.
  REQUIRE(recorder.tick(now + 900'000'000));
  CHECK(recorder.stats().marks == 4);
  CHECK(tape.last_mark(0)->value().cursor_messages == 30);
}

TEST_CASE("a mark that is due while events wait tells the last flush only", "[recorder]") {
  const Script script = make_script(13, {4, 40, false, false, Sequencing::message_number});
  auto options = options_with(10);
  options.linger_time = 3'600 * market::kSecond;
  options.mark_interval = 1'000'000;
  MemoryTape tape(1);
  Recorder recorder = open_recorder(tape, options);
  std::size_t batches = 0;
  script.feed(1, [&](const FeedBatch& batch) {
    return recorder.add(batch).has_value() && (++batches < 25 || recorder.pending() < 3);
  });
  REQUIRE(recorder.pending() > 0);
  const auto pending = recorder.pending();
  REQUIRE(recorder.tick(10'000'000));
  CHECK(recorder.pending() == pending);
  const auto mark = tape.last_mark(0)->value();
  CHECK(mark.cursor_messages < batches);
  std::uint64_t newest = 0;
  for (const auto& [symbol, events] : events_on(tape))
    newest = std::max(newest, events.back().sequence);
  CHECK(mark.cursor_messages == newest);
}

TEST_CASE("records keep to their size and hold whole messages", "[recorder]") {
  const Script script = make_script(14, {3, 4000, true, false, Sequencing::message_number});
  auto options = options_with(100'000);
  options.max_record_bytes = 512;
  MemoryTape tape(2);
  REQUIRE_FALSE(record_all(tape, script, options, 1000));
  CHECK(events_on(tape) == script.expected(kSource, Sequencing::message_number));
  for (Partition p = 0; p < 2; ++p)
    for_each_record(tape, p, [&](const Record& record) {
      if (record.kind != RecordKind::events) return;
      CHECK(record.payload.size() <= 512);
      const auto events = events_of(record);
      CHECK(record.event_count == events.size());
      CHECK((events.back().flags & market::kMore) == 0);
      TimeNs highest = market::kNoTime;
      for (const Event& event : events) highest = std::max(highest, event.time);
      CHECK(record.max_event_time == highest);
    });
}

TEST_CASE("after an append that failed the recorder takes nothing more", "[recorder]") {
  const Script script = make_script(15, {4, 100, false, false, Sequencing::message_number});
  MemoryTape tape(2);
  FailingWriter failing(tape, 0);
  Recorder recorder = open_recorder(failing, options_with(10));
  std::size_t errors = 0;
  script.feed(20, [&](const FeedBatch& batch) {
    auto done = recorder.add(batch);
    errors += done ? 0 : 1;
    return true;
  });
  CHECK(errors == 5);
  CHECK_FALSE(recorder.finish());
  CHECK_FALSE(recorder.suspend());
  CHECK_FALSE(recorder.tick(1));
  CHECK(events_on(tape).empty());
}
