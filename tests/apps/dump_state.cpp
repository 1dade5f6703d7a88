// dump_state DIR [--refold]: a line a symbol of what an engine left in DIR/state (or what a plain
// refold of the tape gives): events folded, digest, number of outputs, hash over all outputs by
// identity and content. For the process tests.
#include <fmt/format.h>

#include <cstring>

#include "chaos/state_lines.hpp"
#include "storage/rocksdb_state.hpp"
#include "storage/rocksdb_tape.hpp"

using namespace tapedeck;

namespace {

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "dump_state: {}\n", result.error().message);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string dir = argv[1];
  const auto tape = must(storage::open_tape_reader(dir));
  const bool refold = argc > 2 && std::strcmp(argv[2], "--refold") == 0;
  const auto lines =
      must(refold ? chaos::refolded_lines(*tape, must(chaos::rules_of(dir)))
                  : chaos::stored_lines(*tape, *must(storage::open_state_reader(dir))));
  for (const auto& [symbol, line] : lines) {
    std::string all;
    for (const auto& [identity, content] : line.outputs) all += identity, all += content;
    fmt::print("{} {} {} {} {:016x}\n", symbol, line.events, line.digest.hex(), line.outputs.size(),
               market::source_id(all));
  }
  return 0;
}
