// apps/recording.hpp -- drives a feed into a recorder: as fast as it goes on two threads, or paced
// by a clock on one.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "feeds/feed.hpp"
#include "market/result.hpp"
#include "storage/recorder.hpp"

namespace tapedeck::apps {

struct Pace {
  enum class Mode { max, per_second, realtime } mode = Mode::max;
  std::uint64_t per_second = 0;  ///< messages
};
/// `max`, `realtime`, or messages per second. Error names `field`.
[[nodiscard]] Result<Pace> parse_pace(const std::string& text, const std::string& field);

/// `1ms` (a time), `64` or `64ev` (events), `0` (each message at once), into the options.
[[nodiscard]] Result<void> parse_linger(const std::string& text, const std::string& field,
                                        storage::RecorderOptions& options);
/// `250ms` (a time) or `65536` (events).
[[nodiscard]] Result<void> parse_mark_every(const std::string& text, const std::string& field,
                                            storage::RecorderOptions& options);
/// Live defaults: linger 1 ms, marks every 250 ms.
void set_live_defaults(storage::RecorderOptions& options);

/// The flags of text feeds: columns and exponents.
void add_row_options(CLI::App* command, feeds::FeedOptions& options);

/// A source of which only some symbols are recorded is another source: the symbols stand in its
/// name.
[[nodiscard]] std::string recorded_name(const std::string& source,
                                        const std::set<std::string>& symbols);
/// Opens a feed and reads its first messages, so that input which is none of its format is refused
/// before a tape is made for it.
[[nodiscard]] Result<std::unique_ptr<feeds::Feed>> open_checked_feed(
    const std::string& name, const feeds::FeedOptions& options);
/// What to do about an error of a recording, added to its message.
[[nodiscard]] Error with_remedy(Error error);

struct RecordingProgress {
  std::uint64_t bytes = 0, total_bytes = 0, messages = 0, events = 0;
};

struct RecordingOptions {
  storage::RecorderOptions recorder;
  Pace pace;
  std::function<void(const RecordingProgress&)>
      progress;  ///< called often, on the calling thread; may be empty
};

struct RecordingSummary {
  storage::RecorderStats stats;
  std::uint64_t messages = 0;       ///< read from the source
  std::uint64_t resumed_after = 0;  ///< message up to which the tape had it already
  bool already_recorded = false;
  bool interrupted = false;  ///< by `stop`, before the source ended: run again to go on
};

/// Records `feed` until it ends or `stop` is set; either way everything read is on the tape and
/// marked. On an error what was read before it is on the tape, as far as the tape can still be
/// written.
[[nodiscard]] Result<RecordingSummary> record_feed(storage::TapeWriter& writer, feeds::Feed& feed,
                                                   const RecordingOptions& options,
                                                   const std::atomic<bool>& stop);

}  // namespace tapedeck::apps
