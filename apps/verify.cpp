// tapedeck verify, diff: is what was recorded still what a fold gives; do two tapes give the same.
#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "api/output_json.hpp"
#include "apps/commands.hpp"
#include "apps/open_tape.hpp"
#include "apps/progress.hpp"
#include "apps/signals.hpp"
#include "apps/what_if.hpp"
#include "replay/output_diff.hpp"
#include "replay/verify.hpp"

namespace tapedeck::apps {

namespace {

struct VerifyArguments {
  TapeOptions tape;
  std::uint32_t threads = 1;
};

int tell(const replay::Verified& verified) {
  for (const auto& bad : verified.bad_snapshots) fmt::print("bad: {}\n", bad);
  for (const auto& mismatch : verified.mismatches) {
    fmt::print("differs: {} before {}:{}: recorded {} after {} events, refolded {} after {}\n",
               mismatch.key.symbol, mismatch.key.partition, mismatch.key.next,
               mismatch.recorded.hex(), mismatch.recorded_events, mismatch.refolded.hex(),
               mismatch.refolded_events);
  }
  fmt::print(
      "{} digests of {} symbols compared over {} events, {} snapshots restored: {} differ, {} "
      "bad\n",
      verified.digests, verified.symbols, verified.events, verified.snapshots,
      verified.mismatches.size(), verified.bad_snapshots.size());
  return verified.mismatches.empty() && verified.bad_snapshots.empty() ? kDone : kWorkFailed;
}

int run_verify(const VerifyArguments& arguments) {
  auto open = open_tape(arguments.tape);
  if (!open) return report(open.error());
  if (open->state == nullptr) {
    fmt::print(stderr,
               "tapedeck: {} has no state, so there is no digest to compare with: run `tapedeck "
               "tape index`\n",
               arguments.tape.name());
    return kWorkFailed;
  }
  if (auto stored = open->state->verify(); !stored) {
    fmt::print("bad: {}\n", stored.error().message);
    return kWorkFailed;
  }
  Progress progress("verifying", "events");
  std::uint64_t total = 0;
  for (storage::Partition p = 0; p < open->tape->partitions(); ++p)
    total += open->tape->end(p).value_or(0);
  std::atomic<std::uint64_t> records = 0, events = 0;
  const auto main_thread = std::this_thread::get_id();
  const auto verified = replay::verify(*open->tape, *open->state, open->rules, arguments.threads,
                                       [&](std::uint64_t r, std::uint64_t e) {
                                         records += r, events += e;
                                         if (std::this_thread::get_id() == main_thread)
                                           progress.update(records, total, events);
                                       });
  progress.finish();
  if (!verified) {
    report(verified.error());
    return verified.error().code == ErrorCode::not_found ? kWorkFailed
                                                         : exit_code(verified.error());
  }
  return tell(*verified);
}

struct DiffArguments {
  TapeOptions left;
  std::string other;
  std::vector<std::string> set, symbols;
};

/// A folder, or a topic on the same brokers.
TapeOptions other_tape(const DiffArguments& arguments) {
  std::error_code error;
  const bool topic = arguments.left.directory.empty() || !arguments.left.brokers.empty();
  if (!topic || std::filesystem::is_directory(arguments.other, error)) return {arguments.other};
  TapeOptions other = arguments.left;
  other.directory.clear();
  other.state.clear();
  other.topic = arguments.other;
  return other;
}

std::string place_text(const market::Position& position) {
  return fmt::format("{}:{}:{}", position.partition, position.offset, position.index);
}

/// What the tape would have said with other settings.
int run_what_if(const DiffArguments& arguments) {
  auto open = open_tape(arguments.left);
  if (!open) return report(open.error());
  const auto rules = changed_rules(*open, arguments.set);
  if (!rules) return report(rules.error());
  watch_signals();
  Progress progress("comparing", "symbols");
  const auto differences = replay::diff_outputs(*open->tape, open->rules, *rules, arguments.symbols,
                                                [&](std::size_t done, std::size_t total) {
                                                  progress.update(done, total, done);
                                                  return !stop_requested;
                                                });
  progress.finish();
  if (!differences) return report(differences.error());
  for (const auto& one : *differences) {
    const auto text = [&one](const std::optional<market::Output>& output) {
      return output ? std::string(market::name(output->kind())) + " " +
                          api::to_json(one.symbol, *output)
                    : std::string("nothing");
    };
    fmt::print("{}: {} outputs equal, then at {}\n  as it is: {}\n  changed:  {}\n", one.symbol,
               one.equal, place_text(one.position), text(one.left), text(one.right));
    fmt::print("  in all {} only as it is, {} only changed, {} different\n", one.only_left,
               one.only_right, one.changed);
  }
  if (stop_requested) fmt::print("interrupted\n");
  if (differences->empty()) fmt::print("no difference\n");
  return differences->empty() ? kDone : kWorkFailed;
}

int run_diff(const DiffArguments& arguments) {
  if (arguments.other.empty() == arguments.set.empty()) {
    return report({ErrorCode::invalid,
                   "expected another tape (--other), or changed settings for the same one (--set)",
                   "--other"});
  }
  if (!arguments.set.empty()) return run_what_if(arguments);
  auto left = open_tape(arguments.left);
  if (!left) return report(left.error());
  const auto other = other_tape(arguments);
  auto right = open_tape(other);
  if (!right) return report(right.error());
  const auto differences = replay::diff(*left->tape, *right->tape, left->rules, right->rules);
  if (!differences) return report(differences.error());
  const auto place = [](const std::optional<market::Position>& position) {
    return position ? place_text(*position) : std::string("its end");
  };
  for (const auto& difference : *differences) {
    fmt::print("{}: equal for {} events, then {} in {} and {} in {}\n", difference.symbol,
               difference.events, place(difference.left), arguments.left.name(),
               place(difference.right), other.name());
  }
  if (differences->empty()) fmt::print("no difference\n");
  return differences->empty() ? kDone : kWorkFailed;
}

}  // namespace

void add_verify(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* command =
      app.add_subcommand("verify", "Fold everything again and compare with every recorded digest");
  command->footer(
      "Exit status 1: something differs, stored bytes are bad, or no digest is recorded at all.\n"
      "Example:\n  tapedeck verify --tape day --threads 2");
  add_tape_options(command, arguments->tape);
  command->add_option("--threads", arguments->threads, "Threads")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  run_with(command, chosen, [arguments] { return run_verify(*arguments); });
}

void add_diff(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<DiffArguments>();
  CLI::App* command =
      app.add_subcommand("diff",
                         "Find the first event at which two tapes' states differ, or the first "
                         "output that differs with other settings");
  command->footer(
      "Offsets, record sizes and marks may differ; events and digests may not. Exit status 1: they "
      "differ.\n"
      "Examples:\n"
      "  tapedeck diff --tape day --other copy\n"
      "  tapedeck diff --tape day --set alerts.imbalance_high=0.9 --set candles.widths=1s,5s");
  add_tape_options(command, arguments->left);
  command
      ->add_option("--other", arguments->other,
                   "Folder of the other tape, or a topic on the same brokers")
      ->type_name("DIR|TOPIC");
  add_set_option(command, arguments->set);
  command->add_option("--symbols", arguments->symbols, "With --set: only these")
      ->type_name("A,B")
      ->delimiter(',');
  run_with(command, chosen, [arguments] { return run_diff(*arguments); });
}

}  // namespace tapedeck::apps
