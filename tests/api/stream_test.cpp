#include "api/stream.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "api/json.hpp"
#include "api/stream_json.hpp"
#include "tests/api/sample_views.hpp"

using namespace tapedeck;
using api::Channel;
using api::StreamHub;
using nlohmann::json;

namespace {

struct Reader {
  std::unique_ptr<api::Subscription> side;
  std::shared_ptr<int> woken = std::make_shared<int>(0);
  std::vector<json> take(std::size_t bytes = 1 << 20) {
    std::vector<json> messages;
    for (const auto& text : side->take(bytes)) messages.push_back(json::parse(*text));
    return messages;
  }
};

struct Streaming {
  explicit Streaming(std::size_t kept = 64, std::size_t most = 8)
      : hub(std::make_shared<StreamHub>(api::StreamLimits{kept, most},
                                        [needed = needed] { ++*needed; })) {}
  Reader read(api::StreamQuery query = {}, bool admit = true) {
    Reader reader;
    auto side = hub->subscribe(std::move(query), [woken = reader.woken] { ++*woken; });
    REQUIRE(side);
    reader.side = *std::move(side);
    if (admit) this->admit();
    return reader;
  }
  void admit() {
    hub->admit([](const StreamHub::Wants& wants) {
      std::vector<std::string> data;
      for (const auto* symbol : {"A", "B"})
        if (wants(symbol)) data.push_back(std::string(R"({"symbol":")") + symbol + "\"}");
      return data;
    });
  }
  void publish(int number, const std::string& symbol = "A", Channel channel = Channel::candles) {
    hub->publish(channel, symbol, "candle", std::to_string(number));
  }
  std::shared_ptr<int> needed = std::make_shared<int>(0);
  std::shared_ptr<StreamHub> hub;
};

std::vector<int> numbers(const std::vector<json>& messages) {
  std::vector<int> found;
  for (const auto& message : messages)
    if (message["type"] == "candle") found.push_back(message["data"]);
  return found;
}

}  // namespace

TEST_CASE("a subscriber gets snapshots first, then what is published", "[stream]") {
  Streaming fixture;
  fixture.publish(1);
  auto reader = fixture.read({}, false);
  CHECK(*fixture.needed == 1);
  fixture.publish(2);
  CHECK(reader.take().empty());
  fixture.admit();
  CHECK(*reader.woken == 1);
  fixture.publish(3);
  const auto messages = reader.take();
  REQUIRE(messages.size() == 3);
  CHECK(messages[0]["type"] == "book_snapshot");
  CHECK(messages[0]["seq"] == 2);
  CHECK(messages[2]["seq"] == 3);
  CHECK(numbers(messages) == std::vector{3});
  CHECK(reader.take().empty());
}

TEST_CASE("a subscriber gets the symbols and channels it asked for", "[stream]") {
  Streaming fixture;
  auto reader = fixture.read({{"B"}, static_cast<std::uint8_t>(Channel::candles), {}, {}});
  fixture.publish(1, "A");
  CHECK(*reader.woken == 1);  // it was admitted
  fixture.publish(2, "B");
  fixture.publish(3, "B", Channel::alerts);
  fixture.publish(4, "");
  const auto messages = reader.take();
  CHECK(numbers(messages) == std::vector{2, 4});
  CHECK(messages.size() == 2);  // no book, so no snapshot
  CHECK(api::parse_channels("book,alerts").value() == 9);
  CHECK(api::parse_channels("").value() == api::kAllChannels);
  CHECK(api::parse_channels("book,,").error().field == "channels");
}

TEST_CASE("who resumes goes on behind the message it names, or is told what it lost", "[stream]") {
  Streaming fixture(16);
  for (int i = 1; i <= 20; ++i) fixture.publish(i);
  auto resumed = fixture.read({{}, api::kAllChannels, {}, 15}, false);
  CHECK(numbers(resumed.take()) == std::vector{16, 17, 18, 19, 20});
  auto lost = fixture.read({{}, api::kAllChannels, {}, 2});
  const auto messages = lost.take();
  REQUIRE(messages.size() == 3);
  CHECK(messages[0]["type"] == "gap");
  CHECK(messages[0]["data"] == json({{"from", 3}, {"to", 21}}));
  CHECK(messages[1]["type"] == "book_snapshot");
  CHECK(fixture.hub->gaps() == 1);
  // One that was never sent is as good as lost.
  CHECK(fixture.read({{}, api::kAllChannels, {}, 1000}).take()[0]["type"] == "gap");
}

