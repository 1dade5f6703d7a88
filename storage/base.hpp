// storage/base.hpp -- what stands at the beginning of a trimmed tape in place of the records that
// are gone: docs/formats/tape.md
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "market/units.hpp"
#include "storage/state_store.hpp"

namespace tapedeck::storage {

/// What the recorder of an interrupted source must know of a symbol's records to go on.
struct RecordedBefore {
  market::SourceId source = 0;
  std::uint64_t highest_sequence = 0;
  std::uint64_t events = 0;  ///< but for the session event
  friend bool operator==(const RecordedBefore&, const RecordedBefore&) = default;
};

/// A symbol at its partition's start. Only symbols that had records before it have one.
struct SymbolBase {
  StoredSnapshot snapshot;  ///< key.next is the start
  std::vector<RecordedBefore> recorded;
};

}  // namespace tapedeck::storage
