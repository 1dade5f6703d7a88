#include "feeds/lobster.hpp"

#include <fmt/format.h>

#include <charconv>
#include <deque>
#include <optional>
#include <vector>

#include "feeds/feed_clock.hpp"
#include "feeds/line_reader.hpp"
#include "feeds/lobster_book.hpp"

namespace tapedeck::feeds {
namespace {

using market::Event;
using market::FeedBatch;

constexpr std::uint64_t kTrialRows = 64;
constexpr std::size_t kMaxRowsAhead = 64;
constexpr std::size_t kMaxLevels = 1000;

/// Takes the next comma-separated integer off `rest`.
bool take_integer(std::string_view& rest, std::int64_t& value) {
  const std::string_view field = rest.substr(0, rest.find(','));
  const auto [end, code] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (code != std::errc{} || end != field.data() + field.size()) return false;
  rest.remove_prefix(std::min(rest.size(), field.size() + 1));
  return true;
}

/// Seconds with decimals, as nanoseconds; what lies behind the ninth decimal (some rows carry more)
/// is cut off.
bool take_seconds(std::string_view& rest, std::int64_t& ns) {
  const std::string_view field = rest.substr(0, rest.find(','));
  const std::size_t point = std::min(field.find('.'), field.size());
  std::uint32_t seconds = 0;
  const auto [end, code] = std::from_chars(field.data(), field.data() + point, seconds);
  if (code != std::errc{} || end != field.data() + point || seconds >= 90'000) return false;
  std::int64_t fraction = 0;
  std::size_t digits = 0;
  for (const char c : field.substr(std::min(point + 1, field.size()))) {
    if (c < '0' || c > '9') return false;
    if (digits == 9) continue;
    fraction = fraction * 10 + (c - '0');
    ++digits;
  }
  for (; digits < 9; ++digits) fraction *= 10;
  ns = std::int64_t{seconds} * market::kSecond + fraction;
  rest.remove_prefix(std::min(rest.size(), field.size() + 1));
  return true;
}

/// Empty: the row is good. Else what is wrong with it.
std::string parse_row(std::string_view text, LobsterRow& row) {
  std::string_view rest = text;
  std::int64_t type = 0, direction = 0;
  if (!take_seconds(rest, row.time_of_day))
    return "expected seconds after midnight in the first field";
  if (!take_integer(rest, type) || !take_integer(rest, row.id) || !take_integer(rest, row.size) ||
      !take_integer(rest, row.price) || !take_integer(rest, direction)) {
    return "expected the fields time, type, order id, size, price, direction";
  }
  if (type < 1 || type > 7) return fmt::format("expected a type from 1 to 7, found {}", type);
  row.type = static_cast<std::int32_t>(type);
  row.direction = direction > 0 ? 1 : -1;
  if (type == 7) return {};
  if (direction != 1 && direction != -1)
    return fmt::format("expected direction 1 or -1, found {}", direction);
  if (row.size < 1 || row.size > market::kMaxSize)
    return fmt::format("size {} is out of range", row.size);
  if (row.price < 1 || row.price > market::kMaxPrice)
    return fmt::format("price {} is out of range", row.price);
  if (type <= 4 && row.id < 1) return fmt::format("expected an order id, found {}", row.id);
  return {};
}

/// Empty: good. `fields`: how many there must be, 0 if not known yet.
std::string parse_levels(std::string_view rest, std::size_t fields,
                         std::vector<std::int64_t>& row) {
  row.clear();
  while (!rest.empty() && row.size() < 4 * kMaxLevels) {
    std::int64_t value = 0;
    if (!take_integer(rest, value)) return "expected integers only";
    if (row.size() % 2 == 1 && (value < 0 || value > market::kMaxSize))
      return fmt::format("size {} is out of range", value);
    row.push_back(value);
  }
  if (row.empty() || row.size() % 4 != 0)
    return fmt::format("expected four fields a level, found {} fields", row.size());
  if (fields != 0 && row.size() != fields)
    return fmt::format("expected {} fields, found {}", fields, row.size());
  return {};
}

struct Pair {
  Line message, levels;
  LobsterRow row;
  std::vector<std::int64_t> book;
  std::string bad_row, bad_book;  // reasons
};

class LobsterFeed final : public Feed {
public:
  LobsterFeed(std::string path, std::string symbol, std::unique_ptr<ByteSource> messages,
              std::unique_ptr<ByteSource> books, market::TimeNs midnight)
      : path_(std::move(path)),
        symbol_(std::move(symbol)),
        messages_(std::move(messages)),
        books_(std::move(books)),
        midnight_(midnight),
        clock_(midnight) {}

  Result<void> poll(FeedBatch& batch, std::size_t max_events) override;
  [[nodiscard]] market::Sequencing sequencing() const override {
    return market::Sequencing::message_number;
  }
  [[nodiscard]] std::uint64_t total_bytes() const override { return messages_.total_bytes(); }

private:
  bool ahead(std::size_t rows);
  std::optional<Error> read_pair();
  void deliver(const Pair& pair, FeedBatch& batch);
  market::TimeNs feed_time(market::TimeNs time);

  std::string path_, symbol_;
  LineReader messages_, books_;
  market::TimeNs midnight_;
  FeedClock clock_;
  LobsterBook book_;
  std::deque<Pair> rows_;  // read and not yet delivered
  std::optional<Error> error_;
  bool ended_ = false;
  std::size_t fields_ = 0;
  std::uint64_t read_ = 0, good_ = 0, bytes_ = 0;
  std::vector<Event> events_;
};

/// True if `rows` rows wait in rows_.
bool LobsterFeed::ahead(std::size_t rows) {
  while (rows_.size() < rows && !ended_) {
    error_ = read_pair();
    if (error_) ended_ = true;
  }
  return rows_.size() >= rows;
}

std::optional<Error> LobsterFeed::read_pair() {
  auto message = messages_.next();
  if (!message) return message.error();
  auto levels = books_.next();
  if (!levels) return levels.error();
  const bool message_ended = !*message || (*message)->text.empty();
  const bool levels_ended = !*levels || (*levels)->text.empty();
  if (message_ended || levels_ended) {
    ended_ = true;
    if (message_ended == levels_ended) return std::nullopt;
    const std::uint64_t row = message_ended ? (*levels)->number : (*message)->number;
    return Error{
        ErrorCode::invalid,
        fmt::format("{}: row {} has no {} row: message and orderbook files do not belong together",
                    path_, row, message_ended ? "message" : "orderbook"),
        "--input"};
  }
  Pair& pair = rows_.emplace_back();
  pair.message = std::move(**message);
  pair.levels = std::move(**levels);
  pair.bad_row = parse_row(pair.message.text, pair.row);
  pair.bad_book = parse_levels(pair.levels.text, fields_, pair.book);
  if (fields_ == 0 && pair.bad_book.empty()) fields_ = pair.book.size();
  return std::nullopt;
}

market::TimeNs LobsterFeed::feed_time(market::TimeNs time) {
  std::size_t next = 1;  // rows_[0] is the current row
  return clock_.observe(time, [&](std::size_t, market::TimeNs& witness) {
    while (next < kMaxRowsAhead && ahead(next + 1)) {
      const Pair& pair = rows_[next++];
      if (!pair.bad_row.empty()) continue;
      witness = midnight_ + pair.row.time_of_day;
      return true;
    }
    return false;
  });
}

void LobsterFeed::deliver(const Pair& pair, FeedBatch& batch) {
  const auto dead = [&](const Line& line, std::string_view file, const std::string& reason) {
    batch.dead_letters.push_back(
        {line.offset, fmt::format("LOBSTER {} file, line {}: {}", file, line.number, reason),
         line.text});
  };
  if (!pair.bad_book.empty()) dead(pair.levels, "orderbook", pair.bad_book);
  if (!pair.bad_row.empty()) return dead(pair.message, "message", pair.bad_row);
  events_.clear();
  if (good_++ == 0) {
    batch.new_symbols.push_back(symbol_);
    Event& event = events_.emplace_back();
    event.kind = market::EventKind::instrument;
    event.price = -4;
  }
  const market::TimeNs time = midnight_ + pair.row.time_of_day;
  const market::TimeNs now = feed_time(time);
  book_.step(pair.row, events_);
  if (pair.bad_book.empty()) book_.reconcile(pair.book, events_);
  for (std::size_t i = 0; i < events_.size(); ++i) {
    Event& event = events_[i];
    event.time = time;
    event.feed_time = now;
    event.sequence = pair.message.number;
    if (i + 1 < events_.size()) event.flags |= market::kMore;
    batch.events.push_back({0, event});
  }
}

Result<void> LobsterFeed::poll(FeedBatch& batch, std::size_t max_events) {
  batch.clear();
  const std::uint64_t before = read_;
  if (good_ == 0 && read_ >= kTrialRows) {
    return fail(ErrorCode::invalid,
                fmt::format("{}: none of the first {} rows is a LOBSTER message", path_, read_),
                "--input");
  }
  while (batch.events.size() + batch.dead_letters.size() < std::max<std::size_t>(max_events, 1) &&
         read_ - before < std::max<std::size_t>(max_events, 1)) {
    if (!ahead(1)) {
      batch.end = !error_;
      break;
    }
    deliver(rows_.front(), batch);
    ++read_;
    bytes_ = rows_.front().message.end;
    rows_.pop_front();
    if (good_ == 0 && read_ >= kTrialRows) break;
  }
  batch.messages = read_;
  batch.bytes = bytes_;
  batch.feed_time = clock_.now();
  if (read_ == before && !batch.end) return tl::unexpected(*error_);
  return {};
}

}  // namespace

Result<std::unique_ptr<Feed>> open_lobster(const std::string& path, market::TimeNs midnight) {
  const std::size_t slash = path.rfind('/');
  const std::size_t start = slash == path.npos ? 0 : slash + 1;
  const std::size_t at = path.rfind("_message_");
  const std::string symbol = path.substr(start, path.find('_', start) - start);
  if (at == path.npos || at < start || symbol.empty() || symbol.size() > 32) {
    return fail(
        ErrorCode::invalid,
        fmt::format("{}: expected a LOBSTER message file, named SYMBOL_…_message_N.csv", path),
        "--input");
  }
  auto messages = open_bytes(path);
  if (!messages) return tl::unexpected(messages.error());
  std::string book_path = path;
  book_path.replace(at, std::string_view("_message_").size(), "_orderbook_");
  auto books = open_bytes(book_path);
  if (!books) {
    Error error = books.error();
    error.message = "the orderbook file beside the message file: " + error.message;
    return tl::unexpected(std::move(error));
  }
  return std::make_unique<LobsterFeed>(path, symbol, std::move(*messages), std::move(*books),
                                       midnight);
}

}  // namespace tapedeck::feeds
