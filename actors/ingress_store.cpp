// What the ingress gives to the checkpointer: outputs, snapshots, the cursor, checkpoints; and the
// orderly end.
#include <algorithm>
#include <iterator>
#include <utility>

#include "actors/ingress.hpp"

namespace tapedeck::actors {

void Ingress::take_outputs(Entry& entry, const FoldAck& ack) {
  if (ack.snapshots)
    std::ranges::move(*ack.snapshots, std::back_inserter(gathering_->batch.snapshots));
  if (ack.notes && context_.board != nullptr) {
    for (const auto& note : *ack.notes)
      context_.board->child("symbol " + entry.symbol, "running", note);
  }
  if (ack.said) {
    undelivered_outputs_ += ack.said->outputs.size();
    said_.push_back(ack.said);
    context_.metrics->undelivered = static_cast<std::int64_t>(undelivered_outputs_);
  }
  if (!ack.outputs) return;
  const auto count = ack.outputs->count;
  gathering_->batch.outputs.push_back(std::move(*ack.outputs));
  gathering_->outputs += count;
  context_.metrics->outputs += count;
  unstored_outputs_ += count;
  context_.metrics->pending_outputs = static_cast<std::int64_t>(unstored_outputs_);
}

void Ingress::tick() {
  maybe_checkpoint();
  if (port_.now() - stored_at_ >= context_.options->store_interval) flush(false);
  hand_to_sink();
  publish();
}

void Ingress::hand_to_sink() {
  if (!context_.sink || sink_lost_) return;
  if (standby_) {  // its owner has said it
    said_.clear();
    undelivered_outputs_ = 0;
    context_.metrics->undelivered = 0;
    return;
  }
  const Offset front = frontier();
  if (said_.empty() && front <= told_sink_) return;
  told_sink_ = std::max(told_sink_, front);
  for (const auto& said : said_) {
    Offset last = 0;
    for (const auto& output : said->outputs) last = std::max(last, output.position.offset);
    handed_over_.push_back({said, last});
  }
  port_.deliver(std::exchange(said_, {}), told_sink_);
}

void Ingress::sink_renewed(Offset committed) {
  committed_ = std::max(committed_, committed);
  std::vector<SaidPtr> again;
  for (auto& [said, last] : std::exchange(handed_over_, {})) {
    if (last >= committed_) again.push_back(std::move(said));
  }
  std::ranges::move(said_, std::back_inserter(again));
  said_ = std::move(again);
  undelivered_outputs_ = 0;
  for (const auto& said : said_) undelivered_outputs_ += said->outputs.size();
  context_.metrics->undelivered = static_cast<std::int64_t>(undelivered_outputs_);
  context_.metrics->committed = static_cast<std::int64_t>(committed_);
  sink_lost_ = false;
  told_sink_ = 0;
  hand_to_sink();
  if (waiting_for_credit_ && may_read()) port_.wake_self();
  settle();
  publish();
}

void Ingress::on(const Delivered& delivered) {
  committed_ = std::max(committed_, delivered.committed);
  std::erase_if(handed_over_, [this](const HandedOver& one) { return one.last < committed_; });
  undelivered_outputs_ -= delivered.outputs;
  context_.metrics->delivered += delivered.outputs;
  context_.metrics->undelivered = static_cast<std::int64_t>(undelivered_outputs_);
  context_.metrics->committed = static_cast<std::int64_t>(committed_);
  if (waiting_for_credit_ && may_read()) port_.wake_self();
  settle();
  publish();
}

void Ingress::flush(bool force) {
  const Offset front = frontier();
  const auto& batch = gathering_->batch;
  const bool news = !batch.outputs.empty() || !batch.snapshots.empty() || !batch.forget.empty() ||
                    front > cursor_;
  if (!news && !force) return;
  stored_at_ = port_.now();
  // The cursor is the frontier as of this request: everything below it is in this request or in one
  // before.
  cursor_ = std::max(cursor_, front);
  gathering_->batch.cursor = {context_.partition, cursor_};
  send_store(std::exchange(gathering_, std::make_shared<StoreRequest>()));
  hand_to_sink();
}

void Ingress::send_store(std::shared_ptr<StoreRequest> request) {
  request->id = next_store_++;
  request->partition = context_.partition;
  if (context_.sink) request->committed = committed_;
  unstored_.push_back(request);
  port_.store(std::move(request));
}

void Ingress::resend_unstored() {
  for (const auto& request : unstored_) port_.store(request);
}

void Ingress::on(const Stored& stored) {
  while (!unstored_.empty() && unstored_.front()->id <= stored.id) {
    const auto& request = *unstored_.front();
    unstored_outputs_ -= request.outputs;
    context_.metrics->snapshots += request.batch.snapshots.size();
    for (const auto& snapshot : request.batch.snapshots)
      context_.metrics->snapshot_bytes += snapshot.bytes.size();
    if (request.batch.checkpoint) {
      checkpoint_ = request.batch.checkpoint->next;
      checkpoint_times_ = std::make_shared<const std::vector<storage::Checkpoint::FeedTime>>(
          request.batch.checkpoint->feed_times);
    }
    unstored_.pop_front();
  }
  context_.metrics->pending_outputs = static_cast<std::int64_t>(unstored_outputs_);
  if (waiting_for_credit_ && may_read()) port_.wake_self();
  settle();
  publish();
}

void Ingress::maybe_checkpoint() {
  if (checkpointing_.active || next_ == checkpoint_) return;
  if (works_.contains(start_work_)) return;  // which symbols lack a snapshot is not known yet
  const bool many = events_ - events_at_checkpoint_ >= context_.options->checkpoint_events;
  const bool old = port_.now() - checkpoint_at_ >= context_.options->checkpoint_interval;
  if (many || old) begin_checkpoint();
}

void Ingress::begin_checkpoint() {
  checkpointing_ = {};
  checkpointing_.active = true;
  checkpointing_.since = checkpoint_at_ = port_.now();
  checkpointing_.waiting = 1;  // until every barrier is sent
  checkpointing_.row.partition = context_.partition;
  checkpointing_.row.next = next_;
  checkpointing_.row.feed_times = newest_marks_;
  checkpointing_.row.events = events_at_checkpoint_ = events_;
  const auto id = next_barrier_++;
  for (EntryIndex index = 0; index < entries_.size(); ++index) {
    Entry& entry = entries_[index];
    if (entry.state == Entry::State::passive) continue;
    if (entry.state != Entry::State::live) {
      checkpointing_.row.behind.push_back({entry.symbol, entry.missing_from});
      continue;
    }
    if (may_passivate(entry)) passivate(index);
    if (!std::exchange(entry.changed, false)) continue;
    tell_untold(index);
    entry.barrier = id;
    ++checkpointing_.waiting;
    port_.send(index, Barrier{id, next_});
  }
  barrier_done();
}

void Ingress::on(const BarrierAck& ack) {
  Entry& entry = entries_.at(ack.entry);
  if (ack.incarnation != entry.incarnation || entry.barrier != ack.id) return;
  entry.barrier = 0;
  if (ack.snapshot) {
    gathering_->batch.snapshots.push_back(std::move(*ack.snapshot));
  } else {  // at the next one; until then it is known by what it has stored, if it has
    checkpointing_.row.behind.push_back({entry.symbol, checkpointing_.row.next});
    entry.changed = true;
    entry.turned_at = checkpointing_.row.next;
  }
  if (gathering_->batch.snapshots.size() >= 1024) flush(true);
  barrier_done();
}

void Ingress::barrier_done() {
  if (--checkpointing_.waiting > 0) return;
  finish_checkpoint();
}

/// Every snapshot of it is in this request or in one before: the row makes it a checkpoint.
void Ingress::finish_checkpoint() {
  gathering_->batch.checkpoint = checkpointing_.row;
  gathering_->feed_time = feed_time_;
  gathering_->barrier_at = checkpointing_.since;
  checkpointing_.active = false;
  flush(true);
}

void Ingress::on(const Drain& drain) {
  draining_ = true;
  drain_to_end_ = drain.at_end && stopped_.empty();
  idle_ = false;  // there may be news that it was not woken for yet
  port_.wake_self();
  settle();
}

void Ingress::maybe_drained() {
  if (!draining_ || drained_ || (drain_to_end_ && !idle_)) return;
  if (!works_.empty() || down_ > 0 || checkpointing_.active || !unstored_.empty()) return;
  // A symbol that failed during the last checkpoint has changed since: then one more follows.
  const bool changed = std::ranges::any_of(
      entries_, [this](const Entry& entry) { return entry.changed && entry.turned_at != next_; });
  if (changed || next_ != checkpoint_ || next_ > cursor_ || gathering_->outputs > 0) {
    begin_checkpoint();
    return;
  }
  hand_to_sink();
  if (context_.sink && committed_ < next_) return;
  drained_ = true;
  publish();
  port_.drained();
}

void Ingress::publish() {
  auto& metrics = *context_.metrics;
  metrics.next_offset = static_cast<std::int64_t>(next_);
  if (const auto end = context_.tape->end(context_.partition)) end_ = std::max(next_, *end);
  metrics.end_offset = static_cast<std::int64_t>(end_);
  tell_depths();
  metrics.symbols_down = down_;
  tell_counts();
  if (context_.board == nullptr) return;
  PartitionStatus status;
  status.next = next_, status.end = end_, status.frontier = frontier();
  status.cursor = cursor_, status.checkpoint = checkpoint_, status.feed_time = feed_time_;
  status.events = counts_;
  status.symbols = entries_.size(), status.symbols_down = down_;
  status.stopped = stopped_;
  status.caught_up = caught_up_;
  status.open = !standby_;
  status.standby = standby_;
  status.committed = committed_;
  context_.board->publish(context_.partition, status);
}

}  // namespace tapedeck::actors
