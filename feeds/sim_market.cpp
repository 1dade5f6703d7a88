#include "feeds/sim_market.hpp"

#include <algorithm>

namespace tapedeck::feeds {
namespace {

/// Three to five letters; distinct for distinct `index` below 52,000: within a length, a bijection
/// of base-26 numbers.
std::string ticker(std::uint32_t index) {
  const std::uint32_t length = 3 + index % 3;
  std::uint64_t range = 1;
  for (std::uint32_t i = 0; i < length; ++i) range *= 26;
  std::uint64_t number = ((index / 3) * std::uint64_t{7'919'477} + 4'657'463 * length) % range;
  std::string name(length, 'A');
  for (char& c : name) {
    c = static_cast<char>('A' + number % 26);
    number /= 26;
  }
  return name;
}

}  // namespace

SimMarket::SimMarket(const SimL3Options& options) : options_(options), random_(options.seed) {
  make_symbols();
  plan();
}

void SimMarket::make_symbols() {
  symbols_.resize(options_.symbols);
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < options_.symbols; ++i) {
    Symbol& symbol = symbols_[i];
    symbol.name = ticker(i);
    const std::uint64_t r = random_.below(1000);
    const std::uint64_t dollars = 8 + r * r / 2500;
    symbol.base = static_cast<std::int64_t>((dollars * 100 + random_.below(100)) * kTick) * kFine;
    symbol.anchor = symbol.fair = symbol.base;
    symbol.second = options_.open_s;
    symbol.half_spread =
        static_cast<std::int32_t>(1 + i * 3 / options_.symbols + dollars / 150) * kTick;
    total += 1'000'000'000'000 / (i + 1);
    weights_.push_back(total);
  }
}

/// How the messages are shared out: opening, session, closing.
void SimMarket::plan() {
  const std::uint64_t symbols = options_.symbols;
  const std::uint64_t fixed =
      5 * symbols + 6;  // O, R H Y each, S, Q, opening cross each; M, closing cross each, E, C
  build_ = 2 * std::clamp<std::uint64_t>((options_.messages - fixed) / (symbols * 8), 1, 24);
  if (fixed + build_ * symbols > options_.messages) build_ = 0;
  min_levels_ = std::min<std::size_t>(10, build_ / 4);
  session_end_ = options_.messages - symbols - 3;
  const std::uint64_t session = session_end_ - (4 * symbols + 3) - build_ * symbols;
  const std::uint64_t total = weights_.back();
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < symbols_.size(); ++i) {
    const auto expected = static_cast<std::uint64_t>(static_cast<market::UInt128>(session) *
                                                     (weights_[i] - before) / total);
    before = weights_[i];
    symbols_[i].target =
        static_cast<std::uint32_t>(std::clamp<std::uint64_t>(expected / 50, 60, 600));
  }
  times_.emplace_back(session, options_.open_s * kSecondNs + 1'000'000,
                      options_.close_s * kSecondNs);
  if (session > 20'000 && options_.close_s - options_.open_s >= 3600) plan_halts();
}

/// Some symbols stop for five minutes: halt, quoting, reopening cross, trading.
void SimMarket::plan_halts() {
  const std::uint32_t count = std::max<std::uint32_t>(1, options_.symbols / 40);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t symbol =
        i * 40 + random_.below32(std::min<std::uint32_t>(40, options_.symbols - i * 40));
    const std::uint64_t span = options_.close_s - options_.open_s - 1800;
    const std::uint64_t start =
        (options_.open_s + 900) * kSecondNs + random_.below(span * kSecondNs);
    halts_.push_back({start, symbol, 0});
    halts_.push_back({start + 290 * kSecondNs, symbol, 1});
    halts_.push_back({start + 300 * kSecondNs, symbol, 2});
    halts_.push_back({start + 300 * kSecondNs + 1000, symbol, 3});
  }
  std::sort(halts_.begin(), halts_.end(),
            [](const Halt& a, const Halt& b) { return a.time < b.time; });
}

bool SimMarket::next(std::vector<std::uint8_t>& out) {
  ItchWriter write(out);
  if (!opening(write)) {
    if (made_ < session_end_) {
      session(write);
    } else if (!closing(write)) {
      return false;
    }
  }
  ++made_;
  return true;
}

