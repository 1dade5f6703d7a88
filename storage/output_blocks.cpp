#include "storage/output_blocks.hpp"

#include <algorithm>
#include <span>
#include <unordered_map>

#include "schemas/state_codec.hpp"
#include "storage/state_rows.hpp"

namespace tapedeck::storage {
namespace {

// Of an identity: kind, width, time.
constexpr std::size_t kWidthAt = 1, kTimeAt = 9, kRestAt = 17;
constexpr std::uint64_t kIntervalsASpan = 256;
constexpr std::uint64_t kSpanWithoutWidth = 60 * static_cast<std::uint64_t>(market::kSecond);
constexpr std::size_t kWriteBytes = 8;

/// Where the span of time begins that holds an identity's time; both with the sign flipped.
std::uint64_t span_start(std::uint64_t width, std::uint64_t time) {
  const auto span = width == 0 ? kSpanWithoutWidth : width * kIntervalsASpan;
  return time - time % span;
}

/// symbol | 0 | kind | width | span of the identity's time
std::string span_key(std::string_view symbol, std::string_view identity) {
  const auto width = read_key64(identity.substr(kWidthAt));
  auto key = output_key(symbol, identity.substr(0, kTimeAt));
  append_be64(key, span_start(width, read_key64(identity.substr(kTimeAt))));
  return key;
}

}  // namespace

EncodedOutputs encode_outputs(std::string_view symbol, std::span<const market::Output> outputs,
                              Offset from) {
  struct Group {
    market::OutputKind kind;
    std::uint64_t width, start;
    std::vector<const market::Output*> outputs;
  };
  std::vector<Group> groups;
  EncodedOutputs encoded;
  encoded.symbol = symbol;
  for (const auto& output : outputs) {
    if (output.position.offset < from) continue;
    encoded.end = std::max(encoded.end, output.position.offset + 1);
    const auto head = market::identity_head(output);
    const auto width = static_cast<std::uint64_t>(head.width);
    const auto start =
        span_start(width, static_cast<std::uint64_t>(head.time) ^ (std::uint64_t{1} << 63));
    // The newest first: outputs come in the order of time.
    auto group = std::find_if(groups.rbegin(), groups.rend(), [&](const Group& one) {
      return one.start == start && one.width == width && one.kind == head.kind;
    });
    if (group == groups.rend()) {
      groups.push_back({head.kind, width, start, {}});
      group = groups.rbegin();
    }
    group->outputs.push_back(&output);
  }
  for (const auto& group : groups) {
    std::string span(1, static_cast<char>(group.kind));
    append_be64(span, group.width);
    append_be64(span, group.start);
    encoded.blocks.push_back({std::move(span), schemas::encode_block(group.outputs)});
    encoded.count += group.outputs.size();
  }
  return encoded;
}

Result<market::Outputs> decode_outputs(const EncodedOutputs& encoded) {
  market::Outputs all;
  for (const auto& block : encoded.blocks) {
    auto outputs = schemas::decode_block(std::as_bytes(std::span(block.bytes)));
    if (!outputs) return outputs;
    std::ranges::move(*outputs, std::back_inserter(all));
  }
  return all;
}

void append_output_blocks(const std::vector<EncodedOutputs>& outputs, std::uint64_t write,
                          std::vector<RowChange>& changes) {
  std::unordered_map<std::string, std::string> of_span;
  std::vector<const std::pair<const std::string, std::string>*> order;
  for (const auto& some : outputs) {
    for (const auto& block : some.blocks) {
      const auto [found, fresh] =
          of_span.try_emplace(output_key(some.symbol, block.span), block.bytes);
      if (fresh) {
        order.push_back(&*found);
      } else {
        found->second += block.bytes;
      }
    }
  }
  for (const auto* row : order) {
    auto key = row->first;
    append_be64(key, write);
    auto value = seal(key, row->second);
    changes.push_back({Family::outputs, std::move(key), std::move(value)});
  }
}

OutputMerge::OutputMerge(std::string_view symbol, std::string_view lower, std::string_view upper)
    : lower_(lower), upper_(upper) {
  auto whole = std::string(lower);
  if (lower.size() > kTimeAt && lower.size() < kRestAt)
    whole.resize(kRestAt, '\0');  // the least time it may begin
  first_key_ = whole.size() >= kRestAt ? span_key(symbol, whole) : output_key(symbol, whole);
  last_key_ = after_prefix(output_key(symbol, upper.substr(0, kRestAt)));
}

Result<bool> OutputMerge::take(std::string_view key, std::string_view block, const Visit& visit) {
  const auto span = key.substr(0, key.size() - kWriteBytes);
  if (span != span_) {
    if (!finish(visit)) return false;
    span_ = span;
  }
  auto outputs = schemas::decode_block(std::as_bytes(std::span(block)));
  if (!outputs) return tl::unexpected(std::move(outputs.error()));
  for (auto& output : *outputs) {
    auto identity = market::identity(output);
    if (identity < lower_ || (!upper_.empty() && identity >= upper_)) continue;
    newest_.insert_or_assign(std::move(identity), std::move(output));
  }
  return true;
}

bool OutputMerge::finish(const Visit& visit) {
  for (const auto& [identity, output] : newest_) {
    if (!visit(output)) return false;
  }
  newest_.clear();
  return true;
}

}  // namespace tapedeck::storage
