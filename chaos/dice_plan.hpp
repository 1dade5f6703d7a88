// chaos/dice_plan.hpp -- what fails in symbol actors, as the dice say. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "actors/symbol_worker.hpp"
#include "chaos/dice.hpp"

namespace tapedeck::chaos {

/// Folds that throw or hang once or twice, and poison, which does each time: until it is
/// quarantined, and where the dice say so again when it is released.
class DicePlan final : public actors::FaultPlan {
public:
  explicit DicePlan(Dice& dice) : FaultPlan({}), dice_(dice) {}

  std::optional<actors::FaultPoint> fires(std::string_view symbol,
                                          const storage::Record& record) override;
  void message(std::string_view symbol) override;
  void strike(const actors::FaultPoint& point) override;
  void strike_release(std::string_view symbol, const market::FoldItem& item) override;

  /// A control record releases the item.
  void released(const market::FoldItem& item);
  /// Whether a handler hung since the last call. It was ended by an exception, which counts the
  /// attempt as the watchdog would have; the process must end before it does anything else.
  [[nodiscard]] bool take_hang() noexcept { return std::exchange(hung_, false); }

private:
  struct Place {
    bool seen = false;
    std::size_t thrown = 0;
    std::optional<std::uint32_t> poison;  ///< index in the record
    bool hangs = false;                   ///< the poison
  };
  struct Released {
    bool poison = false;
    std::size_t thrown = 0;
  };

  Dice& dice_;
  std::map<std::pair<storage::Partition, storage::Offset>, Place> places_;
  std::map<market::FoldItem, Released> released_;
  bool hung_ = false;
};

}  // namespace tapedeck::chaos
