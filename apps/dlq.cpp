// tapedeck dlq: what was refused, and putting it through after a fix.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "api/json.hpp"
#include "apps/commands.hpp"
#include "apps/dlq_view.hpp"
#include "apps/open_tape.hpp"
#include "apps/requests.hpp"
#include "storage/rocksdb_state.hpp"

namespace tapedeck::apps {

namespace {

constexpr auto kPatience = std::chrono::milliseconds(30'000);

struct DlqArguments {
  TapeOptions tape;
  std::string symbol, id, kind = "all", format = "table";
};

Result<std::vector<schemas::ControlRecord>> control_records(const TapeOptions& tape) {
  const auto control = open_control(tape);
  if (!control && control.error().code == ErrorCode::not_found)
    return std::vector<schemas::ControlRecord>{};
  if (!control) return tl::unexpected(control.error());
  return (*control)->records();
}

Result<std::vector<replay::DeadLetter>> read_letters(const DlqArguments& arguments) {
  const auto open = open_tape(arguments.tape);
  if (!open) return tl::unexpected(open.error());
  const auto records = control_records(arguments.tape);
  if (!records) return tl::unexpected(records.error());
  return replay::dead_letters(*open->tape, open->state.get(), open->rules, *records,
                              arguments.symbol, true);
}

Result<replay::DeadLetter> find_letter(const DlqArguments& arguments) {
  auto letters = read_letters(arguments);
  if (!letters) return tl::unexpected(letters.error());
  for (auto& letter : *letters) {
    if (letter.id == arguments.id) return std::move(letter);
  }
  return fail(ErrorCode::not_found,
              "no dead letter has the id '" + arguments.id + "': `tapedeck dlq list` shows them",
              "ID");
}

int run_list(const DlqArguments& arguments) {
  const auto letters = read_letters(arguments);
  if (!letters) return report(letters.error());
  if (arguments.format == "table")
    fmt::print("{:<32} {:<11} {:<10} {:<12} {}\n", "id", "kind", "symbol", "state", "reason");
  for (const auto& letter : *letters) {
    const auto view = view_of(letter);
    if (arguments.kind != "all" && arguments.kind != view.kind) continue;
    if (arguments.format == "json") {
      fmt::print("{}\n", api::to_json(view));
    } else {
      fmt::print("{:<32} {:<11} {:<10} {:<12} {}\n", view.id, view.kind,
                 view.symbol.empty() ? "-" : view.symbol, view.state, view.reason);
    }
  }
  return kDone;
}

int run_show(const DlqArguments& arguments) {
  const auto letter = find_letter(arguments);
  if (!letter) return report(letter.error());
  fmt::print("{}\n", api::to_json(view_of(*letter)));
  return kDone;
}

/// No engine owns the state: the tape's end is where it takes effect.
Result<market::Offset> release_here(const DlqArguments& arguments, schemas::ControlRecord release) {
  const auto tape = open_reader(arguments.tape);
  if (!tape) return tl::unexpected(tape.error());
  const auto end = (*tape)->end(release.item.position.partition);
  if (!end) return tl::unexpected(end.error());
  release.at = *end;
  const auto kafka = kafka_options(arguments.tape);
  if (!kafka) return tl::unexpected(kafka.error());
  const auto control = *kafka ? storage::open_kafka_control(**kafka)
                              : storage::open_control_store(arguments.tape.directory);
  if (!control) return tl::unexpected(control.error());
  if (auto stored = (*control)->append(release); !stored) return tl::unexpected(stored.error());
  return release.at;
}

Result<market::Offset> release(const DlqArguments& arguments, const replay::DeadLetter& letter) {
  const auto& folder = arguments.tape.state_folder();
  if (folder.empty())
    return fail(ErrorCode::invalid,
                "the engine on a topic keeps its state in a folder: expected --state DIR",
                "--state");
  const schemas::ControlRecord record{
      schemas::ControlRecord::Kind::release, letter.symbol, *letter.item, 0, {}};
  // Who holds the state's lock is the engine.
  const auto lock = storage::open_state_store(folder);
  if (lock) return release_here(arguments, record);
  if (lock.error().code != ErrorCode::conflict) return tl::unexpected(lock.error());
  return request_control(folder, record, kPatience);
}

int run_replay(const DlqArguments& arguments) {
  const auto letter = find_letter(arguments);
  if (!letter) return report(letter.error());
  if (letter->kind != replay::DeadLetter::Kind::quarantined) {
    return report({ErrorCode::invalid,
                   letter->raw ? "only what is in quarantine can be put through: the bytes of the "
                                 "recorder's dead letters come with their source, record that again"
                               : "a rule of the fold refuses this event, in every replay: only "
                                 "what is in quarantine can be put through",
                   "ID"});
  }
  if (letter->released_at != replay::kNotReleased) {
    return report({ErrorCode::invalid,
                   fmt::format("it was released at {}:{} already", letter->item->position.partition,
                               letter->released_at),
                   "ID"});
  }
  const auto at = release(arguments, *letter);
  if (!at) return report(at.error());
  fmt::print("{} of {} is released: it takes effect at {}:{}\n", letter->id, letter->symbol,
             letter->item->position.partition, *at);
  return kDone;
}

}  // namespace

void add_dlq(CLI::App& app, Chosen& chosen) {
  CLI::App* dlq =
      app.add_subcommand("dlq", "What was refused, by whom and why: list, show, replay");
  dlq->require_subcommand(1);
  auto listing = std::make_shared<DlqArguments>();
  CLI::App* list = dlq->add_subcommand("list", "Every dead letter of a tape");
  list->footer("Example:\n  tapedeck dlq list --tape day --format json");
  add_tape_options(list, listing->tape);
  list->add_option("--symbol", listing->symbol, "Only this symbol's")->type_name("S");
  list->add_option("--kind", listing->kind, "recorder, refused, quarantined or all")
      ->check(CLI::IsMember({"recorder", "refused", "quarantined", "all"}))
      ->capture_default_str();
  list->add_option("--format", listing->format, "table, or json: one line each")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  run_with(list, chosen, [listing] { return run_list(*listing); });

  auto showing = std::make_shared<DlqArguments>();
  CLI::App* show = dlq->add_subcommand("show", "One dead letter, whole");
  show->footer("Example:\n  tapedeck dlq show --tape day 2:1234:7");
  add_tape_options(show, showing->tape);
  show->add_option("ID", showing->id, "As dlq list shows it")->required();
  run_with(show, chosen, [showing] { return run_show(*showing); });

  auto replaying = std::make_shared<DlqArguments>();
  CLI::App* replay =
      dlq->add_subcommand("replay", "Put what is in quarantine through in its place, after a fix");
  replay->footer(
      "The symbol is folded again from before it; candles that change get a revision. Where an "
      "engine runs, it does that.\n"
      "Example:\n  tapedeck dlq replay --tape day 2:1234:7");
  add_tape_options(replay, replaying->tape);
  replay->add_option("ID", replaying->id, "As dlq list shows it")->required();
  run_with(replay, chosen, [replaying] { return run_replay(*replaying); });
}

}  // namespace tapedeck::apps
