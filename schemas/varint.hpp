// schemas/varint.hpp -- numbers in as few bytes as they need: seven bits a byte, least first, the
// top bit says that another byte follows. Inside schemas only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "market/units.hpp"

namespace tapedeck::schemas {

[[nodiscard]] constexpr std::uint64_t zigzag(std::uint64_t value) {
  return (value << 1) ^ (std::uint64_t{0} - (value >> 63));
}
[[nodiscard]] constexpr std::uint64_t unzigzag(std::uint64_t code) {
  return (code >> 1) ^ (std::uint64_t{0} - (code & 1));
}

class VarintWriter {
public:
  void put(std::uint64_t value) {
    if (bytes_.size() - size_ < kLongest) bytes_.resize(2 * bytes_.size() + 256);
    std::uint8_t* at = bytes_.data() + size_;
    while (value >= 0x80) {
      *at++ = static_cast<std::uint8_t>(value | 0x80);
      value >>= 7;
    }
    *at++ = static_cast<std::uint8_t>(value);
    size_ = static_cast<std::size_t>(at - bytes_.data());
  }
  void put_signed(std::int64_t value) { put(zigzag(static_cast<std::uint64_t>(value))); }
  /// Two numbers, the lower 64 bits of the zigzag code first.
  void put_wide(market::Int128 value) {
    const auto bits = static_cast<market::UInt128>(value);
    const market::UInt128 code = (bits << 1) ^ (market::UInt128{0} - (bits >> 127));
    put(static_cast<std::uint64_t>(code));
    put(static_cast<std::uint64_t>(code >> 64));
  }
  /// The difference from `before`, which becomes `value`.
  template <class Number>
  void put_delta(Number value, Number& before) {
    put(zigzag(static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(before)));
    before = value;
  }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {bytes_.data(), size_}; }

private:
  static constexpr std::size_t kLongest = 10;  ///< bytes of a number
  std::vector<std::uint8_t> bytes_;            ///< with room to spare
  std::size_t size_ = 0;
};

/// After a failure (bytes at an end, a number longer than 64 bits) it gives only zeros.
class VarintReader {
public:
  explicit VarintReader(std::span<const std::uint8_t> bytes)
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()) {}

  [[nodiscard]] std::uint64_t get() {
    std::uint64_t value = 0;
    for (int shift = 0; at_ != end_ && shift < 64; shift += 7) {
      const std::uint8_t byte = *at_++;
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    at_ = end_;
    return 0;
  }
  [[nodiscard]] std::int64_t get_signed() { return static_cast<std::int64_t>(unzigzag(get())); }
  [[nodiscard]] market::Int128 get_wide() {
    const market::UInt128 low = get();
    const market::UInt128 code = low | market::UInt128{get()} << 64;
    return static_cast<market::Int128>((code >> 1) ^ (market::UInt128{0} - (code & 1)));
  }
  template <class Number>
  [[nodiscard]] Number get_delta(Number& before) {
    before = static_cast<Number>(static_cast<std::uint64_t>(before) + unzigzag(get()));
    return before;
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return at_ == end_ && !failed_; }
  [[nodiscard]] std::size_t position() const { return static_cast<std::size_t>(at_ - begin_); }

private:
  const std::uint8_t* begin_;
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool failed_ = false;
};

}  // namespace tapedeck::schemas
