// bench/kernel_bench.cpp -- the fold alone on a real stream: events of one thread, pre-decoded, grouped by symbol.
//
//   TAPEDECK_BENCH_ITCH=wide.itch bench_kernel [--benchmark_filter=…]
//
// Fold: L3 book with queues, candles of three widths, imbalance and windows, digest, all checks. Naive: kernel_naive.hpp
// over the same events in the same run; the ratio is printed at the end. Rates are by CPU time of the thread, so that
// a busy machine falsifies them less.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
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

void fold(benchmark::State& state, const Stream& stream, const std::string& name) {
  const market::FoldSettings settings;
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
    const double start = cpu_seconds();
    for (const Run& run : stream.runs) {
      states[run.symbol].apply({bench::kSource, {}, {}, {&stream.events[run.first], run.count}}, outputs);
      said += outputs.size();
      outputs.clear();
    }
    finish(state, name, stream.events.size(), cpu_seconds() - start);
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

struct Grouping {
  const char* name;
  std::size_t chunk;
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const char* path = std::getenv("TAPEDECK_BENCH_ITCH");
  if (path == nullptr) {
    std::fputs("TAPEDECK_BENCH_ITCH must name an ITCH 5.0 file with 2-byte lengths\n", stderr);
    return 2;
  }
  const Grouping groupings[] = {{"chunks of 1M", 1'000'000}, {"chunks of 64k", 65'536}, {"as it comes", 1}};
  for (const Grouping& grouping : groupings) {
    if (std::getenv("TAPEDECK_BENCH_QUICK") != nullptr && grouping.chunk != 1'000'000) continue;
    std::unique_ptr<Stream> stream;
    try {
      stream = std::make_unique<Stream>(bench::read_itch(path, grouping.chunk));
    } catch (const std::runtime_error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 2;
    }
    const std::string fold_name = std::string("fold, ") + grouping.name;
    const std::string naive_name = std::string("naive, ") + grouping.name;
    benchmark::ClearRegisteredBenchmarks();
    benchmark::RegisterBenchmark(fold_name.c_str(), fold, *stream, fold_name)
        ->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(naive_name.c_str(), naive, *stream, naive_name)
        ->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);
    benchmark::RunSpecifiedBenchmarks();
    std::printf("%s: %.1f M events/s, naive %.1f, ratio %.2f\n", grouping.name, best_rate[fold_name],
                best_rate[naive_name], best_rate[fold_name] / best_rate[naive_name]);
  }
  return 0;
}
