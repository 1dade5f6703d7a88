#include "apps/recording.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "apps/batch_queue.hpp"
#include "storage/memory_tape.hpp"
#include "tests/storage/recorder_script.hpp"

using namespace tapedeck;
using namespace tapedeck::apps;
using namespace tapedeck::testing;

namespace {

/// A script as a feed; may fail after so many messages.
class ScriptFeed final : public feeds::Feed {
public:
  explicit ScriptFeed(const Script& script, std::size_t fails_after = ~std::size_t{0})
      : script_(script), fails_after_(fails_after) {}
  Result<void> poll(FeedBatch& batch, std::size_t max_events) override {
    batch.clear();
    if (next_ >= fails_after_) return fail(ErrorCode::environment, "the cable is out");
    do {
      if (next_ >= std::min(fails_after_, script_.messages.size())) break;
      const auto& message = script_.messages[next_++];
      batch.events.insert(batch.events.end(), message.events.begin(), message.events.end());
      batch.new_symbols.insert(batch.new_symbols.end(), message.new_symbols.begin(),
                               message.new_symbols.end());
      for (const auto& event : message.events)
        feed_time_ = std::max(feed_time_, event.event.feed_time);
    } while (batch.events.size() < max_events);
    batch.messages = next_;
    batch.bytes = next_ * 40;
    batch.feed_time = feed_time_;
    batch.end = next_ == script_.messages.size();
    return {};
  }
  [[nodiscard]] market::Sequencing sequencing() const override {
    return market::Sequencing::message_number;
  }
  [[nodiscard]] std::uint64_t total_bytes() const override { return script_.messages.size() * 40; }

private:
  const Script& script_;
  std::size_t fails_after_, next_ = 0;
  market::TimeNs feed_time_ = script_.start;
};

/// Takes its time for each append, as brokers do.
class SlowTape final : public storage::TapeWriter {
public:
  Result<void> append(std::span<const storage::NewRecord> records,
                      std::span<const storage::NewMark> marks) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ++appends;
    return tape_.append(records, marks);
  }
  Result<void> append(const storage::RecorderDeadLetter& letter) override {
    return tape_.append(letter);
  }
  Result<void> sync() override { return tape_.sync(); }
  storage::TapeReader& reader() override { return tape_.reader(); }
  int appends = 0;

private:
  storage::MemoryTape tape_{3};
};

const ScriptShape kShape{10, 2'000, true, false, market::Sequencing::message_number};

RecordingOptions named() {
  RecordingOptions options;
  options.recorder.source_name = "script";
  options.recorder.linger_events = 50;
  return options;
}

}  // namespace

TEST_CASE("whatever the pace, the tape holds the same events", "[recording]") {
  const Script script = make_script(21, kShape);
  const std::atomic<bool> stop{false};
  for (const char* pace : {"max", "1000000", "realtime"}) {
    auto options = named();
    options.pace = *parse_pace(pace, "--rate");
    if (options.pace.mode != Pace::Mode::max) set_live_defaults(options.recorder);
    storage::MemoryTape tape(3);
    ScriptFeed feed(script);
    std::uint64_t last = 0, calls = 0;
    options.progress = [&](const RecordingProgress& now) {
      CHECK(now.messages >= last);
      last = now.messages, ++calls;
    };
    const auto summary = record_feed(tape, feed, options, stop);
    CAPTURE(pace);
    REQUIRE(summary);
    CHECK_FALSE(summary->interrupted);
    CHECK(summary->messages == script.messages.size());
    CHECK(events_on(tape) == script.expected("script", market::Sequencing::message_number));
    CHECK(calls > 0);
    CHECK(last == script.messages.size());
    ScriptFeed again(script);
    CHECK(record_feed(tape, again, options, stop)->already_recorded);
  }
}

