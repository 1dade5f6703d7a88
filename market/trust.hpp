// market/trust.hpp -- may an answer be believed, and if not, why.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "market/units.hpp"

namespace tapedeck::market {

/// Of the fold. `recovering` is of an answer only, never part of a state.
enum class Trust : std::uint8_t {
  clean = 0,
  gapped = 1,
  resyncing = 2,
  suspect = 3,
  recovering = 4
};

[[nodiscard]] constexpr std::string_view name(Trust trust) noexcept {
  constexpr std::string_view names[] = {"clean", "gapped", "resyncing", "suspect", "recovering"};
  return names[static_cast<std::size_t>(trust)];
}

}  // namespace tapedeck::market
