#include "actors/symbol_worker.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace tapedeck::actors {

FaultPlan::FaultPlan(const std::vector<FaultPoint>& points) : points_(points) {}

std::optional<std::uint32_t> FaultPlan::fires(std::string_view symbol,
                                              const storage::Record& record) {
  const std::scoped_lock lock(mutex_);
  for (auto& point : points_) {
    if (point.times == 0 || point.symbol != symbol || point.position.offset != record.offset)
      continue;
    --point.times;
    return point.position.index;
  }
  return std::nullopt;
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
      fold_(std::move(symbol), context_.partition, *context_.settings) {}

/// Folds up to the fault point, then throws.
void SymbolWorker::meet_fault(const storage::Record& record) {
  if (!context_.faults || record.offset < fold_.next()) return;
  const auto index = context_.faults->fires(fold_.state().symbol(), record);
  if (!index) return;
  if (*index > 0) (void)fold_.apply_until(record, *index, market::kNever, outputs());
  throw std::runtime_error(
      fmt::format("fault point at {}:{}:{}", record.partition, record.offset, *index));
}

void SymbolWorker::apply(const storage::Record& record) {
  meet_fault(record);
  if (auto applied = fold_.apply(record, outputs()); !applied)
    throw std::runtime_error(applied.error().message);
}

void SymbolWorker::advance(const market::TimeMark& mark) {
  if (mark.feed_time >= fold_.state().next_due()) fold_.advance(mark, outputs());
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
  if (!outputs().empty()) {
    auto encoded = storage::encode_outputs(fold_.state().symbol(), outputs(), silent_below);
    if (encoded.count != 0)
      ack.outputs = std::make_shared<storage::EncodedOutputs>(std::move(encoded));
    if (context_.sink) ack.said = take_said(silent_below);
    outputs().clear();
  }
  return ack;
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
  auto done = ack(batch.work, context_.silent_below);
  done.snapshots = std::move(snapshots);
  const auto spent = std::chrono::steady_clock::now() - begin;
  context_.metrics->fold_ns.record(static_cast<std::uint64_t>(spent.count()));
  context_.metrics->batch_events.record(fold_.state().counts().read - events);
  return done;
}

FoldAck SymbolWorker::on(const TellMarks& tell) {
  outputs().clear();
  if (context_.faults) context_.faults->message(fold_.state().symbol());
  for (const auto& mark : *tell.marks) advance(mark);
  fold_.pass(tell.upto);
  return ack(tell.work, context_.silent_below);
}

FoldAck SymbolWorker::on(const Restore& restore) {
  outputs().clear();
  const auto must = [](auto result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(*result);
  };
  std::vector<std::string> notes;
  if (fold_.next() == 0) {
    // A run before this one may have left snapshots beyond what it got out: they would swallow what
    // is still to be said.
    const auto at_most = std::min(restore.upto, restore.silent_below);
    auto restored = must(replay::newest_good(context_.state, fold_.state().symbol(),
                                             context_.partition, at_most, *context_.settings));
    fold_ = std::move(restored.fold);
    notes = std::move(restored.bad_snapshots);
  }
  const auto fault = [this](const storage::Record& record) { meet_fault(record); };
  const auto read = fold_.state().counts().read;
  market::Outputs unheard;
  if (restore.feed_times && fold_.next() <= restore.marks_from) {
    const auto silent = replay::catch_up(fold_, *context_.tape, restore.marks_from,
                                         replay::Marks::left_out, unheard, fault);
    if (!silent) throw std::runtime_error(silent.error().message);
    for (const auto& time : *restore.feed_times)
      fold_.advance({time.source, time.feed_time, {}}, unheard);
  }
  const auto caught_up = replay::catch_up(fold_, *context_.tape, restore.upto,
                                          replay::Marks::merged, outputs(), fault);
  if (!caught_up) throw std::runtime_error(caught_up.error().message);
  auto done = ack(restore.work, restore.silent_below);
  done.restored = true;
  done.unsaved = !notes.empty() || fold_.state().counts().read != read;
  if (!notes.empty())
    done.notes = std::make_shared<const std::vector<std::string>>(std::move(notes));
  return done;
}

BarrierAck SymbolWorker::on(const Barrier& barrier) {
  if (context_.faults) context_.faults->message(fold_.state().symbol());
  fold_.pass(barrier.next);
  return {entry_, incarnation_, barrier.id,
          std::make_shared<storage::StoredSnapshot>(fold_.take_snapshot())};
}

void SymbolWorker::on(const Ask& ask) {
  ask.question->answer({Answer::State::live, &fold_, fold_.next(), ask.question->take_unstored(),
                        ask.question->behind()});
}

}  // namespace tapedeck::actors
