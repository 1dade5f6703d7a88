#include "storage/tape.hpp"

namespace tapedeck::storage {

namespace {

Result<void> not_here() {
  return fail(ErrorCode::invalid,
              "this kind of tape is not trimmed here: on Kafka the topic's retention does that",
              "tape");
}

}  // namespace

Result<void> TapeWriter::put_base(const SymbolBase& /*base*/) { return not_here(); }
Result<void> TapeWriter::forget_bases() { return not_here(); }
Result<void> TapeWriter::trim(std::span<const Checkpoint> /*starts*/) { return not_here(); }

}  // namespace tapedeck::storage
