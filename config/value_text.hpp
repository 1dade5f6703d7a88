// config/value_text.hpp -- durations, sizes and ratios as a person writes them: `250ms`, `4MiB`,
// `0.25`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tapedeck::config {

/// A whole number and a unit (ns us ms s m h d), in nanoseconds; none if `text` is not one or is
/// out of 64 bits.
[[nodiscard]] std::optional<std::int64_t> parse_duration(std::string_view text);
/// In the largest unit that divides it.
[[nodiscard]] std::string format_duration(std::int64_t ns);

/// A whole number, with B, KiB, MiB or GiB behind it or nothing, in bytes; none if it is not one or
/// is out of 63 bits.
[[nodiscard]] std::optional<std::int64_t> parse_size(std::string_view text);
/// In the largest unit that divides it.
[[nodiscard]] std::string format_size(std::int64_t bytes);

/// A decimal integer and nothing else.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);

/// A decimal with at most 6 places, in millionths; none if it is not one or is out of 63 bits.
[[nodiscard]] std::optional<std::int64_t> parse_ratio(std::string_view text);
[[nodiscard]] std::string format_ratio(std::int64_t millionths);

/// Insertions, deletions and replacements of a character that make one of the other.
[[nodiscard]] std::size_t edit_distance(std::string_view from, std::string_view to);

}  // namespace tapedeck::config
