// storage/rocksdb_tape.hpp -- the embedded tape: DIR/log, a RocksDB with one column family a
// partition. Layout, keys and what a crash leaves: docs/formats/tape.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "storage/tape.hpp"

namespace tapedeck::storage {

struct WriterOptions {
  /// 0: kDefaultPartitions for a new tape, as it is for an old one. An old tape with another count
  /// is error `conflict`.
  std::uint32_t partitions = 0;
  enum class Fsync : std::uint8_t {
    never,  ///< survives a kill of the process at once; a power loss leaves some beginning of the
            ///< tape. sync() does nothing
    interval,  ///< survives a power loss after sync(), or after an append a second later
    always,    ///< each append survives a power loss
  };
  Fsync fsync = Fsync::interval;
  /// New records go through lz4: one of a few events shrinks to a sixth. The columns of many events
  /// hardly get shorter, so bulk recordings leave them as they are.
  bool compress = true;
  std::size_t cache_bytes = std::size_t{256}
                            << 20;  ///< uncompressed blocks kept for reads by symbol
  std::size_t write_buffer_bytes = std::size_t{64} << 20;    ///< of one partition
  std::size_t write_buffers_bytes = std::size_t{512} << 20;  ///< of all partitions together
  std::size_t wal_bytes = std::size_t{512} << 20;            ///< replayed after a crash at most
};

struct ReaderOptions {
  std::size_t cache_bytes = std::size_t{256} << 20;
};

/// Opens DIR/log to write, makes it if there is none. Errors: `conflict` another process records to
/// it, or another partition count; `environment` disk or permission; `corrupt` its files; `invalid`
/// too many partitions, or a format version this program does not know. After an append that failed
/// (a full disk) the writer stays usable: nothing of it is on the tape, the next append first
/// recovers. All threads may call it; appends take turns.
[[nodiscard]] Result<std::unique_ptr<TapeWriter>> open_tape_writer(
    const std::string& dir, const WriterOptions& options = {});

/// Opens DIR/log to read, beside a writer in this or another process or without one. Writes nothing
/// into DIR. Error `not_found` names the folder. Shows the tape as of the last refresh().
[[nodiscard]] Result<std::unique_ptr<TapeReader>> open_tape_reader(
    const std::string& dir, const ReaderOptions& options = {});

}  // namespace tapedeck::storage
