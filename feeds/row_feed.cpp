#include "feeds/row_feed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "feeds/feed_clock.hpp"
#include "feeds/symbol_table.hpp"
#include "feeds/text_window.hpp"
#include "schemas/row_codec.hpp"
#include "schemas/trade_line.hpp"

namespace tapedeck::feeds {
namespace {

using market::Event;
using market::FeedBatch;
using schemas::RowDecoder;
using schemas::RowFault;
using schemas::RowFormat;

constexpr std::uint64_t kRowsOnTrial = 64;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

class RowFeed final : public Feed {
public:
  /// `named`: which names a header may have.
  RowFeed(std::string path, std::unique_ptr<ByteSource> bytes, RowFormat format, RowFormat named,
          bool json)
      : path_(std::move(path)),
        window_(std::move(bytes)),
        format_(std::move(format)),
        named_(std::move(named)),
        json_(json) {}

  Result<void> poll(FeedBatch& batch, std::size_t max_events) override;
  [[nodiscard]] market::Sequencing sequencing() const override {
    return market::Sequencing::message_number;
  }
  [[nodiscard]] std::uint64_t total_bytes() const override { return window_.total_bytes(); }

private:
  Result<void> begin();
  void take(const TextWindow::Line& line, FeedBatch& batch);
  RowFault decode(const TextWindow::Line& line, schemas::Row& row);
  void refuse(const TextWindow::Line& line, RowFault fault, FeedBatch& batch) const;
  void introduce(FeedBatch& batch);
  market::TimeNs feed_time(market::TimeNs time, std::size_t line_bytes);

