// apps/batch_queue.hpp -- a bounded queue of feed batches between the thread that reads and the one
// that records.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "market/feed_batch.hpp"
#include "market/result.hpp"

namespace tapedeck::apps {

/// One producer, one consumer. At most `limit` batches wait: then the producer does. Batches go
/// round, so that their memory is reused.
class BatchQueue {
public:
  struct Item {
    market::FeedBatch batch;
    std::optional<Error> error;  ///< the feed failed after the batches before
  };

  explicit BatchQueue(std::size_t limit) : limit_(limit) {}

  [[nodiscard]] market::FeedBatch empty_batch() {
    std::lock_guard lock(mutex_);
    if (spare_.empty()) return {};
    market::FeedBatch batch = std::move(spare_.back());
    spare_.pop_back();
    return batch;
  }

  void give_back(market::FeedBatch&& batch) {
    std::lock_guard lock(mutex_);
    spare_.push_back(std::move(batch));
  }

  /// Waits for room. False once closed.
  bool push(market::FeedBatch&& batch, std::optional<Error> error) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return items_.size() < limit_ || closed_; });
    if (closed_) return false;
    items_.push_back({std::move(batch), std::move(error)});
    filled_.notify_one();
    return true;
  }

  /// Waits for an item.
  [[nodiscard]] Item pop() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [&] { return !items_.empty(); });
    Item item = std::move(items_.front());
    items_.pop_front();
    room_.notify_one();
    return item;
  }

  /// The consumer takes no more.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    room_.notify_all();
  }

private:
  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable room_, filled_;
  std::deque<Item> items_;
  std::vector<market::FeedBatch> spare_;
  bool closed_ = false;
};

}  // namespace tapedeck::apps
