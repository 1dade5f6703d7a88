// tapedeck bench restarts: how long a symbol actor that throws is gone under load, and what the
// others notice of it.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "actors/symbol_worker.hpp"
#include "apps/commands.hpp"
#include "apps/recording.hpp"
#include "apps/running.hpp"
#include "apps/signals.hpp"

namespace tapedeck::apps {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct RestartArguments {
  std::string symbols = "1000", directory, threads = "2";
  std::uint64_t rate = 1'000'000, seed = 1;
  std::uint32_t windows = 20;
  double seconds = 2;
};

constexpr double kMaxRestartMs = 50, kMaxRatio = 1.2;
constexpr std::size_t kSamplesAnAppend = 4;

std::uint64_t hash_of(std::string_view symbol) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : symbol) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return (hash ^ (hash >> 31)) | 1;
}
/// Half of the symbols fail, each once; the other half is what must not notice.
bool fails(std::string_view symbol) { return ((hash_of(symbol) >> 20) & 1) != 0; }

std::uint64_t nanoseconds(Clock::time_point time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

/// From a moment until a symbol has folded past an offset. Thread safe; a symbol waits for one
/// offset at a time.
class Waits {
public:
  /// False: another wait is in its place.
  bool begin(std::string_view symbol, market::Offset offset) {
    auto& place = place_of(hash_of(symbol));
    if (place.symbol.load(std::memory_order_acquire) != 0) return false;
    place.offset = offset, place.at = nanoseconds(Clock::now());
    place.symbol.store(hash_of(symbol), std::memory_order_release);
    return true;
  }
  /// When the wait began that ends here; 0: none does.
  std::uint64_t end(std::string_view symbol, market::Offset next) {
    auto& place = place_of(hash_of(symbol));
    if (place.symbol.load(std::memory_order_acquire) != hash_of(symbol) || next <= place.offset)
      return 0;
    const auto at = place.at;
    place.symbol.store(0, std::memory_order_release);
    return at;
  }

private:
  struct Place {
    std::atomic<std::uint64_t> symbol = 0;  ///< its hash; 0: free
    market::Offset offset = 0;
    std::uint64_t at = 0;
  };
  Place& place_of(std::uint64_t hash) { return places_[(hash >> 8) % places_.size()]; }
  std::array<Place, 1 << 14> places_;
};

/// Makes symbols throw in every other window, and measures.
class Probe final : public actors::FaultPlan, public actors::FoldTap {
public:
  explicit Probe(const RestartArguments& arguments)
      : FaultPlan({}),
        window_(std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(arguments.seconds))),
        random_(arguments.seed),
        batch_ms_(arguments.windows) {}

  void start() { start_ = Clock::now(); }
  [[nodiscard]] bool over() const { return window(nanoseconds(Clock::now())) >= batch_ms_.size(); }

  /// A record is being appended.
  void appended(std::string_view symbol, market::Offset offset) {
    if (!fails(symbol)) (void)batches_.begin(symbol, offset);
  }

  std::optional<actors::FaultPoint> fires(std::string_view symbol,
                                          const storage::Record& record) override {
    if (!fails(symbol) || window(nanoseconds(Clock::now())) % 2 == 0) return std::nullopt;
    const std::scoped_lock lock(mutex_);
    random_ = random_ * 6364136223846793005 + 1442695040888963407;
    // About one symbol in five a window.
    if ((random_ >> 33) % 5000 != 0 || !struck_.emplace(symbol).second) return std::nullopt;
    actors::FaultPoint point;
    point.symbol = symbol, point.position = {record.partition, record.offset, 0};
    return point;
  }
  void strike(const actors::FaultPoint& point) override {
    (void)restarts_.begin(point.symbol, point.position.offset);
    FaultPlan::strike(point);
  }

  [[nodiscard]] bool listens() const noexcept override { return true; }
  void told(const replay::SymbolFold& fold, const market::Outputs&, market::Offset) override {
    const auto& symbol = fold.state().symbol();
    const auto batch = batches_.end(symbol, fold.next());
    const auto restart = restarts_.end(symbol, fold.next());
    if (batch == 0 && restart == 0) return;
    const auto now = nanoseconds(Clock::now());
    const std::scoped_lock lock(mutex_);
    if (restart != 0) restart_ms_.push_back(static_cast<double>(now - restart) / 1e6);
    if (const auto at = window(batch); batch != 0 && at < batch_ms_.size())
      batch_ms_[at].push_back(static_cast<double>(now - batch) / 1e6);
  }

  [[nodiscard]] const std::vector<double>& restart_ms() const { return restart_ms_; }
  [[nodiscard]] const std::vector<std::vector<double>>& batch_ms() const { return batch_ms_; }
  [[nodiscard]] std::size_t struck() const { return struck_.size(); }

private:
  [[nodiscard]] std::size_t window(std::uint64_t at) const {
    const auto start = nanoseconds(start_);
    return at < start ? 0 : (at - start) / static_cast<std::uint64_t>(window_.count());
  }

  Clock::time_point start_ = Clock::now();
  Clock::duration window_;
  Waits batches_, restarts_;
  std::mutex mutex_;
  std::uint64_t random_;
  std::set<std::string, std::less<>> struck_;
  std::vector<double> restart_ms_;
  std::vector<std::vector<double>> batch_ms_;  ///< by window: even ones are without faults
};

