// tests/schemas/fuzz/fuzz_block.cpp -- any bytes: an error, or outputs that come back from being
// encoded again.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "schemas/state_codec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tapedeck;
  const auto first = schemas::decode_block(std::as_bytes(std::span(data, size)));
  if (!first) {
    if (first.error().code != ErrorCode::corrupt) std::abort();
    return 0;
  }
  std::vector<const market::Output*> all;
  for (const auto& output : *first) all.push_back(&output);
  const auto bytes = schemas::encode_block(all);
  const auto second = schemas::decode_block(std::as_bytes(std::span(bytes)));
  const auto same = [](const market::Output& a, const market::Output& b) {
    return a.time == b.time && a.source == b.source && a.trust == b.trust &&
           a.position == b.position && a.body == b.body;
  };
  if (!second || !std::ranges::equal(*first, *second, same)) std::abort();
  return 0;
}
