// actors/rule_book.hpp -- the fold rules in force, and the control store behind them. Thread safe.
#pragma once

#include <mutex>
#include <vector>

#include "replay/fold_rules.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::actors {

class RuleBook {
public:
  /// `control` may be null: nothing can be quarantined or released then.
  RuleBook(const market::FoldSettings& settings, storage::ControlStore* control,
           std::vector<schemas::ControlRecord> records)
      : settings_(settings),
        control_(control),
        records_(std::move(records)),
        rules_(settings, records_) {}

  [[nodiscard]] replay::FoldRules rules() const {
    const std::scoped_lock lock(mutex_);
    return rules_;
  }
  [[nodiscard]] std::vector<schemas::ControlRecord> records() const {
    const std::scoped_lock lock(mutex_);
    return records_;
  }
  [[nodiscard]] bool writable() const noexcept { return control_ != nullptr; }

  /// Waits until the record is stored; then it is in force. By its partition's ingress only.
  Result<void> append(const schemas::ControlRecord& record) {
    const std::scoped_lock writing(writing_);
    if (auto stored = control_->append(record); !stored) return stored;
    const std::scoped_lock lock(mutex_);
    records_.push_back(record);
    rules_ = replay::FoldRules(settings_, records_);
    return {};
  }

  /// What other engines of the tape have stored since; before a partition of theirs is folded.
  Result<void> refresh() {
    if (control_ == nullptr) return {};
    const std::scoped_lock writing(writing_);
    auto records = control_->records();
    if (!records) return tl::unexpected(records.error());
    const std::scoped_lock lock(mutex_);
    if (*records == records_) return {};
    records_ = std::move(*records);
    rules_ = replay::FoldRules(settings_, records_);
    return {};
  }

private:
  const market::FoldSettings& settings_;
  storage::ControlStore* control_;
  std::mutex writing_;
  mutable std::mutex mutex_;
  std::vector<schemas::ControlRecord> records_;
  replay::FoldRules rules_;
};

}  // namespace tapedeck::actors
