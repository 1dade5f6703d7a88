#include "actors/symbol_worker.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>

#include "actors/fold_watch.hpp"
#include "replay/release.hpp"

namespace tapedeck::actors {

FaultPlan::FaultPlan(const std::vector<FaultPoint>& points, RandomFaults random)
    : points_(points), random_(random) {}

std::optional<FaultPoint> FaultPlan::fires(std::string_view symbol, const storage::Record& record) {
  const std::scoped_lock lock(mutex_);
  for (auto& point : points_) {
    if (point.times == 0 || point.due || point.symbol != symbol ||
        point.position.offset != record.offset)
      continue;
    --point.times;
    return point;
  }
  return by_chance(symbol, record);
}

std::optional<FaultPoint> FaultPlan::by_chance(std::string_view symbol,
                                               const storage::Record& record) {
  if (random_.one_in == 0 || record.event_count == 0) return std::nullopt;
  std::uint64_t hash = random_.seed ^ record.offset * 0x9e3779b97f4a7c15 ^
                       (std::uint64_t{record.partition} + 1) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 31)) * 0x94d049bb133111eb;
  hash ^= hash >> 29;
  if (hash % random_.one_in != 0) return std::nullopt;
  if (!struck_.emplace(record.partition, record.offset).second) return std::nullopt;
  const auto index = static_cast<std::uint32_t>((hash >> 32) % record.event_count);
  FaultPoint point;
  point.symbol = symbol, point.position = {record.partition, record.offset, index};
  return point;
}

std::optional<market::DueItem> FaultPlan::due_of(std::string_view symbol) {
  const std::scoped_lock lock(mutex_);
  for (const auto& point : points_) {
    if (point.due && point.symbol == symbol && point.times > 0) return point.due;
  }
  return std::nullopt;
}

void FaultPlan::strike(const FaultPoint& point) {
  switch (point.action) {
    case FaultPoint::Action::fail:
      throw std::runtime_error(fmt::format("fault point at {}:{}:{}", point.position.partition,
                                           point.position.offset, point.position.index));
    case FaultPoint::Action::crash: (void)std::raise(SIGSEGV); return;
    case FaultPoint::Action::hang:
      for (volatile bool forever = true; forever;) {
      }
  }
}

void FaultPlan::strike_release(std::string_view symbol, const market::FoldItem& item) {
  std::optional<FaultPoint> found;
  {
    const std::scoped_lock lock(mutex_);
    for (auto& point : points_) {
      if (point.times == 0 || point.due || point.symbol != symbol ||
          point.position != item.position)
        continue;
      --point.times;
      found = point;
    }
  }
  if (found) strike(*found);
}

void FaultPlan::strike_due(std::string_view symbol) {
  std::optional<FaultPoint> due;
  {
    const std::scoped_lock lock(mutex_);
    for (auto& point : points_) {
      if (!point.due || point.symbol != symbol || point.times == 0) continue;
      --point.times;
      due = point;
    }
  }
  if (due) strike(*due);
}

/// Outputs of the message under way. One list a thread: its memory is used again for every message.
market::Outputs& SymbolWorker::outputs() {
  thread_local market::Outputs list;
  return list;
}

SymbolWorker::SymbolWorker(SymbolContext context, EntryIndex entry, std::uint32_t incarnation,
                           std::string symbol)
    : context_(std::move(context)),
      entry_(entry),
      incarnation_(incarnation),
      fold_(std::move(symbol), context_.partition, context_.rules) {
  plan_due_fault();
  if (context_.options->quality != nullptr)
    watch_ = std::make_unique<market::QualityWatch>(*context_.options->quality);
  fold_.set_watch(watch_.get());
}

/// Whoever watches this thread knows what it folds; what made the fold throw is counted against it.
template <class Work>
auto SymbolWorker::guarded(Work work) {
  const FoldScope scope(fold_.state());
  const auto accuse = [this](std::string_view error) {
    auto now = fold_.state().under_way();
    if (blamed_) now = {true, *blamed_};
    if (now.known && context_.attempts != nullptr)
      context_.attempts->add(fold_.state().symbol(), now.item, error);
  };
  try {
    return work();
  } catch (const std::exception& error) {
    accuse(error.what());
    throw;
  } catch (...) {
    accuse("an exception of unknown type");
    throw;
  }
}

void SymbolWorker::plan_due_fault() {
  if (!context_.faults) return;
  const auto symbol = fold_.state().symbol();
  if (const auto due = context_.faults->due_of(symbol))
    fold_.set_fault({{}, due}, [faults = context_.faults, symbol] { faults->strike_due(symbol); });
}

