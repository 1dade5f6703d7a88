// The law of time: where marks fall, how messages are batched, and where a state is stored and
// taken up again changes when something is said, never what, nor any digest.
#include <catch2/catch.hpp>

#include <map>

#include "tests/market/fold_tester.hpp"
#include "tests/market/stream_generator.hpp"

using namespace tapedeck::market;

namespace {

struct Run {
  Outputs outputs;
  std::map<std::size_t, Digest> digests;  ///< by number of messages folded
};

/// One batch a message, no marks.
Run plain_run(const std::vector<Message>& messages, const FoldSettings& settings) {
  Run run;
  SymbolState state("ABC", settings);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    state.apply({messages[i].source, "s", {0, i, 0}, messages[i].events}, run.outputs);
    run.digests[i + 1] = state.digest();
  }
  return run;
}

/// Random batches, random marks, stored and restored now and then.
Run disturbed_run(const std::vector<Message>& messages, const FoldSettings& settings,
                  std::uint64_t seed) {
  Run run;
  Random random(seed);
  SymbolState state("ABC", settings);
  TimeNs reached = kNoTime;
  SourceId source = 0;
  Offset offset = 0;
  for (std::size_t i = 0; i < messages.size();) {
    const SourceId batch_source = messages[i].source;
    std::vector<Event> events;
    const std::size_t from = i;
    const std::size_t most = 1 + random.below(random.chance(50) ? 4 : 60);
    while (i < messages.size() && messages[i].source == batch_source && i - from < most) {
      events.insert(events.end(), messages[i].events.begin(), messages[i].events.end());
      ++i;
    }
    const bool current = batch_source == state.source();
    if (current && batch_source == source && reached != kNoTime) {
      for (std::uint64_t marks = random.below(4); marks > 0; --marks) {
        const TimeNs next = events.front().feed_time;
        if (next <= reached) break;
        reached +=
            static_cast<TimeNs>(random.below(static_cast<std::uint64_t>(next - reached) + 1));
        const Digest before = state.digest();
        state.advance({batch_source, reached, {0, offset++, 0}}, run.outputs);
        REQUIRE(state.digest() == before);
        REQUIRE(state.next_due() > reached);
      }
    }
    if (random.chance(20)) {
      const SymbolSnapshot snapshot = state.snapshot();
      auto restored = SymbolState::restore(snapshot, settings);
      INFO((restored ? "" : restored.error().message));
      REQUIRE(restored);
      REQUIRE(restored->snapshot() == snapshot);
      state = std::move(*restored);
    }
    state.apply({batch_source, "s", {0, offset++, 0}, events}, run.outputs);
    if (batch_source == state.source()) {
      // Duplicates in a stream look back in time: the recorder's feed time does not.
      if (batch_source != source) reached = kNoTime;
      for (const Event& event : events) {
        if (event.feed_time > reached) reached = event.feed_time;
      }
      source = batch_source;
    }
    run.digests[i] = state.digest();
    if (!state.snapshot().marked) REQUIRE(state.recompute_digest() == state.digest());
  }
  return run;
}

Outputs only(const Outputs& outputs, bool refusals) {
  Outputs result;
  for (const Output& output : outputs) {
    if ((output.kind() == OutputKind::refusal) == refusals) result.push_back(output);
  }
  return result;
}

void check_law(std::uint64_t seed, const StreamOptions& options) {
  INFO("seed " << seed);
  const FoldSettings settings = random_settings(seed);
  const std::vector<Message> messages = generate(seed, options);
  const Run plain = plain_run(messages, settings);
  for (std::uint64_t variant = 0; variant < 3; ++variant) {
    INFO("variant " << variant);
    const Run other = disturbed_run(messages, settings, seed * 31 + variant);
    for (const auto& [count, digest] : other.digests) {
      INFO("after message " << count);
      REQUIRE(digest == plain.digests.at(count));
    }
    // A refused event does not move time: between refusals and the rest there is no order.
    for (const bool refusals : {false, true}) {
      const Outputs one = only(plain.outputs, refusals), two = only(other.outputs, refusals);
      REQUIRE(one.size() == two.size());
      for (std::size_t i = 0; i < one.size(); ++i) {
        INFO("output " << i);
        REQUIRE(identity(one[i]) == identity(two[i]));
        REQUIRE(one[i].same_content(two[i]));
      }
    }
  }
}

}  // namespace

TEST_CASE("the law of time holds for a stream of orders", "[law]") {
  for (std::uint64_t seed = 1; seed <= 25; seed += kNextSeed) check_law(seed, {.messages = 800});
}

TEST_CASE("the law of time holds over several sources, holes and jumps", "[law]") {
  for (std::uint64_t seed = 100; seed <= 125; seed += kNextSeed) {
    check_law(seed, {.messages = 1500, .sessions = true, .sequencing = Sequencing::per_symbol});
  }
}

TEST_CASE("the law of time holds while resyncing", "[law]") {
  for (std::uint64_t seed = 200; seed <= 225; seed += kNextSeed) {
    check_law(seed,
              {.messages = 1000,
               .sessions = true,
               .resync = true,
               .sequencing = seed % 2 == 0 ? Sequencing::per_symbol : Sequencing::message_number,
               .levels = seed % 3 == 0});
  }
}

TEST_CASE("advance(a), advance(b) is advance(b)", "[law]") {
  for (std::uint64_t seed = 300; seed <= 320; seed += kNextSeed) {
    const FoldSettings settings = random_settings(seed);
    SymbolState state("ABC", settings);
    Outputs ignored;
    TimeNs last = 0;
    for (const Message& message : generate(seed, {.messages = 200, .invalid = false})) {
      state.apply({message.source, "s", {}, message.events}, ignored);
      last = message.events.back().feed_time;
    }
    auto twin = SymbolState::restore(state.snapshot(), settings);
    REQUIRE(twin);
    const SourceId source = state.source();
    Outputs one, two;
    const TimeNs end = last + 100 * kSecond;
    state.advance({source, end, {0, 9, 0}}, one);
    for (TimeNs time = last; time <= end; time += kSecond / 7) {
      twin->advance({source, time, {0, 9, 0}}, two);
    }
    twin->advance({source, end, {0, 9, 0}}, two);
    REQUIRE(one.size() == two.size());
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(one[i].same_content(two[i]));
    CHECK(state.snapshot() == twin->snapshot());
    CHECK(state.next_due() == kNever);
  }
}
