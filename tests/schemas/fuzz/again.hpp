// tests/schemas/fuzz/again.hpp -- decode, encode, decode: the same value, and the same bytes from
// then on.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "schemas/state_codec.hpp"

namespace tapedeck::schemas::fuzz {

template <class Decode>
void again(const std::uint8_t* data, std::size_t size, Decode decode) {
  const auto first = decode(std::as_bytes(std::span(data, size)));
  if (!first) {
    if (first.error().code != ErrorCode::corrupt) std::abort();
    return;
  }
  const std::string bytes = encode(*first);
  const auto second = decode(std::as_bytes(std::span(bytes.data(), bytes.size())));
  if (!second || encode(*second) != bytes) std::abort();
}

}  // namespace tapedeck::schemas::fuzz
