#include "actors/board.hpp"

#include <chrono>
#include <utility>

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

void Board::child(const std::string& name, const std::string& state, const std::string& error) {
  const std::scoped_lock lock(mutex_);
  auto& child = children_[name];
  if (child.state != state || child.since == 0) child.since = wall_clock();
  child.state = state;
  if (!error.empty()) child.last_error = error;
}

void Board::child_restarted(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  ++children_[name].restarts;
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
