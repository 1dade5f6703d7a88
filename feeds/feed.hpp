// feeds/feed.hpp -- the port of an outside format. Start here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "market/feed_batch.hpp"
#include "market/result.hpp"

namespace tapedeck::feeds {

/// A source being read, message by message. Reading the same input again gives the same batches'
/// contents (how they are cut may differ), so that a recording resumes by reading again and passing
/// over what is on the tape already.
class Feed {
public:
  virtual ~Feed() = default;
  /// Replaces `batch` by the next messages: about `max_events` of them, whole messages, at least
  /// one unless the source ended. A bad message becomes a dead letter and reading goes on. Error:
  /// the input itself cannot be read on.
  virtual Result<void> poll(market::FeedBatch& batch, std::size_t max_events) = 0;
  [[nodiscard]] virtual market::Sequencing sequencing() const = 0;
  /// Size of the input in (uncompressed) bytes where known, else 0; for progress.
  [[nodiscard]] virtual std::uint64_t total_bytes() const = 0;
};

struct FeedOptions {
  std::string input;  ///< path, or parameters of a simulator
  std::string date;   ///< YYYY-MM-DD, needed by formats that tell times of day only
  std::string timezone = "America/New_York";  ///< of those times of day
  // Of text rows (trades-csv, ticks-csv, ticks-json):
  std::string columns{};  ///< as schemas/row_format.hpp has them; empty: the format's own
  int price_exponent = -8, size_exponent = -8;
};

/// Opens a feed by its name in the design (`itch`, `lobster`, `trades-csv` …).
[[nodiscard]] Result<std::unique_ptr<Feed>> open_feed(const std::string& name,
                                                      const FeedOptions& options);

/// The name that identifies this input: feed + date + content hash (file), or feed + parameters
/// (simulator).
[[nodiscard]] Result<std::string> source_name(const std::string& name, const FeedOptions& options);

}  // namespace tapedeck::feeds
