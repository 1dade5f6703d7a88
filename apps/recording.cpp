#include "apps/recording.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "api/time_format.hpp"
#include "apps/batch_queue.hpp"

namespace tapedeck::apps {

using market::FeedBatch;
using market::TimeNs;
using storage::Recorder;

namespace {

constexpr std::size_t kBulkPoll = 16'384;
constexpr std::size_t kFirstPoll = 64;
constexpr std::size_t kPacedPoll = 4'096;
constexpr std::size_t kQueuedBatches = 3;
constexpr auto kNap = std::chrono::microseconds(100);

TimeNs steady_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<std::uint64_t> whole_number(std::string_view text, const std::string& field,
                                   const std::string& expected) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(ErrorCode::invalid, "expected " + expected + ", found '" + std::string(text) + "'",
                field);
  return value;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// A feed whose first batch has been read already.
class CheckedFeed final : public feeds::Feed {
public:
  CheckedFeed(std::unique_ptr<feeds::Feed> inner, FeedBatch first)
      : inner_(std::move(inner)), first_(std::move(first)) {}
  Result<void> poll(FeedBatch& batch, std::size_t max_events) override {
    if (!first_) return inner_->poll(batch, max_events);
    batch = std::move(*first_);
    first_.reset();
    return {};
  }
  [[nodiscard]] market::Sequencing sequencing() const override { return inner_->sequencing(); }
  [[nodiscard]] std::uint64_t total_bytes() const override { return inner_->total_bytes(); }

private:
  std::unique_ptr<feeds::Feed> inner_;
  std::optional<FeedBatch> first_;
};

/// One recording: what the bulk and the paced way share.
class Recording {
public:
  Recording(feeds::Feed& feed, Recorder& recorder, const RecordingOptions& options,
            const std::atomic<bool>& stop)
      : feed_(feed), recorder_(recorder), options_(options), stop_(stop) {
    const auto& asked = options.recorder;
    ticks_ = asked.linger_time > 0 || asked.mark_interval > 0;
  }

  Result<RecordingSummary> run() {
    const Result<bool> ended = options_.pace.mode == Pace::Mode::max ? run_bulk() : run_paced();
    if (!ended) {
      (void)recorder_.suspend();  // best effort; the first error is the one to tell
      return tl::unexpected(ended.error());
    }
    if (auto done = *ended ? recorder_.finish() : recorder_.suspend(); !done)
      return tl::unexpected(done.error());
    RecordingSummary summary;
    summary.stats = recorder_.stats();
    summary.messages = messages_;
    summary.resumed_after = recorder_.resumes_after();
    summary.interrupted = !*ended;
    return summary;
  }

private:
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  Result<void> take(const FeedBatch& batch) {
    if (auto done = recorder_.add(batch); !done) return done;
    messages_ = batch.messages;
    if (options_.progress) {
      const auto& stats = recorder_.stats();
      options_.progress({batch.bytes, feed_.total_bytes(), batch.messages,
                         stats.events + stats.passed_over + stats.filtered + recorder_.pending()});
    }
    return {};
  }

  /// True at the end of the source, false when stopped. The feed is read on another thread.
  Result<bool> run_bulk() {
    BatchQueue queue(kQueuedBatches);
    std::thread reader([&] {
      for (;;) {
        FeedBatch batch = queue.empty_batch();
        auto done = feed_.poll(batch, kBulkPoll);
        const bool last = !done || batch.end;
        if (!queue.push(std::move(batch), done ? std::nullopt : std::optional(done.error())) ||
            last)
          return;
      }
    });
    Result<bool> result = consume(queue);
    queue.close();
    reader.join();
    return result;
  }

  Result<bool> consume(BatchQueue& queue) {
    while (!stopped()) {
      auto [batch, error] = queue.pop();
      if (error) return tl::unexpected(*error);
      if (ticks_)
        if (auto done = recorder_.tick(steady_now()); !done) return tl::unexpected(done.error());
      if (auto done = take(batch); !done) return tl::unexpected(done.error());
      if (batch.end) return true;
      queue.give_back(std::move(batch));
    }
    return false;
  }

  Result<bool> run_paced() {
    FeedBatch batch;
    // What the tape has already is not paced.
    while (messages_ < recorder_.resumes_after()) {
      if (stopped()) return false;
      const auto left = static_cast<std::size_t>(recorder_.resumes_after() - messages_);
      if (auto done = feed_.poll(batch, std::min(kBulkPoll, left)); !done)
        return tl::unexpected(done.error());
      if (auto done = take(batch); !done) return tl::unexpected(done.error());
      if (batch.end) return true;
    }
    return options_.pace.mode == Pace::Mode::realtime ? run_realtime() : run_per_second();
  }

