#include "chaos/sim_sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

namespace tapedeck::chaos {

Result<void> SimSink::gate() {
  if (dead_) return fail(ErrorCode::environment, "injected: the process is gone");
  if (dice_.hit(Fault::sink_throws)) throw Injected("injected: the sink threw");
  if (dice_.hit(Fault::sink_fails))
    return fail(ErrorCode::environment, "injected: the sink cannot be reached");
  return {};
}

Result<std::vector<Offset>> SimSink::committed(std::span<const Partition> partitions) {
  if (auto open = gate(); !open) return tl::unexpected(open.error());
  std::vector<Offset> found;
  for (const auto partition : partitions) found.push_back(committed_[partition]);
  return found;
}

Result<void> SimSink::deliver(std::span<const sinks::Delivery> deliveries) {
  if (auto open = gate(); !open) return open;
  for (const auto& delivery : deliveries) take(delivery);
  if (dice_.hit(Fault::sink_fails_late))
    return fail(ErrorCode::environment, "injected: the sink was lost in a delivery");
  return {};
}

/// Exactly the undisturbed fold's outputs in [committed, upto), each symbol's in their order.
void SimSink::take(const sinks::Delivery& delivery) {
  auto& committed = committed_[delivery.partition];
  if (delivery.upto <= committed || delivery.upto > reference_.next(delivery.partition))
    verdict_.broken(fmt::format("partition {} is delivered up to {} after {}", delivery.partition,
                                delivery.upto, committed));
  std::map<std::string, std::vector<const market::Output*>, std::less<>> rows;
  for (const auto& row : delivery.rows) rows[std::string(row.symbol)].push_back(row.output);
  const auto& said = reference_.said(delivery.partition);
  const auto at = [](const Reference::Said& one) { return one.output.position.offset; };
  auto one = std::ranges::lower_bound(said, committed, {}, at);
  std::size_t expected = 0;
  std::map<std::string_view, std::size_t> taken;
  for (; one != said.end() && at(*one) < delivery.upto; ++one, ++expected) {
    const auto found = rows.find(one->symbol);
    const auto index = taken[one->symbol]++;
    const bool there = found != rows.end() && index < found->second.size();
    const auto* output = there ? found->second[index] : nullptr;
    if (there && output->position == one->output.position && output->same_content(one->output))
      continue;
    return verdict_.broken(fmt::format(
        "a delivery of partition {} up to {} lacks the output of {} (kind {}) emitted at {}",
        delivery.partition, delivery.upto, one->symbol, static_cast<int>(one->output.kind()),
        one->output.position.offset));
  }
  if (expected != delivery.rows.size())
    verdict_.broken(
        fmt::format("a delivery of partition {} from {} to {} has {} rows instead of {}",
                    delivery.partition, committed, delivery.upto, delivery.rows.size(), expected));
  rows_ += delivery.rows.size();
  committed = delivery.upto;
}

std::vector<std::size_t> SimSink::expected() const {
  std::vector<std::size_t> rows;
  const auto at = [](const Reference::Said& one) { return one.output.position.offset; };
  for (Partition p = 0; p < committed_.size(); ++p) {
    const auto& said = reference_.said(p);
    const auto behind = std::ranges::lower_bound(said, committed_[p], {}, at);
    rows.push_back(static_cast<std::size_t>(behind - said.begin()));
  }
  return rows;
}

void SimSink::still(const std::vector<std::size_t>& before) const {
  const auto now = expected();
  for (Partition p = 0; p < committed_.size(); ++p) {
    if (now[p] != before[p])
      verdict_.broken(
          fmt::format("a control record changes what is out of partition {}: {} rows below {} "
                      "instead of {}",
                      p, now[p], committed_[p], before[p]));
  }
}

void SimSink::finish() {
  std::uint64_t expected = 0;
  for (Partition p = 0; p < committed_.size(); ++p) {
    if (committed_[p] != reference_.next(p))
      verdict_.broken(
          fmt::format("drained, but partition {} is delivered up to {}, not to the end, {}", p,
                      committed_[p], reference_.next(p)));
    // What a release at the very end said waits for the next record.
    for (const auto& one : reference_.said(p))
      expected += one.output.position.offset < reference_.next(p) ? 1 : 0;
  }
  if (rows_ != expected)
    verdict_.broken(fmt::format("{} rows are out, the undisturbed fold says {}", rows_, expected));
}

}  // namespace tapedeck::chaos
