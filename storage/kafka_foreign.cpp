#include "storage/kafka_foreign.hpp"

#include <limits>

#include "storage/kafka_record.hpp"

namespace tapedeck::storage {
namespace {

constexpr TimeNs kNsPerMs = 1'000'000;

}  // namespace

ForeignMessage foreign_message(Partition partition, const rd_kafka_message_t& message) {
  ForeignMessage found;
  found.partition = partition;
  found.offset = static_cast<Offset>(message.offset);
  if (message.key != nullptr) found.key = key_of(message);
  found.value = value_of(message);
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const auto ms = rd_kafka_message_timestamp(&message, &type);
  const bool there = type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && ms >= 0 &&
                     ms <= std::numeric_limits<TimeNs>::max() / kNsPerMs;
  if (there) found.appended = ms * kNsPerMs;
  return found;
}

Result<ForeignPass> ForeignPass::begin(const KafkaOptions& options, const TapeIndex& index,
                                       Partition partition, Offset from) {
  auto decoder =
      ForeignDecoder::make(options.codec.value_or(TopicCodec{}), options.topic, options.partitions);
  if (!decoder) return tl::unexpected(decoder.error());
  ForeignPass pass(std::move(*decoder), index, partition);
  if (auto ok = pass.stand_at(from); !ok) return tl::unexpected(ok.error());
  return pass;
}

Result<void> ForeignPass::stand_at(Offset from) {
  const auto mark = index_->last_mark(partition_, from);
  if (!mark) return tl::unexpected(mark.error());
  feed_time_ = *mark ? (*mark)->feed_time : 0;
  return {};
}

Result<bool> ForeignPass::is_first(std::string_view symbol, Offset offset) {
  if (known_.contains(symbol)) return false;
  const auto earlier = index_->entries(partition_, symbol, 0, offset, {1, 1});
  if (!earlier) return tl::unexpected(earlier.error());
  return earlier->empty();
}

Result<void> ForeignPass::add(const rd_kafka_message_t& message, BlockBuilder& block,
                              bool with_mark) {
  const auto told = foreign_message(partition_, message);
  const auto symbol = decoder_.symbol_of(told);
  const auto first = is_first(symbol, told.offset);
  if (!first) return tl::unexpected(first.error());
  const auto decoded = decoder_.decode(told, feed_time_, *first);
  if (!decoded) return tl::unexpected(decoded.error());
  feed_time_ = decoded->feed_time;
  known_.emplace(symbol);
  block.add(decoded->record);
  if (with_mark && decoded->mark) block.add(*decoded->mark);
  return {};
}

}  // namespace tapedeck::storage