  /// All that was due when the last append ended goes into the next one, however long it took:
  /// where appends are slow, the recorder keeps the pace by larger ones.
  Result<bool> run_per_second() {
    FeedBatch batch;
    const TimeNs start = steady_now();
    const std::uint64_t first = messages_;
    while (!stopped()) {
      const TimeNs now = steady_now();
      const auto due =
          first + static_cast<std::uint64_t>(market::Int128{now - start} *
                                             static_cast<std::int64_t>(options_.pace.per_second) /
                                             market::kSecond);
      const bool idle = messages_ >= due;
      while (messages_ < due && !stopped()) {
        const auto ask =
            static_cast<std::size_t>(std::min<std::uint64_t>(kPacedPoll, due - messages_));
        if (auto done = feed_.poll(batch, ask); !done) return tl::unexpected(done.error());
        if (auto done = take(batch); !done) return tl::unexpected(done.error());
        if (batch.end) return true;
      }
      if (auto done = recorder_.tick(now); !done) return tl::unexpected(done.error());
      if (idle) std::this_thread::sleep_for(kNap);
    }
    return false;
  }

  /// Feed time runs as the clock does, from the first event on.
  Result<bool> run_realtime() {
    FeedBatch batch;
    TimeNs start = steady_now(), first = market::kNoTime;
    reached_ = start;
    for (;;) {
      if (stopped()) return false;
      if (auto done = feed_.poll(batch, kPacedPoll); !done) return tl::unexpected(done.error());
      if (first == market::kNoTime && !batch.events.empty())
        first = batch.events.front().event.feed_time;
      auto more = release_in_time(batch, start, first);
      if (!more) return more;
      if (!*more) return false;
      if (batch.end) return true;
    }
  }

