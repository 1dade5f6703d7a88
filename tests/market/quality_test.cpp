#include "market/quality.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "market/expectations.hpp"

using namespace tapedeck::market;

namespace {

/// A symbol's messages one after the other, from one source.
class Feed {
public:
  explicit Feed(QualityProfile& profile) : profile_(profile) {}
  std::uint32_t take(Event event, const std::string& symbol = "A") {
    event.sequence = ++sequence_;
    now_ = std::max(now_, event.time);
    if (event.feed_time == 0) event.feed_time = now_;
    std::vector<Event> events;
    if (begun_.insert(symbol).second) {
      Event session;
      session.kind = EventKind::session;
      session.time = session.feed_time = event.time;
      session.sequence = sequence_;
      session.other = 7;
      session.flags = kMore;
      events.push_back(session);
    }
    events.push_back(event);
    Batch batch;
    batch.source = 7;
    batch.source_name = "test";
    batch.events = events;
    return profile_.take(symbol, batch);
  }

private:
  QualityProfile& profile_;
  std::set<std::string> begun_;
  Sequence sequence_ = 0;
  TimeNs now_ = kNoTime;
};

Event trade(TimeNs time, Price price, Size size = 1) {
  Event event;
  event.kind = EventKind::trade;
  event.time = time;
  event.price = price;
  event.size = size;
  event.side = Side::bid;
  return event;
}

Event quote(TimeNs time, Side side, Price price) {
  Event event = trade(time, price);
  event.kind = EventKind::quote;
  event.side = side;
  return event;
}

constexpr TimeNs kStart = 1'700'000'000 * kSecond;

struct Profiled {
  QualitySettings settings;
  FoldSettings fold;
  QualityProfile profile{settings, fold};
  Feed feed{profile};
  [[nodiscard]] std::uint64_t found(Finding finding) const {
    return profile.report().findings[static_cast<std::size_t>(finding)];
  }
};

}  // namespace

TEST_CASE("gaps are counted at each scale, of a symbol and of the feed", "[quality]") {
  Profiled p;
  p.feed.take(trade(kStart, 1));
  p.feed.take(trade(kStart + 1, 1), "B");
  CHECK(p.feed.take(trade(kStart + kSecond, 2)) == 0);
  CHECK(p.feed.take(trade(kStart + 15 * kSecond, 3)) == bit(Finding::time_gap));
  p.feed.take(trade(kStart + 700 * kSecond, 4), "B");
  const auto report = p.profile.report();
  CHECK(report.symbols.at("A").gaps == std::array<std::uint64_t, kGapScales>{1, 1, 0, 0, 0});
  CHECK(report.symbols.at("B").gaps == std::array<std::uint64_t, kGapScales>{1, 1, 1, 1, 0});
  CHECK(report.feed_gaps == std::array<std::uint64_t, kGapScales>{2, 2, 1, 1, 0});
  CHECK(report.symbols.at("B").longest_gap == 700 * kSecond - 1);
  CHECK(report.symbols.at("B").longest_gap_at == kStart + 1);
}

TEST_CASE("a duplicate is found by its content within the window, and only there", "[quality]") {
  Profiled p;
  p.feed.take(trade(kStart, 5));
  CHECK(p.feed.take(trade(kStart, 5)) == bit(Finding::duplicate));
  CHECK(p.feed.take(trade(kStart, 5, 2)) == 0);
  CHECK(p.feed.take(trade(kStart, 5), "B") == 0);
  for (std::uint32_t i = 0; i < 2 * p.settings.fingerprints; ++i)
    p.feed.take(trade(kStart + 1 + i, 5));
  const auto before = p.found(Finding::duplicate);
  p.feed.take(trade(kStart, 5));
  CHECK(p.found(Finding::duplicate) == before);
}

TEST_CASE("an outlier is far from the mean of the last trades, and does not move it", "[quality]") {
  Profiled p;
  for (std::uint32_t i = 0; i < p.settings.outlier_trades; ++i)
    CHECK((p.feed.take(trade(kStart + i, 1000 + i % 2)) & bit(Finding::outlier)) == 0);
  CHECK((p.feed.take(trade(kStart + 1000, 1100)) & bit(Finding::outlier)) == 0);
  for (int i = 0; i < 100; ++i)
    CHECK((p.feed.take(trade(kStart + 2000 + i, 1200)) & bit(Finding::outlier)) != 0);
  CHECK((p.feed.take(trade(kStart + 3000, 1000)) & bit(Finding::outlier)) == 0);
  CHECK(p.profile.report().examples[static_cast<std::size_t>(Finding::outlier)].size() ==
        p.settings.examples);
}

TEST_CASE("quotes are crossed, locked or stale", "[quality]") {
  Profiled p;
  p.feed.take(quote(kStart, Side::bid, 10));
  CHECK(p.feed.take(quote(kStart + 1, Side::ask, 11)) == 0);
  CHECK(p.feed.take(quote(kStart + 2, Side::ask, 10)) == bit(Finding::locked_quote));
  CHECK(p.feed.take(quote(kStart + 3, Side::ask, 9)) == bit(Finding::crossed_quote));
  CHECK((p.feed.take(trade(kStart + 4, 9)) & bit(Finding::stale_quote)) == 0);
  CHECK((p.feed.take(trade(kStart + 61 * kSecond, 9)) & bit(Finding::stale_quote)) != 0);
}

