// tests/schemas/batch_codec_test.cpp -- batches survive the way to bytes and back; bad bytes are
// refused.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "schemas/batch_codec.hpp"
#include "tests/schemas/random_events.hpp"

using namespace tapedeck;
using namespace tapedeck::schemas;
using market::Event;
using market::EventKind;

namespace {

constexpr std::uint64_t kSeed = 20260101;

std::vector<std::byte> bytes_of(std::span<const Event> events, std::string_view name = {}) {
  BatchEncoder encoder;
  const auto payload = encoder.encode(7, name, events);
  if (!payload) FAIL(payload.error().message);
  return {payload->begin(), payload->end()};
}

/// Reads all of it, `step` events at a time.
std::vector<Event> events_of(BatchReader& reader, std::size_t step) {
  std::vector<Event> events, some(step);
  while (const std::size_t n = reader.next(some))
    events.insert(events.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(n));
  return events;
}

void check_round_trip(const std::vector<Event>& events, std::size_t step) {
  const std::vector<std::byte> payload = bytes_of(events);
  BatchReader reader;
  const auto opened = reader.open(payload);
  REQUIRE(opened);
  CHECK(reader.source() == 7);
  REQUIRE(reader.size() == events.size());
  REQUIRE(events_of(reader, step) == events);
}

/// Whatever the bytes: an error that names a byte, or a batch that can be read to its end.
bool survives(BatchReader& reader, std::span<const std::byte> bytes) {
  const auto opened = reader.open(bytes);
  if (!opened) {
    CHECK(opened.error().code == ErrorCode::corrupt);
    CHECK(opened.error().message.find("byte ") != std::string::npos);
    CHECK(reader.size() == 0);
    return false;
  }
  const std::vector<Event> events = events_of(reader, 64);
  CHECK(events.size() == reader.size());
  CHECK(events.back().kind <= EventKind::gap);
  CHECK((events.back().flags & market::kMore) == 0);
  return true;
}

}  // namespace

TEST_CASE("a batch of any kinds and values comes back as it was", "[batch]") {
  INFO("seed " << kSeed);
  test::Random random(kSeed);
  for (int round = 0; round < 300; ++round) {
    std::vector<Event> events(1 + test::below(random, 400));
    const bool full = round % 2 == 0;
    for (Event& event : events) {
      event = test::any_event(random);
      if (!full) test::keep_used_fields(event);
    }
    events.back().flags &= static_cast<std::uint8_t>(~market::kMore);
    check_round_trip(events, 1 + test::below(random, 100));
  }
}

TEST_CASE("a batch of each single kind comes back, alone and many times", "[batch]") {
  test::Random random(kSeed);
  for (std::uint8_t kind = 0; kind < market::kEventKinds; ++kind) {
    for (const std::size_t count : {1u, 2u, 300u}) {
      std::vector<Event> events = test::plausible(random, count);
      for (Event& event : events) {
        event.kind = static_cast<EventKind>(kind);
        event.id = test::weird(random), event.other = test::weird(random);
        test::keep_used_fields(event);
      }
      check_round_trip(events, 7);
    }
  }
}