/// Tells the probe of some records of each append.
class Sampled final : public storage::TapeWriter {
public:
  Sampled(storage::TapeWriter& writer, Probe& probe) : writer_(writer), probe_(probe) {}
  Result<void> append(std::span<const storage::NewRecord> records,
                      std::span<const storage::NewMark> marks) override {
    std::array<market::Offset, storage::kMaxPartitions> seen{};
    const auto partitions = reader().partitions();
    const auto every = std::max<std::size_t>(1, records.size() / kSamplesAnAppend);
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto partition = storage::partition_of(records[i].symbol, partitions);
      const auto offset = seen[partition]++;
      if ((i + turn_) % every == 0)
        probe_.appended(records[i].symbol, reader().end(partition).value() + offset);
    }
    ++turn_;
    return writer_.append(records, marks);
  }
  Result<void> append(const storage::RecorderDeadLetter& letter) override {
    return writer_.append(letter);
  }
  Result<void> sync() override { return writer_.sync(); }
  [[nodiscard]] storage::TapeReader& reader() override { return writer_.reader(); }

private:
  storage::TapeWriter& writer_;
  Probe& probe_;
  std::size_t turn_ = 0;
};

double at_share(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1,
                         static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

/// True: both aims are reached.
bool judge(const Probe& probe) {
  const auto& restarts = probe.restart_ms();
  fmt::print("restarts: p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms over {} of {}\n",
             at_share(restarts, 0.5), at_share(restarts, 0.99), at_share(restarts, 1),
             restarts.size(), probe.struck());
  std::array<std::vector<double>, 2> p50, p99;
  for (std::size_t i = 1; i < probe.batch_ms().size(); ++i) {  // the first one warms up
    const auto& window = probe.batch_ms()[i];
    if (window.empty()) continue;
    p50[i % 2].push_back(at_share(window, 0.5)), p99[i % 2].push_back(at_share(window, 0.99));
  }
  const auto without = at_share(p99[0], 0.5), with = at_share(p99[1], 0.5);
  fmt::print(
      "batches of the others, from append to folded, medians of {} and {} windows: p50 {:.3f} ms "
      "without restarts, {:.3f} ms with; p99 {:.3f} ms without, {:.3f} ms with: ratio {:.2f}\n",
      p99[0].size(), p99[1].size(), at_share(p50[0], 0.5), at_share(p50[1], 0.5), without, with,
      with / without);
  return !restarts.empty() && restarts.size() == probe.struck() &&
         at_share(restarts, 0.99) < kMaxRestartMs && with <= kMaxRatio * without;
}

Result<bool> measure(const RestartArguments& arguments, const std::string& directory) {
  const auto config = load_config({}, {{"engine.threads", arguments.threads}});
  if (!config) return tl::unexpected(config.error());
  const auto probe = std::make_shared<Probe>(arguments);
  auto running = start_engine({directory}, *config, 0, false, [&](actors::EngineOptions& options) {
    options.fault_plan = probe;
    options.tap = probe.get();
  });
  if (!running) return tl::unexpected(running.error());
  const auto messages = static_cast<std::uint64_t>(static_cast<double>(arguments.rate) *
                                                   arguments.seconds * (arguments.windows + 2.0));
  const feeds::FeedOptions input{
      fmt::format("seed={},symbols={},messages={}", arguments.seed, arguments.symbols, messages),
      "2026-01-05"};
  auto feed = feeds::open_feed("sim:l3", input);
  if (!feed) return tl::unexpected(feed.error());
  RecordingOptions options;
  options.recorder.source_name = feeds::source_name("sim:l3", input).value();
  options.recorder.sequencing = (*feed)->sequencing();
  set_live_defaults(options.recorder);
  options.pace = {Pace::Mode::per_second, arguments.rate};
  Sampled sampled(*(*running)->writer, *probe);
  std::atomic<bool> stop = false;
  std::jthread timer([&](const std::stop_token& ended) {
    while (!ended.stop_requested() && !stop_requested && !probe->over())
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stop = true;
  });
  probe->start();
  const auto begin = Clock::now();
  const auto recorded = record_feed(sampled, **feed, options, stop);
  const std::chrono::duration<double> spent = Clock::now() - begin;
  if (!recorded) return tl::unexpected(recorded.error());
  if (auto stopped = (*running)->engine->stop(); !stopped) return tl::unexpected(stopped.error());
  fmt::print("recorded and served {} events of {} symbols in {:.1f} s, {:.0f} events/s\n",
             recorded->stats.events, arguments.symbols, spent.count(),
             static_cast<double>(recorded->stats.events) / spent.count());
  return judge(*probe);
}

int run_restarts(const RestartArguments& arguments) {
  watch_signals();
  const bool temporary = arguments.directory.empty();
  const auto directory =
      temporary
          ? (fs::temp_directory_path() / fmt::format("tapedeck-restarts-{}", ::getpid())).string()
          : arguments.directory;
  const auto done = measure(arguments, directory);
  if (temporary) fs::remove_all(directory);
  if (!done) return report(done.error());
  fmt::print("{}\n", *done ? "both aims are reached" : "an aim is not reached");
  return *done ? kDone : kWorkFailed;
}

}  // namespace

