#include "actors/board.hpp"

#include <chrono>
#include <string_view>
#include <utility>

#include "storage/tape.hpp"

namespace tapedeck::actors {

namespace {

market::TimeNs wall_clock() {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

void Board::publish(std::uint32_t partition, const PartitionStatus& status) {
  const std::scoped_lock lock(mutex_);
  // An ingress that was closed may still say something.
  const auto& now = partitions_.at(partition);
  if (now.open == status.open && now.standby == status.standby && (now.open || now.standby))
    partitions_[partition] = status;
}

void Board::open(std::uint32_t partition) {
  const std::scoped_lock lock(mutex_);
  partitions_.at(partition) = {};
  partitions_[partition].open = true;
}

void Board::stand_by(std::uint32_t partition) {
  const std::scoped_lock lock(mutex_);
  partitions_.at(partition) = {};
  partitions_[partition].standby = true;
}

void Board::close(std::uint32_t partition) {
  const std::scoped_lock lock(mutex_);
  partitions_.at(partition) = {};
}

void Board::settle_partitions() {
  const std::scoped_lock lock(mutex_);
  partitions_settled_ = true;
}

bool Board::partitions_settled() const {
  const std::scoped_lock lock(mutex_);
  return partitions_settled_;
}

std::vector<PartitionStatus> Board::partitions() const {
  const std::scoped_lock lock(mutex_);
  return partitions_;
}

std::optional<Error> Board::stopped() const {
  const std::scoped_lock lock(mutex_);
  for (std::size_t p = 0; p < partitions_.size(); ++p) {
    if (partitions_[p].open && !partitions_[p].stopped.empty())
      return Error{ErrorCode::environment,
                   "partition " + std::to_string(p) + " is stopped: " + partitions_[p].stopped,
                   {}};
  }
  return std::nullopt;
}

void Board::child(const std::string& name, const std::string& state, const std::string& error) {
  const std::scoped_lock lock(mutex_);
  auto& child = children_[name];
  if (child.state != state || child.since == 0) child.since = wall_clock();
  child.state = state;
  if (!error.empty()) child.last_error = error;
}

void Board::child_waits(const std::string& name, const std::string& state, const std::string& error,
                        std::chrono::milliseconds delay, std::uint32_t budget_left) {
  const std::scoped_lock lock(mutex_);
  auto& child = children_[name];
  const auto now = wall_clock();
  if (child.state != state || child.since == 0) child.since = now;
  child.state = state;
  child.last_error = error;
  child.starts_at = now + std::chrono::nanoseconds(delay).count();
  child.budget_left = budget_left;
  ++child.restarts;
}

void Board::symbols_begin(std::uint32_t partition) {
  const std::scoped_lock lock(mutex_);
  constexpr std::string_view kSymbol = "symbol ";
  const auto count = static_cast<std::uint32_t>(partitions_.size());
  for (auto& [name, child] : children_) {
    if (!name.starts_with(kSymbol) || child.state == "running") continue;
    if (storage::partition_of(std::string_view(name).substr(kSymbol.size()), count) != partition)
      continue;
    child.state = "running";
    child.since = wall_clock();
  }
}

std::map<std::string, ChildStatus> Board::children() const {
  const std::scoped_lock lock(mutex_);
  return children_;
}

void Board::store_trouble(const std::string& why) {
  const std::scoped_lock lock(mutex_);
  store_trouble_ = why;
}

std::string Board::store_trouble() const {
  const std::scoped_lock lock(mutex_);
  return store_trouble_;
}

void Board::sink_trouble(const std::string& why) {
  const std::scoped_lock lock(mutex_);
  sink_trouble_ = why;
}

std::string Board::sink_trouble() const {
  const std::scoped_lock lock(mutex_);
  return sink_trouble_;
}

void Board::begin_drain() {
  const std::scoped_lock lock(mutex_);
  draining_ = true;
}

bool Board::draining() const {
  const std::scoped_lock lock(mutex_);
  return draining_;
}

void Board::fail(Error error) {
  const std::scoped_lock lock(mutex_);
  if (!failure_) failure_ = std::move(error);
  changed_.notify_all();
}

void Board::drained() {
  const std::scoped_lock lock(mutex_);
  drained_ = true;
  changed_.notify_all();
}

bool Board::is_drained() const {
  const std::scoped_lock lock(mutex_);
  return drained_;
}

std::optional<Error> Board::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return drained_ || failure_; });
  return failure_;
}

std::optional<Error> Board::failure() const {
  const std::scoped_lock lock(mutex_);
  return failure_;
}

}  // namespace tapedeck::actors