/// One message of what comes before trading: directory at 05:30 before the open, first orders in
/// its last two minutes.
bool SimMarket::opening(ItchWriter& write) {
  const std::uint64_t symbols = options_.symbols;
  const std::uint64_t open = options_.open_s * kSecondNs;
  const std::uint64_t step = opened_++;
  if (step == 0) {
    now_ = open - 19'800 * kSecondNs;
    write.system_event(now_, 'O');
    return true;
  }
  std::uint64_t at = step - 1;
  if (at < 3 * symbols) {
    now_ += 1000 + random_.below(1000);
    locate_ = static_cast<std::uint16_t>(1 + at / 3);
    const std::string& name = symbols_[at / 3].name;
    if (at % 3 == 0) write.directory(place(), name, 100);
    if (at % 3 == 1) write.trading_action(place(), name, 'T', "    ");
    if (at % 3 == 2) write.short_sale(place(), name, '0');
    return true;
  }
  at -= 3 * symbols;
  if (at == 0) {
    now_ += kSecondNs;
    write.system_event(now_, 'S');
    return true;
  }
  at -= 1;
  const std::uint64_t orders = build_ * symbols;
  if (at < orders) {
    const std::uint64_t begin = open - 120 * kSecondNs;
    const std::uint64_t gap = 119 * kSecondNs / orders;
    now_ = std::max(now_ + 1, begin + at * gap + random_.below(gap + 1));
    locate_ = static_cast<std::uint16_t>(1 + at % symbols);
    const std::uint64_t order = at / symbols;
    lay(write, symbols_[at % symbols], static_cast<std::uint8_t>(order % 2),
        static_cast<std::int32_t>(order / 2));
    return true;
  }
  at -= orders;
  if (at == 0) {
    now_ = open;
    write.system_event(now_, 'Q');
    return true;
  }
  at -= 1;
  if (at < symbols) {
    now_ += 1 + random_.below(900'000 / symbols + 1);
    locate_ = static_cast<std::uint16_t>(1 + at);
    Symbol& symbol = symbols_[at];
    const std::uint64_t shares = random_.chance(1, 8) ? 0 : 100 * (1 + random_.below(500));
    write.cross(place(), shares, symbol.name, fair_price(symbol), next_match_++, 'O');
    return true;
  }
  return false;
}

/// One message of what comes after trading; false when all is said.
bool SimMarket::closing(ItchWriter& write) {
  const std::uint64_t close = options_.close_s * kSecondNs;
  const std::uint64_t step = closed_++;
  if (step == 0) {
    now_ = std::max(now_ + 1, close);
    write.system_event(now_, 'M');
  } else if (step <= options_.symbols) {
    now_ += 1 + random_.below(100'000);
    locate_ = static_cast<std::uint16_t>(step);
    Symbol& symbol = symbols_[step - 1];
    const std::uint64_t shares = random_.chance(1, 10) ? 0 : 100 * (1 + random_.below(2000));
    write.cross(place(), shares, symbol.name, fair_price(symbol), next_match_++, 'C');
  } else if (step == options_.symbols + 1) {
    now_ = std::max(now_ + 1, close + 5 * kSecondNs);
    write.system_event(now_, 'E');
  } else if (step == options_.symbols + 2) {
    now_ += 5 * kSecondNs;
    write.system_event(now_, 'C');
  } else {
    return false;
  }
  return true;
}

void SimMarket::session(ItchWriter& write) {
  const std::uint64_t time = times_.front().next(random_);
  now_ = std::max(now_ + 1, time);
  if (next_halt_ < halts_.size() && halts_[next_halt_].time <= now_) {
    halt(write, halts_[next_halt_++]);
    return;
  }
  if (run_ == 0) {
    current_ = pick_symbol();
    run_ = 1 + random_.below32(4);
  }
  --run_;
  act(write, current_);
}

void SimMarket::halt(ItchWriter& write, const Halt& what) {
  Symbol& symbol = symbols_[what.symbol];
  locate_ = static_cast<std::uint16_t>(1 + what.symbol);
  symbol.halted = what.stage < 3;
  symbol.sweep = 0;
  switch (what.stage) {
    case 0: write.trading_action(place(), symbol.name, 'H', "T1  "); break;
    case 1: write.trading_action(place(), symbol.name, 'Q', "T3  "); break;
    case 2:
      write.cross(place(), 100 * (1 + random_.below(50)), symbol.name, fair_price(symbol),
                  next_match_++, 'H');
      break;
    default: write.trading_action(place(), symbol.name, 'T', "T3  ");
  }
}

std::uint32_t SimMarket::pick_symbol() {
  const std::uint64_t at = random_.below(weights_.back());
  return static_cast<std::uint32_t>(std::upper_bound(weights_.begin(), weights_.end(), at) -
                                    weights_.begin());
}

std::uint32_t SimMarket::fair_price(const Symbol& symbol) const {
  return static_cast<std::uint32_t>(symbol.fair / kFine / kTick * kTick);
}

}  // namespace tapedeck::feeds
