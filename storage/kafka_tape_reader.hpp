// storage/kafka_tape_reader.hpp -- the reading side of a tape on Kafka. Internal: kafka_tape.hpp
// opens it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/frame.hpp"
#include "storage/kafka_foreign.hpp"
#include "storage/kafka_log.hpp"
#include "storage/kafka_streams.hpp"
#include "storage/tape_index.hpp"

namespace tapedeck::storage {

class KafkaTapeReader final : public TapeReader {
public:
  /// The topic has been checked, and `options` say its partitions and codec; shows it as of now.
  static Result<std::unique_ptr<KafkaTapeReader>> open(const KafkaOptions& options);

  std::uint32_t partitions() const override { return static_cast<std::uint32_t>(parts_.size()); }
  Result<Offset> end(Partition partition) const override;
  Result<RecordBlockPtr> read(Partition partition, Offset from, ReadLimits limits) const override;
  Result<RecordBlockPtr> read_symbol(std::string_view symbol, Offset from, Offset to,
                                     ReadLimits limits) const override;
  Result<std::vector<IndexEntry>> index(std::string_view symbol, Offset from,
                                        Offset to) const override;
  Result<std::optional<IndexEntry>> last_of(std::string_view symbol) const override;
  Result<RecordBlockPtr> marks(Partition partition, Offset from, Offset to) const override;
  Result<std::optional<schemas::MarkPayload>> last_mark(Partition partition) const override;
  Result<std::vector<std::string>> symbols() const override;
  Result<std::vector<SourceInfo>> sources() const override;
  Result<std::vector<RecorderDeadLetter>> dead_letters() const override;
  Result<void> refresh() override;
  void on_append(std::function<void()> wake) override;
  bool dense() const override { return false; }

  // What the writer in this process tells its reader.
  /// Waits until readers may see every offset below `ends` (0: nothing new there), then shows it.
  Result<void> show(const std::vector<Offset>& ends);

private:
  struct Part {
    std::atomic<Offset> end{0};  ///< one past the last record that is shown
    Offset committed = 0;        ///< where the committed part ended when last asked
    mutable std::mutex indexing;
  };
  using Clock = std::chrono::steady_clock;

  explicit KafkaTapeReader(const KafkaOptions& options)
      : options_(options), letters_(options, options.topic + ".dlq"), parts_(options.partitions) {}
  Result<void> check(Partition partition) const;
  Result<void> look(const std::vector<Offset>& ends);
  [[nodiscard]] bool only_marker(Offset from, Offset first) const;
  [[nodiscard]] Result<RecordBlockPtr> read_past_marker(Partition partition, Offset from,
                                                        ReadLimits limits, const Error& lost) const;
  Result<std::optional<Offset>> find_end_of_rest(Partition partition, Offset end);
  [[nodiscard]] Result<void> look_for_news();
  Result<void> check_count();
  Result<void> ensure_indexed(Partition partition, Offset to) const;
  Result<void> ensure_all_indexed() const;
  Result<std::optional<ForeignPass>> begin_pass(Partition partition, Offset from) const;
  Result<void> add(Partition partition, const rd_kafka_message_t& message,
                   std::optional<ForeignPass>& foreign, bool marks, BlockBuilder& block) const;
  Result<void> take_in(Partition partition, Offset from, const RecordBlock& block) const;
  Result<RecordBlockPtr> gather(Partition partition, std::span<const IndexEntry> wanted) const;
  Error missing(Partition partition, Offset offset) const;

  KafkaOptions options_;
  std::unique_ptr<KafkaStreams> streams_, jumps_;
  std::unique_ptr<TapeIndex> index_;
  mutable KafkaLog letters_;
  std::vector<Part> parts_;
  std::mutex refresh_mutex_;
  std::optional<std::chrono::steady_clock::time_point> unknown_since_;  ///< with it held
  Clock::time_point count_checked_{};
  std::mutex wake_mutex_;
  std::function<void()> wake_;
};

}  // namespace tapedeck::storage
