// tapedeck tape: what is on a tape. `copy` and `index` are other files'.
#include "apps/tape_info.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "api/position_text.hpp"
#include "apps/commands.hpp"
#include "apps/progress.hpp"
#include "apps/tape_json.hpp"
#include "replay/recovery.hpp"
#include "storage/verify.hpp"

namespace tapedeck::apps {

namespace {

constexpr std::size_t kWriteBytes = std::size_t{1} << 20;

struct CatArguments {
  TapeOptions tape;
  std::optional<storage::Partition> partition;
  std::string symbol, from, to;
  std::uint64_t limit = ~std::uint64_t{0};
  bool records = false;
};

/// What `cat` reads of one partition: offsets [from, to).
struct Range {
  storage::Partition partition = 0;
  storage::Offset from = 0, to = 0;
};

class Cat {
public:
  Cat(const CatArguments& arguments, const storage::TapeReader& tape)
      : arguments_(arguments), tape_(tape), json_(tape) {
    json_.limit_lines(arguments.limit);
  }

  Result<void> run() {
    if (auto done = choose_partitions(); !done) return done;
    if (auto done = read_bounds(); !done) return done;
    for (const Range& range : ranges_)
      if (auto done = print(range); !done) return done;
    return write_out();
  }

private:
  Result<void> choose_partitions() {
    if (arguments_.partition && *arguments_.partition >= tape_.partitions())
      return fail(ErrorCode::out_of_range,
                  fmt::format("the tape has partitions 0 to {}", tape_.partitions() - 1),
                  "--partition");
    only_ = arguments_.partition;
    if (!arguments_.symbol.empty()) {
      auto last = tape_.last_of(arguments_.symbol);
      if (!last) return tl::unexpected(last.error());
      if (!*last)
        return fail(ErrorCode::not_found, "no record of symbol " + arguments_.symbol, "--symbol");
      only_ = storage::partition_of(arguments_.symbol, tape_.partitions());
    }
    return {};
  }

  Result<void> read_bounds() {
    std::optional<api::PositionText> from, to;
    if (!arguments_.from.empty()) {
      auto parsed = api::parse_position(arguments_.from, "--from");
      if (!parsed) return tl::unexpected(parsed.error());
      from = *parsed;
    }
    if (!arguments_.to.empty()) {
      auto parsed = api::parse_position(arguments_.to, "--to");
      if (!parsed) return tl::unexpected(parsed.error());
      to = *parsed;
    }
    for (const auto& [bound, field] : {std::pair{&from, "--from"}, std::pair{&to, "--to"}}) {
      if (!*bound) continue;
      if (const auto* at = std::get_if<api::AtPosition>(&**bound)) {
        if (at->partition >= tape_.partitions())
          return fail(ErrorCode::out_of_range,
                      fmt::format("the tape has partitions 0 to {}", tape_.partitions() - 1),
                      field);
        if (only_ && *only_ != at->partition)
          return fail(
              ErrorCode::invalid,
              fmt::format("partition {} is not the one that is read, {}", at->partition, *only_),
              field);
        only_ = at->partition;
      } else if (std::holds_alternative<api::AtOffset>(**bound) && !only_) {
        return fail(ErrorCode::invalid, "an offset alone needs --symbol or --partition", field);
      }
    }
    for (storage::Partition p = 0; p < tape_.partitions(); ++p) {
      if (only_ && *only_ != p) continue;
      auto end = tape_.end(p);
      if (!end) return tl::unexpected(end.error());
      const auto start = tape_.start(p);
      if (!start) return tl::unexpected(start.error());
      Range range{p, *start, *end};
      if (from) narrow_from(*from, range);
      if (range.from < *start)
        return tl::unexpected(replay::trimmed(replay::place(p, range.from), p, *start));
      if (to) narrow_to(*to, range);
      ranges_.push_back(range);
    }
    json_.limit_times(first_time_, last_time_);
    json_.limit_index(first_, last_);
    return {};
  }

  void narrow_from(const api::PositionText& text, Range& range) {
    if (std::holds_alternative<api::AtEnd>(text)) range.from = range.to;
    if (const auto* at = std::get_if<api::AtOffset>(&text)) range.from = at->offset;
    if (const auto* at = std::get_if<api::AtInstant>(&text)) first_time_ = at->time;
    if (const auto* at = std::get_if<api::AtPosition>(&text)) {
      range.from = at->offset;
      first_ = market::Position{at->partition, at->offset, at->index.value_or(0)};
    }
  }

  void narrow_to(const api::PositionText& text, Range& range) {
    auto before = [&](storage::Offset offset) { return offset < range.to ? offset + 1 : range.to; };
    if (const auto* at = std::get_if<api::AtOffset>(&text)) range.to = before(at->offset);
    if (const auto* at = std::get_if<api::AtInstant>(&text)) last_time_ = at->time;
    if (const auto* at = std::get_if<api::AtPosition>(&text)) {
      range.to = before(at->offset);
      last_ = market::Position{at->partition, at->offset, at->index.value_or(~std::uint32_t{0})};
    }
  }

