#include "apps/cli.hpp"

#include <cstdio>

namespace tapedeck::apps {

void run_with(CLI::App* command, Chosen& chosen, std::function<int()> action) {
  command->callback([&chosen, action = std::move(action)] { chosen.action = action; });
}

int exit_code(const Error& error) noexcept {
  switch (error.code) {
    case ErrorCode::invalid:
    case ErrorCode::not_found:
    case ErrorCode::out_of_range: return kBadArguments;
    case ErrorCode::corrupt: return kWorkFailed;
    case ErrorCode::environment: return kEnvironment;
    case ErrorCode::exhausted: return kGaveUp;
    case ErrorCode::conflict: return error.field.empty() ? kEnvironment : kBadArguments;
  }
  return kWorkFailed;
}

int report(const Error& error) {
  const bool name_field =
      !error.field.empty() && error.message.find(error.field) == std::string::npos;
  const std::string field = name_field ? error.field + ": " : std::string();
  std::fprintf(stderr, "tapedeck: %s%s\n", field.c_str(), error.message.c_str());
  return exit_code(error);
}

void add_tape_options(CLI::App* command, TapeOptions& options) {
  command->add_option("--tape", options.directory, "Folder of the tape")
      ->type_name("DIR")
      ->required();
}

}  // namespace tapedeck::apps
