// storage/errors.hpp -- what the field of a tape's error says to those who act on it.
#pragma once

#include <string_view>

namespace tapedeck::storage {

/// Of a read: the records were on the tape and are kept no more. No other attempt brings them, and
/// nothing may be folded past them.
constexpr std::string_view kLostField = "retention";

}  // namespace tapedeck::storage
