#include "storage/frame.hpp"

#include <catch2/catch.hpp>
#include <cstring>

namespace tapedeck::storage {
namespace {

std::vector<std::byte> frame_of(const Record& record) {
  const auto head = frame_head(record);
  std::vector<std::byte> frame(head.size + record.payload.size());
  std::memcpy(frame.data(), head.view().data(), head.size);
  std::memcpy(frame.data() + head.size, record.payload.data(), record.payload.size());
  return frame;
}

std::vector<std::byte> some_payload() {
  std::vector<std::byte> payload(48);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 7);
  return payload;
}

}  // namespace

TEST_CASE("a frame's bytes are as docs/formats/tape.md draws them") {
  const auto payload = some_payload();
  const auto frame = frame_of({3, 258, RecordKind::events, 5, 0x0102030405060708, "MSFT", payload});
  REQUIRE(frame.size() == 24 + 8 + 48);
  const std::uint8_t expected[] = {1, 1, 4, 0, 5,   0,   0,   0,   8, 7, 6, 5,
                                   4, 3, 2, 1, 'M', 'S', 'F', 'T', 0, 0, 0, 0};
  CHECK(std::memcmp(frame.data() + 8, expected, sizeof expected) == 0);
  CHECK(std::memcmp(frame.data() + 32, payload.data(), payload.size()) == 0);
}

TEST_CASE("every flipped bit of a frame is noticed, and so is a frame at another place") {
  const auto payload = some_payload();
  auto frame = frame_of({3, 258, RecordKind::events, 5, 99, "MSFT", payload});
  const auto opened = open_frame(3, 258, frame);
  REQUIRE(opened);
  CHECK(opened->symbol == "MSFT");
  CHECK(opened->event_count == 5);
  CHECK(opened->max_event_time == 99);
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    frame[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto damaged = open_frame(3, 258, frame);
    REQUIRE_FALSE(damaged);
    CHECK(damaged.error().code == ErrorCode::corrupt);
    CHECK_THAT(damaged.error().message, Catch::Contains("3:258"));
    frame[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  CHECK_FALSE(open_frame(3, 259, frame));
  CHECK_FALSE(open_frame(2, 258, frame));
  for (std::size_t size = 0; size < frame.size(); ++size)
    CHECK_FALSE(open_frame(3, 258, std::span(frame).first(size)));
}

TEST_CASE("a block that outgrows its first guess keeps its earlier records right") {
  const auto payload = some_payload();
  BlockBuilder builder(0);
  for (Offset offset = 0; offset < 1000; ++offset) {
    REQUIRE(
        builder.add(0, offset, frame_of({0, offset, RecordKind::events, 1, 0, "SYMBOL", payload})));
  }
  const auto block = builder.finish();
  for (const auto& record : block->records) {
    CHECK(record.symbol == "SYMBOL");
    CHECK(std::equal(record.payload.begin(), record.payload.end(), payload.begin(), payload.end()));
    CHECK(reinterpret_cast<const std::byte*>(record.symbol.data()) >= block->arena.data());
    CHECK(record.payload.data() + record.payload.size() <=
          block->arena.data() + block->arena.size());
  }
}

}  // namespace tapedeck::storage
