// The embedded tape behind --tape.
#include "apps/cli.hpp"
#include "storage/rocksdb_tape.hpp"

namespace tapedeck::apps {

Result<std::unique_ptr<storage::TapeWriter>> open_writer(const TapeOptions& options, Linger linger,
                                                         std::uint32_t partitions) {
  storage::WriterOptions writer;
  writer.partitions = partitions;
  writer.compress = linger == Linger::live;
  return storage::open_tape_writer(options.directory, writer);
}

Result<std::unique_ptr<storage::TapeReader>> open_reader(const TapeOptions& options) {
  return storage::open_tape_reader(options.directory);
}

}  // namespace tapedeck::apps
