// schemas/trade_line.hpp -- the fast way through a line `symbol,ts_us,price,size,side` with
// exponents -8, -8: sixteen bytes at a time, no branch on what the fields say.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "market/event.hpp"

namespace tapedeck::schemas {

/// Bytes that must be readable before and behind a line.
constexpr std::size_t kTradeLinePadding = 64;

/// One bit for each of 64 bytes.
struct LineMarks {
  std::uint64_t commas = 0, points = 0, ends = 0;
};

namespace swar {

constexpr std::uint64_t kOnes = 0x0101010101010101;

/// Bit i set where byte i of `word` equals `c`.
inline std::uint64_t equal_bytes(std::uint64_t word, char c) noexcept {
  const std::uint64_t x = word ^ (kOnes * static_cast<unsigned char>(c));
  const std::uint64_t low7 = kOnes * 0x7f;
  const std::uint64_t zeros = ~(((x & low7) + low7) | x | low7);  // 0x80 in each byte that is 0
  return (zeros >> 7) * 0x0102040810204080 >> 56;
}

inline std::uint64_t load(const char* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Eight bytes, each 0 to 9, first digit in the lowest.
inline std::uint64_t eight_digits(std::uint64_t digits) noexcept {
  digits = digits * 10 + (digits >> 8);
  constexpr std::uint64_t mask = 0x000000ff000000ff;
  return ((digits & mask) * 0x000f424000000064 + ((digits >> 16) & mask) * 0x0000271000000001) >>
         32;
}

/// 0 where every byte is 0 to 9.
inline std::uint64_t no_digits(std::uint64_t digits) noexcept {
  return ((digits + kOnes * 0x76) | digits) & (kOnes * 0x80);
}

/// The `size` digits before `end`, at most the last 8, as bytes 0 to 9, zeros in front.
inline std::uint64_t digits_before(const char* end, std::size_t size) noexcept {
  size = size > 8 ? 8 : size;
  const std::uint64_t digits = load(end - 8) ^ kOnes * '0';
  return size == 0 ? 0 : digits & (~std::uint64_t{0} << (64 - 8 * size));
}
/// The `size` digits at `begin`, at most the first 8, zeros behind.
inline std::uint64_t digits_from(const char* begin, std::size_t size) noexcept {
  size = size > 8 ? 8 : size;
  const std::uint64_t digits = load(begin) ^ kOnes * '0';
  return size == 0 ? 0 : digits & (~std::uint64_t{0} >> (64 - 8 * size));
}

inline LineMarks find_marks(const char* at) noexcept {
  LineMarks marks;
  for (unsigned i = 0; i < 8; ++i) {
    const std::uint64_t word = load(at + std::size_t{8} * i);
    marks.commas |= equal_bytes(word, ',') << 8 * i;
    marks.points |= equal_bytes(word, '.') << 8 * i;
    marks.ends |= equal_bytes(word, '\n') << 8 * i;
  }
  return marks;
}

}  // namespace swar

inline LineMarks find_marks(const char* at) noexcept {
#if defined(__AVX2__)
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32));
  const auto bits = [&](char c) {
    const __m256i wanted = _mm256_set1_epi8(c);
    const auto l = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)));
    const auto h =
        static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)));
    return std::uint64_t{h} << 32 | l;
  };
  return {bits(','), bits('.'), bits('\n')};
#else
  return swar::find_marks(at);
#endif
}

struct TradeLine {
  std::string_view symbol;
  market::TimeNs time = 0;
  market::Price price = 0;
  market::Size size = 0;
  market::Side side = market::Side::none;
};

namespace swar {

/// `buy`, `b`, `sell`, `s` in any case, or nothing. False: another word, which the slow way knows.
inline bool side_of(const char* at, std::size_t size, market::Side& side) noexcept {
  const std::uint64_t mask = size >= 4 ? 0xffffffff : (std::uint64_t{1} << 8 * size) - 1;
  const std::uint64_t word = (load(at) | 0x20202020) & mask;
  const bool buy = word == 'b' || word == 0x797562;     // "buy"
  const bool sell = word == 's' || word == 0x6c6c6573;  // "sell"
  side = static_cast<market::Side>(static_cast<int>(buy) + 2 * static_cast<int>(sell));
  return (buy | sell | (size == 0)) & (size <= 4);
}

/// Decimal in [begin, end) with its point at `point` (`end`: none), in units of 10^-8. The result
/// of a field that is none leaves bits in `bad`.
inline std::int64_t decimal8(const char* begin, const char* point, const char* end,
                             std::uint64_t& bad) noexcept {
  const auto whole = static_cast<std::size_t>(point - begin);
  const auto decimals =
      static_cast<std::size_t>(end - point) - static_cast<std::size_t>(point != end);
  bad |= static_cast<std::uint64_t>((whole - 1 > 7) | (decimals > 8));
  const std::uint64_t high = digits_before(point, whole);
  const std::uint64_t low = digits_from(point + 1, decimals);
  bad |= no_digits(high) | no_digits(low);
  return static_cast<std::int64_t>(eight_digits(high) * 100'000'000 + eight_digits(low));
}

}  // namespace swar

/// Parses the line at `at`; on success returns the byte behind its LF. Null: the line is not of the
/// plain form (long, signed, more than 8 digits before or behind the point, quotes, faulty):
/// the general decoder has to look at it.
[[gnu::always_inline]] inline const char* parse_trade_line(const char* at,
                                                           TradeLine& line) noexcept {
  const LineMarks marks = find_marks(at);
  const auto end = static_cast<std::size_t>(std::countr_zero(marks.ends));
  if (end == 64) [[unlikely]]
    return nullptr;
  const std::uint64_t inside = (std::uint64_t{1} << end) - 1;
  std::uint64_t commas = marks.commas & inside;
  if (std::popcount(commas) != 4) [[unlikely]]
    return nullptr;
  std::size_t comma[4];
  for (std::size_t& each : comma) {
    each = static_cast<std::size_t>(std::countr_zero(commas));
    commas &= commas - 1;
  }
  const auto point = [&](std::size_t from, std::size_t to) {
    const std::uint64_t points = marks.points >> from << from | std::uint64_t{1} << to;
    return at + std::countr_zero(points);
  };
  auto bad = static_cast<std::uint64_t>(at[0] == '"');
  const std::size_t digits = comma[1] - comma[0] - 1;
  bad |= static_cast<std::uint64_t>(digits - 9 > 7);  // 9 to 16 digits
  const std::uint64_t head = swar::digits_before(at + comma[1] - 8, digits - 8);
  const std::uint64_t tail = swar::digits_before(at + comma[1], 8);
  bad |= swar::no_digits(head) | swar::no_digits(tail);
  const std::uint64_t us = swar::eight_digits(head) * 100'000'000 + swar::eight_digits(tail);
  bad |= static_cast<std::uint64_t>(us > 9'000'000'000'000'000);
  line.time = static_cast<market::TimeNs>(us * 1000);
  line.price = swar::decimal8(at + comma[1] + 1, point(comma[1], comma[2]), at + comma[2], bad);
  line.size = swar::decimal8(at + comma[2] + 1, point(comma[2], comma[3]), at + comma[3], bad);
  const std::size_t text_end = end - static_cast<std::size_t>(at[end - 1] == '\r');
  const bool side = swar::side_of(at + comma[3] + 1, text_end - comma[3] - 1, line.side);
  line.symbol = std::string_view(at, comma[0]);
  if (bad != 0 || !side) [[unlikely]]
    return nullptr;
  return at + end + 1;
}

}  // namespace tapedeck::schemas
