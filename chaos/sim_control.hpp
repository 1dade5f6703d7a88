// chaos/sim_control.hpp -- the control store of a simulated run: survives crashes, tells of what is
// written, and fails as the dice say. One thread.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "chaos/dice.hpp"
#include "storage/memory_state_store.hpp"

namespace tapedeck::chaos {

class SimControl final : public storage::ControlStore {
public:
  using Record = schemas::ControlRecord;
  SimControl(Dice& dice, std::function<void(const Record&)> written)
      : dice_(dice), written_(std::move(written)) {}

  [[nodiscard]] Result<std::optional<market::FoldSettings>> settings() const override {
    return stored_.settings();
  }
  Result<market::FoldSettings> settle(const market::FoldSettings& settings) override {
    return stored_.settle(settings);
  }
  [[nodiscard]] Result<std::vector<Record>> records() const override { return stored_.records(); }
  Result<void> append(const Record& record) override {
    if (dice_.hit(Fault::control_fails))
      return fail(ErrorCode::environment, "injected: no room for a control record");
    auto done = stored_.append(record);
    std::erase_if(held_, [&](const Record& one) {
      return one.symbol == record.symbol && one.item == record.item;
    });
    if (record.kind == Record::Kind::quarantine) held_.push_back(record);
    written_(record);
    return done;
  }

  /// Quarantines that no release followed.
  [[nodiscard]] const std::vector<Record>& held() const noexcept { return held_; }

private:
  Dice& dice_;
  storage::MemoryControlStore stored_;
  std::function<void(const Record&)> written_;
  std::vector<Record> held_;
};

}  // namespace tapedeck::chaos