void SymbolWorker::meet_fault(const storage::Record& record) {
  FoldScope::progress();
  if (!context_.faults || record.offset < fold_.next()) return;
  auto point = context_.faults->fires(fold_.state().symbol(), record);
  if (!point) return;
  const market::FoldItem item{point->position, {}};
  fold_.set_fault(item,
                  [faults = context_.faults, point = std::move(*point)] { faults->strike(point); });
}

/// Where putting something through kills the fold again, that is to blame.
void SymbolWorker::meet_turns(Offset upto, market::Outputs& said) {
  while (fold_.next_turn() <= upto) {
    const auto at = fold_.next_turn();
    FoldScope::progress();
    if (fold_.next_release() == at) {
      blamed_ = fold_.released_item(at);
      FoldScope::blame(&*blamed_);
      if (context_.faults) context_.faults->strike_release(fold_.state().symbol(), *blamed_);
    }
    const auto met = replay::meet_turn(fold_, *context_.tape, context_.state, at, said);
    FoldScope::moved(fold_.state());
    FoldScope::blame(nullptr);
    blamed_.reset();
    if (!met) throw std::runtime_error(met.error().message);  // a read that fails accuses nobody
  }
}

void SymbolWorker::apply(const storage::Record& record) {
  meet_turns(record.offset, outputs());
  meet_fault(record);  // behind a turn, which makes another fold
  if (auto applied = fold_.apply(record, outputs()); !applied)
    throw std::runtime_error(applied.error().message);
}

void SymbolWorker::advance(const market::TimeMark& mark) {
  meet_turns(mark.position.offset, outputs());
  fold_.advance(mark, outputs());
}

FoldAck SymbolWorker::ack(std::uint64_t work, Offset silent_below) {
  FoldAck ack;
  ack.entry = entry_;
  ack.incarnation = incarnation_;
  ack.work = work;
  ack.folded = fold_.next();
  ack.due = fold_.state().next_due();
  ack.source = fold_.state().source();
  ack.counts = fold_.state().counts();
  if (auto* const tap = context_.options->tap; tap != nullptr && tap->listens())
    tap->told(fold_, outputs(), silent_below);
  if (watch_) tell_findings();
  if (!outputs().empty()) {
    auto encoded = storage::encode_outputs(fold_.state().symbol(), outputs(), silent_below);
    if (encoded.count != 0)
      ack.outputs = std::make_shared<storage::EncodedOutputs>(std::move(encoded));
    if (context_.sink) ack.said = take_said(silent_below);
    outputs().clear();
  }
  return ack;
}

void SymbolWorker::tell_findings() {
  const auto& findings = watch_->quality().findings;
  for (std::size_t i = 0; i < findings.size(); ++i) {
    if (findings[i] == findings_told_[i]) continue;
    context_.metrics->findings[i] += findings[i] - findings_told_[i];
    findings_told_[i] = findings[i];
  }
}

SaidPtr SymbolWorker::take_said(Offset silent_below) const {
  auto said = std::make_shared<Said>();
  for (auto& output : outputs()) {
    if (output.position.offset >= silent_below) said->outputs.push_back(std::move(output));
  }
  if (said->outputs.empty()) return nullptr;
  said->symbol = fold_.state().symbol();
  return said;
}

FoldAck SymbolWorker::on(const FoldBatch& batch) {
  return guarded([&] { return fold(batch); });
}

FoldAck SymbolWorker::fold(const FoldBatch& batch) {
  const auto begin = std::chrono::steady_clock::now();
  const auto events = fold_.state().counts().read;
  outputs().clear();  // of a message that threw
  const Poll& poll = *batch.poll;
  std::shared_ptr<std::vector<storage::StoredSnapshot>> snapshots;
  if (batch.earlier_marks) {
    // Told again, a mark does nothing. fold_.next() would not say which are new: a barrier may have
    // moved it past them.
    for (const auto& mark : *batch.earlier_marks) advance(mark);
  }
  // An event that comes behind its time – the copy of a refused one – is folded as of here.
  for (const auto& mark : poll.before) fold_.advance(mark, outputs());
  auto mark = poll.marks.begin();
  for (std::uint32_t i = batch.first; i < batch.first + batch.count; ++i) {
    const auto& record = poll.block->records[poll.order[i]];
    for (; mark != poll.marks.end() && mark->position.offset < record.offset; ++mark)
      advance(*mark);
    apply(record);
    if (fold_.wants_snapshot(context_.options->snapshots)) {
      if (!snapshots) snapshots = std::make_shared<std::vector<storage::StoredSnapshot>>();
      snapshots->push_back(fold_.take_snapshot());
    }
  }
  for (; mark != poll.marks.end(); ++mark) advance(*mark);
  fold_.pass(poll.end);
  meet_turns(poll.end, outputs());
  auto done = ack(batch.work, context_.silent_below);
  done.snapshots = std::move(snapshots);
  const auto spent = std::chrono::steady_clock::now() - begin;
  context_.metrics->fold_ns.record(static_cast<std::uint64_t>(spent.count()));
  context_.metrics->batch_events.record(fold_.state().counts().read - events);
  return done;
}