TEST_CASE("a slow subscriber leaves no room, and one that reads makes room again", "[stream]") {
  Streaming fixture(16);
  auto slow = fixture.read();
  auto quick = fixture.read();
  int published = 0;
  while (fixture.hub->room()) {
    fixture.publish(++published);
    (void)quick.take();
  }
  CHECK(published == 8);
  const auto needed = *fixture.needed;
  CHECK(numbers(slow.take(1)).size() <= 1);
  while (!fixture.hub->room()) REQUIRE_FALSE(slow.take(1).empty());
  CHECK(*fixture.needed == needed + 1);
  slow.side.reset();
  CHECK(*fixture.needed == needed + 2);
}

TEST_CASE("a subscriber that is overrun is told of the gap and begins anew", "[stream]") {
  Streaming fixture(16);
  auto slow = fixture.read();
  (void)slow.take();
  for (int i = 1; i <= 40; ++i) fixture.publish(i);
  const auto needed = *fixture.needed;
  const auto gap = slow.take();
  REQUIRE(gap.size() == 1);
  CHECK(*fixture.needed == needed + 1);  // for its snapshots
  CHECK(gap[0]["data"] == json({{"from", 1}, {"to", 41}}));
  fixture.admit();
  fixture.publish(41);
  const auto anew = slow.take();
  REQUIRE(anew.size() == 3);
  CHECK(anew[0]["type"] == "book_snapshot");
  CHECK(numbers(anew) == std::vector{41});
}

TEST_CASE("a stream that begins anew tells what was before, then snapshots", "[stream]") {
  Streaming fixture;
  auto reader = fixture.read();
  (void)reader.take();
  fixture.publish(1);
  fixture.hub->restart();
  fixture.publish(2);  // of before the snapshots: nobody needs it
  fixture.admit();
  fixture.publish(3);
  const auto messages = reader.take();
  REQUIRE(messages.size() == 4);
  CHECK(numbers(messages) == std::vector{1, 3});
  CHECK(messages[1]["type"] == "book_snapshot");
}

TEST_CASE("a stream ends after its last message, and takes no more than so many", "[stream]") {
  Streaming fixture(16, 1);
  auto reader = fixture.read();
  const auto refused = fixture.hub->subscribe({}, [] {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::exhausted);
  fixture.publish(1);
  fixture.hub->end();
  CHECK_FALSE(reader.side->ended());
  CHECK(numbers(reader.take()) == std::vector{1});
  CHECK(reader.side->ended());
}

TEST_CASE("changes of a book, applied one after the other, give the book", "[stream]") {
  std::mt19937 random(Catch::rngSeed() + 1);
  INFO("seed " << Catch::rngSeed());
  market::BookView before = test::sample_book("A", 0);
  std::map<std::string, std::string> bids, asks;
  const auto apply = [](std::map<std::string, std::string>& side, const json& levels) {
    for (const auto& level : levels) {
      const std::string size = level["size"], price = level["price"];
      size == "0" ? (void)side.erase(price) : (void)(side[price] = size);
    }
  };
  for (int i = 0; i < 200; ++i) {
    auto now = before;
    for (auto* side : {&now.bids, &now.asks}) {
      side->clear();
      for (int price = 20; price > 0; --price) {
        if (random() % 3 == 0)
          side->push_back({price * 100, static_cast<market::Size>(1 + random() % 3), 1});
      }
    }
    if (random() % 4 == 0) now = before;
    const auto changes = api::book_changes(before, now);
    if (!changes.empty()) {
      const auto parsed = json::parse(changes);
      apply(bids, parsed["bids"]), apply(asks, parsed["asks"]);
    }
    const auto whole = json::parse(api::to_json(now));
    std::map<std::string, std::string> expected_bids, expected_asks;
    apply(expected_bids, whole["bids"]), apply(expected_asks, whole["asks"]);
    REQUIRE(bids == expected_bids);
    REQUIRE(asks == expected_asks);
    before = now;
  }
}
