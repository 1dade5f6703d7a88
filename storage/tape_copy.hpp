// storage/tape_copy.hpp -- copies a tape onto another one, of the same kind or not.
#pragma once

#include <cstdint>
#include <functional>

#include "market/result.hpp"
#include "storage/state_store.hpp"
#include "storage/tape.hpp"

namespace tapedeck::storage {

struct CopySummary {
  std::uint64_t records = 0;  ///< copied now, marks included
  std::uint64_t events = 0;
  std::uint64_t dead_letters = 0;
  std::uint64_t found = 0;  ///< records the target held already
  bool interrupted = false;
};

struct CopyOptions {
  /// In offsets of the source, about every append.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  /// Called once `to` is known to hold a beginning of `from`, before anything is written: the place
  /// for copy_control().
  std::function<Result<void>()> accepted;
  /// Asked between appends: true ends the copy, to be gone on with.
  std::function<bool()> stop;
  std::size_t append_bytes = std::size_t{16} << 20;  ///< payload bytes of one append, about
};

/// Copies every record and mark up to the end `from` has now, and its dead letters; sources come
/// with the marks. A copy that ended anywhere, also by a crash, is gone on with by the next call:
/// what `to` holds is compared with `from` record by record, the rest is appended, nothing twice.
/// Partition by partition records keep their order, so offsets are equal where `from` is dense, and
/// `to` too. Error `conflict`, before anything is written, where partition counts differ or `to`
/// holds what is not a beginning of `from`: it names partition:offset. Of a trimmed tape the copy
/// begins where it does, with its base snapshots; a target that cannot be trimmed is `invalid`.
[[nodiscard]] Result<CopySummary> copy_tape(const TapeReader& from, TapeWriter& to,
                                            const CopyOptions& options = {});

/// Fold settings. Error `conflict` where `to` has others. Nothing to do where `from` has none.
[[nodiscard]] Result<void> copy_control(const ControlStore& from, ControlStore& to);

/// Quarantines and releases, once the tape is copied whole: their positions become those of the
/// same records in `to_tape`. What `to` has already is not repeated; error `conflict` where it has
/// others.
[[nodiscard]] Result<void> copy_control_records(const ControlStore& from,
                                                const TapeReader& from_tape, ControlStore& to,
                                                const TapeReader& to_tape);

}  // namespace tapedeck::storage
