// dump_state DIR [--refold]: a line a symbol of what an engine left in DIR/state (or what a plain
// refold of the tape gives): events folded, digest, number of outputs, hash over all outputs by
// identity and content. For the process tests.
#include <fmt/format.h>

#include <cstring>
#include <map>

#include "replay/refold.hpp"
#include "schemas/state_codec.hpp"
#include "storage/rocksdb_state.hpp"
#include "storage/rocksdb_tape.hpp"

using namespace tapedeck;

namespace {

struct Line {
  std::uint64_t events = 0;
  market::Digest digest;
  std::map<std::string, std::string> outputs;  ///< identity, content
};
using Lines = std::map<std::string, Line>;

void take(Line& line, market::Output output) {
  output.position = {};
  line.outputs[market::identity(output)] =
      schemas::encode_block(std::vector<const market::Output*>{&output});
}

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "dump_state: {}\n", result.error().message);
  std::exit(1);
}

replay::FoldRules rules_of(const std::string& dir) {
  static const market::FoldSettings kDefaults;
  auto control = storage::open_control_reader(dir);
  if (!control) return kDefaults;
  return {must((*control)->settings()).value_or(kDefaults), must((*control)->records())};
}

Lines refolded(const storage::TapeReader& tape, const replay::FoldRules& rules) {
  Lines lines;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
    for (const auto& output : outputs) take(lines[fold.state().symbol()], output);
  };
  const auto done = must(replay::refold(tape, rules, {}, listener));
  for (const auto& [symbol, fold] : done.symbols) {
    lines[symbol].events = fold.state().counts().folded;
    lines[symbol].digest = fold.state().digest();
  }
  return lines;
}

Lines stored(const storage::TapeReader& tape, const storage::StateReader& state) {
  Lines lines;
  for (const auto& symbol : must(tape.symbols())) {
    const auto partition = storage::partition_of(symbol, tape.partitions());
    Line& line = lines[symbol];
    if (const auto newest =
            must(state.newest_snapshot(symbol, partition, must(tape.end(partition))))) {
      line.events = newest->events;
      line.digest = newest->digest;
    }
    const auto read = state.outputs(symbol, "", "", [&](const market::Output& output) {
      take(line, output);
      return true;
    });
    if (!read) fmt::print(stderr, "dump_state: {}\n", read.error().message), std::exit(1);
  }
  return lines;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string dir = argv[1];
  const auto tape = must(storage::open_tape_reader(dir));
  const auto rules = rules_of(dir);
  const bool refold = argc > 2 && std::strcmp(argv[2], "--refold") == 0;
  const auto lines =
      refold ? refolded(*tape, rules) : stored(*tape, *must(storage::open_state_reader(dir)));
  for (const auto& [symbol, line] : lines) {
    std::string all;
    for (const auto& [identity, content] : line.outputs) all += identity, all += content;
    fmt::print("{} {} {} {} {:016x}\n", symbol, line.events, line.digest.hex(), line.outputs.size(),
               market::source_id(all));
  }
  return 0;
}
