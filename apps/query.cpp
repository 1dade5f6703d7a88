// tapedeck book, candles: questions to a tape, whether an engine runs on it or not.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "api/decimal.hpp"
#include "api/json.hpp"
#include "api/time_format.hpp"
#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "replay/candles.hpp"
#include "replay/release.hpp"
#include "replay/time_travel.hpp"

namespace tapedeck::apps {

namespace {

// ---- book

struct BookArguments {
  TapeOptions tape;
  std::string symbol, at = "end", format = "table";
  std::size_t depth = 0;
};

std::string level_text(const std::vector<market::LevelView>& levels, std::size_t row,
                       const market::Instrument& unit) {
  if (row >= levels.size()) return fmt::format("{:>14} {:>12} {:>6}", "", "", "");
  const auto& level = levels[row];
  return fmt::format("{:>14} {:>12} {:>6}", api::decimal(level.price, unit.price_exponent),
                     api::decimal(level.size, unit.size_exponent),
                     level.orders ? std::to_string(*level.orders) : std::string("-"));
}

void print_book(const market::BookView& book) {
  fmt::print("{}  {}:{}:{}  {}  {}  {}\n", book.symbol, book.position.partition,
             book.position.offset, book.position.index, api::format_time(book.event_time),
             market::name(book.trust), book.digest.hex());
  fmt::print("{:>14} {:>12} {:>6} | {:>14} {:>12} {:>6}\n", "bid", "size", "orders", "ask", "size",
             "orders");
  for (std::size_t row = 0; row < std::max(book.bids.size(), book.asks.size()); ++row) {
    fmt::print("{} | {}\n", level_text(book.bids, row, book.instrument),
               level_text(book.asks, row, book.instrument));
  }
}

int run_book(const BookArguments& arguments) {
  const auto moment = parse_moment(arguments.at, "--at");
  if (!moment) return report(moment.error());
  auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  auto at =
      replay::state_at(*open->tape, open->state.get(), arguments.symbol, *moment, open->rules);
  if (!at) return report(at.error());
  for (const auto& bad : at->bad_snapshots)
    fmt::print(stderr, "tapedeck: passed over a bad snapshot: {}\n", bad);
  const auto book = at->fold.state().book(arguments.depth);
  if (arguments.format == "json") {
    fmt::print("{}\n", api::to_json(book));
  } else {
    print_book(book);
  }
  return kDone;
}

// ---- candles

struct CandleArguments {
  TapeOptions tape;
  std::string symbol, width = "1m", from, to, fill, format = "table";
};

Result<replay::CandleRange> range_of(const CandleArguments& arguments) {
  replay::CandleRange range;
  const auto width = api::parse_width(arguments.width, "--width");
  if (!width) return tl::unexpected(width.error());
  range.width = *width;
  range.fill_previous = arguments.fill == "previous";
  struct Bound {
    const std::string& text;
    market::TimeNs& time;
    const char* field;
  };
  for (const auto& bound :
       {Bound{arguments.from, range.from, "--from"}, Bound{arguments.to, range.to, "--to"}}) {
    if (bound.text.empty()) continue;
    const auto time = api::parse_time(bound.text, bound.field);
    if (!time) return tl::unexpected(time.error());
    bound.time = *time;
  }
  return range;
}

void print_candles(const std::vector<market::CandleView>& candles, bool csv) {
  constexpr const char* kHeads[] = {"open_time", "open", "high",   "low",      "close",
                                    "volume",    "vwap", "trades", "revision", "state"};
  constexpr int kWidths[] = {30, 12, 12, 12, 12, 12, 16, 7, 8, 6};
  for (std::size_t i = 0; i < std::size(kHeads); ++i) {
    if (csv) {
      fmt::print("{}{}", i > 0 ? "," : "", kHeads[i]);
    } else {
      fmt::print("{:>{}} ", kHeads[i], kWidths[i]);
    }
  }
  fmt::print("\n");
  for (const auto& view : candles) {
    const auto& c = view.candle;
    const auto price = [&](market::Price p) {
      return api::decimal(p, view.instrument.price_exponent);
    };
    const std::string cells[] = {api::format_time(c.open_time),
                                 price(c.open),
                                 price(c.high),
                                 price(c.low),
                                 price(c.close),
                                 api::decimal(c.volume, view.instrument.size_exponent),
                                 api::vwap(c, view.instrument),
                                 std::to_string(c.trades),
                                 std::to_string(c.revision),
                                 c.closed ? "closed" : "open"};
    for (std::size_t i = 0; i < std::size(cells); ++i) {
      if (csv) {
        fmt::print("{}{}", i > 0 ? "," : "", cells[i]);
      } else {
        fmt::print("{:>{}} ", cells[i], kWidths[i]);
      }
    }
    fmt::print("\n");
  }
}

/// What the output store does not have yet: the symbol folded on from its newest snapshot before
/// the store's cursor.
Result<std::vector<market::CandleView>> candles_of(const OpenTape& open,
                                                   const CandleArguments& arguments,
                                                   const replay::CandleRange& range) {
  const auto last = open.tape->last_of(arguments.symbol);
  if (!last) return tl::unexpected(last.error());
  if (!*last)
    return fail(ErrorCode::not_found, "no record of symbol '" + arguments.symbol + "' on this tape",
                "--symbol");
  const auto partition = storage::partition_of(arguments.symbol, open.tape->partitions());
  const auto* state = open.outputs_of(partition);
  storage::Offset cursor = 0;
  if (state != nullptr) {
    const auto stored = state->cursor(partition);
    if (!stored) return tl::unexpected(stored.error());
    cursor = *stored;
  }
  auto restored =
      replay::newest_good(*open.tape, state, arguments.symbol, partition, cursor, open.rules);
  if (!restored) return tl::unexpected(restored.error());
  const auto end = open.tape->end(partition);
  if (!end) return tl::unexpected(end.error());
  market::Outputs newer;
  if (auto done = replay::catch_up(restored->fold, *open.tape, *end, replay::Marks::merged, newer,
                                   {}, state);
      !done) {
    return tl::unexpected(done.error());
  }
  while (restored->fold.next_turn() <= *end) {
    const auto met =
        replay::meet_turn(restored->fold, *open.tape, state, restored->fold.next_turn(), newer);
    if (!met) return tl::unexpected(met.error());
  }
  const auto live = replay::live_candles(restored->fold.state(), range.width);
  auto views =
      replay::candles(state, open.rules.candle_widths(), arguments.symbol, range, newer, live);
  if (views) {
    const auto instrument = restored->fold.state().view().instrument;
    for (auto& view : *views) view.instrument = instrument;
  }
  return views;
}

int run_candles(const CandleArguments& arguments) {
  const auto range = range_of(arguments);
  if (!range) return report(range.error());
  auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  const auto candles = candles_of(*open, arguments, *range);
  if (!candles) return report(candles.error());
  if (arguments.format == "json") {
    fmt::print("{}\n", api::to_json(*candles));
  } else {
    print_candles(*candles, arguments.format == "csv");
  }
  return kDone;
}

}  // namespace

void add_book(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<BookArguments>();
  CLI::App* command = app.add_subcommand(
      "book", "Print the book of a symbol, now or as of any position or instant");
  command->footer(
      "Examples:\n"
      "  tapedeck book --tape day --symbol AMZN --at 2012-06-21T10:31:07.123-04:00 --depth 10\n"
      "  tapedeck book --tape day --symbol AMZN --at offset:1200 --format json\n"
      "\nP is end, offset:N, partition:offset[:index] (inclusive), or an instant: the state just "
      "before the symbol's\n"
      "first event later than it.");
  add_tape_options(command, arguments->tape);
  command->add_option("--symbol", arguments->symbol, "Symbol")->type_name("S")->required();
  command->add_option("--at", arguments->at, "Position or instant (default: end)")->type_name("P");
  command->add_option("--depth", arguments->depth, "Levels a side, 0 for all")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}))
      ->capture_default_str();
  command->add_option("--format", arguments->format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  run_with(command, chosen, [arguments] { return run_book(*arguments); });
}

void add_candles(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<CandleArguments>();
  CLI::App* command = app.add_subcommand("candles", "Print candles of a symbol");
  command->footer("Example:\n  tapedeck candles --tape day --symbol AMZN --width 1m --format csv");
  add_tape_options(command, arguments->tape);
  command->add_option("--symbol", arguments->symbol, "Symbol")->type_name("S")->required();
  command->add_option("--width", arguments->width, "Width, one of the tape's fold settings")
      ->capture_default_str();
  command->add_option("--from", arguments->from, "First open time (RFC 3339)")->type_name("TIME");
  command->add_option("--to", arguments->to, "Open times before this one")->type_name("TIME");
  command->add_option("--fill", arguments->fill, "previous: empty intervals repeat the last close")
      ->check(CLI::IsMember({"previous"}));
  command->add_option("--format", arguments->format, "table, csv or json")
      ->check(CLI::IsMember({"table", "csv", "json"}))
      ->capture_default_str();
  run_with(command, chosen, [arguments] { return run_candles(*arguments); });
}

}  // namespace tapedeck::apps
