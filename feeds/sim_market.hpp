// feeds/sim_market.hpp -- the behaviour of the synthetic session: who acts when, and what they do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "feeds/itch_writer.hpp"
#include "feeds/random.hpp"
#include "feeds/sim_book.hpp"
#include "feeds/sim_l3.hpp"

namespace tapedeck::feeds {

/// Times of the session's messages: dense at open and close, thin at noon, in clusters within each
/// minute.
class SimTimes {
public:
  SimTimes(std::uint64_t messages, std::uint64_t open_ns, std::uint64_t close_ns);
  /// Strictly increasing, within open and close. To be called at most `messages` times.
  std::uint64_t next(Random& random);

private:
  [[nodiscard]] std::uint64_t minute_end(std::size_t minute) const;

  std::vector<std::uint64_t> until_;  // until_[m]: messages up to the end of minute m
  std::uint64_t open_, close_, now_;
  std::uint64_t made_ = 0;
  std::size_t minute_ = 0;
};

/// Makes the session message by message. Per symbol a fair price reverts to an anchor that trends
/// in regimes; orders come around it, most are deleted soon, some stay; the market is never crossed
/// or locked; live orders and levels are bounded.
class SimMarket {
public:
  explicit SimMarket(const SimL3Options& options);
  /// Appends at least one message, or returns false: the session is over.
  bool next(std::vector<std::uint8_t>& out);

private:
  static constexpr std::uint64_t kSecondNs = 1'000'000'000;
  static constexpr std::int32_t kTick = 100;  // of 10^-4
  static constexpr std::int64_t kFine = 256;

  struct Symbol {
    std::string name;
    SimBook book;
    std::int64_t base = 0, anchor = 0, fair = 0, trend = 0;  // 1/256 of 10^-4
    std::uint32_t regime_left = 0;                           // seconds
    std::uint64_t second = 0;                                // of the last drift
    std::int32_t half_spread = 100;
    std::uint32_t target = 0;  // live orders around which the book breathes
    std::uint32_t sweep = 0;   // executions that an aggressive order still makes
    std::uint8_t sweep_side = 0;
    bool halted = false;
    std::uint64_t last_match = 0;
  };
  struct Halt {
    std::uint64_t time;
    std::uint32_t symbol;
    std::uint8_t stage;  // 0 halt, 1 quoting, 2 cross, 3 trading
  };

  void make_symbols();
  void plan();
  void plan_halts();
  bool opening(ItchWriter& write);
  bool closing(ItchWriter& write);
  void session(ItchWriter& write);
  void halt(ItchWriter& write, const Halt& what);
  std::uint32_t pick_symbol();

  void drift(Symbol& symbol, std::uint64_t second);
  void act(ItchWriter& write, std::uint32_t index);
  void add(ItchWriter& write, Symbol& symbol, std::uint8_t side);
  void lay(ItchWriter& write, Symbol& symbol, std::uint8_t side, std::int32_t depth);
  void place_order(ItchWriter& write, Symbol& symbol, std::uint8_t side, std::int32_t price);
  void remove(ItchWriter& write, Symbol& symbol, std::uint32_t slot);
  void cancel(ItchWriter& write, Symbol& symbol);
  void replace(ItchWriter& write, Symbol& symbol, std::uint32_t slot);
  void execute(ItchWriter& write, Symbol& symbol, std::uint8_t side);
  void hidden_trade(ItchWriter& write, Symbol& symbol);
  void add_or_remove(ItchWriter& write, Symbol& symbol);
  [[nodiscard]] std::int32_t price_for(Symbol& symbol, std::uint8_t side);
  [[nodiscard]] std::uint32_t size();
  [[nodiscard]] std::uint32_t pick_order(Symbol& symbol);
  [[nodiscard]] bool keep(Symbol& symbol, std::uint32_t slot) const;
  [[nodiscard]] std::uint8_t aggressed_side(const Symbol& symbol);
  [[nodiscard]] std::uint8_t short_side(const Symbol& symbol);
  [[nodiscard]] std::uint32_t fair_price(const Symbol& symbol) const;
  [[nodiscard]] ItchWriter::Place place() const { return {locate_, now_}; }

  SimL3Options options_;
  Random random_;
  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t> weights_;  // cumulative Zipf
  std::vector<Halt> halts_;
  std::size_t next_halt_ = 0;
  std::uint64_t build_ = 0;  // orders a symbol has at the open
  std::size_t min_levels_ = 10;
  std::uint64_t made_ = 0, session_end_ = 0;  // messages made, and made when the session closes
  std::uint64_t opened_ = 0, closed_ = 0;     // progress of opening and closing
  std::vector<SimTimes> times_;               // one, once the session's length is known
  std::uint64_t now_ = 0;
  std::uint16_t locate_ = 0;
  std::uint64_t next_id_ = 1, next_match_ = 1;
  std::uint32_t current_ = 0, run_ = 0;  // symbol of the moment, and how many messages it goes on
};

}  // namespace tapedeck::feeds
