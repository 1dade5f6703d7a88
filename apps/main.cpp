#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <thread>

#include "apps/commands.hpp"

namespace {

using namespace tapedeck::apps;

void add_commands(CLI::App& app, Chosen& chosen) {
  add_demo(app, chosen);
  add_record(app, chosen);
  add_serve(app, chosen);
  add_replay(app, chosen);
  add_book(app, chosen);
  add_candles(app, chosen);
  add_tape(app, chosen);
  add_verify(app, chosen);
  add_dlq(app, chosen);
  add_diff(app, chosen);
  add_profile(app, chosen);
  add_topics(app, chosen);
  add_cluster(app, chosen);
  add_config(app, chosen);
  add_bench(app, chosen);
  add_chaos(app, chosen);
}

/// The first word that is no command where one is expected; empty if there is none.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
    if (word.starts_with('-') || commands.empty()) return {};
    const auto found = std::ranges::find(commands, word, &CLI::App::get_name);
    if (found == commands.end()) return word;
    at = *found;
  }
  return {};
}

/// Address space that threads' stacks, arenas and the stores' buffers take before the first event.
/// A library that cannot start its thread may crash or wait for ever, so less is refused here
/// (`ulimit -v`; what is mapped and never touched costs nothing).
bool enough_address_space() {
  const std::size_t needed =
      (std::size_t{256} << 20) + (std::size_t{32} << 20) * std::thread::hardware_concurrency();
  void* probe =
      mmap(nullptr, needed, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (probe != MAP_FAILED) {
    munmap(probe, needed);
    return true;
  }
  std::fprintf(
      stderr, "tapedeck: less than %zu MB of address space are left: raise its limit (ulimit -v)\n",
      needed >> 20);
  return false;
}

int parse_and_run(int argc, char** argv) {
  CLI::App app{"Records a market as an event log, and rebuilds any state it ever had."};
  app.name("tapedeck");
  app.set_version_flag("--version", "tapedeck " TAPEDECK_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Chosen chosen;
  add_commands(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const auto unknown = unknown_command(app, argc, argv);
    const auto why = unknown.empty() ? error.what() : "there is no command '" + unknown + "'";
    std::fprintf(stderr, "tapedeck: %s\nRun with --help for more information.\n", why.c_str());
    return kBadArguments;
  }
  if (!enough_address_space()) return kEnvironment;
  const int code = chosen.action();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "tapedeck: standard output could not be written: %s\n",
               std::strerror(errno));
  return code == kDone ? kEnvironment : code;
}

/// No actor is of use without memory, and all that matters is on the tape: the process ends, and
/// the next one resumes.
[[noreturn]] void out_of_memory() {
  constexpr std::string_view what =
      "tapedeck: out of memory (or of memory mappings): the process ends; started again it goes on "
      "where it was\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, what.data(), what.size());
  _exit(kEnvironment);
}

}  // namespace

int main(int argc, char** argv) {
  std::set_new_handler(out_of_memory);
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tapedeck: %s\n", error.what());
    return kWorkFailed;
  }
}
