#include "apps/demo_session.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

#include "apps/progress.hpp"
#include "apps/recording.hpp"
#include "apps/signals.hpp"
#include "feeds/sim_l3.hpp"

namespace tapedeck::apps {

namespace {

constexpr const char* kDemoDate = "2024-01-02";

Result<void> make_session(const std::string& path, const DemoOptions& options) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return {};
  std::filesystem::create_directories(options.folder, error);
  if (error)
    return fail(ErrorCode::environment, "cannot make " + options.folder + ": " + error.message());
  feeds::SimL3Options session;
  session.seed = options.seed;
  session.symbols = options.symbols;
  session.messages = options.messages;
  fmt::print("making a synthetic session: {} messages, {} symbols, {}\n", session.messages,
             session.symbols, path);
  std::fflush(stdout);
  return feeds::write_sim_l3(path, session);
}

Result<RecordingSummary> record_session(const std::string& path, const DemoOptions& options) {
  feeds::FeedOptions input{path, kDemoDate};
  auto feed = open_checked_feed("itch", input);
  if (!feed) return tl::unexpected(feed.error());
  auto source = feeds::source_name("itch", input);
  if (!source) return tl::unexpected(source.error());
  auto writer = open_writer(options.tape(), Linger::bulk);
  if (!writer) return tl::unexpected(writer.error());
  RecordingOptions recording;
  recording.recorder.source_name = *source;
  recording.recorder.sequencing = (*feed)->sequencing();
  Progress progress("recording", "events");
  recording.progress = [&](const RecordingProgress& now) {
    progress.update(now.bytes, now.total_bytes, now.events);
  };
  return record_feed(**writer, **feed, recording, stop_requested);
}

}  // namespace

TapeOptions DemoOptions::tape() const {
  if (brokers.empty() && topic.empty()) return {folder};
  return {{}, brokers, topic, folder + "/state"};
}

int prepare_demo(const DemoOptions& options, bool& interrupted) {
  const std::string path = options.folder + "/session.itch";
  if (auto done = make_session(path, options); !done) return report(done.error());
  auto summary = record_session(path, options);
  if (!summary) return report(with_remedy(summary.error()));
  if (summary->already_recorded)
    fmt::print("the session is on the tape {} already\n", options.tape().name());
  else
    fmt::print("recorded {} events on the tape {}\n", summary->stats.events, options.tape().name());
  std::fflush(stdout);
  interrupted = summary->interrupted;
  return kDone;
}

}  // namespace tapedeck::apps
