// api/position_text.hpp -- a place on a tape as a person types it: P of the command line, `at` of
// HTTP.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "market/result.hpp"
#include "market/units.hpp"

namespace tapedeck::api {

/// `end`: all that the tape holds.
struct AtEnd {
  friend bool operator==(const AtEnd&, const AtEnd&) = default;
};
/// `offset:N`: in the partition of the symbol asked for, inclusive.
struct AtOffset {
  market::Offset offset = 0;
  friend bool operator==(const AtOffset&, const AtOffset&) = default;
};
/// `partition:offset[:index]`, inclusive; without an index the record as a whole.
struct AtPosition {
  market::Partition partition = 0;
  market::Offset offset = 0;
  std::optional<std::uint32_t> index;
  friend bool operator==(const AtPosition&, const AtPosition&) = default;
};
/// An RFC 3339 time: the state just before the symbol's first event later than it.
struct AtInstant {
  market::TimeNs time = 0;
  friend bool operator==(const AtInstant&, const AtInstant&) = default;
};

using PositionText = std::variant<AtEnd, AtOffset, AtPosition, AtInstant>;

/// Strict: nothing before or after, numbers without sign. Errors are ErrorCode::invalid and carry
/// `field`.
[[nodiscard]] Result<PositionText> parse_position(std::string_view text, std::string_view field);

/// As `parse_position` reads it, instants in UTC.
[[nodiscard]] std::string format_position(const PositionText& position);

}  // namespace tapedeck::api
