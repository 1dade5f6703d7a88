// storage/rocksdb_state.hpp -- DIR/state and DIR/control on RocksDB. Layout: docs/formats/tape.md
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "storage/state_store.hpp"

namespace tapedeck::storage {

struct StateOptions {
  std::size_t cache_bytes = std::size_t{64} << 20;
  std::size_t write_buffers_bytes = std::size_t{256} << 20;  ///< of all column families together
};

/// Opens DIR/state to write, makes it if there is none. Errors: `conflict` another process holds
/// it; `environment` disk or permission; `invalid` a format this program does not know (delete
/// DIR/state: it is derived). After a write that failed (a full disk) nothing of it is stored; the
/// next write first recovers.
[[nodiscard]] Result<std::unique_ptr<StateStore>> open_state_store(
    const std::string& dir, const StateOptions& options = {});
/// Opens DIR/state to read, beside a writer or without one. Writes nothing into DIR. Error
/// `not_found`.
[[nodiscard]] Result<std::unique_ptr<StateReader>> open_state_reader(
    const std::string& dir, const StateOptions& options = {});

/// Opens DIR/control to write, makes it if there is none. Errors as above; it is not derived, so
/// never delete it.
[[nodiscard]] Result<std::unique_ptr<ControlStore>> open_control_store(const std::string& dir);
/// Opens DIR/control to read; settle() is error `invalid`. Error `not_found`: no engine has opened
/// the tape.
[[nodiscard]] Result<std::unique_ptr<ControlStore>> open_control_reader(const std::string& dir);

}  // namespace tapedeck::storage