  std::string path_;
  TextWindow window_;
  RowFormat format_, named_;
  bool json_, begun_ = false, fast_ = false;
  std::unique_ptr<RowDecoder> decoder_;
  SymbolTable symbols_;
  FeedClock clock_;
  std::uint64_t lines_ = 0, rows_ = 0, good_ = 0;
  schemas::Row row_, ahead_;
  std::string symbol_;  ///< of row_, with readable bytes behind it
  std::vector<Event> events_;
};

std::string_view without_cr(std::string_view text) {
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  return text;
}

/// Looks at the first line: is it a header?
Result<void> RowFeed::begin() {
  begun_ = true;
  auto line = window_.line_at(0);
  if (line && line->text.starts_with(kByteOrderMark)) {
    window_.consume(kByteOrderMark.size());
    line = window_.line_at(0);
  }
  if (!json_ && line && schemas::is_header(without_cr(line->text), named_)) {
    auto ordered = schemas::by_header(without_cr(line->text), named_);
    if (!ordered) {
      return fail(ErrorCode::invalid, fmt::format("{}:1: {}", path_, ordered.error().message),
                  "--input");
    }
    format_ = std::move(*ordered);
    window_.consume(line->bytes);
    ++lines_;
  }
  fast_ = !json_ && format_ == schemas::trades_format();
  decoder_ = json_ ? schemas::json_decoder(format_) : schemas::csv_decoder(format_);
  return {};
}

RowFault RowFeed::decode(const TextWindow::Line& line, schemas::Row& row) {
  schemas::TradeLine trade;
  if (fast_ && schemas::parse_trade_line(line.text.data(), trade) != nullptr &&
      schemas::is_symbol(trade.symbol)) {
    row.symbol = trade.symbol;
    row.time = trade.time;
    row.price = trade.price;
    row.size = trade.size;
    row.side = trade.side;
    row.has_trade = true;
    row.id = 0;
    return RowFault::none;
  }
  return line.cut ? RowFault::length : decoder_->decode(without_cr(line.text), row);
}

void RowFeed::refuse(const TextWindow::Line& line, RowFault fault, FeedBatch& batch) const {
  batch.dead_letters.push_back(
      {window_.offset(), fmt::format("{}:{}: {}", path_, lines_, schemas::expectation(fault)),
       std::string(line.text)});
}

market::TimeNs RowFeed::feed_time(market::TimeNs time, std::size_t line_bytes) {
  std::size_t from = line_bytes;
  return clock_.observe(time, [&](std::size_t, market::TimeNs& witness) {
    while (const auto line = window_.line_at(from)) {
      from += line->bytes;
      if (without_cr(line->text).empty() || decode(*line, ahead_) != RowFault::none) continue;
      witness = ahead_.time;
      return true;
    }
    return false;
  });
}

/// A symbol's first row: how its numbers are to be read.
void RowFeed::introduce(FeedBatch& batch) {
  batch.new_symbols.push_back(symbol_);
  Event& event = events_.emplace_back();
  event.kind = market::EventKind::instrument;
  event.price = format_.price_exponent;
  event.size = static_cast<market::Size>(format_.size_exponent);
  event.flags = market::kMore;
}

void RowFeed::take(const TextWindow::Line& line, FeedBatch& batch) {
  ++rows_;
  const RowFault fault = decode(line, row_);
  if (fault != RowFault::none) return refuse(line, fault, batch);
  ++good_;
  symbol_.assign(row_.symbol);
  symbol_.resize(std::max(symbol_.size(), SymbolTable::kReadable));
  symbol_.resize(row_.symbol.size());  // keeps what was made readable
  const market::TimeNs time = row_.time;
  events_.clear();
  auto symbol = symbols_.find(symbol_);
  if (symbol == SymbolTable::kNone) {
    symbol = symbols_.add(symbol_);
    introduce(batch);
  }
  schemas::append_events(row_, events_);
  // Looks ahead, which moves the line: from here on nothing of it is used.
  const market::TimeNs now = feed_time(time, line.bytes);
  for (Event& event : events_) {
    event.feed_time = now;
    // What the symbol's numbers mean holds, be the first row's time believed or not.
    if (event.kind == market::EventKind::instrument) event.time = std::min(time, now);
    event.sequence = rows_;
    batch.events.push_back({symbol, event});
  }
}

Result<void> RowFeed::poll(FeedBatch& batch, std::size_t max_events) {
  batch.clear();
  if (!begun_) {
    if (auto done = begin(); !done) return done;
  }
  const std::uint64_t before = rows_;
  if (good_ == 0 && rows_ >= kRowsOnTrial) {
    return fail(ErrorCode::invalid,
                fmt::format("{}: none of the first {} rows can be decoded", path_, rows_),
                "--input");
  }
  max_events = std::max<std::size_t>(max_events, 1);
  while (batch.events.size() < max_events && rows_ - before < max_events) {
    const auto line = window_.line_at(0);
    if (!line) {
      batch.end = !window_.error();
      break;
    }
    ++lines_;
    const std::size_t bytes = line->bytes;
    if (!without_cr(line->text).empty()) take(*line, batch);
    window_.consume(bytes);
    if (good_ == 0 && rows_ >= kRowsOnTrial) break;
  }
  batch.messages = rows_;
  batch.bytes = window_.consumed();
  batch.feed_time = clock_.now();
  if (rows_ == before && window_.error()) return tl::unexpected(*window_.error());
  return {};
}

Result<RowFormat> format_of(const std::string& name, const FeedOptions& options) {
  RowFormat format = name == "trades-csv"  ? schemas::trades_format()
                     : name == "ticks-csv" ? schemas::ticks_format()
                                           : schemas::json_format();
  if (!options.columns.empty()) {
    auto parsed = schemas::parse_format(options.columns, "--columns");
    if (!parsed) return parsed;
    format = std::move(*parsed);
  }
  const auto in_range = [](int exponent) { return exponent >= -18 && exponent <= 9; };
  if (!in_range(options.price_exponent))
    return fail(ErrorCode::invalid, "expected an exponent from -18 to 9", "--price-exponent");
  if (!in_range(options.size_exponent))
    return fail(ErrorCode::invalid, "expected an exponent from -18 to 9", "--size-exponent");
  if (name != "ticks-json" &&
      (format.has(schemas::Column::bids) || format.has(schemas::Column::asks)))
    return fail(ErrorCode::invalid, "bids and asks are lists: ticks-json has them", "--columns");
  format.price_exponent = options.price_exponent;
  format.size_exponent = options.size_exponent;
  return format;
}

}  // namespace

bool is_row_feed(const std::string& name) {
  return name == "trades-csv" || name == "ticks-csv" || name == "ticks-json";
}

Result<std::unique_ptr<Feed>> open_rows(const std::string& name, const FeedOptions& options,
                                        std::unique_ptr<ByteSource> bytes) {
  auto format = format_of(name, options);
  if (!format) return tl::unexpected(format.error());
  RowFormat named = options.columns.empty() ? schemas::json_format() : *format;
  named.price_exponent = format->price_exponent;
  named.size_exponent = format->size_exponent;
  return std::make_unique<RowFeed>(options.input, std::move(bytes), std::move(*format),
                                   std::move(named), name == "ticks-json");
}

Result<void> copy_rows(const std::string& name, const FeedOptions& options, const std::string& to,
                       const std::function<bool(std::uint64_t, std::uint64_t)>& keep) {
  const auto format = format_of(name, options);
  if (!format) return tl::unexpected(format.error());
  auto bytes = open_bytes(options.input);
  if (!bytes) return tl::unexpected(bytes.error());
  std::ofstream file(to, std::ios::binary | std::ios::trunc);
  TextWindow window(std::move(*bytes));
  std::uint64_t rows = 0;
  bool first = true;
  while (const auto line = window.line_at(0)) {
    std::string_view text = without_cr(line->text);
    if (first && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    const RowFormat& named = options.columns.empty() ? schemas::json_format() : *format;
    const bool header = first && name != "ticks-json" && schemas::is_header(text, named);
    first = false;
    if (header || (!text.empty() && keep(++rows, window.offset())))
      file.write(window.begin(), static_cast<std::streamsize>(line->bytes));
    window.consume(line->bytes);
  }
  if (window.error()) return tl::unexpected(*window.error());
  file.close();
  if (!file) return fail(ErrorCode::environment, "cannot write " + to);
  return {};
}

std::string row_options(const FeedOptions& options) {
  const FeedOptions plain;
  std::string text;
  if (!options.columns.empty()) text += ",columns=" + options.columns;
  if (options.price_exponent != plain.price_exponent)
    text += fmt::format(",price_exponent={}", options.price_exponent);
  if (options.size_exponent != plain.size_exponent)
    text += fmt::format(",size_exponent={}", options.size_exponent);
  return text;
}

}  // namespace tapedeck::feeds
