// tapedeck bench trades: a trades CSV into candles on one thread, dead letters beside.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.hpp"
#include "apps/output_file.hpp"
#include "apps/trade_fold.hpp"
#include "feeds/feed.hpp"
#include "feeds/text_window.hpp"

namespace tapedeck::apps {

namespace {

struct TradesArguments {
  std::string input, dead_letters, digests;
  std::uint32_t repeat = 3;
  bool whole = false;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// The input's path, then lines `line<TAB>reason<TAB>bytes`, appended as they happen.
class DeadLetterFile {
public:
  [[nodiscard]] Result<void> open(const std::string& path, const std::string& input) {
    path_ = path;
    if (path.empty()) return {};
    file_.reset(std::fopen(path.c_str(), "wb"));
    if (!file_) return fail(ErrorCode::environment, "cannot write " + path, "--dead-letters");
    std::setvbuf(file_.get(), nullptr, _IONBF, 0);
    buffer_.resize(kFlush);
    append(input);
    append("\n");
    return {};
  }
  void write(const BadRow& row) {
    if (!file_) return;
    if (used_ + row.bytes.size() + kMostBeside > kFlush) flush();
    char* at = std::to_chars(buffer_.data() + used_, buffer_.data() + kFlush, row.line).ptr;
    *at++ = '\t';
    at = std::copy(row.reason.begin(), row.reason.end(), at);
    *at++ = '\t';
    // Most rows are short: a copy of fixed size is one of few instructions.
    constexpr std::size_t most = feeds::TextWindow::kPadding;
    std::memcpy(at, row.bytes.data(), row.bytes.size() <= most ? most : row.bytes.size());
    at += row.bytes.size();
    *at++ = '\n';
    used_ = static_cast<std::size_t>(at - buffer_.data());
  }
  [[nodiscard]] Result<void> close() {
    if (!file_) return {};
    flush();
    const bool bad = std::ferror(file_.get()) != 0;
    if (std::fclose(file_.release()) == 0 && !bad) return {};
    return fail(ErrorCode::environment, "cannot write " + path_, "--dead-letters");
  }

private:
  static constexpr std::size_t kFlush = std::size_t{1} << 18;
  static constexpr std::size_t kMostBeside = 256;  // of a line, beside the row's own bytes
  static_assert(feeds::TextWindow::kMaxLine + kMostBeside < kFlush);
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void append(std::string_view text) {
    if (used_ + text.size() > kFlush) flush();
    std::memcpy(buffer_.data() + used_, text.data(), text.size());
    used_ += text.size();
  }
  void flush() {
    (void)std::fwrite(buffer_.data(), 1, used_, file_.get());  // ferror() in close()
    used_ = 0;
  }

  std::string path_;
  std::vector<char> buffer_;
  std::size_t used_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
};

struct TradesRun {
  std::uint64_t rows = 0, bad = 0, candles = 0, refused = 0, symbols = 0;
  double wall = 0, cpu = 0;
  std::string digests;
};

std::string digest_lines(const std::vector<market::SymbolState>& states) {
  std::vector<std::string> lines;
  for (const auto& state : states) {
    lines.push_back(
        fmt::format("{} {} {}\n", state.symbol(), state.counts().folded, state.digest().hex()));
  }
  std::ranges::sort(lines);
  std::string text;
  for (const auto& line : lines) text += line;
  return text;
}

template <class Sink>
Result<TradesRun> read_into(Sink& sink, const TradesArguments& arguments, TradesRun& run) {
  auto bytes = feeds::open_bytes(arguments.input);
  if (!bytes) return tl::unexpected(bytes.error());
  DeadLetterFile letters;
  if (auto opened = letters.open(arguments.dead_letters, arguments.input); !opened)
    return tl::unexpected(opened.error());
  TradeRows<Sink> rows(sink, [&](const BadRow& row) { letters.write(row); });
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  if (auto done = rows.run(std::move(*bytes)); !done) return tl::unexpected(done.error());
  sink.finish(rows.feed_time());
  if (auto closed = letters.close(); !closed) return tl::unexpected(closed.error());
  run.cpu = cpu_seconds() - cpu;
  run.wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  run.rows = rows.rows();
  run.bad = rows.bad_rows();
  run.symbols = rows.symbols().names().size();
  return run;
}

Result<TradesRun> run_once(const TradesArguments& arguments, const std::string& source) {
  TradesRun run;
  const auto count = [&](std::string_view, const market::Outputs& outputs) {
    for (const auto& output : outputs) {
      if (output.kind() == market::OutputKind::candle) ++run.candles;
      if (output.kind() == market::OutputKind::refusal) ++run.refused;
    }
  };
  const market::FoldSettings settings;
  if (!arguments.whole) {
    CandleFold fold(settings, source, count);
    return read_into(fold, arguments, run);
  }
  WholeFold fold(settings, source, count);
  auto done = read_into(fold, arguments, run);
  if (done) done->digests = digest_lines(fold.states());
  return done;
}

int run_trades(const TradesArguments& arguments) {
  feeds::FeedOptions input;
  input.input = arguments.input;
  const auto source = feeds::source_name("trades-csv", input);
  if (!source) return report(source.error());
  std::vector<double> rates;
  for (std::uint32_t i = 0; i < arguments.repeat; ++i) {
    const auto run = run_once(arguments, *source);
    if (!run) return report(run.error());
    const auto rows = static_cast<double>(run->rows);
    rates.push_back(rows / run->cpu / 1e6);
    fmt::print(
        "{} rows of {} symbols, {} candles of 3 widths, {} dead letters, {} refused by the fold: "
        "{:.3f} s, {:.3f} s of CPU, {:.2f} M rows/s of CPU\n",
        run->rows, run->symbols, run->candles, run->bad, run->refused, run->wall, run->cpu,
        rates.back());
    if (i + 1 == arguments.repeat && !arguments.digests.empty()) {
      if (auto written = write_file(arguments.digests, run->digests); !written)
        return report(written.error());
    }
  }
  std::ranges::sort(rates);
  fmt::print("median {:.2f} M rows/s\n", rates[rates.size() / 2]);
  return kDone;
}

}  // namespace

void add_bench_trades(CLI::App* bench, Chosen& chosen) {
  auto arguments = std::make_shared<TradesArguments>();
  CLI::App* command = bench->add_subcommand(
      "trades", "A trades CSV (symbol,ts_us,price,size,side) into candles, on one thread");
  command->add_option("--input", arguments->input, "File (may be .gz or .zst)")
      ->type_name("PATH")
      ->required();
  command->add_option("--dead-letters", arguments->dead_letters, "Write rows that are none here")
      ->type_name("FILE");
  auto* whole = command->add_flag("--whole", arguments->whole,
                                  "The whole fold, digests included, not candles alone");
  command->add_option("--digests", arguments->digests, "Write each symbol's digest here")
      ->needs(whole)
      ->type_name("FILE");
  command->add_option("--repeat", arguments->repeat, "Runs")
      ->check(CLI::Range(1u, 100u))
      ->capture_default_str();
  run_with(command, chosen, [arguments] { return run_trades(*arguments); });
}

}  // namespace tapedeck::apps
