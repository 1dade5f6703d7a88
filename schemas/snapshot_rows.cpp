// schemas/snapshot_rows.cpp -- see snapshot_rows.hpp. The structs are taken apart by structured
// bindings, so that a field more or less does not compile until it is handled here.
#include "schemas/snapshot_rows.hpp"

#include <array>

namespace tapedeck::schemas {
namespace {

using market::CandleSnapshot;
using market::KeptUpdate;
using market::LevelSnapshot;
using market::OrderSnapshot;
using market::Side;
using market::TradeSnapshot;

constexpr std::uint8_t kSides = 3;
constexpr std::size_t kOrderBytes = 3, kLevelBytes = 3, kUpdateBytes = 13, kCandleBytes = 18,
                      kTradeBytes = 6;

/// Reads `count` rows by `row(reader, row)`, which returns what is wrong with it.
template <class Row, class Read>
RowFault read_rows(std::span<const std::uint8_t> bytes, std::uint32_t count, std::size_t least,
                   std::vector<Row>& rows, Read&& read) {
  rows.clear();
  if (count > bytes.size() / least) {
    return {std::to_string(count) + " rows in " + std::to_string(bytes.size()) + " bytes", 0};
  }
  rows.reserve(count);
  VarintReader in(bytes);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t at = in.position();
    const char* const wrong = read(in, rows.emplace_back());
    if (in.failed()) return {"row " + std::to_string(i) + " is cut off or overlong", at};
    if (wrong != nullptr) return {"row " + std::to_string(i) + ": " + wrong, at};
  }
  if (!in.at_end()) return {"bytes after the last row", in.position()};
  return {};
}

}  // namespace

void put_rows(VarintWriter& out, const std::vector<OrderSnapshot>& orders) {
  market::Price last_price = 0;
  market::OrderId last_id = 0;
  std::uint64_t last_joined = 0;
  for (std::size_t begin = 0; begin < orders.size();) {
    std::size_t end = begin + 1;
    while (end < orders.size() && orders[end].price == orders[begin].price &&
           orders[end].side == orders[begin].side)
      ++end;
    out.put((end - begin) * 4 + static_cast<std::uint64_t>(orders[begin].side));
    out.put_delta(orders[begin].price, last_price);
    for (; begin < end; ++begin) {
      const auto& [id, price, size, joined, side] = orders[begin];
      out.put_delta(id, last_id);
      out.put_signed(size);
      out.put_delta(joined, last_joined);
    }
  }
}

RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                  std::vector<OrderSnapshot>& orders) {
  std::uint64_t left_in_queue = 0;
  market::Price price = 0;
  market::OrderId id = 0;
  std::uint64_t joined = 0;
  Side side = Side::none;
  const RowFault fault =
      read_rows(bytes, count, kOrderBytes, orders, [&](VarintReader& in, OrderSnapshot& order) {
        if (left_in_queue == 0) {
          const std::uint64_t head = in.get();
          left_in_queue = head / 4;
          if (left_in_queue == 0) return "a queue of no orders";
          if (head % 4 >= kSides) return "unknown side";
          side = static_cast<Side>(head % 4);
          (void)in.get_delta(price);
        }
        --left_in_queue;
        order.price = price;
        order.side = side;
        order.id = in.get_delta(id);
        order.size = in.get_signed();
        order.joined = in.get_delta(joined);
        return static_cast<const char*>(nullptr);
      });
  if (fault.what.empty() && left_in_queue != 0) return {"a queue cut off", bytes.size()};
  return fault;
}

void put_rows(VarintWriter& out, const std::vector<LevelSnapshot>& levels) {
  market::Price last_price = 0;
  for (const auto& [price, size, side] : levels) {
    out.put(static_cast<std::uint64_t>(side));
    out.put_delta(price, last_price);
    out.put_signed(size);
  }
}

RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                  std::vector<LevelSnapshot>& levels) {
  market::Price last_price = 0;
  return read_rows(bytes, count, kLevelBytes, levels, [&](VarintReader& in, LevelSnapshot& level) {
    const std::uint64_t side = in.get();
    level.side = static_cast<Side>(side % kSides);
    level.price = in.get_delta(last_price);
    level.size = in.get_signed();
    return side < kSides ? nullptr : "unknown side";
  });
}

void put_rows(VarintWriter& out, const std::vector<KeptUpdate>& updates) {
  market::Event last;
  for (const auto& [event, message_index] : updates) {
    const auto& [time, feed_time, receive_time, sequence, id, price, size, other, kind, side, flags,
                 code] = event;
    out.put(static_cast<std::uint64_t>(kind));
    out.put(static_cast<std::uint64_t>(side));
    out.put(flags);
    out.put(code);
    out.put(message_index);
    out.put_delta(time, last.time);
    out.put_delta(feed_time, last.feed_time);
    out.put_delta(receive_time, last.receive_time);
    out.put_delta(sequence, last.sequence);
    out.put_delta(id, last.id);
    out.put_delta(price, last.price);
    out.put_signed(size);
    out.put_delta(other, last.other);
  }
}

RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                  std::vector<KeptUpdate>& updates) {
  market::Event last;
  return read_rows(bytes, count, kUpdateBytes, updates, [&](VarintReader& in, KeptUpdate& update) {
    market::Event& event = update.event;
    const std::uint64_t kind = in.get(), side = in.get(), flags = in.get(), code = in.get();
    const std::uint64_t message_index = in.get();
    event.kind = static_cast<market::EventKind>(kind);
    event.side = static_cast<Side>(side);
    event.flags = static_cast<std::uint8_t>(flags);
    event.code = static_cast<std::uint8_t>(code);
    update.message_index = static_cast<std::uint32_t>(message_index);
    event.time = in.get_delta(last.time);
    event.feed_time = in.get_delta(last.feed_time);
    event.receive_time = in.get_delta(last.receive_time);
    event.sequence = in.get_delta(last.sequence);
    event.id = in.get_delta(last.id);
    event.price = in.get_delta(last.price);
    event.size = in.get_signed();
    event.other = in.get_delta(last.other);
    if (kind >= market::kEventKinds || side >= kSides) return "unknown kind or side";
    if (flags > 0xff || code > 0xff || message_index > 0xffff'ffff) return "a field out of range";
    return static_cast<const char*>(nullptr);
  });
}

void put_rows(VarintWriter& out, const std::vector<CandleSnapshot>& candles) {
  CandleSnapshot last;
  for (const auto& [candle, first_time, last_time] : candles) {
    const auto& [width, open_time, open, high, low, close, volume, buy_volume, sell_volume,
                 notional, trades, revision, closed, ohlc_exact, number, end_time] = candle;
    const bool numbered = number != 0 || end_time != 0;
    out.put((closed ? 1u : 0u) | (ohlc_exact ? 2u : 0u) | (numbered ? 4u : 0u));
    out.put_delta(width, last.candle.width);
    out.put_delta(open_time, last.candle.open_time);
    market::Price price = last.candle.close;
    out.put_delta(open, price);
    out.put_delta(high, price);
    out.put_delta(low, price);
    out.put_delta(close, price);
    last.candle.close = close;
    for (const market::Int128 sum : {volume, buy_volume, sell_volume, notional}) out.put_wide(sum);
    out.put(trades);
    out.put(revision);
    out.put_delta(first_time, last.first_time);
    market::TimeNs time = first_time;
    out.put_delta(last_time, time);
    if (!numbered) continue;
    out.put_delta(number, last.candle.number);
    out.put_delta(end_time, last.candle.end_time);
  }
}

RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                  std::vector<CandleSnapshot>& candles) {
  CandleSnapshot last;
  return read_rows(bytes, count, kCandleBytes, candles, [&](VarintReader& in, CandleSnapshot& row) {
    market::Candle& candle = row.candle;
    const std::uint64_t marks = in.get();
    candle.closed = (marks & 1) != 0;
    candle.ohlc_exact = (marks & 2) != 0;
    candle.width = in.get_delta(last.candle.width);
    candle.open_time = in.get_delta(last.candle.open_time);
    market::Price& price = last.candle.close;
    candle.open = in.get_delta(price);
    candle.high = in.get_delta(price);
    candle.low = in.get_delta(price);
    candle.close = in.get_delta(price);
    candle.volume = in.get_wide();
    candle.buy_volume = in.get_wide();
    candle.sell_volume = in.get_wide();
    candle.notional = in.get_wide();
    candle.trades = in.get();
    const std::uint64_t revision = in.get();
    candle.revision = static_cast<std::uint32_t>(revision);
    row.first_time = in.get_delta(last.first_time);
    market::TimeNs time = row.first_time;
    row.last_time = in.get_delta(time);
    if ((marks & 4) != 0) {
      candle.number = in.get_delta(last.candle.number);
      candle.end_time = in.get_delta(last.candle.end_time);
    }
    return marks <= 7 && revision <= 0xffff'ffff ? nullptr : "a field out of range";
  });
}

void put_rows(VarintWriter& out, const std::vector<TradeSnapshot>& trades) {
  TradeSnapshot last;
  for (const auto& [ordinal, id, time, price, size, aggressor, in_candles] : trades) {
    out.put(std::uint64_t{in_candles} * 4 + static_cast<std::uint64_t>(aggressor));
    out.put_delta(ordinal, last.ordinal);
    out.put_delta(id, last.id);
    out.put_delta(time, last.time);
    out.put_delta(price, last.price);
    out.put_signed(size);
  }
}

RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                  std::vector<TradeSnapshot>& trades) {
  TradeSnapshot last;
  return read_rows(bytes, count, kTradeBytes, trades, [&](VarintReader& in, TradeSnapshot& trade) {
    const std::uint64_t head = in.get();
    trade.in_candles = static_cast<std::uint16_t>(head / 4);
    trade.aggressor = static_cast<Side>(head % 4);
    trade.ordinal = in.get_delta(last.ordinal);
    trade.id = in.get_delta(last.id);
    trade.time = in.get_delta(last.time);
    trade.price = in.get_delta(last.price);
    trade.size = in.get_signed();
    if (head / 4 > 0xffff) return "a field out of range";
    return head % 4 < kSides ? nullptr : "unknown side";
  });
}

}  // namespace tapedeck::schemas
