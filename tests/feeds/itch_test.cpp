// ITCH 5.0: every message type from bytes built by hand, and what becomes of bad bytes.
#include <catch2/catch.hpp>
#include <random>

#include "feeds/itch_writer.hpp"
#include "tests/feeds/feed_support.hpp"

namespace tapedeck::test {
namespace {

using feeds::ItchWriter;
using market::Event;
using market::EventKind;
using market::Side;
using market::StatusKind;
using Bytes = std::vector<std::uint8_t>;

constexpr market::TimeNs kHour = 3600 * market::kSecond;

/// Appends a message given in hex, with its length prefix.
void put_hex(Bytes& out, const std::string& hex) {
  Bytes message;
  for (std::size_t i = 0; i < hex.size();) {
    if (hex[i] == ' ') {
      ++i;
      continue;
    }
    message.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    i += 2;
  }
  out.push_back(static_cast<std::uint8_t>(message.size() >> 8));
  out.push_back(static_cast<std::uint8_t>(message.size()));
  out.insert(out.end(), message.begin(), message.end());
}

/// Directory message of locate 1, "ACME", round lot 100, time 1 ns.
const std::string kDirectory =
    "52 0001 0000 000000000001 41434d4520202020 51 4e 00000064 4e 43 5a20 50 4e 4e 31 4e 00000001 "
    "4e";

/// The one event of a message that follows the directory message.
Event only_event(const std::string& hex) {
  Bytes bytes;
  put_hex(bytes, kDirectory);
  put_hex(bytes, hex);
  const Everything all = drain_itch(bytes);
  REQUIRE(all.dead_letters.empty());
  REQUIRE(all.messages == 2);
  REQUIRE(all.events.size() == 2);
  const Event event = all.events[1].event;
  CHECK(all.events[1].symbol == 0);
  CHECK(event.sequence == 2);
  CHECK(event.time == 0x0000000000ff);
  CHECK(event.feed_time == 0xff);
  return event;
}

bool is_status(const Event& event, StatusKind kind) {
  return event.kind == EventKind::status && event.code == static_cast<std::uint8_t>(kind);
}

TEST_CASE("the directory introduces a symbol with its exponents and round lot", "[itch]") {
  Bytes bytes;
  put_hex(bytes, kDirectory);
  const Everything all = drain_itch(bytes);
  REQUIRE(all.symbols == std::vector<std::string>{"ACME"});
  REQUIRE(all.events.size() == 1);
  const Event& event = all.events[0].event;
  CHECK(event.kind == EventKind::instrument);
  CHECK(event.price == -4);
  CHECK(event.size == 0);
  CHECK(event.other == 100);
  CHECK(all.ended);
}

TEST_CASE("A and F add an order", "[itch]") {
  const std::string body =
      " 0001 0000 0000000000ff 0000000000000007 42 0000012c 41434d4520202020 000f4240";
  for (const std::string& hex : {"41" + body, "46" + body + " 4e534451"}) {
    const Event event = only_event(hex);
    CHECK(event.kind == EventKind::add);
    CHECK(event.id == 7);
    CHECK(event.side == Side::bid);
    CHECK(event.size == 300);
    CHECK(event.price == 1'000'000);
  }
}

TEST_CASE("E executes at the order's price, C at its own, printable or not", "[itch]") {
  const Event e =
      only_event("45 0001 0000 0000000000ff 0000000000000007 00000064 0000000000000009");
  CHECK(e.kind == EventKind::execute);
  CHECK((e.id == 7 && e.size == 100 && e.other == 9));
  const std::string c = "43 0001 0000 0000000000ff 0000000000000007 00000064 0000000000000009 ";
  const Event printed = only_event(c + "59 000f4241");
  CHECK(printed.kind == EventKind::execute_price);
  CHECK(
      (printed.id == 7 && printed.size == 100 && printed.other == 9 && printed.price == 1'000'001));
  CHECK(printed.flags == market::kPrintable);
  CHECK(only_event(c + "4e 000f4241").flags == 0);
}

TEST_CASE("X reduces, D removes, U replaces", "[itch]") {
  const Event x = only_event("58 0001 0000 0000000000ff 0000000000000007 0000000a");
  CHECK((x.kind == EventKind::reduce && x.id == 7 && x.size == 10));
  const Event d = only_event("44 0001 0000 0000000000ff 0000000000000007");
  CHECK((d.kind == EventKind::remove && d.id == 7));
  const Event u =
      only_event("55 0001 0000 0000000000ff 0000000000000007 0000000000000008 00000005 00000bb8");
  CHECK((u.kind == EventKind::replace && u.id == 7 && u.other == 8 && u.size == 5 &&
         u.price == 3000));
}

TEST_CASE("P and Q are trades without a side, B breaks one", "[itch]") {
  const Event p = only_event(
      "50 0001 0000 0000000000ff 0000000000000000 42 00000064 41434d4520202020 000f4240 "
      "000000000000000b");
  CHECK((p.kind == EventKind::trade && p.side == Side::none && p.id == 11 && p.size == 100 &&
         p.price == 1'000'000));
  const Event q = only_event(
      "51 0001 0000 0000000000ff 0000000100000000 41434d4520202020 000f4240 000000000000000c 4f");
  CHECK(
      (q.kind == EventKind::trade && q.id == 12 && q.size == 0x100000000 && q.price == 1'000'000));
  const Event empty = only_event(
      "51 0001 0000 0000000000ff 0000000000000000 41434d4520202020 00000000 000000000000000c 4f");
  CHECK((empty.kind == EventKind::trade && empty.size == 0));
  const Event b = only_event("42 0001 0000 0000000000ff 000000000000000b");
  CHECK((b.kind == EventKind::trade_break && b.id == 11));
}

TEST_CASE("H, Y, K, J, h are statuses of their symbol", "[itch]") {
  const Event h = only_event("48 0001 0000 0000000000ff 41434d4520202020 48 20 4c554450");
  CHECK(is_status(h, StatusKind::trading_state));
  CHECK(h.other == ('H' | std::uint64_t{'L'} << 8 | std::uint64_t{'U'} << 16 |
                    std::uint64_t{'D'} << 24 | std::uint64_t{'P'} << 32));
  const Event y = only_event("59 0001 0000 0000000000ff 41434d4520202020 31");
  CHECK(is_status(y, StatusKind::short_sale));
  CHECK(y.other == '1');
  const Event k = only_event("4b 0001 0000 0000000000ff 41434d4520202020 00008ca0 41 000f4240");
  CHECK(is_status(k, StatusKind::ipo_quoting));
  CHECK((k.price == 1'000'000 && k.other == (36'000 | std::uint64_t{'A'} << 32)));
  const Event j =
      only_event("4a 0001 0000 0000000000ff 41434d4520202020 00000003 00000005 00000002 00000001");
  CHECK(is_status(j, StatusKind::auction_collar));
  CHECK((j.price == 3 && j.size == 5 && j.other == 2));
  const Event o = only_event("68 0001 0000 0000000000ff 41434d4520202020 51 48");
  CHECK(is_status(o, StatusKind::operational_halt));
  CHECK(o.other == ('Q' | std::uint64_t{'H'} << 8));
}

TEST_CASE("S, V, W become one status for each symbol known so far", "[itch]") {
  Bytes bytes;
  ItchWriter write(bytes);
  write.system_event(1, 'O');  // nobody is known yet
  write.directory({1, 2}, "AAA", 100);
  write.directory({2, 3}, "BBB", 10);
  write.system_event(4, 'Q');
  put_hex(bytes, "56 0000 0000 000000000005 0000000000000003 0000000000000002 0000000000000001");
  put_hex(bytes, "57 0000 0000 000000000006 32");
  const Everything all = drain_itch(bytes);
  REQUIRE(all.dead_letters.empty());
  CHECK(all.messages == 6);
  REQUIRE(all.events.size() == 8);
  for (const std::uint32_t symbol : {0U, 1U}) {
    const auto& s = all.events[2 + symbol];
    CHECK((s.symbol == symbol && is_status(s.event, StatusKind::market_event) &&
           s.event.other == 'Q'));
    CHECK((s.event.sequence == 4 && s.event.flags == 0));
    const auto& v = all.events[4 + symbol];
    CHECK((v.symbol == symbol && is_status(v.event, StatusKind::breaker_levels)));
    CHECK((v.event.price == 3 && v.event.size == 2 && v.event.other == 1));
    const auto& w = all.events[6 + symbol];
    CHECK((w.symbol == symbol && is_status(w.event, StatusKind::breaker_status) &&
           w.event.other == '2'));
  }
}

TEST_CASE("L, I, N, O are known, counted, and say nothing", "[itch]") {
  Bytes bytes;
  ItchWriter write(bytes);
  for (const char type : {'L', 'I', 'N', 'O'}) write.begin(type, {1, 5});
  const Everything all = drain_itch(bytes);
  CHECK(all.messages == 4);
  CHECK(all.events.empty());
  CHECK(all.dead_letters.empty());
}

TEST_CASE("the table of types is the specification's", "[itch]") {
  const std::string types = "SRHYLVWKJhAFECXDUPQBINO";
  const std::vector<int> lengths = {12, 39, 25, 20, 26, 35, 12, 28, 35, 21, 36, 40,
                                    31, 36, 23, 19, 35, 44, 40, 19, 50, 20, 48};
  REQUIRE(types.size() == feeds::itch::kMessageTypes.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    CHECK(feeds::itch::kLength[static_cast<unsigned char>(types[i])] == lengths[i]);
  }
  CHECK(std::count(feeds::itch::kLength.begin(), feeds::itch::kLength.end(), 0) == 256 - 23);
}

TEST_CASE("an order of a locate without directory names its own symbol", "[itch]") {
  Bytes bytes;
  ItchWriter write(bytes);
  write.add({9, 5}, 1, true, 100, "LATE", 1000);
  write.executed({9, 6}, 1, 50, 1);
  const Everything all = drain_itch(bytes);
  CHECK(all.symbols == std::vector<std::string>{"LATE"});
  REQUIRE(all.events.size() == 3);
  CHECK(all.events[0].event.kind == EventKind::instrument);
  CHECK(all.events[0].event.flags == market::kMore);
  CHECK(all.events[1].event.kind == EventKind::add);
  CHECK(all.events[1].event.flags == 0);
  CHECK(all.events[0].event.sequence == all.events[1].event.sequence);
}

TEST_CASE("bad messages become dead letters with bytes and place, and reading goes on",
          "[itch][bad]") {
  Bytes bytes;
  feeds::ItchWriter write(bytes);
  put_hex(bytes, kDirectory);
  std::vector<std::pair<std::size_t, std::string>> expected;
  const auto next = [&](const std::string& reason) {
    expected.emplace_back(bytes.size() + 2, reason);
  };
  next("unknown message type 'z', 3 bytes");
  put_hex(bytes, "7a 01 02");
  next("wrong length of message type 'D': expected 19, found 5 bytes");
  put_hex(bytes, "44 0001 0000");
  next("wrong length of message type 'A': expected 36, found 300 bytes");
  put_hex(bytes, "41" + std::string(598, '0'));
  next("ITCH D: stock locate 77 was never announced");
  write.remove({77, 5}, 1);
  next("ITCH E: stock locate 0, expected one of a symbol");
  write.executed({0, 5}, 1, 1, 1);
  next("ITCH R: stock locate 0, expected one of a symbol");
  write.directory({0, 5}, "ZERO", 100);
  next("ITCH A: expected side B or S, found byte 0x51");
  write.add({1, 5}, 1, true, 1, "ACME", 1);
  bytes[bytes.size() - 36 + 19] = 'Q';
  next("ITCH R: the stock field holds no symbol");
  write.directory({3, 5}, "", 100);
  next("ITCH Q: 18446744073709551615 shares, expected at most 144115188075855872");
  write.cross({1, 5}, ~std::uint64_t{0}, "ACME", 1, 1, 'O');
  next("unknown message type 0x00, 4 bytes");
  put_hex(bytes, "00 00 00 00");
  write.add({1, 9}, 5, false, 1, "ACME", 1);
  const Everything all = drain_itch(bytes);
  REQUIRE(all.dead_letters.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const market::FeedDeadLetter& letter = all.dead_letters[i];
    CHECK(letter.reason == expected[i].second);
    CHECK(letter.byte_offset == expected[i].first);
    CHECK(std::equal(letter.bytes.begin(), letter.bytes.end(),
                     bytes.begin() + static_cast<long>(letter.byte_offset),
                     [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }));
  }
  CHECK(all.messages == expected.size() + 2);
  REQUIRE(all.events.size() == 2);
  CHECK(all.events[1].event.sequence == expected.size() + 2);
  CHECK(all.symbols == std::vector<std::string>{"ACME"});
  CHECK(all.bytes == bytes.size());
}

TEST_CASE("a file cut anywhere gives its whole messages and one dead letter for the rest",
          "[itch][bad]") {
  Bytes bytes;
  feeds::ItchWriter write(bytes);
  write.directory({1, 1}, "ACME", 100);  // 41 bytes
  write.add({1, 2}, 1, true, 100, "ACME", 1000);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const Everything all =
        drain_itch(Bytes(bytes.begin(), bytes.begin() + static_cast<long>(size)));
    CHECK(all.ended);
    const std::size_t whole = size < 41 ? 0 : size < bytes.size() ? 1 : 2;
    CHECK(all.events.size() == whole);
    const bool cut = size != 0 && size != 41 && size != bytes.size();
    REQUIRE(all.dead_letters.size() == (cut ? 1U : 0U));
    CHECK(all.bytes == size);
    if (size == 60) CHECK(all.dead_letters[0].reason == "truncated message: 17 of 36 bytes");
    if (size == 42) CHECK(all.dead_letters[0].reason == "truncated length prefix: 1 of 2 bytes");
  }
}

TEST_CASE("a damaged length costs the messages around it, never the rest of the file",
          "[itch][bad]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  constexpr std::size_t kMessages = 2000;
  for (int round = 0; round < 60; ++round) {
    Bytes bytes;
    feeds::ItchWriter write(bytes);
    write.directory({1, 1}, "ACME", 100);
    std::vector<std::size_t> starts;
    for (std::size_t i = 0; i < kMessages; ++i) {
      starts.push_back(bytes.size());
      const std::uint64_t time = i + 2;
      if (i % 3 == 2) {
        write.remove({1, time}, i);
      } else {
        write.add({1, time}, i + 1, i % 2 == 0, 100, "ACME", 1000 + i % 50);
      }
    }
    const auto at = static_cast<long>(starts[100 + random() % (kMessages - 200)]);
    switch (round % 4) {
      case 0: bytes.insert(bytes.begin() + at, {0, 0}); break;  // an end mark too many
      case 1: bytes.erase(bytes.begin() + at + 5, bytes.begin() + at + 6 + random() % 9); break;
      case 2: bytes[static_cast<std::size_t>(at) + random() % 2] ^= 1U << random() % 8; break;
      default: bytes.insert(bytes.begin() + at + 1, 1 + random() % 40, 0x5a);
    }
    const Everything all = drain_itch(bytes);
    INFO("round " << round << ", damaged at byte " << at);
    CHECK(all.ended);
    CHECK(all.dead_letters.size() >= 1);
    CHECK(all.dead_letters.size() <= 12);
    CHECK(all.events.size() + 12 >= kMessages);
    CHECK(all.bytes == bytes.size());
  }
}

TEST_CASE("messages behind empty prefixes are walked by their types", "[itch]") {
  Bytes bytes;
  feeds::ItchWriter write(bytes);
  const auto blank = [&](std::size_t start) { bytes[start] = bytes[start + 1] = 0; };
  std::size_t start = bytes.size();
  write.directory({1, 1}, "ACME", 100), blank(start);
  start = bytes.size();
  write.add({1, 2}, 1, true, 100, "ACME", 1000), blank(start);
  const std::size_t junk = bytes.size();
  for (const int byte : {0, 0, int{'z'}, 1, 2, 3}) bytes.push_back(static_cast<std::uint8_t>(byte));
  start = bytes.size();
  write.remove({1, 3}, 1), blank(start);
  start = bytes.size();
  write.system_event(4, 'C'), blank(start);
  bytes.push_back(0), bytes.push_back(0);  // end mark
  const Everything all = drain_itch(bytes);
  CHECK(all.ended);
  CHECK(all.events.size() == 4);
  CHECK(all.messages == 5);
  REQUIRE(all.dead_letters.size() == 1);
  CHECK(all.dead_letters[0].byte_offset == junk);
  CHECK(all.dead_letters[0].bytes.size() == 6);
  CHECK(all.dead_letters[0].reason ==
        "empty length prefix before unknown message type 'z': 6 bytes passed over");
}

TEST_CASE("a file that is no ITCH is refused after its first messages", "[itch][bad]") {
  const Everything all = drain_itch(Bytes(100'000, '{'));
  CHECK_THAT(all.error, Catch::Contains("memory: none of the first") || Catch::Equals(""));
  const Everything text = drain_itch([] {
    Bytes bytes;
    for (int i = 0; i < 200; ++i) put_hex(bytes, "7a 01 02");
    return bytes;
  }());
  CHECK_THAT(text.error, Catch::Contains("memory: none of the first 64 messages is ITCH 5.0"));
  CHECK(text.dead_letters.size() == 64);
}

TEST_CASE("an error of the input comes after all messages before it", "[itch][bad]") {
  Bytes bytes;
  feeds::ItchWriter write(bytes);
  write.directory({1, 1}, "ACME", 100);
  write.add({1, 2}, 1, true, 100, "ACME", 1000);
  bytes.resize(bytes.size() - 1);
  auto source = std::make_unique<MemorySource>(bytes);
  source->fail_at_end({ErrorCode::corrupt, "damaged at byte 77", ""});
  feeds::ItchFeed feed("memory", std::move(source), 0);
  const Everything all = drain(feed);
  CHECK(all.events.size() == 1);
  CHECK(all.dead_letters.empty());
  CHECK(all.error == "damaged at byte 77");
}

// ---- feed time

/// One directory message at 1 ns, then a cancel at each of the times.
Everything at_times(const std::vector<market::TimeNs>& times, std::size_t max_events = 1000,
                    std::size_t piece = 1 << 20) {
  Bytes bytes;
  feeds::ItchWriter write(bytes);
  write.directory({1, 1}, "ACME", 100);
  for (const market::TimeNs time : times) write.remove({1, static_cast<std::uint64_t>(time)}, 1);
  return drain_itch(bytes, max_events, piece);
}

TEST_CASE("feed time is the highest event time so far", "[itch][time]") {
  const Everything all = at_times({10, 5, 20});
  CHECK(all.events[1].event.feed_time == 10);
  CHECK(all.events[2].event.feed_time == 10);
  CHECK(all.events[2].event.time == 5);
  CHECK(all.events[3].event.feed_time == 20);
  CHECK(all.feed_time == 20);
}

TEST_CASE("one wild time does not move feed time", "[itch][time]") {
  std::vector<market::TimeNs> times(40, kHour / 2);
  times[20] = 20 * kHour;
  const Everything all = at_times(times);
  CHECK(all.events[21].event.time == 20 * kHour);
  CHECK(all.events[21].event.feed_time == kHour / 2);
  CHECK(all.feed_time == kHour / 2);
}

TEST_CASE("a jump that the next 16 messages agree with is believed at once", "[itch][time]") {
  std::vector<market::TimeNs> times = {5};
  for (int i = 0; i < 17; ++i) times.push_back(4 * kHour + i);
  Everything all = at_times(times);
  CHECK(all.events[2].event.feed_time == 4 * kHour);
  times[17] = 6;  // the 16th witness
  all = at_times(times);
  CHECK(all.events[2].event.feed_time == 5);
  CHECK(all.events[3].event.feed_time == 5);
  CHECK(all.events.back().event.feed_time == 6);
}

TEST_CASE("a wild time before a true jump is not believed", "[itch][time]") {
  std::vector<market::TimeNs> times = {5, 20 * kHour};
  for (int i = 0; i < 20; ++i) times.push_back(4 * kHour + i);
  const Everything all = at_times(times);
  CHECK(all.events[2].event.feed_time == 5);
  CHECK(all.events[3].event.feed_time == 4 * kHour);
}

TEST_CASE("at the end of a file those that are left decide; beyond a day nothing helps",
          "[itch][time]") {
  CHECK(at_times({5, 4 * kHour, 4 * kHour + 1}).feed_time == 4 * kHour + 1);
  CHECK(at_times({5, 4 * kHour}).feed_time == 4 * kHour);
  CHECK(at_times({5, 30 * kHour, 30 * kHour}).feed_time == 5);
}

TEST_CASE("neither polls nor reads change what a feed says", "[itch][time]") {
  std::vector<market::TimeNs> times;
  market::TimeNs now = 5;
  for (int i = 0; i < 300; ++i) {
    now += i % 97 == 0 ? 2 * kHour : 1000;
    times.push_back(i % 41 == 0 ? now + 10 * kHour : now);
  }
  const Everything whole = at_times(times);
  for (const std::size_t max_events : {1, 2, 7, 64}) {
    for (const std::size_t piece : {1, 13, 4096}) {
      const Everything cut = at_times(times, max_events, piece);
      REQUIRE(cut.events.size() == whole.events.size());
      for (std::size_t i = 0; i < whole.events.size(); ++i)
        REQUIRE(cut.events[i].event == whole.events[i].event);
      CHECK(cut.feed_time == whole.feed_time);
    }
  }
}

}  // namespace
}  // namespace tapedeck::test
