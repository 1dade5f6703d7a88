// LOBSTER: what each kind of row says, orders that the window hides, and bad rows.
#include "feeds/lobster.hpp"

#include <catch2/catch.hpp>

#include "feeds/feed.hpp"
#include "tests/feeds/feed_support.hpp"
#include "tests/feeds/naive_book.hpp"

namespace tapedeck::test {
namespace {

using market::Event;
using market::EventKind;
using market::Side;

constexpr market::OrderId kSynthetic = market::OrderId{1} << 63;
const std::string kMessages = "TEST_2012-06-21_34200000_57600000_message_2.csv";
const std::string kBooks = "TEST_2012-06-21_34200000_57600000_orderbook_2.csv";
const std::string kEmpty = "9999999999,0,-9999999999,0,9999999999,0,-9999999999,0\n";

Everything read(const std::string& messages, const std::string& books) {
  const TempDir dir;
  write_file(dir / kMessages, messages);
  write_file(dir / kBooks, books);
  auto feed = feeds::open_feed("lobster", {dir / kMessages, "1970-01-01", "UTC"});
  REQUIRE(feed);
  return drain(**feed);
}

/// Kinds of the events of one message.
std::vector<EventKind> kinds(const Everything& all, market::Sequence sequence) {
  std::vector<EventKind> found;
  for (const auto& entry : all.events) {
    if (entry.event.sequence == sequence) found.push_back(entry.event.kind);
  }
  return found;
}

TEST_CASE("each type of LOBSTER row becomes its event", "[lobster]") {
  const std::string books =
      "9999999999,0,1000,50,9999999999,0,-9999999999,0\n"  // 1 buy 50
      "9999999999,0,1000,40,9999999999,0,-9999999999,0\n"  // 2 ten off
      "9999999999,0,1000,25,9999999999,0,-9999999999,0\n"  // 4 fifteen executed
      "9999999999,0,1000,25,9999999999,0,-9999999999,0\n"  // 5 hidden
      "9999999999,0,1000,25,9999999999,0,-9999999999,0\n"  // 6 cross
      "9999999999,0,1000,25,9999999999,0,-9999999999,0\n"  // 7 halt
      "9999999999,0,1000,25,9999999999,0,-9999999999,0\n"  // 7 quoting
      "9999999999,0,1000,25,9999999999,0,-9999999999,0\n"  // 7 resume
      + kEmpty;
  const Everything all = read(
      "1.5,1,11,50,1000,1\n"
      "2.000000001,2,11,10,1000,1\n"
      "3,4,11,15,1000,1\n"
      "4.25,5,0,7,1005,1\n"
      "5,6,-1,70,1002,-1\n"
      "6,7,0,0,-1,-1\n"
      "7,7,0,0,0,-1\n"
      "8,7,0,0,1,-1\n"
      "9.123456789123,3,11,25,1000,1\n",
      books);
  REQUIRE(all.dead_letters.empty());
  CHECK(all.symbols == std::vector<std::string>{"TEST"});
  CHECK(all.messages == 9);
  REQUIRE(all.events.size() == 10);
  const auto at = [&](std::size_t i) { return all.events[i].event; };
  CHECK((at(0).kind == EventKind::instrument && at(0).price == -4 && at(0).flags == market::kMore));
  CHECK((at(1).kind == EventKind::add && at(1).id == 11 && at(1).side == Side::bid &&
         at(1).size == 50 && at(1).price == 1000));
  CHECK((at(1).time == 1'500'000'000 && at(1).flags == 0 && at(0).sequence == 1 &&
         at(1).sequence == 1));
  CHECK((at(2).kind == EventKind::reduce && at(2).id == 11 && at(2).size == 10 &&
         at(2).time == 2'000'000'001));
  CHECK((at(3).kind == EventKind::execute && at(3).id == 11 && at(3).size == 15));
  CHECK((at(4).kind == EventKind::trade && at(4).side == Side::ask && at(4).size == 7 &&
         at(4).price == 1005 && at(4).id == 0));
  CHECK((at(5).kind == EventKind::trade && at(5).side == Side::none && at(5).size == 70));
  for (const auto& [i, state] : {std::pair<std::size_t, char>{6, 'H'}, {7, 'Q'}, {8, 'T'}}) {
    CHECK((at(i).kind == EventKind::status && at(i).code == 0 &&
           at(i).other == static_cast<std::uint64_t>(state)));
  }
  CHECK((at(9).kind == EventKind::remove && at(9).id == 11 && at(9).time == 9'123'456'789));
}

TEST_CASE("orders that LOBSTER's window hides are added, reduced and removed", "[lobster]") {
  const Everything all = read(
      "1,1,11,50,1000,1\n"
      "2,4,99,30,2000,-1\n"
      "3,3,98,10,1000,1\n"
      "4,3,11,50,1000,1\n",
      "2000,100,1000,60,2100,5,900,7\n"  // three orders nobody told of, and ten shares more
      "2000,70,1000,60,2100,5,900,7\n"   // an unknown order executed: one execution
      "2000,70,1000,50,2100,5,900,7\n"   // an unknown order deleted
      "2000,70,900,7,2100,5,800,1\n");   // the level leaves, another enters
  REQUIRE(all.dead_letters.empty());
  CHECK(kinds(all, 1) == std::vector<EventKind>{EventKind::instrument, EventKind::add,
                                                EventKind::add, EventKind::add, EventKind::add,
                                                EventKind::add});
  CHECK(kinds(all, 2) == std::vector<EventKind>{EventKind::execute});
  CHECK(kinds(all, 3) == std::vector<EventKind>{EventKind::remove});
  CHECK(kinds(all, 4) == std::vector<EventKind>{EventKind::remove, EventKind::add});
  NaiveBook book;
  for (const auto& entry : all.events) {
    book.apply(entry.event);
    if (entry.event.kind == EventKind::add && entry.event.id != 11)
      CHECK(entry.event.id >= kSynthetic);
  }
  CHECK(book.unknown + book.duplicates + book.oversized + book.crossed == 0);
  CHECK(book.top(Side::bid, 5) == NaiveBook::Levels{{900, 7}, {800, 1}});
  CHECK(book.top(Side::ask, 5) == NaiveBook::Levels{{2000, 70}, {2100, 5}});
}

TEST_CASE("a side with fewer levels than the window has no others", "[lobster]") {
  const Everything all = read("1,1,11,50,1000,1\n2,1,12,5,990,1\n3,1,13,5,2000,-1\n",
                              "9999999999,0,1000,50,9999999999,0,-9999999999,0\n"
                              "9999999999,0,1000,50,9999999999,0,990,5\n"
                              "2000,5,1000,50,9999999999,0,-9999999999,0\n");
  CHECK(kinds(all, 3) == std::vector<EventKind>{EventKind::add, EventKind::remove});
}

TEST_CASE("bad LOBSTER rows become dead letters with their lines", "[lobster][bad]") {
  std::string messages = "1,1,11,50,1000,1\n",
              books = "9999999999,0,1000,50,9999999999,0,-9999999999,0\n";
  std::string same = books;
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"x,1,12,5,1000,1", "expected seconds after midnight in the first field"},
      {"2,1,12,5,1000", "expected the fields time, type, order id, size, price, direction"},
      {"2,9,12,5,1000,1", "expected a type from 1 to 7, found 9"},
      {"2,1,12,0,1000,1", "size 0 is out of range"},
      {"2,1,12,5,-7,1", "price -7 is out of range"},
      {"2,1,12,5,1000,0", "expected direction 1 or -1, found 0"},
      {"2,1,-12,5,1000,1", "expected an order id, found -12"},
      {"1e3,1,12,5,1000,1", "expected seconds after midnight in the first field"},
  };
  for (const auto& [row, reason] : bad) messages += row + "\n", books += same;
  messages += "3,2,11,10,1000,1\n";
  books += "junk,0\n";
  messages += "4,2,11,10,1000,1";
  books += "9999999999,0,1000,30,9999999999,0,-9999999999,0";
  const Everything all = read(messages, books);
  REQUIRE(all.dead_letters.size() == bad.size() + 1);
  for (std::size_t i = 0; i < bad.size(); ++i) {
    CHECK(all.dead_letters[i].reason ==
          "LOBSTER message file, line " + std::to_string(i + 2) + ": " + bad[i].second);
    CHECK(all.dead_letters[i].bytes == bad[i].first);
    CHECK(messages.substr(all.dead_letters[i].byte_offset).starts_with(bad[i].first));
  }
  CHECK(all.dead_letters.back().reason ==
        "LOBSTER orderbook file, line 10: expected integers only");
  CHECK(kinds(all, 10) == std::vector<EventKind>{EventKind::reduce});
  CHECK(kinds(all, 11) == std::vector<EventKind>{EventKind::reduce});
  CHECK(all.messages == 11);
}

TEST_CASE("files of different length, a missing orderbook, a wrong name are errors with the path",
          "[lobster][bad]") {
  const Everything all = read("1,1,11,50,1000,1\n2,1,12,5,990,1\n",
                              "9999999999,0,1000,50,9999999999,0,-9999999999,0\n");
  CHECK(all.events.size() == 2);
  CHECK_THAT(all.error,
             Catch::Contains(kMessages) && Catch::Contains("row 2 has no orderbook row"));
  const TempDir dir;
  write_file(dir / kMessages, std::string("1,1,11,50,1000,1\n"));
  const auto alone =
      feeds::open_feed("lobster", {dir / kMessages, "2012-06-21", "America/New_York"});
  REQUIRE_FALSE(alone);
  CHECK_THAT(alone.error().message, Catch::Contains(kBooks));
  write_file(dir / "trades.csv", std::string("1,1,11,50,1000,1\n"));
  const auto other =
      feeds::open_feed("lobster", {dir / "trades.csv", "2012-06-21", "America/New_York"});
  REQUIRE_FALSE(other);
  CHECK_THAT(other.error().message, Catch::Contains("trades.csv: expected a LOBSTER message file"));
}

TEST_CASE("a file of other rows is refused after its first 64", "[lobster][bad]") {
  std::string messages, books;
  for (int i = 0; i < 100; ++i) messages += "symbol,price\n", books += kEmpty;
  const Everything all = read(messages, books);
  CHECK(all.dead_letters.size() == 64);
  CHECK_THAT(all.error, Catch::Contains("none of the first 64 rows is a LOBSTER message"));
}

TEST_CASE("polls of any size say the same", "[lobster]") {
  std::string messages, books;
  for (int i = 0; i < 200; ++i) {
    messages += std::to_string(i < 100 ? 40 + i : 40'000 + i) + (i % 50 == 7 ? "00" : "") + ",1," +
                std::to_string(i + 1) + ",5," + std::to_string(1000 + i % 9) + ",1\n";
    books += "9999999999,0,1000,5,9999999999,0,999," + std::to_string(i + 1) + "\n";
  }
  const TempDir dir;
  write_file(dir / kMessages, messages);
  write_file(dir / kBooks, books);
  const auto run = [&](std::size_t max_events) {
    auto feed = feeds::open_feed("lobster", {dir / kMessages, "1970-01-01", "UTC"});
    REQUIRE(feed);
    return drain(**feed, max_events);
  };
  const Everything whole = run(100'000);
  REQUIRE(whole.events.size() > 400);
  for (const std::size_t max_events : {1, 3, 64}) {
    const Everything cut = run(max_events);
    REQUIRE(cut.events.size() == whole.events.size());
    for (std::size_t i = 0; i < whole.events.size(); ++i)
      REQUIRE(cut.events[i].event == whole.events[i].event);
  }
}

}  // namespace
}  // namespace tapedeck::test
