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

std::string TapeOptions::name() const {
  if (!directory.empty()) return directory;
  return topic.empty() ? "on Kafka" : "topic " + topic;
}

void add_kafka_options(CLI::App* command, TapeOptions& options) {
  command->add_option("--brokers", options.brokers, "Kafka brokers (kafka.brokers)")
      ->type_name("LIST");
  command->add_option("--topic", options.topic, "Topic of the tape (kafka.topic)")->type_name("T");
  command
      ->add_option("--config", options.config_file,
                   "Settings; TAPEDECK_SECTION_KEY and flags win over it")
      ->type_name("FILE");
}

void add_tape_options(CLI::App* command, TapeOptions& options) {
  command->add_option("--tape", options.directory, "Folder of the tape; or a tape on Kafka:")
      ->type_name("DIR")
      ->excludes(command
                     ->add_option("--state", options.state,
                                  "Folder of what is derived from a topic: index, snapshots")
                     ->type_name("DIR"));
  add_kafka_options(command, options);
}

}  // namespace tapedeck::apps
