// storage/foreign_decoder.hpp -- records that other clients write to a topic, as records of a tape.
// docs/formats/kafka.md, docs/decisions/0011. No Kafka here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "market/event.hpp"
#include "market/result.hpp"
#include "schemas/batch_codec.hpp"
#include "schemas/row_codec.hpp"
#include "storage/tape.hpp"

namespace tapedeck::storage {

/// What the values of a topic's records are; kept with the tape, since a fold depends on it.
struct TopicCodec {
  enum class Kind : std::uint8_t { capnp, json, csv } kind = Kind::capnp;
  std::string columns{};  ///< as schemas/row_format.hpp has them; empty: the codec's own
  int price_exponent = -8, size_exponent = -8;
  [[nodiscard]] bool foreign() const noexcept { return kind != Kind::capnp; }
  friend bool operator==(const TopicCodec&, const TopicCodec&) = default;
};
/// `json;columns=symbol,ts_ms=T;price_exponent=-2`: what is not the default.
[[nodiscard]] std::string to_text(const TopicCodec& codec);
[[nodiscard]] std::optional<TopicCodec> parse_codec(std::string_view text);
/// The rows of a foreign codec. Error `invalid` names the setting.
[[nodiscard]] Result<schemas::RowFormat> row_format(const TopicCodec& codec);

/// A record as its client wrote it; views.
struct ForeignMessage {
  Partition partition = 0;
  Offset offset = 0;
  std::optional<std::string_view> key;
  std::string_view value;
  TimeNs appended = market::kNoTime;  ///< the record's timestamp, where it has one
};

/// How far past its record's timestamp an event time may be; one beyond does not move feed time and
/// is refused by the fold.
constexpr TimeNs kMaxForeignLead = 5 * market::kSecond;

/// Decodes one record after the other: pure, what stood before is told by the caller. Not thread
/// safe.
class ForeignDecoder {
public:
  /// `codec` is foreign. Error `invalid` names its setting.
  [[nodiscard]] static Result<ForeignDecoder> make(const TopicCodec& codec,
                                                   const std::string& topic,
                                                   std::uint32_t partitions);

  /// The symbol that the record stands under: its key, or unknown_symbol() where that is none or
  /// belongs into another partition.
  [[nodiscard]] std::string_view symbol_of(const ForeignMessage& message) const;

  struct Decoded {
    Record record;
    std::optional<Record> mark;  ///< where the record moves feed time; at the record's offset
    TimeNs feed_time = 0;        ///< the partition's after it
  };
  /// `feed_time`: the partition's before it, 0 at its beginning. `first`: of the symbol. What does
  /// not decode becomes an event that every fold refuses. Views live until the next call.
  [[nodiscard]] Result<Decoded> decode(const ForeignMessage& message, TimeNs feed_time, bool first);

  [[nodiscard]] const std::string& source_name() const noexcept { return source_name_; }

private:
  ForeignDecoder() = default;
  schemas::RowFault take(const ForeignMessage& message);
  void introduce(const ForeignMessage& message, TimeNs time, TimeNs feed_time);
  void refuse(const ForeignMessage& message, schemas::RowFault fault, TimeNs feed_time);

  schemas::RowFormat format_;
  std::unique_ptr<schemas::RowDecoder> rows_;
  schemas::BatchEncoder encoder_;
  std::string source_name_;
  market::SourceId source_ = 0;
  std::uint32_t partitions_ = 0;
  std::vector<std::string> unknown_;  ///< by partition
  std::string line_;                  ///< the value, with readable bytes behind it
  std::string mark_;
  schemas::Row row_;
  std::vector<market::Event> events_;
};

/// Under which records stand whose key is no symbol of their partition: `?0`, `?1` …, the first of
/// them that belongs there.
[[nodiscard]] std::string unknown_symbol(Partition partition, std::uint32_t partitions);

}  // namespace tapedeck::storage
