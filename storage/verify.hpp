// storage/verify.hpp -- reads a whole tape and compares everything that is stored twice.
#pragma once

#include <cstdint>
#include <functional>

#include "storage/tape.hpp"

namespace tapedeck::storage {

/// Reads every record of every partition up to the end it had at the start: checksums, offsets
/// without a hole (where the tape is dense), batches and marks that decode, symbols on their
/// partition, and index entries equal to the records. Returns how many records it read. Error
/// `corrupt` names partition:offset. `progress(done, total)` in offsets, about every 4 MiB.
[[nodiscard]] Result<std::uint64_t> verify(
    const TapeReader& tape, const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

}  // namespace tapedeck::storage
