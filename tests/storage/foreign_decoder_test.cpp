#include "storage/foreign_decoder.hpp"

#include <catch2/catch.hpp>

using namespace tapedeck;
using namespace tapedeck::storage;
using market::Event;
using market::EventKind;
using schemas::RowFault;

namespace {

constexpr std::uint32_t kPartitions = 4;
constexpr TimeNs kStart = 1'704'200'000 * market::kSecond;
constexpr TimeNs kMs = 1'000'000;

/// A client that writes every record to the partition of its key.
struct Client {
  ForeignDecoder decoder;
  TimeNs feed_time = 0;
  std::string mark_bytes, payload_bytes;
  std::optional<TimeNs> marked;
  Record record;
  std::vector<Event> events;
  std::string source_name;

  explicit Client(const TopicCodec& codec)
      : decoder(ForeignDecoder::make(codec, "ticks", kPartitions).value()) {}

  const std::vector<Event>& tell(Offset offset, const char* key, const std::string& value,
                                 bool first = false, TimeNs appended = market::kNoTime) {
    ForeignMessage message{partition_of(key, kPartitions), offset, key, value, appended};
    return tell(message, first);
  }
  const std::vector<Event>& tell(const ForeignMessage& message, bool first) {
    const auto decoded = decoder.decode(message, feed_time, first);
    REQUIRE(decoded);
    feed_time = decoded->feed_time;
    record = decoded->record;
    marked.reset();
    if (decoded->mark) {
      CHECK(decoded->mark->offset == message.offset);
      marked = schemas::decode_mark(decoded->mark->payload).value().feed_time;
    }
    schemas::BatchReader reader;
    REQUIRE(reader.open(record.payload));
    source_name = reader.source_name();
    events.assign(reader.size(), {});
    CHECK(reader.next(events) == events.size());
    return events;
  }
};

std::string trade(TimeNs ms, const char* price) {
  return R"({"ts_ms":)" + std::to_string(kStart / kMs + ms) + R"(,"price":")" + price +
         R"(","size":2,"side":"sell"})";
}

}  // namespace

TEST_CASE("a symbol's first record announces its source and its numbers", "[foreign]") {
  Client client({TopicCodec::Kind::json, {}, -2, 0});
  const auto& events = client.tell(7, "AAPL", trade(0, "187.25"), true);
  REQUIRE(events.size() == 3);
  CHECK(events[0].kind == EventKind::session);
  CHECK(client.source_name == "topic:ticks:json;price_exponent=-2;size_exponent=0");
  CHECK(events[0].other == market::source_id(client.source_name));
  CHECK(events[1].kind == EventKind::instrument);
  CHECK((events[1].price == -2 && events[1].size == 0));
  CHECK(events[2].kind == EventKind::trade);
  CHECK((events[2].price == 18725 && events[2].size == 2 && events[2].side == market::Side::ask));
  CHECK((events[2].time == kStart && events[2].feed_time == kStart && events[2].sequence == 8));
  CHECK(client.tell(9, "AAPL", trade(1, "187")).size() == 1);
  CHECK(client.source_name.empty());
}

TEST_CASE("feed time is the partition's highest event time, and each rise of it a mark",
          "[foreign]") {
  Client client({TopicCodec::Kind::json});
  client.tell(0, "AAPL", trade(5, "1"));
  CHECK(client.marked == kStart + 5 * kMs);
  const auto& late = client.tell(1, "AAPL", trade(3, "1"));
  CHECK(late.front().time == kStart + 3 * kMs);
  CHECK(late.front().feed_time == kStart + 5 * kMs);
  CHECK_FALSE(client.marked);
  client.tell(2, "AAPL", trade(6, "1"));
  CHECK(client.marked == kStart + 6 * kMs);
}

