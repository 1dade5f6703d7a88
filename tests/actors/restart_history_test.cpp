#include "actors/restart_history.hpp"

#include <catch2/catch.hpp>

using namespace tapedeck::actors;
using std::chrono::milliseconds;

namespace {
const RestartHistory::Clock::time_point kStart{};
}

TEST_CASE("forgiven restarts do not count towards the budget") {
  RestartPolicy policy;
  policy.budget = 2;
  RestartHistory history(policy, 1);
  for (int round = 0; round < 5; ++round) {
    REQUIRE(history.failed(kStart));
    REQUIRE(history.failed(kStart));
    CHECK(history.restarts() == 2);
    history.forgive(history.restarts());
  }
  REQUIRE(history.failed(kStart));
  REQUIRE(history.failed(kStart));
  CHECK_FALSE(history.failed(kStart));
}

TEST_CASE("the first restart is at once, then the back-off doubles up to its maximum",
          "[restart]") {
  RestartPolicy policy;
  policy.jitter_percent = 0;
  policy.budget = 100;
  RestartHistory history(policy, 1);
  const int expected[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
  for (const int delay : expected) CHECK(history.failed(kStart) == milliseconds(delay));
}

TEST_CASE("jitter stays within its share, and the same seed repeats it", "[restart]") {
  RestartPolicy policy;
  policy.budget = 100;
  RestartHistory one(policy, 1), again(policy, 1), sibling(policy, 2);
  bool differs = false;
  auto nominal = policy.backoff_min;
  CHECK(one.failed(kStart) == again.failed(kStart));
  (void)sibling.failed(kStart);
  for (int i = 0; i < 9; ++i, nominal = std::min(nominal * 2, policy.backoff_max)) {
    const auto delay = one.failed(kStart).value();
    CHECK(delay == again.failed(kStart));
    differs |= delay != sibling.failed(kStart);
    CHECK(delay >= nominal * 80 / 100);
    CHECK(delay <= nominal * 120 / 100);
  }
  CHECK(differs);
}

TEST_CASE("a spent budget escalates, and health gives it back", "[restart]") {
  RestartPolicy policy;
  policy.budget = 3;
  policy.jitter_percent = 0;
  RestartHistory history(policy, 1);
  for (int i = 0; i < 3; ++i) CHECK(history.failed(kStart));
  CHECK_FALSE(history.failed(kStart));
  CHECK(history.failed(kStart + milliseconds(61'000)) == milliseconds(0));
}

TEST_CASE("where a spent budget is to be retried, each restart waits longest, and that is said",
          "[restart]") {
  RestartPolicy policy;
  policy.budget = 2;
  policy.jitter_percent = 0;
  policy.escalation = Escalation::retry;
  RestartHistory history(policy, 1);
  CHECK(history.failed(kStart) == milliseconds(0));
  CHECK(history.left() == 1);
  CHECK(history.failed(kStart) == milliseconds(100));
  CHECK_FALSE(history.spent());
  for (int i = 0; i < 3; ++i) {
    CHECK(history.failed(kStart) == milliseconds(30'000));
    CHECK(history.spent());
    CHECK(history.left() == 0);
  }
  CHECK(history.failed(kStart + milliseconds(200'000)) == milliseconds(0));
  CHECK_FALSE(history.spent());
}
