// feeds/row_feed.hpp -- text files of one row a line: trades-csv, ticks-csv, ticks-json.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "feeds/byte_source.hpp"
#include "feeds/feed.hpp"

namespace tapedeck::feeds {

/// `trades-csv`, `ticks-csv` or `ticks-json`?
[[nodiscard]] bool is_row_feed(const std::string& name);

/// Message n is the n-th row (empty lines and a header are none). A bad row is a dead letter with
/// its line. `options.input` names the input in messages. Errors: `invalid` names --columns or
/// --input.
[[nodiscard]] Result<std::unique_ptr<Feed>> open_rows(const std::string& name,
                                                      const FeedOptions& options,
                                                      std::unique_ptr<ByteSource> bytes);

/// Copies the rows for which `keep(n, offset)` says so, n as open_rows numbers them, offset in the
/// uncompressed input, and the header; lines as they are. Error: input or output cannot be read or
/// written on.
[[nodiscard]] Result<void> copy_rows(const std::string& name, const FeedOptions& options,
                                     const std::string& to,
                                     const std::function<bool(std::uint64_t, std::uint64_t)>& keep);

/// What beside the bytes decides what the rows say: empty where nothing was asked for.
[[nodiscard]] std::string row_options(const FeedOptions& options);

}  // namespace tapedeck::feeds
