// sinks/kafka_snapshots.hpp -- checkpoints in a compacted topic, so that a partition's next owner
// need not fold it from the beginning. What the records are: storage/snapshot_set.hpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "market/result.hpp"
#include "sinks/kafka_group.hpp"
#include "storage/snapshot_set.hpp"

namespace tapedeck::sinks {

/// Makes the topic if it is missing, with as many partitions as the tape has; one that is not
/// compacted is error `conflict`. `group` outlives it.
class KafkaSnapshots {
public:
  static Result<std::unique_ptr<KafkaSnapshots>> open(KafkaGroup& group, std::string topic);
  virtual ~KafkaSnapshots() = default;

  /// The newest set that was published for the partition, if it is whole and not past `committed`.
  /// Errors as storage::SetReader::finish says. From any thread.
  [[nodiscard]] virtual Result<std::optional<storage::SnapshotSet>> read(Partition partition,
                                                                         Offset committed) = 0;

  /// One transaction: the snapshots that `next` gives until it gives none, then the manifest that
  /// vouches for all `entries`. `before`: what the topic holds of them. Refused where this engine
  /// no longer owns the partition. Used by one thread at a time.
  using Next = std::function<Result<std::optional<storage::StoredSnapshot>>()>;
  virtual Result<void> publish(const storage::Checkpoint& checkpoint,
                               const storage::SetEntries& entries,
                               const storage::SetEntries& before, const Next& next) = 0;
};

}  // namespace tapedeck::sinks
