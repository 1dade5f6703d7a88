// How far the ingress reads: to the tape's end, to what another engine has committed, to what the
// tape does not keep any more.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "actors/ingress.hpp"
#include "storage/errors.hpp"

namespace tapedeck::actors {

void Ingress::stand_by(Offset committed) {
  standby_ = true;
  context_.metrics->standby = 1;
  start(committed);
}

void Ingress::on(const Guide& guide) {
  if (!standby_ || guide.committed <= committed_) return;
  committed_ = guide.committed;
  context_.metrics->committed = static_cast<std::int64_t>(committed_);
  port_.wake_self();
}

/// What is still in flight was emitted below `committed`: the sink passes over it.
void Ingress::promote(Offset committed) {
  standby_ = false;
  context_.metrics->standby = 0;
  committed_ = last_owner_upto_ = std::max(committed_, committed);
  context_.metrics->committed = static_cast<std::int64_t>(committed_);
  idle_ = caught_up_ = false;
  publish();
  port_.wake_self();
}

/// Nothing is folded past what is gone. The others go on.
void Ingress::stop_reading(const Error& why) {
  stopped_ = why.message;
  spdlog::error("partition {} is stopped: {}", context_.partition, why.message);
  context_.metrics->stopped = 1;
  publish();
  on(Drain{false});
}

/// Error where the tape does not keep what comes next.
auto Ingress::next_slice() -> Result<Slice> {
  if (standby_ && next_ >= committed_) return Slice{};
  auto slice = std::exchange(held_, {});
  if (!slice.block) {
    storage::ReadLimits limits{context_.options->poll_bytes, context_.options->poll_records};
    limits.bytes = std::min(limits.bytes, context_.options->max_inflight_bytes - inflight_bytes_);
    auto read = context_.tape->read(context_.partition, next_, limits);
    if (!read && read.error().field == storage::kLostField) return tl::unexpected(read.error());
    if (!read) throw EngineFailure(read.error());
    slice.block = std::move(*read);
  }
  const auto& records = slice.block->records;
  slice.last = records.size();
  if (!standby_) return slice;
  const auto open = std::ranges::lower_bound(records, committed_, {}, &storage::Record::offset);
  slice.last = static_cast<std::size_t>(open - records.begin());
  if (open != records.end()) held_ = {slice.block, slice.last, slice.last};
  return slice;
}

}  // namespace tapedeck::actors
