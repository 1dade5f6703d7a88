// bench/kernel_bench.cpp -- the fold alone on a real stream: events of one thread, pre-decoded,
// grouped by symbol.
//
//   TAPEDECK_BENCH_ITCH=wide.itch [TAPEDECK_BENCH_CHUNK=1000000] bench_kernel
//   [--benchmark_filter=…]
//
// Fold: L3 book with queues, candles of three widths, imbalance and windows, alerts, digest, all
// checks. without_…, with_…: the same without or with one group of features more, in the same run;
// what each costs an event is printed at the end. The digest cannot be left out: digest_alone is
// its chain and one term of the book's sum for each event, and nothing else.
// Naive: kernel_naive.hpp over the same events in the same run; the ratio is printed at the end.
// Rates are by CPU time of the thread, so that a busy machine falsifies them less.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>

#include "bench/kernel_itch.hpp"
#include "bench/kernel_naive.hpp"
#include "market/mixing.hpp"
#include "market/quality_watch.hpp"
#include "market/symbol_state.hpp"

namespace {

using namespace tapedeck;
using bench::Run;
using bench::Stream;

std::map<std::string, std::vector<double>> costs;  // nanoseconds an event, of each repetition

double system_seconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<double>(usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_stime.tv_usec) * 1e-6;
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void finish(benchmark::State& state, const std::string& name, std::size_t events, double seconds) {
  state.SetIterationTime(seconds);
  costs[name].push_back(seconds * 1e9 / static_cast<double>(events));
}

struct Variant {
  market::FoldSettings settings;
  bool watches = false;  ///< each event is looked at for findings too
};

void fold(benchmark::State& state, const Stream& stream, const std::string& name,
          const Variant& variant) {
  const market::FoldSettings& settings = variant.settings;
  market::QualitySettings quality;
  quality.fingerprints = 0;
  for (auto _ : state) {
    std::vector<market::SymbolState> states;
    market::Outputs outputs;
    for (std::uint32_t s = 0; s < stream.symbols; ++s) {
      states.emplace_back(std::to_string(s), settings);
      market::Event session;
      session.other = bench::kSource;
      states.back().apply({bench::kSource, "bench", {}, {&session, 1}}, outputs);
    }
    std::vector<market::QualityWatch> watches(variant.watches ? stream.symbols : 0,
                                              market::QualityWatch(quality));
    std::size_t said = 0;
    const double system_start = system_seconds();
    const double start = cpu_seconds();
    for (const Run& run : stream.runs) {
      const std::span<const market::Event> events(&stream.events[run.first], run.count);
      states[run.symbol].apply({bench::kSource, {}, {}, events}, outputs);
      if (variant.watches) watches[run.symbol].look_at(events);
      said += outputs.size();
      outputs.clear();
    }
    finish(state, name, stream.events.size(), cpu_seconds() - start);
    state.counters["system_s"] = system_seconds() - system_start;
    std::uint64_t unknown = 0, refused = 0, digest = 0, levels = 0;
    for (const market::SymbolState& symbol : states) {
      unknown += symbol.view().integrity.unknown_orders;
      refused += symbol.counts().refused + symbol.counts().duplicates;
      digest += symbol.digest().low;
      const market::BookView book = symbol.book(0);
      levels += book.bids.size() + book.asks.size();
    }
    state.counters["outputs"] = static_cast<double>(said);
    state.counters["levels"] = static_cast<double>(levels);
    state.counters["digest"] = static_cast<double>(digest >> 32);
    if (unknown + refused != 0) state.SkipWithError("the stream has events that do not fold");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * stream.events.size()));
}

