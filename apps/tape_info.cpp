#include "apps/tape_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "api/time_format.hpp"
#include "apps/tape_json.hpp"

namespace tapedeck::apps {

namespace {

constexpr std::size_t kLettersShown = 10;

std::string hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes)
    fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string time_or(storage::TimeNs time, std::string_view none, std::string_view quote) {
  if (time == market::kNoTime) return std::string(none);
  return fmt::format("{}{}{}", quote, api::format_time(time), quote);
}

/// How far a source has been read: the lowest of its marks.
struct SourceSum {
  std::uint64_t messages = 0, bytes = 0;
  storage::TimeNs feed_time = market::kNoTime;
};
SourceSum sum_up(const storage::SourceInfo& source) {
  SourceSum sum;
  bool first = true;
  for (const auto& mark : source.marks) {
    if (!mark) return {};
    if (first || mark->cursor_messages < sum.messages)
      sum = {mark->cursor_messages, mark->cursor_bytes, mark->feed_time};
    first = false;
  }
  return sum;
}

TapeInfo::PartitionInfo total(const TapeInfo& info) {
  TapeInfo::PartitionInfo all;
  for (const auto& one : info.partitions) {
    all.symbols += one.symbols, all.records += one.records, all.events += one.events;
    all.payload_bytes += one.payload_bytes;
  }
  return all;
}

}  // namespace

Result<TapeInfo> read_tape_info(const storage::TapeReader& tape) {
  TapeInfo info;
  info.partitions.resize(tape.partitions());
  for (storage::Partition p = 0; p < tape.partitions(); ++p) {
    auto end = tape.end(p);
    if (!end) return tl::unexpected(end.error());
    auto mark = tape.last_mark(p);
    if (!mark) return tl::unexpected(mark.error());
    const auto start = tape.start(p);
    if (!start) return tl::unexpected(start.error());
    info.partitions[p].start = *start;
    info.partitions[p].end = *end;
    if (*mark) info.partitions[p].feed_time = (*mark)->feed_time;
  }
  auto symbols = tape.symbols();
  if (!symbols) return tl::unexpected(symbols.error());
  for (const std::string& symbol : *symbols) {
    auto& partition = info.partitions[storage::partition_of(symbol, tape.partitions())];
    auto entries = tape.index(symbol, 0, partition.end);
    if (!entries) return tl::unexpected(entries.error());
    ++partition.symbols;
    partition.records += entries->size();
    for (const auto& entry : *entries)
      partition.events += entry.event_count, partition.payload_bytes += entry.payload_bytes;
  }
  auto sources = tape.sources();
  if (!sources) return tl::unexpected(sources.error());
  info.sources = std::move(*sources);
  auto letters = tape.dead_letters();
  if (!letters) return tl::unexpected(letters.error());
  info.dead_letters = std::move(*letters);
  return info;
}

std::string info_json(const TapeInfo& info) {
  const auto all = total(info);
  std::string out =
      fmt::format(R"({{"symbols":{},"records":{},"events":{},"payload_bytes":{},"partitions":[)",
                  all.symbols, all.records, all.events, all.payload_bytes);
  for (std::size_t p = 0; p < info.partitions.size(); ++p) {
    const auto& one = info.partitions[p];
    fmt::format_to(
        std::back_inserter(out),
        R"({}{{"partition":{},"start":{},"end":{},"symbols":{},"records":{},"events":{},"payload_bytes":{},"feed_time":{}}})",
        p ? "," : "", p, one.start, one.end, one.symbols, one.records, one.events,
        one.payload_bytes, time_or(one.feed_time, "null", "\""));
  }
  out += R"(],"sources":[)";
  for (std::size_t i = 0; i < info.sources.size(); ++i) {
    const auto& source = info.sources[i];
    const SourceSum sum = sum_up(source);
    fmt::format_to(std::back_inserter(out),
                   R"({}{{"name":{},"complete":{},"messages":{},"bytes":{},"feed_time":{}}})",
                   i ? "," : "", json_string(source.name), source.complete, sum.messages, sum.bytes,
                   time_or(sum.feed_time, "null", "\""));
  }
  out += R"(],"dead_letters":[)";
  for (std::size_t i = 0; i < info.dead_letters.size(); ++i) {
    const auto& letter = info.dead_letters[i];
    fmt::format_to(std::back_inserter(out),
                   R"({}{{"source":{},"byte_offset":{},"reason":{},"bytes":"{}"}})", i ? "," : "",
                   json_string(letter.source), letter.byte_offset, json_string(letter.reason),
                   hex(letter.bytes));
  }
  return out + "]}\n";
}

std::string info_table(const TapeInfo& info) {
  const auto all = total(info);
  std::string out = fmt::format("{} symbols, {} events in {} records, {} payload bytes\n\n",
                                all.symbols, all.events, all.records, all.payload_bytes);
  out += fmt::format("{:>9} {:>12} {:>12} {:>8} {:>12} {:>14} {:>15}  {}\n", "partition", "start",
                     "end", "symbols", "records", "events", "bytes", "feed time");
  for (std::size_t p = 0; p < info.partitions.size(); ++p) {
    const auto& one = info.partitions[p];
    out += fmt::format("{:>9} {:>12} {:>12} {:>8} {:>12} {:>14} {:>15}  {}\n", p, one.start,
                       one.end, one.symbols, one.records, one.events, one.payload_bytes,
                       time_or(one.feed_time, "-", ""));
  }
  out += "\nsources\n";
  for (const auto& source : info.sources) {
    const SourceSum sum = sum_up(source);
    out += fmt::format("  {}  {}, {} messages, to {}\n", source.name,
                       source.complete ? "complete" : "interrupted", sum.messages,
                       time_or(sum.feed_time, "-", ""));
  }
  if (info.dead_letters.empty()) return out;
  out += fmt::format("\ndead letters: {}\n", info.dead_letters.size());
  for (std::size_t i = 0; i < std::min(info.dead_letters.size(), kLettersShown); ++i) {
    const auto& letter = info.dead_letters[i];
    out += fmt::format("  {} byte {}: {} ({} bytes)\n", letter.source, letter.byte_offset,
                       letter.reason, letter.bytes.size());
  }
  if (info.dead_letters.size() > kLettersShown)
    out += fmt::format("  and {} more: --format json lists all\n",
                       info.dead_letters.size() - kLettersShown);
  return out;
}

}  // namespace tapedeck::apps