TEST_CASE("what runs backwards, comes before its time or is refused is told", "[quality]") {
  Profiled p;
  p.feed.take(trade(kStart, 1));
  CHECK(p.feed.take(trade(kStart - 5, 1)) == bit(Finding::backwards));
  Event early = trade(kStart + 1, 1);
  early.receive_time = kStart - 9;
  CHECK(p.feed.take(early) == bit(Finding::skew));
  CHECK(p.feed.take(trade(kStart + 2, -1)) == bit(Finding::refused));
  Event ahead = trade(kStart + 900 * kSecond, 1);
  ahead.feed_time = kStart + 2;
  CHECK(p.feed.take(ahead) == bit(Finding::refused));
  const auto report = p.profile.report();
  CHECK(report.skew.min == -10);
  CHECK(report.symbols.at("A").counts.refused == 2);
  CHECK(report.symbols.at("A").longest_gap < kSecond);
}

TEST_CASE("only the asked range is looked at, all of it is folded", "[quality]") {
  QualitySettings settings;
  settings.from = kStart + 10;
  settings.to = kStart + 19;
  const FoldSettings fold;
  QualityProfile profile(settings, fold);
  Feed feed(profile);
  for (int i = 0; i < 40; ++i) feed.take(trade(kStart + i, 1 + i));
  CHECK(profile.report().events == 10);
  CHECK(profile.report().symbols.at("A").counts.folded == 41);
}

TEST_CASE("activity keeps its count whatever the span of time, in bounded room", "[quality]") {
  Activity activity;
  for (std::int64_t i = 0; i < 5000; ++i) activity.add(kStart + i * i * kSecond);
  std::uint64_t sum = 0;
  for (const auto& [begin, count] : activity.spans) sum += count;
  CHECK(sum == 5000);
  CHECK(activity.spans.size() <= Activity::kMaxSpans);
  CHECK(activity.width > kSecond);
}

TEST_CASE("an expectation counts what breaks it, by the symbol's own bounds and exponents",
          "[quality]") {
  Expectation price;
  price.name = "price";
  price.bounds.max = 100 * 100'000'000LL;
  price.share_ppm = 250'000;
  price.overrides["B"] = {{}, 5 * 100'000'000LL, {}};
  Expectation rising;
  rising.name = "rising";
  rising.field = ExpectedField::time;
  rising.rule = ExpectedRule::increasing;
  Expectation gap = rising;
  gap.rule = ExpectedRule::max_gap;
  gap.bounds.gap = 10;
  ExpectationSuite suite({price, rising, gap});
  const Instrument cents{-2, 0, 0}, fine{-9, 0, 0};
  CHECK_FALSE(suite.take("A", cents, trade(0, 100'00)));
  CHECK(suite.take("A", cents, trade(1, 100'01)));
  CHECK_FALSE(suite.take("A", fine, trade(2, 100'000'000'000)));
  CHECK(suite.take("B", fine, trade(3, 5'000'000'001)));
  CHECK_FALSE(suite.take("A", cents, trade(12, 1)));
  CHECK(suite.take("A", cents, trade(23, 1)));
  CHECK(suite.take("A", cents, trade(22, 1)));
  CHECK_FALSE(suite.take("A", cents, quote(23, Side::bid, 999'99)));
  const auto& results = suite.results();
  CHECK(results[0].checked == 7);
  CHECK(results[0].failed == 2);
  CHECK_FALSE(results[0].passed(suite.expectations()[0]));
  Expectation lenient = price;
  lenient.share_ppm = 285'715;
  CHECK(results[0].passed(lenient));
  CHECK(results[1].failed == 1);
  CHECK(results[2].failed == 1);
  CHECK(results[2].examples.front().value == 11);
}

TEST_CASE("the spread is looked at after a whole quote", "[quality]") {
  Expectation spread;
  spread.field = ExpectedField::spread;
  spread.rule = ExpectedRule::positive;
  ExpectationSuite suite({spread});
  const Instrument whole;
  suite.take("A", whole, quote(0, Side::bid, 10));
  CHECK(suite.results()[0].checked == 0);
  Event half = quote(1, Side::ask, 9);
  half.flags = kMore;
  CHECK_FALSE(suite.take("A", whole, half));
  CHECK_FALSE(suite.take("A", whole, quote(1, Side::bid, 8)));
  CHECK(suite.take("A", whole, quote(2, Side::bid, 9)));
  CHECK(suite.results()[0].checked == 2);
}

TEST_CASE("many events at once are seen as one by one", "[quality]") {
  const auto seed = GENERATE(take(40, random(1U, 1U << 30)));
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t end) { return static_cast<std::int64_t>(random() % end); };
  QualitySettings settings;
  settings.fingerprints = below(4) == 0 ? 64 : 0;
  settings.outlier_trades = 4;
  settings.gap_scales[0] = 1 + below(2 * kSecond);
  QualityWatch together(settings), alone(settings);
  TimeNs time = below(2) == 0 ? -kStart : kStart;
  std::vector<Event> events(500);
  for (Event& event : events) {
    constexpr std::int64_t steps[] = {0, 1, 1000, kSecond, 10 * kSecond, -5};
    time += steps[below(6)] * below(3);
    event.kind = static_cast<EventKind>(below(kEventKinds));
    event.time = below(50) == 0 ? kNoTime : time;
    event.feed_time = event.time - (below(20) == 0 ? -1 : 0);
    event.receive_time = below(3) == 0 ? time + below(5) - 1 : 0;
    event.side = below(2) == 0 ? Side::bid : Side::ask;
    event.price = below(30), event.size = below(4);
  }
  for (std::size_t at = 0; at < events.size();) {
    const auto count = std::min<std::size_t>(static_cast<std::size_t>(below(90)), 500 - at);
    const std::span<const Event> run(events.data() + at, count);
    at += count;
    together.look_at(run);
    for (const Event& event : run) {
      if (QualityWatch::is_market_event(event.kind)) (void)alone.look_at(event);
    }
    CHECK(together.quality() == alone.quality());
  }
  CHECK(alone.quality().longest_gap > 0);
}
