#include "feeds/itch_decoder.hpp"

#include <fmt/format.h>

#include <limits>
#include <string_view>

#include "feeds/itch.hpp"

namespace tapedeck::feeds {

using market::Event;
using market::EventKind;
using market::FeedBatch;
using market::Side;
using market::StatusKind;
using market::SymbolIndex;

namespace {

constexpr SymbolIndex kUnknown = std::numeric_limits<SymbolIndex>::max();
constexpr std::size_t kLocates = 65'536;
constexpr std::size_t kStock = 11;  // offset of the stock field where a message begins with it
constexpr std::size_t kStockSize = 8;
constexpr std::size_t kNoStock = 0;

/// `count` characters, the first in the lowest byte.
std::uint64_t packed(const std::uint8_t* p, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::uint64_t{p[i]} << (8 * i);
  return value;
}

bool is_stock(std::string_view name) {
  for (const char c : name) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return !name.empty();
}

}  // namespace

struct ItchDecoder::Cursor {
  const std::uint8_t* message;
  const ItchStamp& stamp;
  FeedBatch& batch;

  [[nodiscard]] char type() const { return static_cast<char>(message[0]); }
  [[nodiscard]] std::uint16_t locate() const { return itch::load16(message + 1); }
  [[nodiscard]] std::uint32_t u32(std::size_t offset) const {
    return itch::load32(message + offset);
  }
  [[nodiscard]] std::uint64_t u64(std::size_t offset) const {
    return itch::load64(message + offset);
  }
  [[nodiscard]] std::int64_t i32(std::size_t offset) const { return u32(offset); }

  [[nodiscard]] Event& emit(SymbolIndex symbol, EventKind kind) const {
    market::FeedEvent& entry = batch.events.emplace_back();
    entry.symbol = symbol;
    entry.event.time = stamp.time;
    entry.event.feed_time = stamp.feed_time;
    entry.event.sequence = stamp.sequence;
    entry.event.kind = kind;
    return entry.event;
  }
  bool reject(std::string reason) const {
    batch.dead_letters.push_back(
        {stamp.byte_offset, fmt::format("ITCH {}: {}", type(), reason),
         std::string(reinterpret_cast<const char*>(message), itch::kLength[message[0]])});
    return false;
  }
  /// B or S at `offset`; none otherwise.
  [[nodiscard]] Side side(std::size_t offset) const {
    return message[offset] == 'B' ? Side::bid : message[offset] == 'S' ? Side::ask : Side::none;
  }
};

ItchDecoder::ItchDecoder() : by_locate_(kLocates, kUnknown) {}

bool ItchDecoder::decode(const std::uint8_t* message, const ItchStamp& stamp, FeedBatch& batch) {
  const Cursor at{message, stamp, batch};
  switch (message[0]) {
    case 'A':
    case 'F': return add(at);
    case 'E':
    case 'C':
    case 'X':
    case 'D':
    case 'U': return change(at);
    case 'P':
    case 'Q':
    case 'B': return trade(at);
    case 'R': return directory(at);
    case 'H':
    case 'Y':
    case 'K':
    case 'J':
    case 'h': return symbol_status(at);
    case 'S':
    case 'V':
    case 'W': return market_status(at);
    default: return true;  // L, I, N, O: known, no event
  }
}

inline bool ItchDecoder::resolve(const Cursor& at, std::size_t stock, SymbolIndex& symbol) {
  symbol = by_locate_[at.locate()];
  return symbol != kUnknown || resolve_unknown(at, stock, symbol);
}

bool ItchDecoder::resolve_unknown(const Cursor& at, std::size_t stock, SymbolIndex& symbol) {
  if (at.locate() == 0) return at.reject("stock locate 0, expected one of a symbol");
  if (stock == kNoStock)
    return at.reject(fmt::format("stock locate {} was never announced", at.locate()));
  if (!introduce(at, stock, symbol)) return false;
  Event& event = at.emit(symbol, EventKind::instrument);
  event.price = itch::kPriceExponent;
  event.flags = market::kMore;
  return true;
}

bool ItchDecoder::introduce(const Cursor& at, std::size_t stock, SymbolIndex& symbol) {
  std::string_view name(reinterpret_cast<const char*>(at.message + stock), kStockSize);
  while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
  if (!is_stock(name)) return at.reject("the stock field holds no symbol");
  auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    found = by_name_.emplace(name, static_cast<SymbolIndex>(by_name_.size())).first;
    at.batch.new_symbols.emplace_back(name);
  }
  symbol = by_locate_[at.locate()] = found->second;
  return true;
}

bool ItchDecoder::add(const Cursor& at) {
  const Side side = at.side(19);
  if (side == Side::none) [[unlikely]] {
    return at.reject(fmt::format("expected side B or S, found byte {:#04x}", at.message[19]));
  }
  SymbolIndex symbol = 0;
  if (!resolve(at, 24, symbol)) return false;
  Event& event = at.emit(symbol, EventKind::add);
  event.id = at.u64(11);
  event.side = side;
  event.size = at.i32(20);
  event.price = at.i32(32);
  return true;
}

