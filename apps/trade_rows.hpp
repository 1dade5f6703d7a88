// apps/trade_rows.hpp -- reads `symbol,ts_us,price,size,side` lines for a sink: one thread, no
// allocation per row.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "feeds/byte_source.hpp"
#include "feeds/feed_clock.hpp"
#include "feeds/symbol_table.hpp"
#include "feeds/text_window.hpp"
#include "market/feed_batch.hpp"
#include "schemas/row_codec.hpp"
#include "schemas/trade_line.hpp"

namespace tapedeck::apps {

/// A row that could not be decoded, or that a rule refused; the views live during the call that
/// tells of it, and TextWindow::kPadding bytes behind the row can be read.
struct BadRow {
  std::uint64_t line = 0;    ///< from 1
  std::uint64_t offset = 0;  ///< of its first byte
  std::string_view reason;
  std::string_view bytes;  ///< whole, without its LF
};

/// Messages, feed time and bad rows are those of the feed `trades-csv`. A Sink has
///   void add_symbol(std::string_view name);              // its number is the next one
///   std::string_view take(SymbolIndex, const schemas::TradeLine&, TimeNs feed_time,
///                         std::uint64_t row);            // why it is refused; empty: it is not
template <class Sink>
class TradeRows {
public:
  TradeRows(Sink& sink, std::function<void(const BadRow&)> bad)
      : sink_(&sink),
        bad_listener_(std::move(bad)),
        decoder_(schemas::csv_decoder(schemas::trades_format())) {}

  /// Reads the input to its end. Error: it cannot be read on.
  [[nodiscard]] Result<void> run(std::unique_ptr<feeds::ByteSource> bytes) {
    feeds::TextWindow window(std::move(bytes));
    if (auto passed = pass_header(window); !passed) return passed;
    do {
      take_lines(window);
    } while (window.extend());
    if (window.error()) return tl::unexpected(*window.error());
    return {};
  }

  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint64_t bad_rows() const noexcept { return bad_; }
  /// Of the whole input so far.
  [[nodiscard]] market::TimeNs feed_time() const { return clock_.now(); }
  [[nodiscard]] const feeds::SymbolTable& symbols() const noexcept { return symbols_; }

private:
  static_assert(feeds::TextWindow::kPadding >= schemas::kTradeLinePadding);
  static_assert(feeds::TextWindow::kPadding >= schemas::kRowPadding);
  static_assert(feeds::TextWindow::kPadding >= feeds::SymbolTable::kReadable);

  static std::string_view without_cr(std::string_view text) {
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    return text;
  }

  [[nodiscard]] Result<void> pass_header(feeds::TextWindow& window) {
    constexpr std::string_view expected = "symbol,ts_us,price,size,side";
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    auto line = window.line_at(0);
    if (line && line->text.starts_with(byte_order_mark)) {
      window.consume(byte_order_mark.size());
      line = window.line_at(0);
    }
    const std::string_view text = line ? without_cr(line->text) : std::string_view();
    if (text == expected) {
      window.consume(line->bytes);
      ++lines_;
    } else if (text.starts_with("symbol,") || schemas::is_header(text, schemas::trades_format())) {
      return fail(ErrorCode::invalid,
                  "line 1: the header is not " + std::string(expected) +
                      ": `record --feed trades-csv` reads other columns",
                  "--input");
    }
    return {};
  }

  /// The whole lines of the window.
  void take_lines(feeds::TextWindow& window) {
    while (window.begin() < window.lines_end()) {
      schemas::TradeLine trade;
      const char* const behind = schemas::parse_trade_line(window.begin(), trade);
      if (behind == nullptr) [[unlikely]] {
        take_unusual(window);
        continue;
      }
      const market::SymbolIndex symbol = symbols_.find(trade.symbol);
      if (symbol == feeds::SymbolTable::kNone) [[unlikely]] {
        take_unusual(window);
        continue;
      }
      const auto bytes = static_cast<std::size_t>(behind - window.begin());
      take(window, symbol, trade, bytes);
      window.consume(bytes);
    }
  }

  [[gnu::always_inline]] void take(feeds::TextWindow& window, market::SymbolIndex symbol,
                                   const schemas::TradeLine& trade, std::size_t line_bytes) {
    ++lines_;
    ++rows_;
    market::TimeNs now = clock_.now();
    if (trade.time > now) now = observe(window, trade.time, line_bytes);
    const std::string_view refused = sink_->take(symbol, trade, now, rows_);
    if (!refused.empty()) [[unlikely]]
      tell_bad(window, refused, {window.begin(), line_bytes - 1});
  }

  void tell_bad(const feeds::TextWindow& window, std::string_view reason, std::string_view bytes) {
    ++bad_;
    if (bad_listener_) bad_listener_({lines_, window.offset(), reason, bytes});
  }

  /// A line that is not of the plain form, or of a new symbol.
  [[gnu::noinline]] void take_unusual(feeds::TextWindow& window) {
    const auto unusual = schemas::read_unusual_trade(window.begin());
    if (!unusual) return decode(window);
    if (unusual->fault == schemas::RowFault::none) {
      take(window, number_of(unusual->trade.symbol), unusual->trade, unusual->bytes);
    } else {
      ++lines_;
      ++rows_;
      tell_bad(window, schemas::name(unusual->fault), {window.begin(), unusual->bytes - 1});
    }
    window.consume(unusual->bytes);
  }

  market::SymbolIndex number_of(std::string_view name) {
    const auto known = symbols_.find(name);
    if (known != feeds::SymbolTable::kNone) return known;
    sink_->add_symbol(name);
    return symbols_.add(name);
  }

  /// Whatever line.
  [[gnu::noinline]] void decode(feeds::TextWindow& window) {
    const auto line = window.line_at(0);
    if (!line) return;
    const std::string_view text = without_cr(line->text);
    if (text.empty()) {
      ++lines_;
      return window.consume(line->bytes);
    }
    using schemas::RowFault;
    const RowFault fault = line->cut ? RowFault::length : decoder_->decode(text, row_);
    if (fault != RowFault::none) {
      ++lines_;
      ++rows_;
      tell_bad(window, schemas::name(fault), line->text);
      return window.consume(line->bytes);
    }
    take(window, number_of(row_.symbol), {{}, row_.time, row_.price, row_.size, row_.side},
         line->bytes);
    window.consume(line->bytes);
  }

  /// `line_bytes`: where the rows after it begin.
  [[gnu::noinline]] market::TimeNs look_ahead(feeds::TextWindow& window, market::TimeNs time,
                                              std::size_t line_bytes) {
    std::size_t from = line_bytes;
    return clock_.observe(time, [&](std::size_t, market::TimeNs& witness) {
      while (const auto line = window.line_at(from)) {
        from += line->bytes;
        const std::string_view text = without_cr(line->text);
        if (text.empty() || line->cut ||
            decoder_->decode(text, ahead_) != schemas::RowFault::none) {
          continue;
        }
        witness = ahead_.time;
        return true;
      }
      return false;
    });
  }
  market::TimeNs observe(feeds::TextWindow& window, market::TimeNs time, std::size_t line_bytes) {
    if (clock_.is_near(time)) [[likely]]
      return clock_.move_to(time);
    return look_ahead(window, time, line_bytes);
  }

  Sink* sink_;
  std::function<void(const BadRow&)> bad_listener_;
  feeds::SymbolTable symbols_;
  feeds::FeedClock clock_;
  std::unique_ptr<schemas::RowDecoder> decoder_;
  schemas::Row row_, ahead_;
  std::uint64_t lines_ = 0, rows_ = 0, bad_ = 0;
};

}  // namespace tapedeck::apps
