// tapedeck topics: what a tape on Kafka stands on.
#include <fmt/format.h>

#include <memory>

#include "apps/commands.hpp"
#include "apps/running.hpp"

namespace tapedeck::apps {

namespace {

struct TopicsArguments {
  TapeOptions tape;
  std::uint32_t partitions = 0;
};

int run_create(const TopicsArguments& arguments) {
  auto kafka = kafka_options(arguments.tape);
  if (!kafka) return report(kafka.error());
  (*kafka)->partitions = arguments.partitions;
  const auto config = load_config(arguments.tape.config_file, {});
  if (!config) return report(config.error());
  auto made = storage::create_kafka_topics(**kafka);
  if (!made) return report(made.error());
  if (config->outputs.delivery != config::OutputDelivery::none) {
    const auto outputs = storage::create_output_topics(
        **kafka, {config->outputs.processed, config->outputs.alerts, config->outputs.dlq});
    if (!outputs) return report(outputs.error());
    made->insert(made->end(), outputs->begin(), outputs->end());
  }
  for (const auto& topic : *made) fmt::print("made {}\n", topic);
  if (made->empty())
    fmt::print("all topics of {} are there, with good settings\n", (*kafka)->topic);
  return kDone;
}

}  // namespace

void add_topics(CLI::App& app, Chosen& chosen) {
  CLI::App* topics = app.add_subcommand("topics", "Make or check the topics of a tape: create");
  topics->require_subcommand(1);
  auto arguments = std::make_shared<TopicsArguments>();
  CLI::App* create = topics->add_subcommand(
      "create", "Make what is missing; refuse a topic whose settings lose records");
  create->footer(
      "Example:\n  tapedeck topics create --brokers 127.0.0.1:9092 --topic market --partitions 12");
  add_kafka_options(create, arguments->tape);
  create->add_option("--partitions", arguments->partitions, "Partitions of a new tape (default 4)")
      ->type_name("N")
      ->check(CLI::Range(1u, storage::kMaxPartitions));
  run_with(create, chosen, [arguments] { return run_create(*arguments); });
}

}  // namespace tapedeck::apps
