// Any sequence of events: the book, the counts, the trust and the outputs are a naive fold's, and a
// state that went through a snapshot in the middle goes on like one that did not.
#include <cstdio>
#include <cstdlib>

#include "market/snapshot.hpp"
#include "market/symbol_state.hpp"
#include "tests/market/naive_fold.hpp"
#include "tests/market/stream_generator.hpp"

using namespace tapedeck::market;

namespace {

constexpr SourceId kSource = 7;

class Bytes {
public:
  Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  [[nodiscard]] bool empty() const { return at_ == end_; }
  std::uint64_t next() { return empty() ? 0 : *at_++; }

private:
  const std::uint8_t *at_, *end_;
};

void must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "the fold broke a law: %s\n", what);
  std::abort();
}

/// Small numbers, so that events meet; now and then one from outside its range.
std::int64_t value(Bytes& bytes, std::int64_t odd) {
  const auto byte = bytes.next();
  return byte == 255 ? odd : byte == 254 ? -1 : static_cast<std::int64_t>(byte % 32);
}

Event event_of(Bytes& bytes, TimeNs feed_time) {
  constexpr EventKind kKinds[] = {
      EventKind::add,           EventKind::add,    EventKind::add,    EventKind::execute,
      EventKind::execute_price, EventKind::reduce, EventKind::remove, EventKind::replace,
      EventKind::level,         EventKind::quote,  EventKind::trade,  EventKind::trade_break,
      EventKind::clear,         EventKind::gap};
  Event event;
  event.kind = kKinds[bytes.next() % std::size(kKinds)];
  event.feed_time = feed_time;
  const auto behind = bytes.next();
  event.time = feed_time - static_cast<TimeNs>(behind < 128 ? 0 : behind) * 20'000'000;
  event.id = bytes.next() % 24;
  event.other = bytes.next() % 24;
  event.side = static_cast<Side>(bytes.next() % 4);
  event.price = value(bytes, kMaxPrice + 1);
  event.size = value(bytes, kMaxSize + 1);
  event.flags = bytes.next() % 2 != 0 ? kPrintable : 0;
  return event;
}

Message message_of(Bytes& bytes, TimeNs& feed_time, Sequence& sequence) {
  Message message{kSource, {}};
  feed_time += static_cast<TimeNs>(bytes.next()) * 10'000'000;
  const auto head = bytes.next();
  if (head % 16 != 0) ++sequence;  // else the number of the message before: a duplicate
  for (std::uint64_t events = 1 + head % 3; events > 0; --events) {
    Event event = event_of(bytes, feed_time);
    event.sequence = sequence;
    if (!message.events.empty() && stream_of(event.kind) != stream_of(message.events[0].kind))
      break;
    message.events.push_back(event);
  }
  for (std::size_t i = 0; i + 1 < message.events.size(); ++i) message.events[i].flags |= kMore;
  return message;
}

SymbolState through_snapshot(const SymbolState& state, const FoldSettings& settings) {
  auto restored = SymbolState::restore(state.snapshot(), settings);
  must(restored.has_value(), "a snapshot is not restored");
  must(restored->digest() == state.digest(), "a restored state has another digest");
  return std::move(*restored);
}

bool equal(const Outputs& one, const Outputs& two) {
  if (one.size() != two.size()) return false;
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (!one[i].same_content(two[i])) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  const FoldSettings settings = random_settings(bytes.next());
  const std::uint64_t snapshot_after = bytes.next();
  TimeNs feed_time = 1'000 * kSecond;
  Sequence sequence = 0;
  SymbolState state("ABC", settings), other("ABC", settings);
  NaiveFold naive(settings);
  Outputs outputs, others;
  Offset offset = 0;
  const auto fold = [&](const Message& message) {
    const Batch batch{message.source, "source", {0, offset++, 0}, message.events};
    state.apply(batch, outputs);
    other.apply(batch, others);
    naive.message(message);
  };
  Event session;
  session.kind = EventKind::session;
  session.time = session.feed_time = feed_time;
  session.other = kSource;
  fold({kSource, {session}});
  while (!bytes.empty()) {
    fold(message_of(bytes, feed_time, sequence));
    if (offset == snapshot_after) other = through_snapshot(other, settings);
    const BookView view = state.book(0);
    must(view.bids == naive.book.view(Side::bid), "bids");
    must(view.asks == naive.book.view(Side::ask), "asks");
    must(view.trust == naive.trust, "trust");
    must(state.counts() == naive.counts, "counts");
  }
  must(equal(outputs, naive.outputs), "outputs are not the naive fold's");
  must(equal(outputs, others), "outputs differ after a snapshot");
  must(state.digest() == other.digest(), "digests differ after a snapshot");
  must(through_snapshot(state, settings).counts() == state.counts(), "counts of a snapshot");
  return 0;
}