TEST_CASE("an event time far past its record's timestamp does not move feed time", "[foreign]") {
  Client client({TopicCodec::Kind::json});
  client.tell(0, "AAPL", trade(0, "1"), false, kStart);
  const auto& wild = client.tell(1, "AAPL", trade(5'001, "1"), false, kStart);
  CHECK(wild.front().time > wild.front().feed_time);  // the fold refuses it
  CHECK(client.feed_time == kStart);
  CHECK_FALSE(client.marked);
  client.tell(2, "AAPL", trade(5'000, "1"), false, kStart);
  CHECK(client.feed_time == kStart + 5 * market::kSecond);
}

TEST_CASE("what does not decode is an event that says why and moves nothing", "[foreign]") {
  Client client({TopicCodec::Kind::json});
  client.tell(0, "AAPL", trade(1, "1"), true);
  const auto fault_of = [&](const ForeignMessage& message) {
    const auto& events = client.tell(message, false);
    REQUIRE(events.size() == 1);
    CHECK(events[0].kind == EventKind::undecodable);
    CHECK((events[0].other == message.offset + 1 && events[0].sequence == 0));
    CHECK(events[0].time == kStart + kMs);
    CHECK_FALSE(client.marked);
    return static_cast<RowFault>(events[0].code);
  };
  const auto home = partition_of("AAPL", kPartitions);
  const auto good = trade(2, "1");
  const std::string long_value(schemas::kMaxRowBytes, ' ');
  CHECK(fault_of({home, 1, "AAPL", "noise"}) == RowFault::json);
  CHECK(fault_of({home, 2, "AAPL", ""}) == RowFault::json);
  CHECK(fault_of({home, 3, "AAPL", R"({"ts_ms":1,"price":"x","size":1})"}) == RowFault::price);
  CHECK(fault_of({home, 4, "AAPL", long_value}) == RowFault::length);
  CHECK(fault_of({home, 5, "AAPL", R"({"symbol":"MSFT",)" + good.substr(1)}) ==
        RowFault::key_differs);
  CHECK(client.record.symbol == "AAPL");
  CHECK(fault_of({home, 6, std::nullopt, good}) == RowFault::key);
  CHECK(fault_of({home, 7, "two words", good}) == RowFault::key);
  CHECK(client.record.symbol == unknown_symbol(home, kPartitions));
  const Partition other = (home + 1) % kPartitions;
  CHECK(fault_of({other, 8, "AAPL", good}) == RowFault::partition);
  CHECK(client.record.symbol == unknown_symbol(other, kPartitions));
}

TEST_CASE("records without a symbol of their own stand under one of their partition", "[foreign]") {
  for (Partition p = 0; p < kPartitions; ++p) {
    const auto symbol = unknown_symbol(p, kPartitions);
    CHECK(symbol.starts_with('?'));
    CHECK(partition_of(symbol, kPartitions) == p);
  }
}

TEST_CASE("a sequence is the record's where the mapping names one, and every record needs it",
          "[foreign]") {
  Client client({TopicCodec::Kind::csv, "ts_us=t,price=p,size=q,sequence=n"});
  const auto& first = client.tell(3, "AAPL", "1704200000000000,1.5,2,41\r\n", true);
  CHECK(first[0].code == static_cast<std::uint8_t>(market::Sequencing::per_symbol));
  CHECK(first[0].sequence == 0);
  CHECK((first[1].flags & market::kMore) == 0);  // a message of its own
  CHECK(first[2].sequence == 41);
  const auto& none = client.tell(4, "AAPL", "1704200000000001,1.5,2,");
  CHECK(static_cast<RowFault>(none.front().code) == RowFault::sequence);
}

TEST_CASE("a codec reads back as it was written", "[foreign]") {
  for (const TopicCodec& codec :
       {TopicCodec{}, TopicCodec{TopicCodec::Kind::json}, TopicCodec{TopicCodec::Kind::csv, {}, -4},
        TopicCodec{TopicCodec::Kind::json, "symbol=s,ts_ms=T,price=p,size=q", 2, 0}}) {
    CHECK(parse_codec(to_text(codec)) == codec);
  }
  for (const char* text : {"", "xml", "json;", "json;colour=red", "json;price_exponent=x"}) {
    INFO(text);
    CHECK(parse_codec(text) == (std::string_view(text) == "json;"
                                    ? std::optional(TopicCodec{TopicCodec::Kind::json})
                                    : std::nullopt));
  }
  CHECK(row_format({TopicCodec::Kind::json, "colour"}).error().field == "kafka.columns");
  CHECK(row_format({TopicCodec::Kind::json, {}, -19}).error().field == "kafka.price_exponent");
  CHECK(row_format({TopicCodec::Kind::csv, "ts_us,bids"}).error().field == "kafka.columns");
}