FoldAck SymbolWorker::on(const TellMarks& tell) {
  return guarded([&] {
    outputs().clear();
    if (context_.faults) context_.faults->message(fold_.state().symbol());
    for (const auto& mark : *tell.marks) advance(mark);
    fold_.pass(tell.upto);
    meet_turns(tell.upto, outputs());
    return ack(tell.work, context_.silent_below);
  });
}

FoldAck SymbolWorker::on(const ApplyRules& apply) {
  return guarded([&] {
    outputs().clear();
    for (const auto& mark : *apply.earlier_marks) advance(mark);
    fold_.pass(apply.upto);
    fold_.set_rules(apply.rules);
    meet_turns(apply.upto, outputs());
    return ack(apply.work, context_.silent_below);
  });
}

/// From turn to turn, so that who is put through there is to blame for what comes of it.
void SymbolWorker::catch_up(Offset to, replay::Marks marks, market::Outputs& said) {
  const auto upto = [&](Offset end) {
    const auto done = replay::catch_up(
        fold_, *context_.tape, end, marks, said,
        [this](const storage::Record& record) { meet_fault(record); }, context_.state);
    if (!done) throw std::runtime_error(done.error().message);
  };
  for (auto at = fold_.next_turn(); at < to; at = fold_.next_turn()) {
    upto(at);
    meet_turns(at, said);
  }
  upto(to);
}

FoldAck SymbolWorker::on(const Restore& restore) {
  return guarded([&] { return this->restore(restore); });
}

FoldAck SymbolWorker::restore(const Restore& restore) {
  outputs().clear();
  const auto must = [](auto result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(*result);
  };
  std::vector<std::string> notes;
  if (restore.rules) {  // they may have changed since this actor began, or since its last refill
    context_.rules = *restore.rules;
    fold_.set_rules(context_.rules);
  }
  if (fold_.next() == 0) {
    // A run before this one may have left snapshots beyond what it got out: they would swallow what
    // is still to be said.
    const auto at_most = std::min(restore.upto, restore.silent_below);
    auto restored = must(replay::newest_good(*context_.tape, context_.state, fold_.state().symbol(),
                                             context_.partition, at_most, context_.rules));
    fold_ = std::move(restored.fold);
    fold_.set_watch(watch_.get());
    plan_due_fault();
    FoldScope::moved(fold_.state());
    notes = std::move(restored.bad_snapshots);
  }
  const auto read = fold_.state().counts().read;
  const bool turns = fold_.next_turn() <= restore.upto;
  market::Outputs unheard;
  if (restore.feed_times && fold_.next() <= restore.marks_from) {
    catch_up(restore.marks_from, replay::Marks::left_out, unheard);
    for (const auto& time : *restore.feed_times)
      fold_.advance({time.source, time.feed_time, {}}, unheard);
  }
  catch_up(restore.upto, replay::Marks::merged, outputs());
  meet_turns(restore.upto, outputs());
  auto done = ack(restore.work, restore.silent_below);
  done.restored = true;
  done.unsaved = !notes.empty() || turns || fold_.state().counts().read != read;
  if (!notes.empty())
    done.notes = std::make_shared<const std::vector<std::string>>(std::move(notes));
  return done;
}

BarrierAck SymbolWorker::on(const Barrier& barrier) {
  if (context_.faults) context_.faults->message(fold_.state().symbol());
  fold_.pass(barrier.next);
  if (!fold_.may_store()) return {entry_, incarnation_, barrier.id, nullptr};
  return {entry_, incarnation_, barrier.id,
          std::make_shared<storage::StoredSnapshot>(fold_.take_snapshot())};
}

void SymbolWorker::on(const Ask& ask) {
  ask.question->answer({Answer::State::live, &fold_, fold_.next(), ask.question->take_unstored(),
                        ask.question->behind()});
}

}  // namespace tapedeck::actors
