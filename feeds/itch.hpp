// feeds/itch.hpp -- NASDAQ TotalView-ITCH 5.0: message types, lengths, and how its fields are read
// and written. Source: "NASDAQ TotalView-ITCH 5.0" specification; a table of the fields is in
// docs/formats/feeds.md.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tapedeck::feeds::itch {

struct MessageType {
  char type;
  std::uint8_t length;  ///< bytes of the message, without its length prefix
  std::string_view name;
};

constexpr std::array<MessageType, 23> kMessageTypes{{
    {'S', 12, "system event"},
    {'R', 39, "stock directory"},
    {'H', 25, "stock trading action"},
    {'Y', 20, "Reg SHO restriction"},
    {'L', 26, "market participant position"},
    {'V', 35, "MWCB decline level"},
    {'W', 12, "MWCB status"},
    {'K', 28, "IPO quoting period update"},
    {'J', 35, "LULD auction collar"},
    {'h', 21, "operational halt"},
    {'A', 36, "add order"},
    {'F', 40, "add order with attribution"},
    {'E', 31, "order executed"},
    {'C', 36, "order executed with price"},
    {'X', 23, "order cancel"},
    {'D', 19, "order delete"},
    {'U', 35, "order replace"},
    {'P', 44, "trade"},
    {'Q', 40, "cross trade"},
    {'B', 19, "broken trade"},
    {'I', 50, "net order imbalance"},
    {'N', 20, "retail price improvement"},
    {'O', 48, "direct listing price discovery"},
}};

/// Length of a message by its type; 0: no type of the specification.
constexpr std::array<std::uint8_t, 256> kLength = [] {
  std::array<std::uint8_t, 256> lengths{};
  for (const MessageType& type : kMessageTypes)
    lengths[static_cast<unsigned char>(type.type)] = type.length;
  return lengths;
}();

constexpr std::size_t kPrefixSize = 2;
constexpr std::size_t kMaxLength = 50;
constexpr std::int64_t kPriceExponent = -4;

[[nodiscard]] inline std::uint16_t load16(const std::uint8_t* p) {
  std::uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return __builtin_bswap16(value);
}
[[nodiscard]] inline std::uint32_t load32(const std::uint8_t* p) {
  std::uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return __builtin_bswap32(value);
}
[[nodiscard]] inline std::uint64_t load64(const std::uint8_t* p) {
  std::uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return __builtin_bswap64(value);
}
[[nodiscard]] inline std::uint64_t load48(const std::uint8_t* p) {
  return std::uint64_t{load16(p)} << 32 | load32(p + 2);
}
/// Time of day of a message, in ns since local midnight.
[[nodiscard]] inline std::int64_t time_of_day(const std::uint8_t* message) {
  return static_cast<std::int64_t>(load48(message + 5));
}

inline void store16(std::uint8_t* p, std::uint16_t value) {
  value = __builtin_bswap16(value);
  std::memcpy(p, &value, sizeof value);
}
inline void store32(std::uint8_t* p, std::uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(p, &value, sizeof value);
}
inline void store48(std::uint8_t* p, std::uint64_t value) {
  store16(p, static_cast<std::uint16_t>(value >> 32));
  store32(p + 2, static_cast<std::uint32_t>(value));
}
inline void store64(std::uint8_t* p, std::uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(p, &value, sizeof value);
}

}  // namespace tapedeck::feeds::itch