void add_bench_restarts(CLI::App* bench, Chosen& chosen) {
  auto arguments = std::make_shared<RestartArguments>();
  CLI::App* command = bench->add_subcommand(
      "restarts", "Symbol actors throw while a session is recorded and served at a rate");
  command->footer(
      "Windows without and with failures take turns. Exit status 1: the p99 of a restart is 50 ms "
      "or more, or that of the other symbols' batches grows by more than a fifth.");
  command->add_option("--rate", arguments->rate, "Messages a second")->capture_default_str();
  command->add_option("--symbols", arguments->symbols, "Of which half fail, each once")
      ->capture_default_str();
  command->add_option("--windows", arguments->windows, "The first one is not counted")
      ->check(CLI::Range(4u, 1000u))
      ->capture_default_str();
  command->add_option("--seconds", arguments->seconds, "Of each window")
      ->check(CLI::Range(0.1, 1000.0))
      ->capture_default_str();
  command->add_option("--seed", arguments->seed, "Of session and failures")->capture_default_str();
  command->add_option("--tape", arguments->directory,
                      "Keep the tape here (default: a temporary folder)");
  command->add_option("--threads", arguments->threads, "Threads that fold")->capture_default_str();
  run_with(command, chosen, [arguments] { return run_restarts(*arguments); });
}

}  // namespace tapedeck::apps