  /// Hands over the batch piece by piece as its time comes. False when stopped.
  Result<bool> release_in_time(FeedBatch& batch, TimeNs start, TimeNs first) {
    std::size_t from = 0;
    const bool numbered = options_.recorder.sequencing == market::Sequencing::message_number;
    while (from < batch.events.size()) {
      if (stopped()) return false;
      std::size_t to = from;
      while (to < batch.events.size() &&
             batch.events[to].event.feed_time - first <= reached_ - start)
        ++to;
      while (to > from && to < batch.events.size() && same_message(batch, to)) ++to;
      if (to == from) {
        if (auto done = recorder_.tick(reached_); !done) return tl::unexpected(done.error());
        if (std::exchange(reached_, steady_now()) + kNap.count() * 1'000 > reached_)
          std::this_thread::sleep_for(kNap);
        continue;
      }
      if (to == batch.events.size() && from == 0) break;
      FeedBatch part;
      const auto begin = batch.events.begin();
      part.events.assign(begin + static_cast<std::ptrdiff_t>(from),
                         begin + static_cast<std::ptrdiff_t>(to));
      part.new_symbols.swap(batch.new_symbols);
      part.dead_letters.swap(batch.dead_letters);
      part.messages = numbered ? part.events.back().event.sequence : messages_;
      part.bytes = bytes_;
      part.feed_time = part.events.back().event.feed_time;
      if (auto done = take(part); !done) return tl::unexpected(done.error());
      from = to;
    }
    if (from > 0)
      batch.events.clear();  // all handed over: what is left is how far the source was read
    if (auto done = take(batch); !done) return tl::unexpected(done.error());
    bytes_ = batch.bytes;
    return true;
  }

  bool same_message(const FeedBatch& batch, std::size_t i) const {
    if (options_.recorder.sequencing == market::Sequencing::message_number)
      return batch.events[i - 1].event.sequence == batch.events[i].event.sequence;
    return (batch.events[i - 1].event.flags & market::kMore) != 0;
  }

  feeds::Feed& feed_;
  Recorder& recorder_;
  const RecordingOptions& options_;
  const std::atomic<bool>& stop_;
  bool ticks_ = false;
  std::uint64_t messages_ = 0, bytes_ = 0;
  TimeNs reached_ =
      0;  ///< realtime: what is due by then is taken before the clock is looked at again
};

}  // namespace

Result<Pace> parse_pace(const std::string& text, const std::string& field) {
  if (text == "max") return Pace{};
  if (text == "realtime") return Pace{Pace::Mode::realtime, 0};
  auto rate = whole_number(text, field, "max, realtime or a number of messages per second");
  if (!rate) return tl::unexpected(rate.error());
  if (*rate == 0 || *rate > 1'000'000'000)
    return fail(ErrorCode::invalid, "expected a rate from 1 to 1000000000, found " + text, field);
  return Pace{Pace::Mode::per_second, *rate};
}

Result<void> parse_linger(const std::string& text, const std::string& field,
                          storage::RecorderOptions& options) {
  std::string_view number = text;
  if (number.ends_with("ev")) number.remove_suffix(2);
  if (!is_number(number)) {
    auto time = api::parse_duration(text, field);
    if (!time) return tl::unexpected(time.error());
    options.linger_time = *time;
    return {};
  }
  auto events = whole_number(number, field, "a time (1ms), a number of events (64) or 0");
  if (!events) return tl::unexpected(events.error());
  if (*events > 16'777'216)
    return fail(ErrorCode::invalid, "expected at most 16777216 events, found " + text, field);
  options.linger_time = 0;
  options.linger_events = std::max<std::uint64_t>(*events, 1);
  return {};
}

Result<void> parse_mark_every(const std::string& text, const std::string& field,
                              storage::RecorderOptions& options) {
  if (!is_number(text)) {
    auto time = api::parse_duration(text, field);
    if (!time) return tl::unexpected(time.error());
    options.mark_interval = *time;
    return {};
  }
  auto events = whole_number(text, field, "a time (250ms) or a number of events");
  if (!events) return tl::unexpected(events.error());
  options.mark_interval = 0;
  options.mark_events = std::max<std::uint64_t>(*events, 1);
  return {};
}

void set_live_defaults(storage::RecorderOptions& options) {
  options.linger_time = 1'000'000;
  options.mark_interval = 250'000'000;
}

void add_row_options(CLI::App* command, feeds::FeedOptions& options) {
  command
      ->add_option(
          "--columns", options.columns,
          "Columns of a text feed, COLUMN or COLUMN=its name in the input; '-' passes over")
      ->type_name("A,B");
  command
      ->add_option("--price-exponent", options.price_exponent,
                   "Prices of a text feed are kept in units of 10^N")
      ->type_name("N")
      ->check(CLI::Range(-18, 9))
      ->capture_default_str();
  command
      ->add_option("--size-exponent", options.size_exponent,
                   "Sizes of a text feed are kept in units of 10^N")
      ->type_name("N")
      ->check(CLI::Range(-18, 9))
      ->capture_default_str();
}

std::string recorded_name(const std::string& source, const std::set<std::string>& symbols) {
  std::string name = source;
  const char* separator = " symbols=";
  for (const std::string& symbol : symbols) name += separator + symbol, separator = ",";
  if (name.size() <= schemas::kMaxSourceNameBytes) return name;
  const auto hash = market::source_id(name);
  return source + " symbols=" + std::to_string(symbols.size()) + "#" + std::to_string(hash);
}

Result<std::unique_ptr<feeds::Feed>> open_checked_feed(const std::string& name,
                                                       const feeds::FeedOptions& options) {
  auto feed = feeds::open_feed(name, options);
  if (!feed) return feed;
  FeedBatch first;
  if (auto done = (*feed)->poll(first, kFirstPoll); !done) return tl::unexpected(done.error());
  if (first.end && !first.dead_letters.empty() && first.dead_letters.size() >= first.messages)
    return fail(ErrorCode::invalid,
                options.input + ": no message of it can be decoded as " + name + "; at byte " +
                    std::to_string(first.dead_letters.front().byte_offset) + ": " +
                    first.dead_letters.front().reason,
                "--input");
  return std::make_unique<CheckedFeed>(std::move(*feed), std::move(first));
}

Error with_remedy(Error error) {
  if (error.code == ErrorCode::environment)
    error.message +=
        ". What was stored until then is kept: make room or repair the cause, run the same "
        "command again, and it goes on";
  return error;
}

Result<RecordingSummary> record_feed(storage::TapeWriter& writer, feeds::Feed& feed,
                                     const RecordingOptions& options,
                                     const std::atomic<bool>& stop) {
  auto recorder = Recorder::open(writer, options.recorder);
  if (!recorder) return tl::unexpected(recorder.error());
  if (recorder->already_recorded()) {
    RecordingSummary summary;
    summary.already_recorded = true;
    summary.resumed_after = recorder->resumes_after();
    return summary;
  }
  return Recording(feed, *recorder, options, stop).run();
}

}  // namespace tapedeck::apps
