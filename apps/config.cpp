// tapedeck config: what the settings are, and where they come from.
#include <fmt/format.h>

#include <memory>

#include "apps/commands.hpp"
#include "apps/running.hpp"

namespace tapedeck::apps {

void add_config(CLI::App& app, Chosen& chosen) {
  CLI::App* config = app.add_subcommand("config", "Check or show the settings: check, show");
  config->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  CLI::App* check =
      config->add_subcommand("check", "Exit 2 and the place where a file or variable is wrong");
  check->add_option("--config", *file, "Settings file")->type_name("FILE");
  run_with(check, chosen, [file] {
    const auto loaded = load_config(*file, {});
    if (!loaded) return report(loaded.error());
    fmt::print("good\n");
    return static_cast<int>(kDone);
  });
  CLI::App* show =
      config->add_subcommand("show", "Every setting in force, and where it comes from");
  show->add_option("--config", *file, "Settings file")->type_name("FILE");
  run_with(show, chosen, [file] {
    const auto loaded = load_config(*file, {});
    if (!loaded) return report(loaded.error());
    fmt::print("{}", config::describe(*loaded));
    return static_cast<int>(kDone);
  });
}

}  // namespace tapedeck::apps
