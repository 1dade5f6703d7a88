#include "chaos/reference.hpp"

#include <algorithm>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "replay/release.hpp"

namespace tapedeck::chaos {

namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error("reference: " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace

Reference::Reference(const market::FoldSettings& settings, std::uint32_t partitions)
    : settings_(settings), rules_(settings), partitions_(partitions), kept_(partitions) {}

void Reference::go_by(const std::vector<schemas::ControlRecord>& records) {
  rules_ = replay::FoldRules(settings_, records);
  partitions_ = std::vector<OnePartition>(partitions_.size());
  symbols_.clear();
  by_identity_.clear();
  fold_kept();
}

void Reference::follow(const storage::TapeReader& tape) {
  for (Partition p = 0; p < partitions_.size(); ++p) {
    while (true) {
      const auto block = must(tape.read(p, must(kept_.end(p)), {}));
      if (block->records.empty()) break;
      for (const auto& record : block->records) keep(record);
    }
  }
  fold_kept();
}

void Reference::keep(const storage::Record& record) {
  if (record.kind == storage::RecordKind::mark) {
    const storage::NewMark mark{record.partition, must(schemas::decode_mark(record.payload))};
    must(kept_.append({}, std::span(&mark, 1)));
    return;
  }
  const storage::NewRecord copy{record.symbol, record.payload, record.event_count,
                                record.max_event_time};
  must(kept_.append(std::span(&copy, 1), {}));
}

void Reference::fold_kept() {
  for (auto& partition : partitions_) {
    const auto p = static_cast<Partition>(&partition - partitions_.data());
    while (partition.next < must(kept_.end(p))) {
      const auto block = must(kept_.read(p, partition.next, {}));
      for (const auto& record : block->records) fold(record);
    }
    meet_releases(partition);
  }
}

/// What is released where the partition stands comes before the record there.
void Reference::meet_releases(OnePartition& partition) {
  market::Outputs outputs;
  for (const auto& name : partition.symbols) {
    auto& symbol = symbols_.at(name);
    auto& fold = *symbol.fold;
    while (fold.next_turn() <= partition.next) {
      const auto at = fold.next_turn();
      must(replay::meet_turn(fold, kept_, nullptr, at, outputs));
      const auto& state = fold.state();
      symbol.states.push_back({at + 1, state.counts().folded, state.digest(), state.view().trust});
      symbol.releases.push_back(at);
      say(partition, name, outputs);
    }
  }
}

void Reference::fold(const storage::Record& record) {
  auto& partition = partitions_[record.partition];
  meet_releases(partition);
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
  must(symbol.fold->apply(record, outputs));
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
    if (!times.empty() && output.kind() != market::OutputKind::refusal && !ruled(symbol))
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

const Reference::State* Reference::released(std::string_view symbol, Offset next) const {
  const auto found = symbols_.find(symbol);
  if (found == symbols_.end()) return nullptr;
  const auto& [fold, states, releases] = found->second;
  if (std::ranges::find(releases, next) == releases.end()) return nullptr;
  // A record right there made another state with the same next.
  return &*std::ranges::find(states, next + 1, &State::next);
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
