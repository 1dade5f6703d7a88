// schemas/trade_line.hpp -- the fast way through a line `symbol,ts_us,price,size,side` with
// exponents -8, -8: sixteen bytes at a time, no branch on what the fields say.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "market/event.hpp"
#include "schemas/row_codec.hpp"

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

/// Where the numbers of a line are: time, price, size, each behind a comma and up to the next one.
struct TradeFields {
  const char *time, *time_end, *price_point, *price_end, *size_point, *size_end;
};
/// `us` of 9 to 16 digits; price and size in 10^-8, of 1 to 8 digits before the point and up to 8
/// behind it, 15 in all. Where `bad` is not 0 they mean nothing.
struct TradeNumbers {
  std::uint64_t us = 0, bad = 0;
  std::int64_t price = 0, size = 0;
};

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

/// Decimal in [begin, end) with its point at `point` (`end`: none). A field that is none leaves
/// bits in `bad`.
inline std::int64_t decimal8(const char* begin, const char* point, const char* end,
                             std::uint64_t& bad) noexcept {
  const auto whole = static_cast<std::size_t>(point - begin);
  const auto decimals =
      static_cast<std::size_t>(end - point) - static_cast<std::size_t>(point != end);
  bad |= static_cast<std::uint64_t>((whole - 1 > 7) | (decimals > 8) | (whole + decimals > 15));
  const std::uint64_t high = digits_before(point, whole);
  const std::uint64_t low = digits_from(point + 1, decimals);
  bad |= no_digits(high) | no_digits(low);
  return static_cast<std::int64_t>(eight_digits(high) * 100'000'000 + eight_digits(low));
}

inline TradeNumbers read_numbers(const TradeFields& at) noexcept {
  TradeNumbers numbers;
  const auto digits = static_cast<std::size_t>(at.time_end - at.time);
  const std::uint64_t head = digits_before(at.time_end - 8, digits - 8);
  const std::uint64_t tail = digits_before(at.time_end, 8);
  numbers.bad = static_cast<std::uint64_t>(digits - 9 > 7) | no_digits(head) | no_digits(tail);
  numbers.us = eight_digits(head) * 100'000'000 + eight_digits(tail);
  numbers.price = decimal8(at.time_end + 1, at.price_point, at.price_end, numbers.bad);
  numbers.size = decimal8(at.price_end + 1, at.size_point, at.size_end, numbers.bad);
  return numbers;
}

}  // namespace swar

#if defined(__AVX2__)
namespace vectors {

/// For a field of `whole` digits, a point and `decimals` digits: which byte goes where, so that the
/// whole part ends at lane 7 and the decimals begin at lane 8, zeros between.
struct Shuffles {
  alignas(16) std::array<std::array<std::array<std::uint8_t, 16>, 9>, 9> lanes{};
};
inline constexpr Shuffles kShuffles = [] {
  constexpr std::uint8_t zero = 0x80;
  Shuffles table{};
  for (std::size_t whole = 0; whole <= 8; ++whole) {
    for (std::size_t decimals = 0; decimals <= 8; ++decimals) {
      auto& lanes = table.lanes[whole][decimals];
      for (std::size_t i = 0; i < 8; ++i) {
        lanes[i] = i + whole < 8 ? zero : static_cast<std::uint8_t>(i + whole - 8);
        const bool there = i < decimals && whole + 1 + i < 16;
        lanes[8 + i] = there ? static_cast<std::uint8_t>(whole + 1 + i) : zero;
      }
    }
  }
  return table;
}();

/// Sixteen bytes, each 0 to 9 where the field is good, as kShuffles places them.
inline __m128i decimal_lanes(const char* begin, const char* point, const char* end,
                             std::uint64_t& bad) noexcept {
  const auto whole = static_cast<std::size_t>(point - begin);
  const auto decimals =
      static_cast<std::size_t>(end - point) - static_cast<std::size_t>(point != end);
  bad |= static_cast<std::uint64_t>((whole - 1 > 7) | (decimals > 8) | (whole + decimals > 15));
  const auto& lanes = kShuffles.lanes[whole > 8 ? 0 : whole][decimals > 8 ? 0 : decimals];
  const __m128i bytes =
      _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(begin)), _mm_set1_epi8('0'));
  return _mm_shuffle_epi8(bytes, _mm_load_si128(reinterpret_cast<const __m128i*>(lanes.data())));
}

