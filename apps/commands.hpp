// apps/commands.hpp -- every subcommand of tapedeck, one function and one file each. See cli.hpp.
#pragma once

#include <CLI/CLI.hpp>

#include "apps/cli.hpp"

namespace tapedeck::apps {

void add_demo(CLI::App& app, Chosen& chosen);
void add_record(CLI::App& app, Chosen& chosen);
void add_tape(CLI::App& app, Chosen& chosen);

}  // namespace tapedeck::apps