/// The fold as it is by default, and with one group of features less or more each.
std::map<std::string, Variant> variants() {
  std::map<std::string, Variant> folds;
  (void)folds["fold"];
  folds["without_alerts"].settings.alerts = market::no_alerts();
  folds["without_candles"].settings.candle_widths.clear();
  folds["without_candles"].settings.kept_trades = 0;
  auto& widths = folds["with_activity_candles"].settings.candle_widths;
  widths.push_back(market::candle_width(market::CandleMeasure::ticks, 100));
  widths.push_back(
      market::candle_width(market::CandleMeasure::volume, 10'000 * market::kMillionth));
  folds["with_further_metrics"].settings.further_metrics = (1U << market::kFurtherMetrics) - 1;
  auto& refusals = folds["with_all_refusals"].settings.refusals;
  refusals.zero_size = refusals.crossed_quotes = true;
  refusals.price_band = 1'000'000'000;
  refusals.symbols = "*";
  folds["with_quality"].watches = true;
  return folds;
}

void digest_alone(benchmark::State& state, const Stream& stream) {
  for (auto _ : state) {
    market::UInt128 chain = 0, sum = 0;
    const double start = cpu_seconds();
    for (const market::Event& event : stream.events) {
      chain = market::mixing::chained(chain, market::mixing::event_hash(event));
      sum += market::mixing::order_term(event.id, event.size,
                                        market::mixing::place_factor(event.price, 1, 1));
    }
    finish(state, "digest_alone", stream.events.size(), cpu_seconds() - start);
    benchmark::DoNotOptimize(chain);
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * stream.events.size()));
}

void naive(benchmark::State& state, const Stream& stream, const std::string& name) {
  for (auto _ : state) {
    std::vector<bench::NaiveSymbol> symbols(stream.symbols);
    const double start = cpu_seconds();
    for (const Run& run : stream.runs) {
      bench::NaiveSymbol& symbol = symbols[run.symbol];
      for (std::size_t i = 0; i < run.count; ++i) symbol.apply(stream.events[run.first + i]);
    }
    finish(state, name, stream.events.size(), cpu_seconds() - start);
    std::size_t levels = 0;
    for (const bench::NaiveSymbol& symbol : symbols) levels += symbol.level_count();
    state.counters["levels"] = static_cast<double>(levels);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * stream.events.size()));
}

[[nodiscard]] double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Medians, beside the fold's where that ran too.
void print_costs() {
  const auto whole = costs.find("fold");
  for (const auto& [name, values] : costs) {
    const double cost = median(values);
    std::printf("%-22s %6.1f ns an event, %5.1f M events/s", name.c_str(), cost, 1000 / cost);
    if (whole != costs.end()) {
      const double of_fold = median(whole->second);
      std::printf("; to the fold %+6.1f ns, %.2f times its cost", cost - of_fold, cost / of_fold);
    }
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Memory stays with the process between iterations: the best one shows the fold, not the kernel's
  // page faults.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, -1);
  // Both take turns, so that what disturbs one disturbs the other.
  std::vector<char*> arguments(argv, argv + argc);
  char interleave[] = "--benchmark_enable_random_interleaving=true";
  arguments.insert(arguments.begin() + 1, interleave);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  const char* path = std::getenv("TAPEDECK_BENCH_ITCH");
  if (path == nullptr) {
    std::fputs("TAPEDECK_BENCH_ITCH must name an ITCH 5.0 file with 2-byte lengths\n", stderr);
    return 2;
  }
  const char* wanted = std::getenv("TAPEDECK_BENCH_CHUNK");
  const std::size_t chunk = wanted == nullptr ? 1'000'000 : std::strtoull(wanted, nullptr, 10);
  std::unique_ptr<Stream> stream;
  try {
    stream = std::make_unique<Stream>(bench::read_itch(path, std::max<std::size_t>(chunk, 1)));
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  const std::map<std::string, Variant> folds = variants();
  const auto add = [](benchmark::internal::Benchmark* benchmark) {
    benchmark->UseManualTime()->Iterations(1)->Repetitions(7)->Unit(benchmark::kMillisecond);
  };
  for (const auto& [name, variant] : folds) {
    add(benchmark::RegisterBenchmark(name.c_str(), fold, std::cref(*stream), name,
                                     std::cref(variant)));
  }
  add(benchmark::RegisterBenchmark("digest_alone", digest_alone, std::cref(*stream)));
  add(benchmark::RegisterBenchmark("naive", naive, std::cref(*stream), "naive"));
  benchmark::RunSpecifiedBenchmarks();
  std::printf("%u symbols, %zu events, grouped in chunks of %zu\n", stream->symbols,
              stream->events.size(), chunk);
  print_costs();
  return 0;
}
