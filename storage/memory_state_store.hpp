// storage/memory_state_store.hpp -- the state store's and the control store's memory twins.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "storage/row_state_store.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::storage {

class MemoryStateStore : public RowStateStore {
public:
  MemoryStateStore();
  /// Test hook: flips one bit of a stored snapshot's bytes, as a failing disk would. No effect
  /// where there is none.
  void damage(const SnapshotKey& key);
};

class MemoryControlStore final : public ControlStore {
public:
  [[nodiscard]] Result<std::optional<market::FoldSettings>> settings() const override;
  Result<market::FoldSettings> settle(const market::FoldSettings& settings) override;
  [[nodiscard]] Result<std::vector<schemas::ControlRecord>> records() const override;
  Result<void> append(const schemas::ControlRecord& record) override;

private:
  mutable std::mutex mutex_;
  std::optional<market::FoldSettings> settings_;
  std::vector<schemas::ControlRecord> records_;
};

}  // namespace tapedeck::storage