bool ItchDecoder::change(const Cursor& at) {
  SymbolIndex symbol = 0;
  if (!resolve(at, kNoStock, symbol)) return false;
  switch (at.type()) {
    case 'E': {
      Event& event = at.emit(symbol, EventKind::execute);
      event.id = at.u64(11);
      event.size = at.i32(19);
      event.other = at.u64(23);
      break;
    }
    case 'C': {
      Event& event = at.emit(symbol, EventKind::execute_price);
      event.id = at.u64(11);
      event.size = at.i32(19);
      event.other = at.u64(23);
      event.flags = at.message[31] == 'Y' ? market::kPrintable : 0;
      event.price = at.i32(32);
      break;
    }
    case 'X': {
      Event& event = at.emit(symbol, EventKind::reduce);
      event.id = at.u64(11);
      event.size = at.i32(19);
      break;
    }
    case 'D': at.emit(symbol, EventKind::remove).id = at.u64(11); break;
    default: {  // U
      Event& event = at.emit(symbol, EventKind::replace);
      event.id = at.u64(11);
      event.other = at.u64(19);
      event.size = at.i32(27);
      event.price = at.i32(31);
    }
  }
  return true;
}

bool ItchDecoder::trade(const Cursor& at) {
  SymbolIndex symbol = 0;
  switch (at.type()) {
    case 'P': {
      if (!resolve(at, 24, symbol)) return false;
      Event& event = at.emit(symbol, EventKind::trade);
      event.size = at.i32(20);
      event.price = at.i32(32);
      event.id = at.u64(36);
      return true;
    }
    case 'Q': {
      const std::uint64_t shares = at.u64(11);
      if (shares > static_cast<std::uint64_t>(market::kMaxSize)) {
        return at.reject(fmt::format("{} shares, expected at most {}", shares, market::kMaxSize));
      }
      if (!resolve(at, 19, symbol)) return false;
      Event& event = at.emit(symbol, EventKind::trade);
      event.size = static_cast<market::Size>(shares);
      event.price = at.i32(27);
      event.id = at.u64(31);
      return true;
    }
    default:  // B
      if (!resolve(at, kNoStock, symbol)) return false;
      at.emit(symbol, EventKind::trade_break).id = at.u64(11);
      return true;
  }
}

bool ItchDecoder::directory(const Cursor& at) {
  if (at.locate() == 0) return at.reject("stock locate 0, expected one of a symbol");
  SymbolIndex symbol = 0;
  if (!introduce(at, kStock, symbol)) return false;
  Event& event = at.emit(symbol, EventKind::instrument);
  event.price = itch::kPriceExponent;
  event.other = at.u32(21);
  return true;
}

bool ItchDecoder::symbol_status(const Cursor& at) {
  SymbolIndex symbol = 0;
  if (!resolve(at, kStock, symbol)) return false;
  Event& event = at.emit(symbol, EventKind::status);
  const std::uint8_t* message = at.message;
  const auto code = [&](StatusKind kind) { event.code = static_cast<std::uint8_t>(kind); };
  switch (at.type()) {
    case 'H':
      code(StatusKind::trading_state);
      event.other = message[19] | packed(message + 21, 4) << 8;
      break;
    case 'Y':
      code(StatusKind::short_sale);
      event.other = message[19];
      break;
    case 'K':
      code(StatusKind::ipo_quoting);
      event.other = at.u32(19) | std::uint64_t{message[23]} << 32;
      event.price = at.i32(24);
      break;
    case 'J':
      code(StatusKind::auction_collar);
      event.price = at.i32(19);
      event.size = at.i32(23);
      event.other = at.u32(27);
      break;
    default:  // h
      code(StatusKind::operational_halt);
      event.other = packed(message + 19, 2);
  }
  return true;
}

bool ItchDecoder::market_status(const Cursor& at) {
  Event event;
  event.time = at.stamp.time;
  event.feed_time = at.stamp.feed_time;
  event.sequence = at.stamp.sequence;
  event.kind = EventKind::status;
  StatusKind kind = StatusKind::market_event;
  if (at.type() == 'V') {
    kind = StatusKind::breaker_levels;
    const auto limit = static_cast<std::uint64_t>(market::kMaxPrice);
    if (at.u64(11) > limit || at.u64(19) > limit || at.u64(27) > limit) {
      return at.reject(fmt::format("levels {}, {}, {}, expected at most {}", at.u64(11), at.u64(19),
                                   at.u64(27), limit));
    }
    event.price = static_cast<market::Price>(at.u64(11));
    event.size = static_cast<market::Size>(at.u64(19));
    event.other = at.u64(27);
  } else {
    if (at.type() == 'W') kind = StatusKind::breaker_status;
    event.other = at.message[11];
  }
  event.code = static_cast<std::uint8_t>(kind);
  for (SymbolIndex symbol = 0; symbol < by_name_.size(); ++symbol)
    at.batch.events.push_back({symbol, event});
  return true;
}

}  // namespace tapedeck::feeds
