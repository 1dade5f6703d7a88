// apps/cli.hpp -- the frame of the command line: how a command is added, how it fails. Start here.
//
// A command is a file with one function `add_<command>(CLI::App&, Chosen&)`, declared in
// commands.hpp and called by main.cpp. It makes a subcommand and says, by run_with(), what to do
// when that subcommand is chosen; the returned number is the exit status of the process.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "market/result.hpp"
#include "storage/kafka_tape.hpp"
#include "storage/tape.hpp"

namespace tapedeck::apps {

enum ExitCode : int {
  kDone = 0,
  kWorkFailed = 1,  ///< verify found a difference, stored bytes are bad
  kBadArguments = 2,
  kEnvironment = 3,  ///< disk, permission, lock, port, broker
  kGaveUp = 4,       ///< ended by the watchdog, or a restart budget is spent
};

/// What main() runs once the arguments are read.
struct Chosen {
  std::function<int()> action;
};
void run_with(CLI::App* command, Chosen& chosen, std::function<int()> action);

/// `conflict` is about settings (2) where it names a field, else another process owns something
/// (3).
[[nodiscard]] int exit_code(const Error& error) noexcept;
/// Prints `tapedeck: <field>: <message>` to stderr; returns the exit code.
int report(const Error& error);

/// The options that say which tape: a folder, or a topic on Kafka with a folder for what is derived
/// from it.
struct TapeOptions {
  std::string directory;
  std::string brokers{}, topic{}, state{};
  std::string config_file{};  ///< its [kafka] section, where the tape is on Kafka
  /// How messages name the tape.
  [[nodiscard]] std::string name() const;
  /// Folder of DIR/state: the tape's own, or --state. Empty: there is none.
  [[nodiscard]] const std::string& state_folder() const noexcept {
    return directory.empty() ? state : directory;
  }
};
/// None: the tape is a folder. Settings come from the flags, the environment, the file. Error
/// `invalid` where nothing says which tape.
[[nodiscard]] Result<std::optional<storage::KafkaOptions>> kafka_options(
    const TapeOptions& options);
void add_kafka_options(CLI::App* command, TapeOptions& options);
void add_tape_options(CLI::App* command, TapeOptions& options);

/// In bulk a record holds many events, live a few.
enum class Linger { live, bulk };
/// For writing: makes the tape, with `partitions`, if there is none (0: the default number).
[[nodiscard]] Result<std::unique_ptr<storage::TapeWriter>> open_writer(
    const TapeOptions& options, Linger linger, std::uint32_t partitions = 0);
/// For reading, also while another process writes. Error `not_found` where there is no tape.
[[nodiscard]] Result<std::unique_ptr<storage::TapeReader>> open_reader(const TapeOptions& options);

}  // namespace tapedeck::apps
