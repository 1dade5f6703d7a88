// tests/storage/state_suite.cpp -- what every state store has to do; compiled into one program for
// each kind of store.
#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <map>
#include <random>

#include "tests/storage/state_fixture.hpp"

namespace tapedeck::storage::test {

StoredSnapshot make_snapshot(const std::string& symbol, Partition partition, Offset next,
                             TimeNs time, const std::string& bytes) {
  return {
      {partition, symbol, next}, time, next * 3, {next, std::hash<std::string>{}(bytes)}, bytes};
}

std::vector<EncodedOutputs> encoded(const std::vector<OutputRow>& rows) {
  std::vector<EncodedOutputs> all;
  for (std::size_t i = 0; i < rows.size();) {
    market::Outputs run;
    const std::string& symbol = rows[i].symbol;
    for (; i < rows.size() && rows[i].symbol == symbol; ++i) run.push_back(rows[i].output);
    all.push_back(encode_outputs(symbol, run));
  }
  return all;
}

OutputRow make_candle(const std::string& symbol, TimeNs width, TimeNs open_time,
                      market::Price close, std::uint32_t revision) {
  market::Candle candle;
  candle.width = width;
  candle.open_time = open_time;
  candle.open = candle.high = candle.low = candle.close = close;
  candle.volume = 5;
  candle.trades = 1;
  candle.closed = true;
  candle.revision = revision;
  market::Output output;
  output.time = open_time + width;
  output.source = 7;
  output.body = candle;
  return {symbol, output};
}

namespace {

std::string any_store() { return GENERATE(from_range(state_variants())); }

std::vector<Offset> offsets(const std::vector<DigestRow>& rows) {
  std::vector<Offset> all;
  for (const auto& row : rows) all.push_back(row.key.next);
  return all;
}

std::vector<market::Output> outputs(const StateReader& reader, const std::string& symbol,
                                    std::string lower = {}, std::string upper = {}) {
  std::vector<market::Output> all;
  REQUIRE(reader.outputs(symbol, lower, upper, [&](const market::Output& output) {
    all.push_back(output);
    return true;
  }));
  return all;
}

constexpr Offset kAny = ~Offset{0};

}  // namespace

TEST_CASE("the newest snapshot at or before an offset comes back whole") {
  const auto variant = any_store();
  CAPTURE(variant);
  auto fixture = make_state(variant);
  auto& reader = fixture->reader();
  CHECK_FALSE(reader.newest_snapshot("A", 0, kAny).value());
  const std::string bytes("\0some\0bytes\xff", 12);
  const std::string large(200'000, 'z');
  REQUIRE(fixture->store().write(
      {{make_snapshot("A", 0, 10, 100, bytes), make_snapshot("A", 0, 300, 200, large),
        make_snapshot("AA", 0, 20, 1, "other"), make_snapshot("A", 1, 15, 1, "elsewhere")},
       {},
       {},
       {}}));
  REQUIRE(reader.refresh());
  CHECK_FALSE(reader.newest_snapshot("A", 0, 9).value());
  for (const auto& [at_most, next] :
       std::map<Offset, Offset>{{10, 10}, {299, 10}, {300, 300}, {kAny, 300}}) {
    const auto snapshot = reader.newest_snapshot("A", 0, at_most).value();
    REQUIRE(snapshot);
    CHECK(snapshot->key.next == next);
    CHECK(snapshot->key.symbol == "A");
    CHECK(snapshot->key.partition == 0);
    CHECK(snapshot->bytes == (next == 10 ? bytes : large));
    CHECK(snapshot->max_event_time == (next == 10 ? 100 : 200));
    CHECK(snapshot->events == next * 3);
    CHECK(snapshot->digest.high == next);
  }
  CHECK(offsets(reader.snapshots("A", 0).value()) == std::vector<Offset>{10, 300});
  CHECK(offsets(reader.digests("A", 0).value()) == std::vector<Offset>{10, 300});
  CHECK(reader.symbols(0).value() == std::vector<std::string>{"A", "AA"});
  CHECK(reader.symbols(1).value() == std::vector<std::string>{"A"});
  CHECK(reader.symbols(2).value().empty());
}

TEST_CASE("checkpoints come newest first, with all that is in them; cursors by partition") {
  const auto variant = any_store();
  CAPTURE(variant);
  auto fixture = make_state(variant);
  auto& reader = fixture->reader();
  CHECK(reader.cursor(0).value() == 0);
  CHECK(reader.checkpoints(0).value().empty());
  const Checkpoint first{0, 500, {{7, 100}, {8, -5}}, {{"SLOW", 300}, {"DOWN", 0}}, 12'345};
  const Checkpoint second{0, 70'000, {}, {}, 20'000};
  const Checkpoint other{1, 600, {}, {}, 1};
  REQUIRE(fixture->store().write({{}, {}, first, {{0, 490}}}));
  REQUIRE(fixture->store().write({{}, {}, second, {{0, 69'000}}}));
  REQUIRE(fixture->store().write({{}, {}, other, {}}));
  REQUIRE(reader.refresh());
  CHECK(reader.checkpoints(0).value() == std::vector<Checkpoint>{second, first});
  CHECK(reader.checkpoints(1).value() == std::vector<Checkpoint>{other});
  CHECK(reader.cursor(0).value() == 69'000);
  CHECK(reader.cursor(1).value() == 0);
}

TEST_CASE("outputs are kept once by identity, in its order, and found by range") {
  const auto variant = any_store();
  CAPTURE(variant);
  auto fixture = make_state(variant);
  auto& reader = fixture->reader();
  constexpr TimeNs s = market::kSecond;
  StateStore::Batch batch;
  std::vector<OutputRow> rows;
  for (TimeNs t : {30, -20, 10, 20, -10}) rows.push_back(make_candle("A", s, t * s, 100 + t));
  rows.push_back(make_candle("A", 10 * s, 0, 1));
  rows.push_back(make_candle("AB", s, 0, 2));
  batch.outputs = encoded(rows);
  REQUIRE(fixture->store().write(batch));
  REQUIRE(fixture->store().write({{}, encoded({make_candle("A", s, 20 * s, 555)}), {}, {}}));
  REQUIRE(fixture->store().write({{}, encoded({make_candle("A", s, 20 * s, 777, 1)}), {}, {}}));
  REQUIRE(reader.refresh());
  const auto closes = [](const std::vector<market::Output>& all) {
    std::vector<market::Price> prices;
    for (const auto& output : all) prices.push_back(std::get<market::Candle>(output.body).close);
    return prices;
  };
  CHECK(closes(outputs(reader, "A")) == std::vector<market::Price>{80, 90, 110, 555, 777, 130, 1});
  CHECK(closes(outputs(reader, "AB")) == std::vector<market::Price>{2});
  CHECK(outputs(reader, "B").empty());
  const auto from = market::identity(make_candle("A", s, 10 * s, 0).output);
  const auto to = market::identity(make_candle("A", s, 30 * s, 0).output);
  CHECK(closes(outputs(reader, "A", from, to)) == std::vector<market::Price>{110, 555, 777});
  CHECK(closes(outputs(reader, "A", to)) == std::vector<market::Price>{130, 1});
  int visited = 0;
  REQUIRE(reader.outputs("A", {}, {}, [&](const market::Output&) { return ++visited < 2; }));
  CHECK(visited == 2);
  CHECK(reader.verify());
}

TEST_CASE("what rules that hold no more have left is forgotten, but for outputs below the cursor") {
  const auto variant = any_store();
  CAPTURE(variant);
  auto fixture = make_state(variant);
  auto& store = fixture->store();
  auto& reader = fixture->reader();
  constexpr TimeNs s = market::kSecond;
  const auto said = [&](const std::string& symbol, TimeNs time, Offset offset,
                        std::uint32_t revision) {
    auto row = make_candle(symbol, s, time * s, 100, revision);
    row.output.position.offset = offset;
    return row;
  };
  for (const Offset next : {10, 20, 30}) {
    StateStore::Batch batch;
    for (const std::string symbol : {"A", "AA"})
      batch.snapshots.push_back(make_snapshot(symbol, 0, next, 0, "state"));
    batch.checkpoint = Checkpoint{0, next, {}, {}, 0};
    REQUIRE(store.write(batch));
  }
  StateStore::Batch early, late;
  early.cursor = late.cursor = {0, 15};
  early.outputs = encoded({said("A", 1, 5, 0), said("A", 2, 17, 0), said("A", 3, 21, 0)});
  late.outputs = encoded({said("A", 1, 22, 0), said("A", 2, 25, 1), said("AA", 1, 25, 0)});
  REQUIRE(store.write(early));
  REQUIRE(store.write(late));
  REQUIRE(reader.refresh());
  CHECK(reader.rules_met(0).value() == 0);

  StateStore::Batch batch;
  batch.forget = {{0, "A", 20, 20}};
  batch.rules_met = {0, 3};
  REQUIRE(store.write(batch));
  REQUIRE(reader.refresh());
  CHECK(reader.rules_met(0).value() == 3);
  CHECK(reader.rules_met(1).value() == 0);
  CHECK(offsets(reader.snapshots("A", 0).value()) == std::vector<Offset>{10, 20});
  CHECK(offsets(reader.digests("A", 0).value()) == std::vector<Offset>{10, 20});
  CHECK(offsets(reader.snapshots("AA", 0).value()) == std::vector<Offset>{10, 20, 30});
  CHECK(reader.checkpoints(0).value().front().next == 20);
  const auto emitted = [&](const std::string& symbol) {
    std::vector<Offset> all;
    for (const auto& output : outputs(reader, symbol)) all.push_back(output.position.offset);
    return all;
  };
  CHECK(emitted("A") == std::vector<Offset>{5, 17});  // the first as it was said before 22
  CHECK(emitted("AA") == std::vector<Offset>{25});
  batch.forget = {{0, "A", 0, 0}};
  REQUIRE(store.write(batch));
  REQUIRE(reader.refresh());
  CHECK(emitted("A") == std::vector<Offset>{5});
  CHECK(reader.snapshots("A", 0).value().empty());
  CHECK(reader.verify());
}

TEST_CASE("outputs of any range are those of a naive store, however they were written") {
  const auto variant = any_store();
  const unsigned seed = GENERATE(1u, 2u);
  CAPTURE(variant, seed);
  auto fixture = make_state(variant);
  std::mt19937 random(seed);
  std::map<std::string, market::Output> naive;
  const TimeNs widths[] = {market::kSecond, 60 * market::kSecond};
  const auto candle = [&] {
    const TimeNs width = widths[random() % 2];
    const TimeNs time =
        (static_cast<TimeNs>(random() % 1200) - 300) * width;  // several spans, some before 1970
    return make_candle("A", width, time, static_cast<market::Price>(random() % 1000), random() % 2);
  };
  for (int i = 0; i < 40; ++i) {
    StateStore::Batch batch;
    for (auto pieces = random() % 4; pieces > 0; --pieces) {
      std::vector<OutputRow> rows;
      for (auto n = random() % 20; n > 0; --n) rows.push_back(candle());
      for (const auto& row : rows) naive.insert_or_assign(market::identity(row.output), row.output);
      rows.push_back(make_candle("B", market::kSecond, 0, 1));
      std::ranges::move(encoded(rows), std::back_inserter(batch.outputs));
    }
    REQUIRE(fixture->store().write(batch));
  }
  REQUIRE(fixture->reader().refresh());
  for (int i = 0; i < 60; ++i) {
    auto lower = market::identity(candle().output);
    auto upper = market::identity(candle().output);
    if (upper < lower) std::swap(lower, upper);
    if (i % 3 == 0) lower.resize(random() % lower.size());
    if (i % 4 == 0) upper.clear();
    std::vector<market::Output> expected;
    for (const auto& [identity, output] : naive) {
      if (identity >= lower && (upper.empty() || identity < upper)) expected.push_back(output);
    }
    const auto found = outputs(fixture->reader(), "A", lower, upper);
    REQUIRE(found.size() == expected.size());
    for (std::size_t k = 0; k < found.size(); ++k) CHECK(found[k].same_content(expected[k]));
  }
}

TEST_CASE("a batch with an impossible symbol is refused whole") {
  const auto variant = any_store();
  CAPTURE(variant);
  auto fixture = make_state(variant);
  for (const auto& symbol : {std::string(), std::string("a\0b", 3), std::string(65, 'x')}) {
    const auto result = fixture->store().write(
        {{make_snapshot("GOOD", 0, 1, 1, "x"), make_snapshot(symbol, 0, 1, 1, "x")},
         {},
         {},
         {{0, 5}}});
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::invalid);
  }
  REQUIRE(fixture->reader().refresh());
  CHECK(fixture->reader().symbols(0).value().empty());
  CHECK(fixture->reader().cursor(0).value() == 0);
}

TEST_CASE(
    "thinning keeps what is new, one an hour of what is old, what checkpoints need, and every "
    "digest") {
  const auto variant = any_store();
  CAPTURE(variant);
  auto fixture = make_state(variant);
  auto& store = fixture->store();
  constexpr TimeNs minute = 60 * market::kSecond;
  // One snapshot every 20 minutes: offsets 0, 10, 20, ... at 0:00, 0:20, 0:40, 1:00, ...
  StateStore::Batch batch;
  for (Offset i = 0; i < 12; ++i) {
    batch.snapshots.push_back(
        make_snapshot("A", 0, i * 10, static_cast<TimeNs>(i) * 20 * minute, "state"));
    batch.snapshots.push_back(
        make_snapshot("A", 1, i * 10, static_cast<TimeNs>(i) * 20 * minute, "state"));
  }
  REQUIRE(store.write(batch));
  for (const Offset next : {15u, 35u, 48u, 75u, 100u}) {
    Checkpoint checkpoint{0, next, {}, {}, 0};
    if (next == 48) checkpoint.behind.push_back({"A", 31});
    REQUIRE(store.write({{}, {}, checkpoint, {}}));
  }
  REQUIRE(store.write({{}, {}, {}, {{0, 80}}}));
  // Kept: checkpoints 100 (above the cursor), 75, 48 -> their snapshots 100, 70, 40 and 30
  // (behind).
  const auto removed = store.thin(0, 170 * minute, 2);
  REQUIRE(removed);
  auto& reader = fixture->reader();
  REQUIRE(reader.refresh());
  std::vector<Offset> left;
  const auto checkpoints = reader.checkpoints(0).value();
  for (const auto& checkpoint : checkpoints) left.push_back(checkpoint.next);
  CHECK(left == std::vector<Offset>{100, 75, 48});
  // 20, 50, 80: last of their hours; 90 and on: newer than 2:50.
  const std::vector<Offset> kept{20, 30, 40, 50, 70, 80, 90, 100, 110};
  CHECK(offsets(reader.snapshots("A", 0).value()) == kept);
  CHECK(*removed == 12 - kept.size());
  CHECK(reader.digests("A", 0).value().size() == 12);
  CHECK(reader.snapshots("A", 1).value().size() == 12);
  CHECK(reader.newest_snapshot("A", 0, 69).value()->key.next == 50);
  CHECK_FALSE(reader.newest_snapshot("A", 0, 19).value());
  CHECK(reader.verify());
  CHECK(store.thin(0, 170 * minute, 2).value() == 0);
}

TEST_CASE("of very many symbols each is thinned in its turn") {
  const auto variant = any_store();
  CAPTURE(variant);
  auto fixture = make_state(variant);
  auto& store = fixture->store();
  const std::size_t symbols = StateStore::kThinnedAtOnce + 10;
  StateStore::Batch batch;
  for (std::size_t i = 0; i < symbols; ++i) {
    for (const Offset next : {1u, 2u})
      batch.snapshots.push_back(make_snapshot("S" + std::to_string(i), 0, next, 1, "state"));
  }
  REQUIRE(store.write(batch));
  for (const std::size_t removed : {StateStore::kThinnedAtOnce, std::size_t{10}, std::size_t{0}})
    CHECK(store.thin(0, market::kSecond, 2).value() == removed);
  REQUIRE(fixture->reader().refresh());
  for (const char* symbol : {"S0", "S9", "S999"})
    CHECK(offsets(fixture->reader().snapshots(symbol, 0).value()) == std::vector<Offset>{2});
}

TEST_CASE("a store is equal to a naive one after random writes") {
  const auto variant = any_store();
  const unsigned seed = GENERATE(1u, 2u);
  CAPTURE(variant, seed);
  auto fixture = make_state(variant);
  std::mt19937 random(seed);
  std::map<std::pair<std::string, Offset>, std::string> naive;
  const std::vector<std::string> symbols{"A", "AA", "B", "Z\xff", "\xff\xff"};
  for (int i = 0; i < 60; ++i) {
    StateStore::Batch batch;
    for (auto n = random() % 5; n > 0; --n) {
      const auto& symbol = symbols[random() % symbols.size()];
      const Offset next = random() % 400;
      const std::string bytes(random() % 3000, static_cast<char>('a' + random() % 26));
      batch.snapshots.push_back(make_snapshot(symbol, 0, next, 1, bytes));
      naive[{symbol, next}] = bytes;
    }
    REQUIRE(fixture->store().write(batch));
  }
  auto& reader = fixture->reader();
  REQUIRE(reader.refresh());
  for (int i = 0; i < 300; ++i) {
    const auto& symbol = symbols[random() % symbols.size()];
    const Offset at_most = random() % 420;
    auto expected = naive.upper_bound({symbol, at_most});
    const bool any = expected != naive.begin() && std::prev(expected)->first.first == symbol;
    const auto found = reader.newest_snapshot(symbol, 0, at_most).value();
    REQUIRE(found.has_value() == any);
    if (!any) continue;
    CHECK(found->key.next == std::prev(expected)->first.second);
    CHECK(found->bytes == std::prev(expected)->second);
  }
  CHECK(reader.verify().value() == 2 * naive.size());
}

TEST_CASE("the first settings stored on a tape stay in force") {
  const auto variant = any_store();
  CAPTURE(variant);
  auto fixture = make_state(variant);
  auto& control = fixture->control();
  CHECK_FALSE(control.settings().value());
  market::FoldSettings first, second;
  first.metrics_levels = 7;
  first.candle_widths = {market::kSecond, 60 * market::kSecond};
  CHECK(control.settle(first).value() == first);
  CHECK(control.settle(second).value() == first);
  CHECK(control.settings().value() == first);
}

}  // namespace tapedeck::storage::test
