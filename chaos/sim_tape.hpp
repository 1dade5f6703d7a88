// chaos/sim_tape.hpp -- a memory tape that fails as the dice say. One thread.
#pragma once

#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "chaos/dice.hpp"
#include "storage/memory_tape.hpp"
#include "storage/tape.hpp"

namespace tapedeck::chaos {

class SimTape final : public storage::TapeWriter, public storage::TapeReader {
public:
  using Partition = storage::Partition;
  using Offset = storage::Offset;
  template <class T>
  using Result = tapedeck::Result<T>;

  SimTape(std::uint32_t partitions, Dice& dice);

  Result<void> append(std::span<const storage::NewRecord> records,
                      std::span<const storage::NewMark> marks) override;
  Result<void> append(const storage::RecorderDeadLetter& letter) override;
  Result<void> sync() override { return {}; }
  [[nodiscard]] storage::TapeReader& reader() override { return stored_; }

  [[nodiscard]] std::uint32_t partitions() const override { return stored_.partitions(); }
  [[nodiscard]] Result<Offset> end(Partition partition) const override;
  [[nodiscard]] Result<storage::RecordBlockPtr> read(Partition partition, Offset from,
                                                     storage::ReadLimits limits) const override;
  [[nodiscard]] Result<storage::RecordBlockPtr> read_symbol(
      std::string_view symbol, Offset from, Offset to, storage::ReadLimits limits) const override;
  [[nodiscard]] Result<std::vector<storage::IndexEntry>> index(std::string_view symbol, Offset from,
                                                               Offset to) const override;
  [[nodiscard]] Result<std::optional<storage::IndexEntry>> last_of(
      std::string_view symbol) const override;
  [[nodiscard]] Result<storage::RecordBlockPtr> marks(Partition partition, Offset from,
                                                      Offset to) const override;
  [[nodiscard]] Result<std::optional<schemas::MarkPayload>> last_mark(
      Partition partition) const override;
  [[nodiscard]] Result<std::vector<std::string>> symbols() const override;
  [[nodiscard]] Result<std::vector<storage::SourceInfo>> sources() const override;
  [[nodiscard]] Result<std::vector<storage::RecorderDeadLetter>> dead_letters() const override;
  /// What was appended late becomes visible.
  Result<void> refresh() override;
  void on_append(std::function<void()> wake) override { wake_ = std::move(wake); }

  /// The tape itself, without faults.
  [[nodiscard]] storage::MemoryTape& stored() noexcept { return stored_; }
  [[nodiscard]] const storage::MemoryTape& stored() const noexcept { return stored_; }
  /// Called before each read of an ingress.
  void watch_reads(std::function<void(Partition)> watch) { watch_ = std::move(watch); }
  /// Whether records may reach the tape twice: only where the fold can tell that they did.
  void may_repeat(bool may) noexcept { may_repeat_ = may; }
  /// A dead process reads nothing.
  void dead(bool is) noexcept { dead_ = is; }
  /// Flips a bit of some record, for good; until somebody repairs the tape.
  void rot();
  void repair();
  [[nodiscard]] bool rotten() const noexcept { return !rotten_.empty(); }

private:
  [[nodiscard]] Result<void> gate(const char* what, Fault fault) const;
  template <class Read>
  [[nodiscard]] Result<storage::RecordBlockPtr> misdirected(Partition partition, Offset at,
                                                            const Read& read) const;

  Dice& dice_;
  mutable storage::MemoryTape stored_;  ///< records change places while one is misread
  std::vector<Offset> visible_;
  std::set<std::pair<Partition, Offset>> rotten_;
  std::function<void()> wake_;
  std::function<void(Partition)> watch_;
  bool dead_ = false, may_repeat_ = false;
};

}  // namespace tapedeck::chaos
