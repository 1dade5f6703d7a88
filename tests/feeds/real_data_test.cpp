// Real market data beside the checkout, against the answers that came with it.
#include <zlib.h>

#include <catch2/catch.hpp>
#include <charconv>
#include <map>

#include "feeds/feed.hpp"
#include "market/symbol_state.hpp"
#include "tests/feeds/feed_support.hpp"
#include "tests/feeds/naive_book.hpp"
#include "tests/feeds/unzip.hpp"

namespace tapedeck::test {
namespace {

using market::EventKind;
using market::Side;

/// Rows of an orderbook file: ask price, ask size, bid price, bid size for each level.
std::vector<std::vector<std::int64_t>> orderbook_rows(const std::string& path) {
  const auto bytes = read_file(path);
  std::vector<std::vector<std::int64_t>> rows(1);
  const char* at = reinterpret_cast<const char*>(bytes.data());
  const char* const end = at + bytes.size();
  while (at < end) {
    std::int64_t value = 0;
    const auto parsed = std::from_chars(at, end, value);
    REQUIRE(parsed.ec == std::errc{});
    rows.back().push_back(value);
    at = parsed.ptr;
    while (at < end && (*at == '\r' || *at == ',')) ++at;
    if (at < end && *at == '\n') rows.emplace_back(), ++at;
  }
  if (rows.back().empty()) rows.pop_back();
  return rows;
}

/// Levels of a row that are not blank.
NaiveBook::Levels side_of(const std::vector<std::int64_t>& row, Side side) {
  NaiveBook::Levels levels;
  for (std::size_t i = side == Side::ask ? 0 : 2; i < row.size(); i += 4) {
    if (row[i + 1] > 0 && row[i] > 0 && row[i] < 9'999'999'999)
      levels.emplace_back(row[i], row[i + 1]);
  }
  return levels;
}

/// The product's own fold, one message after the other.
class Folded {
public:
  explicit Folded(const std::string& symbol) : state_(symbol, settings_) {
    market::Event session;
    session.other = market::source_id("test");
    apply({&session, 1}, "test");
  }
  /// True once the event was the last of its message and the message is folded.
  bool push(const market::Event& event) {
    message_.push_back(event);
    if ((event.flags & market::kMore) != 0) return false;
    apply(message_, {});
    message_.clear();
    return true;
  }
  [[nodiscard]] NaiveBook::Levels top(Side side, std::size_t depth) const {
    const market::BookView view = state_.book(depth);
    NaiveBook::Levels levels;
    for (const auto& level : side == Side::bid ? view.bids : view.asks)
      levels.emplace_back(level.price, level.size);
    return levels;
  }
  /// Nothing refused, nothing contradictory, and the digest that was kept is that of the whole
  /// book.
  void check_sound() const {
    const market::SymbolView view = state_.view();
    CHECK(view.trust == market::Trust::clean);
    CHECK(view.events.refused + view.events.duplicates == 0);
    // AMZN's ITCH file has one message ten minutes ahead of the others: trades after it come late
    // for their candles.
    market::IntegrityCounts integrity = view.integrity;
    integrity.late_trades = 0;
    CHECK(integrity == market::IntegrityCounts{});
    CHECK(state_.digest() == state_.recompute_digest());
  }

private:
  void apply(std::span<const market::Event> events, std::string_view source_name) {
    position_.offset += 1;
    state_.apply({market::source_id("test"), source_name, position_, events}, outputs_);
    outputs_.clear();
  }

  market::FoldSettings settings_;
  market::SymbolState state_;
  market::Outputs outputs_;
  market::Position position_;
  std::vector<market::Event> message_;
};

template <class Book>
bool equal(const Book& book, const std::vector<std::int64_t>& row) {
  const std::size_t depth = row.size() / 4;
  return book.top(Side::bid, depth) == side_of(row, Side::bid) &&
         book.top(Side::ask, depth) == side_of(row, Side::ask);
}

const std::string kLobsterName = "_2012-06-21_34200000_57600000_";

TEST_CASE("LOBSTER: the book equals every row of the orderbook file", "[lobster][real]") {
  struct Day {
    std::string symbol, levels;
    std::size_t rows;
  };
  for (const Day& day :
       {Day{"AMZN", "5", 155'935}, Day{"GOOG", "5", 112'673}, Day{"AAPL", "1", 118'497}}) {
    const std::string zip = find_zip(real_data("lobster"), day.symbol);
    if (zip.empty()) continue;
    INFO(day.symbol);
    const TempDir dir;
    unzip(zip, dir.path());
    const std::string stem = day.symbol + kLobsterName;
    const auto rows = orderbook_rows(dir / (stem + "orderbook_" + day.levels + ".csv"));
    REQUIRE(rows.size() == day.rows);
    auto feed = feeds::open_feed("lobster", {dir / (stem + "message_" + day.levels + ".csv"),
                                             "2012-06-21", "America/New_York"});
    REQUIRE(feed);
    NaiveBook book;
    Folded fold(day.symbol);
    market::FeedBatch batch;
    std::size_t checked = 0, different = 0;
    const auto compare = [&] {
      different += equal(book, rows[checked]) && equal(fold, rows[checked]) ? 0 : 1;
      ++checked;
    };
    std::vector<std::string> symbols;
    while (!batch.end) {
      REQUIRE((*feed)->poll(batch, 500));
      CHECK(batch.dead_letters.empty());
      symbols.insert(symbols.end(), batch.new_symbols.begin(), batch.new_symbols.end());
      for (const auto& [symbol, event] : batch.events) {
        while (checked + 1 < event.sequence) compare();  // rows without an event
        book.apply(event);
        if (fold.push(event)) compare();
      }
    }
    while (checked < batch.messages) compare();
    fold.check_sound();
    CHECK(checked == day.rows);
    CHECK(different == 0);
    CHECK(symbols == std::vector<std::string>{day.symbol});
    CHECK(book.unknown + book.duplicates + book.oversized + book.bad_sizes == 0);
    CHECK(book.crossed == 0);
    CHECK(book.executions + book.trades > 5000);
  }
}

TEST_CASE("ITCH: AMZN's day equals every row of LOBSTER's book", "[itch][real]") {
  const std::string itch = real_data("itch/amzn5.itch.gz"),
                    counts_path = real_data("itch/amzn5.rows.gz");
  const std::string zip = find_zip(real_data("lobster"), "AMZN");
  if (itch.empty() || counts_path.empty() || zip.empty()) return;
  const TempDir dir;
  unzip(zip, dir.path());
  const auto rows = orderbook_rows(dir / ("AMZN" + kLobsterName + "orderbook_5.csv"));
  std::vector<std::uint8_t> counts(4 * rows.size() + 1);
  auto source = feeds::open_bytes(counts_path);
  REQUIRE(source);
  std::size_t size = 0;
  for (Result<std::size_t> got = 1; got && *got > 0; size += *got)
    got = (*source)->read(counts.data() + size, counts.size() - size);
  REQUIRE(size == 4 * rows.size());

  auto feed = feeds::open_feed("itch", {itch, "2012-06-21", "America/New_York"});
  REQUIRE(feed);
  NaiveBook book;
  Folded fold("AMZN");
  market::FeedBatch batch;
  std::size_t row = 0, different = 0;
  std::uint32_t messages = 0;
  const auto count_of = [&](std::size_t i) {
    std::uint32_t count = 0;
    std::memcpy(&count, counts.data() + 4 * i, 4);
    return count;
  };
  const auto check_rows = [&] {
    for (; row < rows.size() && count_of(row) == messages; ++row) {
      different += equal(book, rows[row]) && equal(fold, rows[row]) ? 0 : 1;
    }
  };
  while (!batch.end) {
    REQUIRE((*feed)->poll(batch, 4096));
    CHECK(batch.dead_letters.empty());
    for (const auto& [symbol, event] : batch.events) {
      fold.push(event);
      if (event.kind == EventKind::instrument || event.kind == EventKind::status) continue;
      book.apply(event);
      ++messages;
      check_rows();
    }
  }
  fold.check_sound();
  CHECK(row == 155'935);
  CHECK(different == 0);
  CHECK(book.unknown + book.duplicates + book.oversized + book.bad_sizes + book.crossed == 0);
}

TEST_CASE("ITCH: the sampled session has the counts that are known of it", "[itch][real]") {
  const std::string path = real_data("itch/ex20101224.TEST_ITCH_50");
  if (path.empty()) return;
  auto feed = feeds::open_feed("itch", {path, "2010-12-24", "America/New_York"});
  REQUIRE(feed);
  const Everything all = drain(**feed);
  CHECK(all.messages == 12'012);
  CHECK(all.ended);
  // Types, from the file itself.
  const auto bytes = read_file(path);
  std::map<char, int> types;
  for (std::size_t at = 2; at < bytes.size(); at += 2 + feeds::itch::kLength[bytes[at]])
    ++types[static_cast<char>(bytes[at])];
  CHECK(types == std::map<char, int>{{'S', 6},
                                     {'R', 3},
                                     {'H', 3},
                                     {'A', 4997},
                                     {'F', 3},
                                     {'E', 198},
                                     {'X', 45},
                                     {'D', 1745},
                                     {'U', 12},
                                     {'P', 5000}});
  // And from its events.
  std::map<EventKind, int> kinds;
  for (const auto& entry : all.events) ++kinds[entry.event.kind];
  CHECK(all.dead_letters.empty());
  CHECK(kinds[EventKind::add] == 5000);
  CHECK(kinds[EventKind::execute] == 198);
  CHECK(kinds[EventKind::reduce] == 45);
  CHECK(kinds[EventKind::remove] == 1745);
  CHECK(kinds[EventKind::replace] == 12);
  CHECK(kinds[EventKind::trade] == 5000);
  CHECK(all.bytes == bytes.size());
}

}  // namespace
}  // namespace tapedeck::test
