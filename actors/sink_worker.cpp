#include "actors/sink_worker.hpp"

#include <algorithm>
#include <chrono>

namespace tapedeck::actors {

namespace {

auto order_of(const market::Output& output) {
  return std::pair(output.position.offset, output.position.index);
}

}  // namespace

Result<std::optional<Offset>> SinkWorker::open(Partition partition, std::uint64_t opening) {
  if (const auto open = parts_.find(partition); open != parts_.end()) {
    if (open->second.opening > opening) return std::optional<Offset>{};
    parts_.erase(open);
  }
  const auto committed = sink_.committed(std::span(&partition, 1));
  if (!committed) return tl::unexpected(committed.error());
  Part part;
  part.opening = opening;
  part.committed = part.frontier = part.reported = committed->front();
  parts_.emplace(partition, std::move(part));
  return std::optional(committed->front());
}

void SinkWorker::take(const SinkTake& message) {
  const auto found = parts_.find(message.partition);
  if (found == parts_.end() || found->second.opening != message.opening) return;
  Part& part = found->second;
  for (const auto& said : message.said) {
    for (std::uint32_t i = 0; i < said->outputs.size(); ++i) part.waiting.push_back({said, i});
  }
  part.frontier = std::max(part.frontier, message.frontier);
  forget_committed(part);
}

/// What an earlier engine, or a delivery in doubt, got out is not said again.
void SinkWorker::forget_committed(Part& part) {
  part.done += std::erase_if(part.waiting, [&](const Waiting& waiting) {
    return waiting.output().position.offset < part.committed;
  });
}

Result<void> SinkWorker::settle_doubt() {
  if (!doubt_) return {};
  std::vector<Partition> partitions;
  for (const auto& [partition, part] : parts_) partitions.push_back(partition);
  const auto committed = sink_.committed(partitions);
  if (!committed) return tl::unexpected(committed.error());
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    Part& part = parts_.at(partitions[i]);
    part.committed = std::max(part.committed, (*committed)[i]);
    forget_committed(part);
  }
  doubt_ = false;
  return {};
}

/// By position, a symbol's outputs of one position as they were said; one that a restarted symbol
/// said again stands once.
void SinkWorker::arrange(Part& part) {
  std::ranges::stable_sort(part.waiting, [](const Waiting& a, const Waiting& b) {
    const auto left = order_of(a.output()), right = order_of(b.output());
    return left != right ? left < right : a.said->symbol < b.said->symbol;
  });
  std::vector<Waiting> once;
  once.reserve(part.waiting.size());
  for (auto& waiting : part.waiting) {
    const auto same = [&](const Waiting& other) {
      return other.said->symbol == waiting.said->symbol &&
             market::identity(other.output()) == market::identity(waiting.output());
    };
    bool again = false;
    for (auto i = once.size(); i-- > 0 && !again;) {
      if (order_of(once[i].output()) != order_of(waiting.output())) break;
      again = same(once[i]);
    }
    if (again) {
      ++part.done;
    } else {
      once.push_back(std::move(waiting));
    }
  }
  part.waiting = std::move(once);
}

SinkWorker::Piece SinkWorker::cut(Partition partition, Part& part,
                                  sinks::Delivery& delivery) const {
  arrange(part);
  const auto below = [&](Offset upto) {
    return static_cast<std::size_t>(
        std::ranges::partition_point(
            part.waiting,
            [&](const Waiting& waiting) { return waiting.output().position.offset < upto; }) -
        part.waiting.begin());
  };
  delivery.partition = partition;
  delivery.upto = part.frontier;
  auto count = below(part.frontier);
  if (count > options_.max_delivery_rows) {
    // A record's outputs stay together: the offset behind them is what is committed.
    delivery.upto = part.waiting[options_.max_delivery_rows - 1].output().position.offset + 1;
    count = below(delivery.upto);
  }
  delivery.rows.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    delivery.rows.push_back({part.waiting[i].said->symbol, &part.waiting[i].output()});
  return {&part, count};
}

/// Of what was there before too: the ingress waits for it where it is at its limit.
std::vector<SinkWorker::Report> SinkWorker::reports() {
  std::vector<Report> all;
  for (auto& [partition, part] : parts_) {
    if (part.done == 0 && part.committed == part.reported) continue;
    part.reported = part.committed;
    all.push_back({partition, {part.committed, std::exchange(part.done, 0)}});
  }
  return all;
}

Result<std::vector<SinkWorker::Report>> SinkWorker::pump() {
  if (auto settled = settle_doubt(); !settled) return tl::unexpected(settled.error());
  std::vector<sinks::Delivery> deliveries;
  std::vector<Piece> pieces;
  for (auto& [partition, part] : parts_) {
    if (part.frontier <= part.committed) continue;
    pieces.push_back(cut(partition, part, deliveries.emplace_back()));
  }
  if (deliveries.empty()) return reports();
  const auto begin = std::chrono::steady_clock::now();
  if (auto out = sink_.deliver(deliveries); !out) {
    doubt_ = true;
    ++metrics_.delivery_failures;
    return tl::unexpected(out.error());
  }
  ++metrics_.deliveries;
  const std::chrono::nanoseconds spent = std::chrono::steady_clock::now() - begin;
  metrics_.delivery_ns.record(static_cast<std::uint64_t>(spent.count()));
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    auto& [part, count] = pieces[i];
    part->committed = deliveries[i].upto;
    part->waiting.erase(part->waiting.begin(),
                        part->waiting.begin() + static_cast<std::ptrdiff_t>(count));
    part->done += count;
  }
  return reports();
}

}  // namespace tapedeck::actors
