// apps/commands.hpp -- every subcommand of tapedeck, one function and one file each. See cli.hpp.
#pragma once

#include <CLI/CLI.hpp>

#include "apps/cli.hpp"

namespace tapedeck::apps {

void add_bench(CLI::App& app, Chosen& chosen);
void add_book(CLI::App& app, Chosen& chosen);
void add_candles(CLI::App& app, Chosen& chosen);
void add_chaos(CLI::App& app, Chosen& chosen);
void add_cluster(CLI::App& app, Chosen& chosen);
void add_config(CLI::App& app, Chosen& chosen);
void add_dlq(CLI::App& app, Chosen& chosen);
void add_demo(CLI::App& app, Chosen& chosen);
void add_diff(CLI::App& app, Chosen& chosen);
void add_profile(CLI::App& app, Chosen& chosen);
void add_record(CLI::App& app, Chosen& chosen);
void add_replay(CLI::App& app, Chosen& chosen);
void add_serve(CLI::App& app, Chosen& chosen);
void add_tape(CLI::App& app, Chosen& chosen);
void add_topics(CLI::App& app, Chosen& chosen);
void add_verify(CLI::App& app, Chosen& chosen);

/// `tape copy` and `tape index`, subcommands of `tape`.
void add_copy(CLI::App* tape, Chosen& chosen);
void add_index(CLI::App* tape, Chosen& chosen);
void add_trim(CLI::App* tape, Chosen& chosen);
/// `chaos run`, subcommand of `chaos`.
void add_chaos_run(CLI::App* chaos, Chosen& chosen);
/// `bench player`, `bench restarts` and `bench trades`, subcommands of `bench`.
void add_bench_player(CLI::App* bench, Chosen& chosen);
void add_bench_restarts(CLI::App* bench, Chosen& chosen);
void add_bench_trades(CLI::App* bench, Chosen& chosen);

}  // namespace tapedeck::apps
