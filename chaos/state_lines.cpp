#include "chaos/state_lines.hpp"

#include <fmt/format.h>

#include "replay/refold.hpp"
#include "schemas/state_codec.hpp"
#include "storage/rocksdb_state.hpp"

namespace tapedeck::chaos {

namespace {

void take(StateLine& line, market::Output output) {
  output.position = {};
  line.outputs[market::identity(output)] =
      schemas::encode_block(std::vector<const market::Output*>{&output});
}

}  // namespace

Result<StateLines> refolded_lines(const storage::TapeReader& tape, const replay::FoldRules& rules) {
  StateLines lines;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
    for (const auto& output : outputs) take(lines[fold.state().symbol()], output);
  };
  const auto done = replay::refold(tape, rules, {}, listener);
  if (!done) return tl::unexpected(done.error());
  for (const auto& [symbol, fold] : done->symbols) {
    lines[symbol].events = fold.state().counts().folded;
    lines[symbol].digest = fold.state().digest();
  }
  return lines;
}

Result<StateLines> stored_lines(const storage::TapeReader& tape,
                                const storage::StateReader& state) {
  StateLines lines;
  const auto symbols = tape.symbols();
  if (!symbols) return tl::unexpected(symbols.error());
  for (const auto& symbol : *symbols) {
    const auto partition = storage::partition_of(symbol, tape.partitions());
    StateLine& line = lines[symbol];
    const auto end = tape.end(partition);
    if (!end) return tl::unexpected(end.error());
    const auto newest = state.newest_snapshot(symbol, partition, *end);
    if (!newest) return tl::unexpected(newest.error());
    if (*newest) line.events = (*newest)->events, line.digest = (*newest)->digest;
    const auto read = state.outputs(symbol, "", "", [&](const market::Output& output) {
      take(line, output);
      return true;
    });
    if (!read) return tl::unexpected(read.error());
  }
  return lines;
}

Result<replay::FoldRules> rules_of(const std::string& directory) {
  static const market::FoldSettings kDefaults;
  const auto control = storage::open_control_reader(directory);
  if (!control) return replay::FoldRules(kDefaults);
  const auto settings = (*control)->settings();
  if (!settings) return tl::unexpected(settings.error());
  const auto records = (*control)->records();
  if (!records) return tl::unexpected(records.error());
  return replay::FoldRules(settings->value_or(kDefaults), *records);
}

std::optional<std::string> difference(const StateLines& expected, const StateLines& found) {
  for (const auto& [symbol, line] : expected) {
    const auto other = found.find(symbol);
    if (other == found.end()) return fmt::format("symbol {} is not there", symbol);
    if (other->second.events != line.events || other->second.digest != line.digest) {
      return fmt::format("symbol {}: {} events, digest {}, expected {} events, {}", symbol,
                         other->second.events, other->second.digest.hex(), line.events,
                         line.digest.hex());
    }
    if (other->second.outputs != line.outputs) {
      return fmt::format("symbol {}: {} outputs, expected {}, or one with other contents", symbol,
                         other->second.outputs.size(), line.outputs.size());
    }
  }
  for (const auto& [symbol, line] : found) {
    if (!expected.contains(symbol)) return fmt::format("symbol {} was never on the feed", symbol);
  }
  return std::nullopt;
}

}  // namespace tapedeck::chaos