  Result<void> print(const Range& range) {
    for (storage::Offset from = range.from; from < range.to && !json_.full();) {
      auto block = arguments_.symbol.empty()
                       ? tape_.read(range.partition, from, {})
                       : tape_.read_symbol(arguments_.symbol, from, range.to, {});
      if (!block) return tl::unexpected(block.error());
      if ((*block)->records.empty()) break;
      for (const storage::Record& record : (*block)->records) {
        if (record.offset >= range.to || json_.full()) return {};
        auto done = arguments_.records ? json_.append_record(out_, record)
                                       : json_.append_events(out_, record);
        if (!done)
          return fail(done.error().code, fmt::format("record {}:{}: {}", record.partition,
                                                     record.offset, done.error().message));
        if (out_.size() >= kWriteBytes)
          if (auto written = write_out(); !written) return written;
      }
      from = (*block)->records.back().offset + 1;
    }
    return {};
  }

  Result<void> write_out() {
    const bool written =
        std::fwrite(out_.data(), 1, out_.size(), stdout) == out_.size() && std::fflush(stdout) == 0;
    out_.clear();
    if (!written) return fail(ErrorCode::environment, "cannot write to the standard output");
    return {};
  }

  const CatArguments& arguments_;
  const storage::TapeReader& tape_;
  TapeJson json_;
  std::optional<storage::Partition> only_;
  std::vector<Range> ranges_;
  std::optional<market::TimeNs> first_time_, last_time_;
  std::optional<market::Position> first_, last_;
  std::string out_;
};

int run_cat(const CatArguments& arguments) {
  auto tape = open_reader(arguments.tape);
  if (!tape) return report(tape.error());
  auto done = Cat(arguments, **tape).run();
  return done ? kDone : report(done.error());
}

int run_verify(const TapeOptions& options) {
  auto tape = open_reader(options);
  if (!tape) return report(tape.error());
  Progress progress("verifying", "records");
  auto records = storage::verify(
      **tape, [&](std::uint64_t done, std::uint64_t total) { progress.update(done, total, done); });
  progress.finish();
  if (!records) return report(records.error());
  fmt::print("{} records verified in {} partitions\n", *records, (*tape)->partitions());
  return kDone;
}

int run_info(const TapeOptions& options, const std::string& format) {
  auto tape = open_reader(options);
  if (!tape) return report(tape.error());
  auto info = read_tape_info(**tape);
  if (!info) return report(info.error());
  std::fputs((format == "json" ? info_json(*info) : info_table(*info)).c_str(), stdout);
  return kDone;
}

void add_info(CLI::App* tape, Chosen& chosen) {
  auto options = std::make_shared<TapeOptions>();
  auto format = std::make_shared<std::string>("table");
  CLI::App* command =
      tape->add_subcommand("info", "Sources, partitions, symbols and dead letters of a tape");
  command->footer("Example:\n  tapedeck tape info --tape day --format json");
  add_tape_options(command, *options);
  command->add_option("--format", *format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  run_with(command, chosen, [options, format] { return run_info(*options, *format); });
}

void add_cat(CLI::App* tape, Chosen& chosen) {
  auto arguments = std::make_shared<CatArguments>();
  CLI::App* command = tape->add_subcommand("cat", "Print events and marks as JSON lines");
  command->footer(
      "Examples:\n"
      "  tapedeck tape cat --tape day --symbol AAPL --limit 10\n"
      "  tapedeck tape cat --tape day --from 2:1000 --to 2:1010:5\n"
      "  tapedeck tape cat --tape day --symbol AAPL --from 2012-06-21T09:30:00-04:00 --to "
      "2012-06-21T09:30:01-04:00\n"
      "\nBounds are inclusive. Times are event times, for marks feed times.");
  add_tape_options(command, arguments->tape);
  command->add_option("--partition", arguments->partition, "Only this partition")->type_name("N");
  command->add_option("--symbol", arguments->symbol, "Only this symbol, through the index")
      ->type_name("S");
  command
      ->add_option("--from", arguments->from,
                   "First position: offset:N, partition:offset[:index], a time, end")
      ->type_name("P");
  command->add_option("--to", arguments->to, "Last position")->type_name("P");
  command->add_option("--limit", arguments->limit, "Lines at most")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000'000}))
      ->default_str("all");
  command->add_flag("--records", arguments->records, "One line for a record, without its events");
  run_with(command, chosen, [arguments] { return run_cat(*arguments); });
}

void add_verify(CLI::App* tape, Chosen& chosen) {
  auto options = std::make_shared<TapeOptions>();
  CLI::App* command = tape->add_subcommand("verify", "Read every stored byte and check it");
  command->footer(
      "Checksums, offsets, batches, marks and the index. Exit status 1 names the first bad "
      "position.\n"
      "Example:\n  tapedeck tape verify --tape day");
  add_tape_options(command, *options);
  run_with(command, chosen, [options] { return run_verify(*options); });
}

}  // namespace

void add_tape(CLI::App& app, Chosen& chosen) {
  CLI::App* tape = app.add_subcommand(
      "tape",
      "Look at a tape, check it, index it, copy it, trim it: info, cat, verify, index, copy, "
      "trim");
  tape->require_subcommand(1);
  add_info(tape, chosen);
  add_cat(tape, chosen);
  add_verify(tape, chosen);
  add_index(tape, chosen);
  add_copy(tape, chosen);
  add_trim(tape, chosen);
}

}  // namespace tapedeck::apps