TEST_CASE("a plausible flow comes back and takes few bytes", "[batch]") {
  test::Random random(kSeed);
  for (const std::size_t count : {1u, 3u, 255u, 256u, 1000u, 65'536u / 2}) {
    const std::vector<Event> events = test::plausible(random, count);
    check_round_trip(events, 4096);
  }
  CHECK(bytes_of(test::plausible(random, 1)).size() <= 192);
  CHECK(bytes_of(test::plausible(random, 10'000)).size() <= 10'000 * 16);
}

TEST_CASE("receive times, feed times and flags come back wherever they stand", "[batch]") {
  test::Random random(kSeed);
  for (int round = 0; round < 50; ++round) {
    std::vector<Event> events = test::plausible(random, 200);
    Event& event = events[test::below(random, events.size())];
    if (round % 4 == 0) event.receive_time = event.time + 1'500'000;
    if (round % 4 == 1) event.feed_time += 77;
    if (round % 4 == 2) event.flags = market::kPrintable | market::kLastOfPacket;
    if (round % 4 == 3) {
      for (Event& each : events)
        each.receive_time = each.time + static_cast<std::int64_t>(test::below(random, 9'000'000));
    }
    check_round_trip(events, 33);
  }
}

TEST_CASE("the source's name stands in the payload", "[batch]") {
  const std::vector<Event> events(3);
  const auto payload = bytes_of(events, "itch 2012-06-21 0123456789abcdef");
  BatchReader reader;
  REQUIRE(reader.open(payload));
  CHECK(reader.source_name() == "itch 2012-06-21 0123456789abcdef");
  REQUIRE(reader.open(bytes_of(events)));
  CHECK(reader.source_name().empty());
}

TEST_CASE("an encoder and a reader can be used again after any batch", "[batch]") {
  INFO("seed " << kSeed);
  test::Random random(kSeed);
  BatchEncoder encoder;
  BatchReader reader;
  for (int round = 0; round < 200; ++round) {
    std::vector<Event> events = test::plausible(random, 1 + test::below(random, 3000));
    if (round % 3 == 0) events[0] = test::any_event(random);
    events.back().flags = 0;
    const auto payload = encoder.encode(round, "", events);
    REQUIRE(payload);
    REQUIRE(reader.open(*payload));
    CHECK(reader.source() == static_cast<market::SourceId>(round));
    REQUIRE(events_of(reader, 256) == events);
  }
}

TEST_CASE("what is no batch is refused", "[batch]") {
  BatchEncoder encoder;
  const auto refused = [&](std::span<const Event> events, std::string_view name = {}) {
    const auto payload = encoder.encode(1, name, events);
    return !payload && payload.error().code == ErrorCode::invalid;
  };
  std::vector<Event> events(2);
  CHECK_FALSE(refused(events));
  CHECK(refused({}));
  CHECK(refused(events, std::string(kMaxSourceNameBytes + 1, 'x')));
  events[1].flags = market::kMore;
  CHECK(refused(events));
  events[1].flags = 0;
  events[0].kind = static_cast<EventKind>(market::kEventKinds);
  CHECK(refused(events));
  events[0] = {};
  events[0].side = static_cast<market::Side>(3);
  CHECK(refused(events));
  CHECK(refused(std::vector<Event>(kMaxBatchEvents + 1)));
  CHECK_FALSE(refused(std::vector<Event>(kMaxBatchEvents)));
  test::Random random(kSeed);
  std::vector<Event> wide(kMaxBatchEvents);
  for (Event& event : wide) event = test::any_event(random);
  wide.back().flags = 0;
  CHECK(refused(wide));  // longer than a payload may be
}

TEST_CASE("a batch cut off at any byte is an error", "[batch]") {
  test::Random random(kSeed);
  const auto payload = bytes_of(test::plausible(random, 60), "source");
  BatchReader reader;
  for (std::size_t size = 0; size < payload.size(); ++size)
    CHECK_FALSE(survives(reader, std::span(payload).first(size)));
  CHECK(survives(reader, payload));
}

TEST_CASE("a batch with bytes after it is an error", "[batch]") {
  auto payload = bytes_of(std::vector<Event>(3));
  payload.resize(payload.size() + 8);
  BatchReader reader;
  CHECK_FALSE(survives(reader, payload));
}

TEST_CASE("no flipped bit and no foreign word crashes the reader", "[batch]") {
  test::Random random(kSeed);
  BatchReader reader;
  for (const std::size_t count : {1u, 40u}) {
    std::vector<Event> events = test::plausible(random, count);
    events[0].receive_time = 5, events[count / 2].time += 1ll << 50;
    const auto payload = bytes_of(events, "source");
    auto changed = payload;
    for (std::size_t bit = 0; bit < payload.size() * 8; ++bit) {
      changed[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      survives(reader, changed);
      changed[bit / 8] = payload[bit / 8];
    }
    for (std::size_t word = 0; word < payload.size() / 8; ++word) {
      for (int round = 0; round < 50; ++round) {
        const std::uint64_t value = test::weird(random);
        std::memcpy(changed.data() + word * 8, &value, 8);
        survives(reader, changed);
      }
      std::memcpy(changed.data() + word * 8, payload.data() + word * 8, 8);
    }
  }
}

TEST_CASE("random bytes are an error", "[batch]") {
  test::Random random(kSeed);
  BatchReader reader;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes(8 * test::below(random, 60));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    if (bytes.size() >= 8 && round % 2 == 0) {  // a table that fits, then nonsense
      const std::uint64_t table = std::uint64_t{bytes.size() / 8 - 1} << 32;
      std::memcpy(bytes.data(), &table, 8);
    }
    survives(reader, bytes);
  }
}

TEST_CASE("a payload beyond the limit is refused unread", "[batch]") {
  BatchReader reader;
  CHECK_FALSE(survives(reader, std::vector<std::byte>(kMaxPayloadBytes + 8)));
}

TEST_CASE("a payload need not be aligned", "[batch]") {
  test::Random random(kSeed);
  const std::vector<Event> events = test::plausible(random, 100);
  const auto payload = bytes_of(events);
  std::vector<std::byte> shifted(payload.size() + 1);
  std::copy(payload.begin(), payload.end(), shifted.begin() + 1);
  BatchReader reader;
  REQUIRE(reader.open(std::span(shifted).subspan(1)));
  CHECK(events_of(reader, 9) == events);
}

TEST_CASE("a reader after an error holds no event", "[batch]") {
  const auto payload = bytes_of(std::vector<Event>(5));
  BatchReader reader;
  REQUIRE(reader.open(payload));
  REQUIRE_FALSE(reader.open(std::span(payload).first(16)));
  Event event;
  CHECK(reader.size() == 0);
  CHECK(reader.next({&event, 1}) == 0);
}
