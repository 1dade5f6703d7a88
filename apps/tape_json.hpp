// apps/tape_json.hpp -- records of a tape as JSON lines.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "market/event.hpp"
#include "market/result.hpp"
#include "storage/tape.hpp"

namespace tapedeck::apps {

/// Writes events and marks, one JSON object a line. Prices and sizes are decimal strings where the
/// symbol's instrument is known; else, and for status events, the stored integers as `price_units`
/// and `size_units`. Fields that a kind does not have, or that are zero, are left out.
class TapeJson {
public:
  explicit TapeJson(const storage::TapeReader& tape) : tape_(tape) {}

  /// One line for each event of the record (or for the mark). Error `corrupt` names the position.
  [[nodiscard]] Result<void> append_events(std::string& out, const storage::Record& record);
  /// One line for the record.
  [[nodiscard]] Result<void> append_record(std::string& out, const storage::Record& record);

  /// Leaves out what lies before or after, by event time (a mark's feed time). Inclusive.
  void limit_times(std::optional<market::TimeNs> from, std::optional<market::TimeNs> to) {
    from_ = from, to_ = to;
  }
  /// Leaves out a record's events before or after this index.
  void limit_index(std::optional<market::Position> from, std::optional<market::Position> to) {
    first_ = from, last_ = to;
  }
  /// Lines written so far; no more are written than `limit`.
  [[nodiscard]] std::uint64_t lines() const { return lines_; }
  void limit_lines(std::uint64_t limit) { limit_ = limit; }
  [[nodiscard]] bool full() const { return lines_ >= limit_; }

private:
  struct Exponents {
    bool known = false;
    std::int64_t price = 0, size = 0;
  };
  Exponents& exponents_of(std::string_view symbol);
  void append_event(std::string& out, const storage::Record& record, const market::Event& event,
                    std::uint32_t index, market::SourceId source, std::string_view source_name,
                    Exponents& exponents);
  Result<void> append_mark(std::string& out, const storage::Record& record);
  [[nodiscard]] bool wanted(market::TimeNs time) const {
    return (!from_ || time >= *from_) && (!to_ || time <= *to_);
  }
  [[nodiscard]] bool wanted(market::Position position) const {
    return (!first_ || position.partition != first_->partition || position >= *first_) &&
           (!last_ || position.partition != last_->partition || position <= *last_);
  }

  const storage::TapeReader& tape_;
  std::map<std::string, Exponents, std::less<>> exponents_;
  std::optional<market::TimeNs> from_, to_;
  std::optional<market::Position> first_, last_;
  std::uint64_t lines_ = 0, limit_ = ~std::uint64_t{0};
};

/// `text` as a JSON string, quotes included.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tapedeck::apps
