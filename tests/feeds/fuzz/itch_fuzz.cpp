// libFuzzer target: any bytes as a BinaryFILE. Whatever they are, the reader accounts for each of
// them, and neither the size of reads nor that of polls changes what it says.
#include <cstdlib>

#include "tests/feeds/feed_support.hpp"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tapedeck::test::Everything;
  const std::vector<std::uint8_t> bytes(data, data + size);
  const Everything all = tapedeck::test::drain_itch(bytes, 1000);
  const Everything cut = tapedeck::test::drain_itch(bytes, 3, 7);
  check(all.ended || !all.error.empty());
  if (all.ended) check(all.bytes == size);
  check(all.messages >= all.dead_letters.size());
  check(all.error.empty() == cut.error.empty() && all.events.size() == cut.events.size());
  check(all.dead_letters.size() == cut.dead_letters.size() && all.symbols == cut.symbols);
  for (std::size_t i = 0; i < all.events.size(); ++i) {
    check(all.events[i].symbol < all.symbols.size());
    check(all.events[i].event == cut.events[i].event);
  }
  for (const auto& letter : all.dead_letters) {
    check(letter.byte_offset + letter.bytes.size() <= size);
    check(std::memcmp(letter.bytes.data(), data + letter.byte_offset, letter.bytes.size()) == 0);
  }
  return 0;
}
