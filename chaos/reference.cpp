#include "chaos/reference.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace tapedeck::chaos {

namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error("reference: " + result.error().message);
  return std::move(*result);
}

}  // namespace

Reference::Reference(const market::FoldSettings& settings, std::uint32_t partitions)
    : settings_(settings), rules_(settings), partitions_(partitions) {}

void Reference::quarantine(const std::vector<schemas::ControlRecord>& records) {
  rules_ = replay::FoldRules(settings_, records);
  const auto blocks = std::exchange(blocks_, {});
  partitions_ = std::vector<OnePartition>(partitions_.size());
  symbols_.clear();
  by_identity_.clear();
  for (const auto& block : blocks) take(block);
}

void Reference::follow(const storage::TapeReader& tape) {
  for (Partition p = 0; p < partitions_.size(); ++p) {
    while (true) {
      const auto block = must(tape.read(p, partitions_[p].next, {}));
      if (block->records.empty()) break;
      take(block);
    }
  }
}

void Reference::take(const storage::RecordBlockPtr& block) {
  blocks_.push_back(block);
  for (const auto& record : block->records) fold(record);
}

void Reference::fold(const storage::Record& record) {
  auto& partition = partitions_[record.partition];
  partition.next = record.offset + 1;
  partition.events.push_back(record.event_count);
  market::Outputs outputs;
  if (record.kind == storage::RecordKind::mark) {
    partition.marks.push_back(must(replay::time_mark(record)));
    for (const auto& name : partition.symbols) {
      symbols_.at(name).fold->advance(partition.marks.back(), outputs);
      say(partition, name, outputs);
    }
    return;
  }
  const std::string name(record.symbol);
  auto& symbol = symbols_[name];
  if (!symbol.fold) {
    symbol.fold = std::make_unique<replay::SymbolFold>(name, record.partition, rules_);
    partition.symbols.push_back(name);
  }
  if (auto applied = symbol.fold->apply(record, outputs); !applied)
    throw std::runtime_error("reference: " + applied.error().message);
  const auto& state = symbol.fold->state();
  symbol.states.push_back(
      {partition.next, state.counts().folded, state.digest(), state.view().trust});
  say(partition, name, outputs);
}

void Reference::say(OnePartition& partition, const std::string& symbol, market::Outputs& outputs) {
  for (auto& output : outputs) {
    auto identity = market::identity(output);
    const auto p = static_cast<Partition>(&partition - partitions_.data());
    auto& times = by_identity_[{symbol, identity}];
    if (!times.empty() && output.kind() != market::OutputKind::refusal)
      throw std::runtime_error("reference: an output of " + symbol + " was said twice");
    times.emplace_back(p, partition.said.size());
    partition.said.push_back({symbol, std::move(identity), std::move(output)});
  }
  outputs.clear();
}

const Reference::State* Reference::state(std::string_view symbol, Offset next) const {
  const auto found = symbols_.find(symbol);
  if (found == symbols_.end()) return nullptr;
  const auto& states = found->second.states;
  const auto after = std::ranges::upper_bound(states, next, {}, &State::next);
  return after == states.begin() ? nullptr : &*std::prev(after);
}

std::vector<const market::Output*> Reference::output(const std::string& symbol,
                                                     const std::string& identity) const {
  std::vector<const market::Output*> times;
  const auto found = by_identity_.find({symbol, identity});
  if (found == by_identity_.end()) return times;
  for (const auto& [partition, index] : found->second)
    times.push_back(&partitions_[partition].said[index].output);
  return times;
}

std::vector<storage::Checkpoint::FeedTime> Reference::feed_times(Partition partition,
                                                                 Offset next) const {
  std::map<market::SourceId, market::TimeNs> newest;
  for (const auto& mark : partitions_[partition].marks) {
    if (mark.position.offset >= next) break;
    auto& time = newest.try_emplace(mark.source, mark.feed_time).first->second;
    time = std::max(time, mark.feed_time);
  }
  std::vector<storage::Checkpoint::FeedTime> times;
  for (const auto& [source, time] : newest) times.push_back({source, time});
  return times;
}

std::uint64_t Reference::events_before(Partition partition, Offset next) const {
  std::uint64_t sum = 0;
  const auto& events = partitions_[partition].events;
  for (Offset offset = 0; offset < next && offset < events.size(); ++offset) sum += events[offset];
  return sum;
}

market::EventCounts Reference::counts(Partition partition) const {
  market::EventCounts counts;
  for (const auto& name : partitions_[partition].symbols)
    counts += symbols_.at(name).fold->state().counts();
  return counts;
}

}  // namespace tapedeck::chaos
