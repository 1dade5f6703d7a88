// tests/schemas/fuzz/fuzz_mark.cpp -- any bytes: an error, or a value that comes back from being
// encoded again.
#include "schemas/state_codec.hpp"
#include "tests/schemas/fuzz/again.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tapedeck::schemas::fuzz::again(data, size, tapedeck::schemas::decode_mark);
  return 0;
}
