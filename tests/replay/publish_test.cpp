// What a player publishes is a tape as good as the one it plays.
#include "replay/publish.hpp"

#include "sessions.hpp"
#include "storage/memory_tape.hpp"

using namespace tapedeck;
using replay::PlayState;
using replay::Told;
using tests::record_session;

namespace {

const market::FoldSettings kSettings;

replay::Player open(const storage::TapeReader& tape) {
  auto player = replay::Player::open(tape, nullptr, kSettings, {});
  REQUIRE(player);
  player->set_speed(0, replay::Speed{0});
  return std::move(*player);
}

}  // namespace

TEST_CASE("a tape that a player publishes folds to the same digests and outputs", "[publish]") {
  storage::MemoryTape tape(3), published(2);
  record_session(tape, {"seed=8,symbols=7,messages=9000", 128, 200});
  auto player = open(tape);
  auto publisher = replay::Publisher::open(tape, published);
  REQUIRE(publisher);
  player.on_mark([&](const market::TimeMark& mark) { publisher->take(mark); });
  player.play(0);
  std::size_t flushes = 0;
  while (player.state() == PlayState::playing) {
    REQUIRE(player.tell_due(0, 1 + flushes % 97, [&](const Told& told) { publisher->take(told); }));
    REQUIRE(publisher->flush(player.time()));
    CHECK(publisher->waiting() == 0);
    ++flushes;
  }
  REQUIRE(publisher->finish(player.time(), true));
  const auto expected = tests::plain_refold(tape, kSettings);
  const auto found = tests::plain_refold(published, kSettings);
  CHECK(found.digests == expected.digests);
  CHECK(found.counts == expected.counts);
  tests::check_same_outputs(found.outputs, expected.outputs, false);
  const auto sources = published.sources().value();
  REQUIRE(sources.size() == 1);
  CHECK(sources.front().complete);
  // A second time would double it.
  const auto again = replay::Publisher::open(tape, published);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == ErrorCode::conflict);
}

TEST_CASE("a symbol that goes back in time is not published", "[publish]") {
  storage::MemoryTape tape(3), published(3);
  record_session(tape, {"seed=1,symbols=6,messages=6000", 256, 512});
  record_session(tape, {"seed=2,symbols=9,messages=6000", 64, 64});
  auto player = open(tape);
  auto publisher = replay::Publisher::open(tape, published).value();
  player.on_mark([&](const market::TimeMark& mark) { publisher.take(mark); });
  player.play(0);
  Result<void> flushed;
  while (flushed && player.state() == PlayState::playing) {
    REQUIRE(player.tell_due(0, 50, [&](const Told& told) { publisher.take(told); }));
    flushed = publisher.flush(player.time());
  }
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == ErrorCode::invalid);
  CHECK(flushed.error().field == "publish");
}