/// `size` digits (at most 16) before `end`, zeros in front.
inline __m128i whole_lanes(const char* end, std::size_t size) noexcept {
  alignas(16) static constexpr std::array<std::uint8_t, 32> masks = [] {
    std::array<std::uint8_t, 32> bytes{};
    for (std::size_t i = 16; i < 32; ++i) bytes[i] = 0xff;
    return bytes;
  }();
  const __m128i mask =
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(masks.data() + (size > 16 ? 0 : size)));
  const __m128i bytes = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(end - 16)),
                                      _mm_set1_epi8('0'));
  return _mm_and_si128(bytes, mask);
}

/// The two halves of sixteen digits, eight each, high half in the low word.
inline std::int64_t joined(std::int64_t halves) noexcept {
  const auto bits = static_cast<std::uint64_t>(halves);
  return static_cast<std::int64_t>((bits & 0xffffffff) * 100'000'000 + (bits >> 32));
}

inline TradeNumbers read_numbers(const TradeFields& at) noexcept {
  TradeNumbers numbers;
  const auto digits = static_cast<std::size_t>(at.time_end - at.time);
  numbers.bad = static_cast<std::uint64_t>(digits - 9 > 7);
  const __m128i time = whole_lanes(at.time_end, digits);
  const __m256i pair = _mm256_inserti128_si256(
      _mm256_castsi128_si256(
          decimal_lanes(at.time_end + 1, at.price_point, at.price_end, numbers.bad)),
      decimal_lanes(at.price_end + 1, at.size_point, at.size_end, numbers.bad), 1);
  const __m256i over =
      _mm256_or_si256(_mm256_subs_epu8(pair, _mm256_set1_epi8(9)),
                      _mm256_castsi128_si256(_mm_subs_epu8(time, _mm_set1_epi8(9))));
  numbers.bad |= static_cast<std::uint64_t>(_mm256_testz_si256(over, over) == 0);
  const __m256i tens = _mm256_set1_epi16(10 | 1 << 8);
  const __m256i hundreds = _mm256_set1_epi32(100 | 1 << 16);
  const __m256i thousands = _mm256_set1_epi32(10'000 | 1 << 16);
  const __m256i fours = _mm256_madd_epi16(_mm256_maddubs_epi16(pair, tens), hundreds);
  const __m256i eights = _mm256_madd_epi16(_mm256_packus_epi32(fours, fours), thousands);
  const __m128i time_fours = _mm_madd_epi16(_mm_maddubs_epi16(time, _mm256_castsi256_si128(tens)),
                                            _mm256_castsi256_si128(hundreds));
  const __m128i time_eights =
      _mm_madd_epi16(_mm_packus_epi32(time_fours, time_fours), _mm256_castsi256_si128(thousands));
  numbers.us = static_cast<std::uint64_t>(joined(_mm_cvtsi128_si64(time_eights)));
  numbers.price = joined(_mm_cvtsi128_si64(_mm256_castsi256_si128(eights)));
  numbers.size = joined(_mm_cvtsi128_si64(_mm256_extracti128_si256(eights, 1)));
  return numbers;
}

}  // namespace vectors
#endif

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
  const TradeFields fields{at + comma[0] + 1,         at + comma[1],
                           point(comma[1], comma[2]), at + comma[2],
                           point(comma[2], comma[3]), at + comma[3]};
#if defined(__AVX2__)
  const TradeNumbers numbers = vectors::read_numbers(fields);
#else
  const TradeNumbers numbers = swar::read_numbers(fields);
#endif
  bad |= numbers.bad | static_cast<std::uint64_t>(numbers.us > 9'000'000'000'000'000);
  line.time = static_cast<market::TimeNs>(numbers.us * 1000);
  line.price = numbers.price;
  line.size = numbers.size;
  const std::size_t text_end = end - static_cast<std::size_t>(at[end - 1] == '\r');
  const bool side = swar::side_of(at + comma[3] + 1, text_end - comma[3] - 1, line.side);
  line.symbol = std::string_view(at, comma[0]);
  if (bad != 0 || !side) [[unlikely]]
    return nullptr;
  return at + end + 1;
}

/// What a line says that parse_trade_line() passed on.
struct UnusualTrade {
  RowFault fault = RowFault::none;  ///< none: it is a trade after all
  std::size_t bytes = 0;            ///< of the line and its LF
  TradeLine trade;
};
/// As the decoder of trades_format() says it, but for lines with quotes, without a price or a size,
/// blank or long ones: those only the decoder knows.
[[nodiscard]] std::optional<UnusualTrade> read_unusual_trade(const char* at) noexcept;

}  // namespace tapedeck::schemas
