#include "replay/output_diff.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "replay/recovery.hpp"

namespace tapedeck::replay {

namespace {

/// In the order in which they are said.
using Said = std::map<std::pair<market::Position, std::string>, market::Output>;

Result<Said> say(const storage::TapeReader& tape, const std::string& symbol,
                 const FoldRules& rules) {
  const auto partition = storage::partition_of(symbol, tape.partitions());
  const auto end = tape.end(partition);
  if (!end) return tl::unexpected(end.error());
  SymbolFold fold(symbol, partition, rules);
  market::Outputs outputs;
  if (auto done = catch_up(fold, tape, *end, Marks::merged, outputs); !done)
    return tl::unexpected(done.error());
  Said said;
  for (auto& output : outputs) {
    std::pair key(output.position, market::identity(output));
    said.insert_or_assign(std::move(key), std::move(output));
  }
  return said;
}

std::optional<OutputDifference> compare(const std::string& symbol, const Said& left,
                                        const Said& right) {
  OutputDifference difference;
  difference.symbol = symbol;
  bool differs = false;
  auto a = left.begin(), b = right.begin();
  while (a != left.end() || b != right.end()) {
    const bool in_left = a != left.end() && (b == right.end() || a->first <= b->first);
    const bool in_right = b != right.end() && (a == left.end() || b->first <= a->first);
    const bool same = in_left && in_right && a->second.same_content(b->second);
    if (same && !differs) ++difference.equal;
    if (!same && !std::exchange(differs, true)) {
      difference.position = (in_left ? a : b)->first.first;
      if (in_left) difference.left = a->second;
      if (in_right) difference.right = b->second;
    }
    if (!same)
      ++(in_left && in_right ? difference.changed
         : in_left           ? difference.only_left
                             : difference.only_right);
    if (in_left) ++a;
    if (in_right) ++b;
  }
  return differs ? std::optional(std::move(difference)) : std::nullopt;
}

}  // namespace

Result<std::vector<OutputDifference>> diff_outputs(
    const storage::TapeReader& tape, const FoldRules& left, const FoldRules& right,
    const std::vector<std::string>& symbols,
    const std::function<bool(std::size_t, std::size_t)>& progress) {
  std::vector<std::string> names = symbols;
  if (names.empty()) {
    auto all = tape.symbols();
    if (!all) return tl::unexpected(all.error());
    names = std::move(*all);
  }
  std::ranges::sort(names);
  std::vector<OutputDifference> differences;
  std::size_t done = 0;
  for (const auto& symbol : names) {
    const auto last = tape.last_of(symbol);
    if (!last) return tl::unexpected(last.error());
    if (!*last) {
      return fail(ErrorCode::not_found, "no record of symbol '" + symbol + "' on this tape",
                  "symbols");
    }
    const auto a = say(tape, symbol, left);
    if (!a) return tl::unexpected(a.error());
    const auto b = say(tape, symbol, right);
    if (!b) return tl::unexpected(b.error());
    if (auto difference = compare(symbol, *a, *b)) differences.push_back(std::move(*difference));
    if (progress && !progress(++done, names.size())) break;
  }
  return differences;
}

}  // namespace tapedeck::replay
