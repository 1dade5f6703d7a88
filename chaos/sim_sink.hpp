// chaos/sim_sink.hpp -- a sink that fails as the dice say, and holds every delivery against the
// reference. It outlives the processes that deliver there. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "chaos/dice.hpp"
#include "chaos/reference.hpp"
#include "chaos/verdict.hpp"
#include "sinks/sink.hpp"

namespace tapedeck::chaos {

class SimSink final : public sinks::OutputSink {
public:
  SimSink(const Reference& reference, Dice& dice, std::uint32_t partitions, Verdict& verdict)
      : reference_(reference), dice_(dice), verdict_(verdict), committed_(partitions, 0) {}

  [[nodiscard]] Result<std::vector<Offset>> committed(
      std::span<const Partition> partitions) override;
  Result<void> deliver(std::span<const sinks::Delivery> deliveries) override;

  /// A dead process delivers nothing.
  void dead(bool is) noexcept { dead_ = is; }
  [[nodiscard]] Offset committed(Partition partition) const { return committed_[partition]; }
  /// By partition: rows that the undisturbed fold says below committed().
  [[nodiscard]] std::vector<std::size_t> expected() const;
  /// A control record came in between: it changes nothing of what is out.
  void still(const std::vector<std::size_t>& before) const;
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  /// At the end: every output is out.
  void finish();

private:
  [[nodiscard]] Result<void> gate();
  void take(const sinks::Delivery& delivery);

  const Reference& reference_;
  Dice& dice_;
  Verdict& verdict_;
  std::vector<Offset> committed_;
  std::uint64_t rows_ = 0;
  bool dead_ = false;
};

}  // namespace tapedeck::chaos