TEST_CASE("where appends are slow the pace is kept by larger ones", "[recording]") {
  const Script script = make_script(22, {10, 60'000, true, false, kShape.sequencing});
  RecordingOptions options;
  options.recorder.source_name = "script";
  set_live_defaults(options.recorder);
  options.pace = *parse_pace("1000000", "--rate");
  SlowTape tape;
  ScriptFeed feed(script);
  const auto summary = record_feed(tape, feed, options, std::atomic<bool>{false});
  REQUIRE(summary);
  CHECK(events_on(tape.reader()) == script.expected("script", market::Sequencing::message_number));
  CHECK(tape.appends < 10);  // 15 of them would hold no more than one poll of the feed each
}

TEST_CASE("a feed that breaks leaves everything before on the tape, and the next run goes on",
          "[recording]") {
  const Script script = make_script(22, kShape);
  const std::atomic<bool> stop{false};
  for (const char* pace : {"max", "1000000"}) {
    auto options = named();
    options.recorder.linger_events = 1'000'000;
    options.pace = *parse_pace(pace, "--rate");
    storage::MemoryTape tape(3);
    ScriptFeed broken(script, 700);
    const auto failed = record_feed(tape, broken, options, stop);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().message == "the cable is out");
    std::uint64_t newest = 0;
    for (const auto& [symbol, events] : events_on(tape))
      newest = std::max(newest, events.back().sequence);
    CHECK(newest == 700);
    ScriptFeed whole(script);
    const auto summary = record_feed(tape, whole, options, stop);
    REQUIRE(summary);
    CHECK(summary->resumed_after == 700);
    CHECK(events_on(tape) == script.expected("script", market::Sequencing::message_number));
  }
}

TEST_CASE("a stop ends a recording between messages, and says so", "[recording]") {
  const Script script = make_script(23, kShape);
  for (const char* pace : {"max", "100000", "realtime"}) {
    auto options = named();
    options.pace = *parse_pace(pace, "--rate");
    std::atomic<bool> stop{false};
    options.progress = [&](const RecordingProgress&) { stop = true; };
    storage::MemoryTape tape(3);
    // The bulk way takes thousands of events at once: its source must be longer than one take.
    const Script longer =
        make_script(24, {10, 60'000, false, false, market::Sequencing::message_number});
    const Script& source = options.pace.mode == Pace::Mode::max ? longer : script;
    ScriptFeed feed(source);
    const auto summary = record_feed(tape, feed, options, stop);
    CAPTURE(pace);
    REQUIRE(summary);
    CHECK(summary->interrupted);
    CHECK(summary->messages < source.messages.size());
    const std::atomic<bool> go{false};
    options.progress = {};
    options.pace = {};
    ScriptFeed again(source);
    REQUIRE(record_feed(tape, again, options, go));
    CHECK(events_on(tape) == source.expected("script", market::Sequencing::message_number));
  }
}

TEST_CASE("the queue between the threads keeps order, and its producer waits at the limit",
          "[recording]") {
  BatchQueue queue(2);
  std::atomic<std::uint64_t> pushed{0};
  std::thread producer([&] {
    for (std::uint64_t i = 1; i <= 1000; ++i) {
      FeedBatch batch = queue.empty_batch();
      batch.messages = i;
      if (!queue.push(std::move(batch), std::nullopt)) return;
      pushed = i;
    }
  });
  for (std::uint64_t i = 1; i <= 500; ++i) {
    auto item = queue.pop();
    CHECK(item.batch.messages == i);
    CHECK(pushed <= i + 2);
    queue.give_back(std::move(item.batch));
  }
  queue.close();
  producer.join();
  CHECK(pushed <= 503);
}

TEST_CASE("rates, lingers and mark cadences are read strictly", "[recording]") {
  CHECK(parse_pace("max", "f")->mode == Pace::Mode::max);
  CHECK(parse_pace("realtime", "f")->mode == Pace::Mode::realtime);
  CHECK(parse_pace("100000", "f")->per_second == 100'000);
  for (const char* bad : {"", "0", "-1", "1.5", "fast", "10 ", "99999999999"}) {
    CAPTURE(bad);
    REQUIRE_FALSE(parse_pace(bad, "--rate"));
    CHECK(parse_pace(bad, "--rate").error().field == "--rate");
  }
  storage::RecorderOptions options;
  REQUIRE(parse_linger("1ms", "f", options));
  CHECK(options.linger_time == 1'000'000);
  REQUIRE(parse_linger("64ev", "f", options));
  CHECK(options.linger_events == 64);
  CHECK(options.linger_time == 0);
  REQUIRE(parse_linger("128", "f", options));
  CHECK(options.linger_events == 128);
  REQUIRE(parse_linger("0", "f", options));
  CHECK(options.linger_events == 1);
  for (const char* bad : {"", "ev", "-1", "1 ms", "1parsec", "99999999999"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_linger(bad, "f", options));
  }
  REQUIRE(parse_mark_every("250ms", "f", options));
  CHECK(options.mark_interval == 250'000'000);
  REQUIRE(parse_mark_every("1000", "f", options));
  CHECK(options.mark_events == 1000);
  CHECK(options.mark_interval == 0);
}

TEST_CASE("some symbols of a source are another source, whatever their number", "[recording]") {
  CHECK(recorded_name("itch:day", {}) == "itch:day");
  CHECK(recorded_name("itch:day", {"B", "A"}) == "itch:day symbols=A,B");
  std::set<std::string> many;
  for (int i = 0; i < 5000; ++i) many.insert("SYM" + std::to_string(i));
  CHECK(recorded_name("itch:day", many).size() < 200);
  auto fewer = many;
  fewer.erase("SYM7");
  CHECK(recorded_name("itch:day", many) != recorded_name("itch:day", fewer));
}
