// bench/kernel_bench.cpp -- the fold alone on a real stream: events of one thread, pre-decoded,
// grouped by symbol.
//
//   TAPEDECK_BENCH_ITCH=wide.itch [TAPEDECK_BENCH_CHUNK=1000000] bench_kernel
//   [--benchmark_filter=…]
//
// Fold: L3 book with queues, candles of three widths, imbalance and windows, alerts, digest, all
// checks. without_…: the same without one group of features, in the same run.
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
#include "market/symbol_state.hpp"

namespace {

using namespace tapedeck;
using bench::Run;
using bench::Stream;

std::map<std::string, double> best_rate;  // million events a second

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
  const double rate = static_cast<double>(events) / seconds / 1e6;
  best_rate[name] = std::max(best_rate[name], rate);
}

void fold(benchmark::State& state, const Stream& stream, const std::string& name,
          const market::FoldSettings& settings) {
  for (auto _ : state) {
    std::vector<market::SymbolState> states;
    market::Outputs outputs;
    for (std::uint32_t s = 0; s < stream.symbols; ++s) {
      states.emplace_back(std::to_string(s), settings);
      market::Event session;
      session.other = bench::kSource;
      states.back().apply({bench::kSource, "bench", {}, {&session, 1}}, outputs);
    }
    std::size_t said = 0;
    const double system_start = system_seconds();
    const double start = cpu_seconds();
    for (const Run& run : stream.runs) {
      states[run.symbol].apply({bench::kSource, {}, {}, {&stream.events[run.first], run.count}},
                               outputs);
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

/// The fold as it is by default, and without one group of its features each.
std::map<std::string, market::FoldSettings> variants() {
  std::map<std::string, market::FoldSettings> folds;
  (void)folds["fold"];
  folds["without_alerts"].alerts = market::no_alerts();
  folds["without_candles"].candle_widths.clear();
  folds["without_candles"].kept_trades = 0;
  return folds;
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
  const std::map<std::string, market::FoldSettings> folds = variants();
  for (const auto& [name, settings] : folds) {
    benchmark::RegisterBenchmark(name.c_str(), fold, std::cref(*stream), name, std::cref(settings))
        ->UseManualTime()
        ->Iterations(1)
        ->Repetitions(7)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RegisterBenchmark("naive", naive, std::cref(*stream), "naive")
      ->UseManualTime()
      ->Iterations(1)
      ->Repetitions(7)
      ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  std::printf(
      "%u symbols, %zu events, grouped in chunks of %zu: fold %.1f M events/s, naive %.1f, ratio "
      "%.2f\n",
      stream->symbols, stream->events.size(), chunk, best_rate["fold"], best_rate["naive"],
      best_rate["fold"] / best_rate["naive"]);
  return 0;
}
