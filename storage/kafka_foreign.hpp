// storage/kafka_foreign.hpp -- messages of a foreign topic as records of the tape. Internal.
#pragma once

#include <set>
#include <string>

#include "storage/foreign_decoder.hpp"
#include "storage/frame.hpp"
#include "storage/kafka_client.hpp"
#include "storage/tape_index.hpp"

namespace tapedeck::storage {

/// Turns the messages of one partition into records, in order. What stood before them – feed time,
/// which symbols are known – is looked up in the index, so that every read of an offset gives the
/// same bytes.
class ForeignPass {
public:
  /// `index` outlives it and holds everything below the first message told.
  [[nodiscard]] static Result<ForeignPass> begin(const KafkaOptions& options,
                                                 const TapeIndex& index, Partition partition,
                                                 Offset from);

  /// The next message is the first one at `from` or later.
  Result<void> stand_at(Offset from);
  /// Adds the message's record and, if wanted, the mark that it is taken for.
  Result<void> add(const rd_kafka_message_t& message, BlockBuilder& block, bool with_mark);

private:
  ForeignPass(ForeignDecoder decoder, const TapeIndex& index, Partition partition)
      : decoder_(std::move(decoder)), index_(&index), partition_(partition) {}
  Result<bool> is_first(std::string_view symbol, Offset offset);

  ForeignDecoder decoder_;
  const TapeIndex* index_;
  Partition partition_ = 0;
  TimeNs feed_time_ = 0;
  std::set<std::string, std::less<>> known_;
};

[[nodiscard]] ForeignMessage foreign_message(Partition partition,
                                             const rd_kafka_message_t& message);

}  // namespace tapedeck::storage
