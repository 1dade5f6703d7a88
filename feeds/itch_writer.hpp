// feeds/itch_writer.hpp -- appends ITCH 5.0 messages with their length prefixes to a buffer. For
// generators and tests.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "feeds/itch.hpp"

namespace tapedeck::feeds {

/// Fields are given in the order of the specification; times in ns since midnight, prices in 10^-4.
class ItchWriter {
public:
  explicit ItchWriter(std::vector<std::uint8_t>& out) : out_(out) {}

  /// Where the message goes; for those that have no function of their own.
  struct Place {
    std::uint16_t locate = 0;
    std::uint64_t time = 0;
  };

  /// A message of `type` with its header, other fields zero. Valid until the next message.
  std::uint8_t* begin(char type, Place place) {
    const std::size_t length = itch::kLength[static_cast<unsigned char>(type)];
    const std::size_t start = out_.size();
    out_.resize(start + itch::kPrefixSize + length);
    std::uint8_t* p = out_.data() + start;
    itch::store16(p, static_cast<std::uint16_t>(length));
    p += itch::kPrefixSize;
    p[0] = static_cast<std::uint8_t>(type);
    itch::store16(p + 1, place.locate);
    itch::store48(p + 5, place.time);
    return p;
  }

  void system_event(std::uint64_t time, char code) {
    begin('S', {0, time})[11] = static_cast<std::uint8_t>(code);
  }

  void directory(Place place, std::string_view stock, std::uint32_t round_lot) {
    std::uint8_t* p = begin('R', place);
    put_stock(p + 11, stock);
    p[19] = 'Q', p[20] = 'N';
    itch::store32(p + 21, round_lot);
    p[25] = 'N', p[26] = 'C', p[27] = 'Z', p[28] = ' ', p[29] = 'P', p[30] = 'N', p[31] = 'N',
    p[32] = '1', p[33] = 'N';
    p[38] = 'N';
  }

  /// `reason` has 4 characters.
  void trading_action(Place place, std::string_view stock, char state, std::string_view reason) {
    std::uint8_t* p = begin('H', place);
    put_stock(p + 11, stock);
    p[19] = static_cast<std::uint8_t>(state), p[20] = ' ';
    std::memcpy(p + 21, reason.data(), 4);
  }

  void short_sale(Place place, std::string_view stock, char action) {
    std::uint8_t* p = begin('Y', place);
    put_stock(p + 11, stock);
    p[19] = static_cast<std::uint8_t>(action);
  }

  void add(Place place, std::uint64_t id, bool buy, std::uint32_t shares, std::string_view stock,
           std::uint32_t price) {
    std::uint8_t* p = begin('A', place);
    itch::store64(p + 11, id);
    p[19] = buy ? 'B' : 'S';
    itch::store32(p + 20, shares);
    put_stock(p + 24, stock);
    itch::store32(p + 32, price);
  }

  void add_attributed(Place place, std::uint64_t id, bool buy, std::uint32_t shares,
                      std::string_view stock, std::uint32_t price, std::string_view attribution) {
    std::uint8_t* p = begin('F', place);
    itch::store64(p + 11, id);
    p[19] = buy ? 'B' : 'S';
    itch::store32(p + 20, shares);
    put_stock(p + 24, stock);
    itch::store32(p + 32, price);
    std::memcpy(p + 36, attribution.data(), 4);
  }

  void executed(Place place, std::uint64_t id, std::uint32_t shares, std::uint64_t match) {
    std::uint8_t* p = begin('E', place);
    itch::store64(p + 11, id);
    itch::store32(p + 19, shares);
    itch::store64(p + 23, match);
  }

  void executed_price(Place place, std::uint64_t id, std::uint32_t shares, std::uint64_t match,
                      bool printable, std::uint32_t price) {
    std::uint8_t* p = begin('C', place);
    itch::store64(p + 11, id);
    itch::store32(p + 19, shares);
    itch::store64(p + 23, match);
    p[31] = printable ? 'Y' : 'N';
    itch::store32(p + 32, price);
  }

  void cancel(Place place, std::uint64_t id, std::uint32_t shares) {
    std::uint8_t* p = begin('X', place);
    itch::store64(p + 11, id);
    itch::store32(p + 19, shares);
  }

  void remove(Place place, std::uint64_t id) { itch::store64(begin('D', place) + 11, id); }

  void replace(Place place, std::uint64_t id, std::uint64_t new_id, std::uint32_t shares,
               std::uint32_t price) {
    std::uint8_t* p = begin('U', place);
    itch::store64(p + 11, id);
    itch::store64(p + 19, new_id);
    itch::store32(p + 27, shares);
    itch::store32(p + 31, price);
  }

  void trade(Place place, bool buy, std::uint32_t shares, std::string_view stock,
             std::uint32_t price, std::uint64_t match) {
    std::uint8_t* p = begin('P', place);
    p[19] = buy ? 'B' : 'S';
    itch::store32(p + 20, shares);
    put_stock(p + 24, stock);
    itch::store32(p + 32, price);
    itch::store64(p + 36, match);
  }

  void cross(Place place, std::uint64_t shares, std::string_view stock, std::uint32_t price,
             std::uint64_t match, char type) {
    std::uint8_t* p = begin('Q', place);
    itch::store64(p + 11, shares);
    put_stock(p + 19, stock);
    itch::store32(p + 27, price);
    itch::store64(p + 31, match);
    p[39] = static_cast<std::uint8_t>(type);
  }

  void broken_trade(Place place, std::uint64_t match) {
    itch::store64(begin('B', place) + 11, match);
  }

  /// Left aligned, padded with spaces.
  static void put_stock(std::uint8_t* p, std::string_view stock) {
    std::memset(p, ' ', 8);
    std::memcpy(p, stock.data(), stock.size() < 8 ? stock.size() : 8);
  }

private:
  std::vector<std::uint8_t>& out_;
};

}  // namespace tapedeck::feeds
