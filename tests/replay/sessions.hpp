// tests/replay/sessions.hpp -- synthetic sessions on tapes, and what a plain refold makes of them.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <tuple>

#include "feeds/feed.hpp"
#include "replay/refold.hpp"
#include "schemas/state_codec.hpp"
#include "storage/recorder.hpp"
#include "storage/tape.hpp"

namespace tapedeck::tests {

struct SessionOptions {
  std::string parameters = "seed=1,symbols=12,messages=30000";
  std::uint64_t linger_events = 512;
  std::uint64_t mark_events = 1024;
};

inline void record_session(storage::TapeWriter& writer, const SessionOptions& options) {
  const feeds::FeedOptions input{options.parameters, "2026-01-05"};
  auto feed = feeds::open_feed("sim:l3", input);
  REQUIRE(feed);
  storage::RecorderOptions recording;
  recording.source_name = feeds::source_name("sim:l3", input).value();
  recording.sequencing = (*feed)->sequencing();
  recording.linger_events = options.linger_events;
  recording.mark_events = options.mark_events;
  auto recorder = storage::Recorder::open(writer, recording);
  REQUIRE(recorder);
  market::FeedBatch batch;
  do {
    REQUIRE((*feed)->poll(batch, 4096));
    REQUIRE(recorder->add(batch));
  } while (!batch.end);
  REQUIRE(recorder->finish());
}

/// By symbol and identity.
using OutputMap = std::map<std::pair<std::string, std::string>, market::Output>;
/// By symbol: events folded, digest.
using DigestMap = std::map<std::string, std::pair<std::uint64_t, market::Digest>>;

struct Expected {
  OutputMap outputs;
  DigestMap digests;
  market::EventCounts counts;
};

inline Expected plain_refold(const storage::TapeReader& tape, const replay::FoldRules& rules) {
  Expected expected;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& fold, const market::Outputs& outputs) {
    for (const auto& output : outputs) {
      const auto fresh = expected.outputs.emplace(
          std::pair(fold.state().symbol(), market::identity(output)), output);
      INFO("an output was said twice: " << fold.state().symbol());
      CHECK(fresh.second);
    }
  };
  const auto refolded = replay::refold(tape, rules, {}, listener);
  REQUIRE(refolded);
  for (const auto& [symbol, fold] : refolded->symbols) {
    expected.digests[symbol] = {fold.state().counts().folded, fold.state().digest()};
  }
  expected.counts = refolded->counts;
  return expected;
}

inline void check_same_outputs(const OutputMap& found, const OutputMap& expected, bool positions) {
  CHECK(found.size() == expected.size());
  for (const auto& [key, output] : expected) {
    const auto at = found.find(key);
    INFO("symbol " << key.first << ", output kind " << static_cast<int>(output.kind()) << " at "
                   << output.time << ", said at " << output.position.partition << ":"
                   << output.position.offset);
    REQUIRE(at != found.end());
    REQUIRE(at->second.same_content(output));
    if (!positions) continue;
    INFO("emitted at " << at->second.position.offset << "." << at->second.position.index
                       << ", expected at " << output.position.offset << "."
                       << output.position.index);
    REQUIRE(at->second.position == output.position);
  }
}

/// A change of settings as the partition's owner writes it.
inline schemas::ControlRecord change_at(const storage::TapeReader& tape,
                                        market::Partition partition, market::Offset at,
                                        const market::FoldSettings& settings) {
  schemas::ControlRecord record{
      schemas::ControlRecord::Kind::settings, "", {{partition, 0, 0}, {}}, at};
  record.settings = settings;
  const auto marks = tape.marks(partition, 0, at).value();
  for (const auto& stored : marks->records) {
    const auto mark = replay::time_mark(stored).value();
    const auto time = std::ranges::find(record.feed_times, mark.source, &schemas::FeedTime::source);
    if (time == record.feed_times.end()) {
      record.feed_times.push_back({mark.source, mark.feed_time});
    } else {
      time->feed_time = std::max(time->feed_time, mark.feed_time);
    }
  }
  return record;
}

}  // namespace tapedeck::tests
