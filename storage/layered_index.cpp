#include <algorithm>
#include <map>

#include "storage/frame.hpp"
#include "storage/tape_index.hpp"

namespace tapedeck::storage {
namespace {

class LayeredIndex final : public TapeIndex {
public:
  LayeredIndex(std::unique_ptr<TapeIndex> base, std::unique_ptr<TapeIndex> top)
      : base_(std::move(base)), top_(std::move(top)) {}

  Offset next(Partition partition) const override {
    return std::max(base_->next(partition), top_->next(partition));
  }

  Result<void> add(Partition partition, std::span<const Record> records, Offset next) override {
    return top_->add(partition, records, next);
  }

  Result<std::vector<IndexEntry>> entries(Partition partition, std::string_view symbol, Offset from,
                                          Offset to, ReadLimits limits) const override {
    auto found =
        base_->entries(partition, symbol, from, std::min(to, base_->next(partition)), limits);
    if (!found) return found;
    std::size_t bytes = 0;
    for (const auto& entry : *found) bytes += entry.payload_bytes;
    if (bytes >= limits.bytes || found->size() >= limits.records) return found;
    limits.bytes -= bytes;
    limits.records -= found->size();
    const auto more = top_->entries(partition, symbol, from, to, limits);
    if (!more) return more;
    found->insert(found->end(), more->begin(), more->end());
    return found;
  }

  Result<std::optional<IndexEntry>> last(Partition partition,
                                         std::string_view symbol) const override {
    auto found = top_->last(partition, symbol);
    return !found || *found ? found : base_->last(partition, symbol);
  }

  Result<RecordBlockPtr> marks(Partition partition, Offset from, Offset to) const override {
    const auto older = base_->marks(partition, from, std::min(to, base_->next(partition)));
    if (!older) return older;
    const auto newer = top_->marks(partition, from, to);
    if (!newer) return newer;
    BlockBuilder both((*older)->bytes + (*newer)->bytes);
    for (const auto& record : (*older)->records) both.add(record);
    for (const auto& record : (*newer)->records) both.add(record);
    return both.finish();
  }

  Result<std::optional<schemas::MarkPayload>> last_mark(Partition partition,
                                                        Offset before) const override {
    auto found = top_->last_mark(partition, before);
    return !found || *found ? found : base_->last_mark(partition, before);
  }

  Result<std::vector<std::string>> symbols() const override {
    const auto older = base_->symbols();
    if (!older) return older;
    const auto newer = top_->symbols();
    if (!newer) return newer;
    std::vector<std::string> all;
    std::ranges::set_union(*older, *newer, std::back_inserter(all));
    return all;
  }

  Result<std::vector<SourceInfo>> sources() const override {
    auto older = base_->sources();
    if (!older) return older;
    auto newer = top_->sources();
    if (!newer) return newer;
    std::map<std::string, SourceInfo> by_name;
    for (auto& source : *older) by_name.emplace(source.name, source);
    for (auto& source : *newer) {
      const auto [known, added] = by_name.emplace(source.name, source);
      for (std::size_t p = 0; !added && p < source.marks.size(); ++p) {
        if (source.marks[p]) known->second.marks[p] = source.marks[p];
      }
      known->second.complete = all_complete(known->second);
    }
    std::vector<SourceInfo> all;
    all.reserve(by_name.size());
    for (auto& [name, source] : by_name) all.push_back(std::move(source));
    return all;
  }

private:
  std::unique_ptr<TapeIndex> base_, top_;
};

}  // namespace

std::unique_ptr<TapeIndex> layered_index(std::unique_ptr<TapeIndex> base,
                                         std::unique_ptr<TapeIndex> top) {
  return std::make_unique<LayeredIndex>(std::move(base), std::move(top));
}

}  // namespace tapedeck::storage
