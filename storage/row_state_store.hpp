// storage/row_state_store.hpp -- the rules of the state store, over any ordered rows.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "storage/rows.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::storage {

class RowStateStore : public StateStore {
public:
  explicit RowStateStore(std::unique_ptr<Rows> rows);

  [[nodiscard]] Result<std::optional<StoredSnapshot>> newest_snapshot(
      std::string_view symbol, Partition partition, Offset at_most) const override;
  [[nodiscard]] Result<std::optional<DigestRow>> newest_row(std::string_view symbol,
                                                            Partition partition,
                                                            Offset at_most) const override;
  [[nodiscard]] Result<std::vector<DigestRow>> snapshots(std::string_view symbol,
                                                         Partition partition) const override;
  [[nodiscard]] Result<std::vector<DigestRow>> digests(std::string_view symbol,
                                                       Partition partition) const override;
  [[nodiscard]] Result<std::vector<std::string>> symbols(Partition partition) const override;
  [[nodiscard]] Result<std::vector<Checkpoint>> checkpoints(Partition partition) const override;
  [[nodiscard]] Result<std::uint64_t> rules_met(Partition partition) const override;
  [[nodiscard]] Result<Offset> cursor(Partition partition) const override;
  Result<void> outputs(std::string_view symbol, std::string_view lower, std::string_view upper,
                       const std::function<bool(const market::Output&)>& visit) const override;
  Result<std::uint64_t> verify() const override;
  [[nodiscard]] Result<std::uint64_t> snapshot_bytes() const override;
  Result<void> refresh() override;

  Result<void> write(const Batch& batch) override;
  Result<std::uint64_t> thin(Partition partition, TimeNs keep_after, std::size_t checkpoints,
                             Offset committed = kNoOffset) override;
  Result<void> sync() override;

protected:
  [[nodiscard]] Rows& rows() noexcept { return *rows_; }

private:
  [[nodiscard]] Result<std::vector<DigestRow>> digest_rows(std::string_view symbol,
                                                           Partition partition,
                                                           bool only_kept) const;
  /// Names above `symbol`, at most so many.
  [[nodiscard]] Result<std::vector<std::string>> symbols_after(std::string_view symbol,
                                                               Partition partition,
                                                               std::size_t most) const;
  Result<std::uint64_t> verify_family(Family family) const;
  Result<void> forget(const Forget& one, std::vector<RowChange>& changes) const;
  Result<void> forget_outputs(const Forget& one, std::vector<RowChange>& changes) const;
  /// 0 where there is no such row.
  [[nodiscard]] Result<std::uint64_t> number(std::string_view key, const std::string& what) const;
  [[nodiscard]] Result<std::uint64_t> next_write();

  std::unique_ptr<Rows> rows_;
  std::mutex write_mutex_;
  std::map<Partition, std::string> thinned_to_;  ///< symbols up to it had their turn
  std::optional<std::uint64_t> last_write_;
};

}  // namespace tapedeck::storage
