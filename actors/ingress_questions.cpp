// Symbols that are idle, and questions, which bring them back.
#include <algorithm>
#include <utility>

#include "actors/ingress.hpp"

namespace tapedeck::actors {

// ---- symbols that are idle

/// Where something is due it stays: a silence is told by the symbol's own fold.
bool Ingress::may_passivate(const Entry& entry) const {
  const auto idle = context_.options->idle_passivate;
  return idle > 0 && entry.state == Entry::State::live && entry.works.empty() &&
         entry.barrier == 0 && !entry.changed && !entry.accused && !draining_ &&
         entry.due == market::kNever && feed_time_ != market::kNoTime &&
         (entry.seen == market::kNoTime || feed_time_ - entry.seen >= idle);
}

void Ingress::passivate(EntryIndex index) {
  Entry& entry = entries_[index];
  entry.state = Entry::State::passive;
  entry.works.shrink_to_fit();
  port_.retire(index);
  context_.metrics->passive = static_cast<std::int64_t>(++passive_);
  ++context_.metrics->passivated;
}

/// Like a symbol that failed, from `from` on it is refilled from its snapshot and the tape.
void Ingress::begin_waking(EntryIndex index, Offset from) {
  Entry& entry = entries_[index];
  entry.state = Entry::State::refilling;
  entry.waking = true;
  entry.missing_from = from;
  entry.missed = 0;
  entry.down_since = port_.now();
  floors_.insert(from);
  ++down_;
  context_.metrics->passive = static_cast<std::int64_t>(--passive_);
}

void Ingress::wake_up(EntryIndex index) {
  Entry& entry = entries_[index];
  ++entry.incarnation;
  port_.spawn(index, entry.incarnation, entry.symbol, resume_cursor_);
  begin_refill(index);
}

// ---- questions

bool Ingress::behind() const { return frontier() < last_owner_upto_ || !stopped_.empty(); }

void Ingress::on(Ask ask) {
  const auto found = by_symbol_.find(ask.symbol);
  if (found == by_symbol_.end()) {
    Answer answer;
    answer.behind = behind();
    ask.question->answer(answer);
    return;
  }
  Entry& entry = entries_[found->second];
  entry.seen = feed_time_;
  if (entry.state == Entry::State::passive) {
    begin_waking(found->second, next_);
    wake_up(found->second);
  }
  market::Outputs unstored;
  const auto gather = [&](const StoreRequest& request) {
    for (const auto& some : request.batch.outputs) {
      if (some.symbol == ask.symbol)
        std::ranges::move(must(decode_outputs(some)), std::back_inserter(unstored));
    }
  };
  if (ask.outputs) {
    for (const auto& request : unstored_) gather(*request);
    gather(*gathering_);
  }
  // One that wakes up answers behind its refill.
  const bool live = entry.state == Entry::State::live || entry.waking;
  ask.question->carry(entry.state == Entry::State::live ? entry.told : entry.missing_from,
                      std::move(unstored), behind());
  if (live) port_.send(found->second, std::move(ask));
}

void Ingress::on(const AskPartition& ask) {
  ask.head->say(entries_.size());
  for (const auto& [name, index] : by_symbol_) {
    const auto seen = entries_[index].seen;  // whoever asks for all keeps nobody from idling
    on(Ask{std::string(name), false, std::make_shared<Question>(ask.reply)});
    entries_[index].seen = seen;
  }
}

}  // namespace tapedeck::actors
