#include "chaos/sim_tape.hpp"

#include <algorithm>
#include <string>

namespace tapedeck::chaos {

using storage::RecordBlockPtr;

SimTape::SimTape(std::uint32_t partitions, Dice& dice)
    : dice_(dice), stored_(partitions), visible_(stored_.partitions(), 0) {}

Result<void> SimTape::append(std::span<const storage::NewRecord> records,
                             std::span<const storage::NewMark> marks) {
  if (dice_.hit(Fault::append_fails))
    return fail(ErrorCode::environment, "injected: no room for the tape");
  const bool torn = dice_.hit(Fault::append_torn);
  const auto died = [] {
    return fail(ErrorCode::environment, "injected: the recorder died in an append");
  };
  if (torn && dice_.below(2) == 0) return died();
  if (auto done = stored_.append(records, marks); !done) return done;
  if (!records.empty() && may_repeat_ && dice_.hit(Fault::append_repeats)) {
    const auto& again = records[dice_.below(records.size())];
    if (auto done = stored_.append(std::span(&again, 1), {}); !done) return done;
  }
  if (!dice_.hit(Fault::late_news)) (void)refresh();
  if (torn) return died();
  return {};
}

Result<void> SimTape::append(const storage::RecorderDeadLetter& letter) {
  return stored_.append(letter);
}

Result<void> SimTape::refresh() {
  for (Partition p = 0; p < visible_.size(); ++p) visible_[p] = *stored_.end(p);
  if (wake_) wake_();
  return {};
}

Result<void> SimTape::gate(const char* what, Fault fault) const {
  if (dead_) return fail(ErrorCode::environment, "injected: the process is gone");
  if (dice_.hit(fault))
    return fail(ErrorCode::environment, std::string("injected: ") + what + " failed");
  return {};
}

/// The bytes of another record come back for the one at `at`.
template <class Read>
Result<RecordBlockPtr> SimTape::misdirected(Partition partition, Offset at,
                                            const Read& read) const {
  const auto end = *stored_.end(partition);
  if (at >= end || !dice_.hit(Fault::misdirected_record)) return read();
  const auto other = dice_.below(end);
  stored_.swap(partition, at, other);
  auto block = read();
  stored_.swap(partition, at, other);
  return block;
}

Result<SimTape::Offset> SimTape::end(Partition partition) const { return visible_.at(partition); }

Result<RecordBlockPtr> SimTape::read(Partition partition, Offset from,
                                     storage::ReadLimits limits) const {
  if (watch_ && !dead_) watch_(partition);
  if (auto open = gate("reading the tape", Fault::read_fails); !open)
    return tl::unexpected(open.error());
  if (dice_.hit(Fault::read_throws)) throw Injected("injected: the tape threw");
  if (dice_.hit(Fault::read_corrupt))
    return fail(ErrorCode::corrupt, "injected: record " + std::to_string(partition) + ":" +
                                        std::to_string(from) + " does not match its checksum");
  if (dice_.hit(Fault::short_read)) limits.records = 1 + dice_.below(3);
  const auto visible = visible_.at(partition);
  limits.records = std::min<std::size_t>(limits.records, visible - std::min(visible, from));
  return misdirected(partition, from, [&] { return stored_.read(partition, from, limits); });
}

Result<RecordBlockPtr> SimTape::read_symbol(std::string_view symbol, Offset from, Offset to,
                                            storage::ReadLimits limits) const {
  if (auto open = gate("reading a symbol", Fault::refill_fails); !open)
    return tl::unexpected(open.error());
  if (dice_.hit(Fault::short_read)) limits.records = 1 + dice_.below(3);
  const auto entries = stored_.index(symbol, from, to);
  const auto read = [&] { return stored_.read_symbol(symbol, from, to, limits); };
  if (!entries || entries->empty()) return read();
  const auto partition = storage::partition_of(symbol, partitions());
  return misdirected(partition, entries->front().offset, read);
}

Result<RecordBlockPtr> SimTape::marks(Partition partition, Offset from, Offset to) const {
  if (auto open = gate("reading marks", Fault::refill_fails); !open)
    return tl::unexpected(open.error());
  return stored_.marks(partition, from, to);
}

Result<std::vector<storage::IndexEntry>> SimTape::index(std::string_view symbol, Offset from,
                                                        Offset to) const {
  return stored_.index(symbol, from, to);
}
Result<std::optional<storage::IndexEntry>> SimTape::last_of(std::string_view symbol) const {
  return stored_.last_of(symbol);
}
Result<std::optional<schemas::MarkPayload>> SimTape::last_mark(Partition partition) const {
  return stored_.last_mark(partition);
}
Result<std::vector<std::string>> SimTape::symbols() const { return stored_.symbols(); }
Result<std::vector<storage::SourceInfo>> SimTape::sources() const { return stored_.sources(); }
Result<std::vector<storage::RecorderDeadLetter>> SimTape::dead_letters() const {
  return stored_.dead_letters();
}

void SimTape::rot() {
  const auto partition = static_cast<Partition>(dice_.below(partitions()));
  const auto end = *stored_.end(partition);
  if (end == 0) return;
  const auto offset = dice_.below(end);
  if (rotten_.emplace(partition, offset).second) stored_.damage(partition, offset);
}

void SimTape::repair() {
  // The same bit once more.
  for (const auto& [partition, offset] : rotten_) stored_.damage(partition, offset);
  rotten_.clear();
}

}  // namespace tapedeck::chaos
