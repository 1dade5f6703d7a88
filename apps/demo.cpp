// tapedeck demo: a synthetic session, recorded and served. No broker needed, no configuration.
#include <memory>
#include <string>

#include "apps/commands.hpp"
#include "apps/demo_session.hpp"
#include "apps/serve.hpp"
#include "apps/signals.hpp"

namespace tapedeck::apps {

namespace {

constexpr const char* kGreeting = R"(
  the page          open the address above in a browser
  all symbols       curl ADDRESS/v1/symbols
  counters          curl ADDRESS/metrics

Ctrl-C ends it; the next start is quick.
)";

int run_demo(const DemoOptions& demo, const std::string& port) {
  watch_signals();
  bool interrupted = false;
  if (const int code = prepare_demo(demo, interrupted); code != kDone || interrupted) return code;
  ServeOptions options;
  options.tape = demo.tape();
  if (!port.empty()) options.overrides.emplace_back("http.port", port);
  options.greeting = kGreeting;
  return serve(options);
}

}  // namespace

void add_demo(CLI::App& app, Chosen& chosen) {
  auto demo = std::make_shared<DemoOptions>();
  auto port = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("demo", "Record a synthetic session and serve it");
  command->footer("Example:\n  tapedeck demo --port 8081");
  command->add_option("--tape", demo->folder, "Folder of the session and the tape")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--brokers", demo->brokers, "Put the tape on Kafka, into --topic")
      ->type_name("LIST");
  command->add_option("--topic", demo->topic, "Topic of the tape, made if it is not there")
      ->type_name("T");
  command->add_option("--port", *port, "Port on the loopback interface (http.port; 8080)")
      ->type_name("N");
  command->add_option("--messages", demo->messages, "Length of the session")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}))
      ->capture_default_str();
  command->add_option("--symbols", demo->symbols, "Symbols in it")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{65'000}))
      ->capture_default_str();
  run_with(command, chosen, [demo, port] { return run_demo(*demo, *port); });
}

}  // namespace tapedeck::apps
