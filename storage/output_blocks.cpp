#include "storage/output_blocks.hpp"

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

/// symbol | 0 | kind | width | span of the identity's time
std::string span_key(std::string_view symbol, std::string_view identity) {
  const auto width = read_key64(identity.substr(kWidthAt));
  const auto span = width == 0 ? kSpanWithoutWidth : width * kIntervalsASpan;
  const auto time = read_key64(identity.substr(kTimeAt));
  auto key = output_key(symbol, identity.substr(0, kTimeAt));
  append_be64(key, time - time % span);
  return key;
}

}  // namespace

void append_output_blocks(const std::vector<OutputRow>& outputs, std::uint64_t write,
                          std::vector<RowChange>& changes) {
  std::unordered_map<std::string, std::size_t> of_span;
  std::vector<std::pair<std::string, std::vector<const market::Output*>>> blocks;
  for (const auto& row : outputs) {
    auto key = span_key(row.symbol, market::identity(row.output));
    const auto [found, fresh] = of_span.try_emplace(key, blocks.size());
    if (fresh) blocks.emplace_back(std::move(key), std::vector<const market::Output*>{});
    blocks[found->second].second.push_back(&row.output);
  }
  for (auto& [key, block] : blocks) {
    append_be64(key, write);
    auto value = seal(key, schemas::encode_block(block));
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
