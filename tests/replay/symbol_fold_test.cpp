// How a record is decoded piece by piece must not show.
#include "replay/symbol_fold.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "schemas/batch_codec.hpp"

using namespace tapedeck;

namespace {

constexpr market::SourceId kSource = 77;

/// A session event, then messages of the given numbers of events: each event adds an order.
std::vector<market::Event> messages_of(const std::vector<std::size_t>& sizes) {
  std::vector<market::Event> events(1);
  events[0].other = kSource;
  std::uint64_t id = 0;
  market::Sequence sequence = 0;
  for (const auto size : sizes) {
    ++sequence;
    for (std::size_t i = 0; i < size; ++i) {
      market::Event event;
      event.kind = market::EventKind::add;
      event.time = event.feed_time = 1'000'000 + static_cast<market::TimeNs>(sequence);
      event.sequence = sequence;
      event.id = ++id;
      event.side = id % 2 == 0 ? market::Side::bid : market::Side::ask;
      event.price = static_cast<market::Price>(1000 + (id % 2 == 0 ? 0 : 50) + id % 20);
      event.size = 10;
      event.flags = i + 1 < size ? market::kMore : 0;
      events.push_back(event);
    }
  }
  return events;
}

}  // namespace

TEST_CASE("a message of several events is folded whole, wherever the decoder stops", "[fold]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::size_t> sizes;
    for (int i = 0; i < 200; ++i) sizes.push_back(1 + random() % 7);
    if (round % 5 == 0) sizes[random() % sizes.size()] = 256 + random() % 2000;
    const auto events = messages_of(sizes);

    const market::FoldSettings settings;
    market::Outputs outputs;
    market::SymbolState whole("A", settings);
    whole.apply({kSource, "s", {0, 0, 0}, events}, outputs);

    schemas::BatchEncoder encoder;
    const auto payload = encoder.encode(kSource, "s", events);
    REQUIRE(payload);
    storage::Record record;
    record.event_count = static_cast<std::uint32_t>(events.size());
    record.symbol = "A";
    record.payload = *payload;
    replay::SymbolFold fold("A", 0, settings);
    REQUIRE(fold.apply(record, outputs));
    CHECK(fold.state().counts().duplicates == 0);
    CHECK(fold.state().counts().folded == events.size());
    CHECK(fold.state().digest() == whole.digest());
  }
}
