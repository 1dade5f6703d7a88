#include "apps/history.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

namespace tapedeck::apps {

namespace {

constexpr const char* kName = "/history";

/// Beside the file first, so that a crash leaves the old one or the new one.
bool replace_file(const std::string& path, const std::string& text) {
  const auto beside = path + ".new";
  const int file = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return false;
  const auto written = ::write(file, text.data(), text.size());
  const bool good = written == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
  return close(file) == 0 && good && rename(beside.c_str(), path.c_str()) == 0;
}

}  // namespace

Result<std::map<market::Partition, HistoryGap>> History::read(const std::string& dir) {
  std::map<market::Partition, HistoryGap> gaps;
  std::ifstream file(dir + kName);
  market::Partition partition = 0;
  HistoryGap gap;
  while (file >> partition >> gap.from >> gap.to) gaps[partition] = gap;
  if (file.is_open() && !file.eof()) {
    return fail(ErrorCode::corrupt,
                dir + kName + ": expected lines of partition, first and last offset");
  }
  return gaps;
}

Result<std::unique_ptr<History>> History::open(const std::string& dir) {
  auto gaps = read(dir);
  if (!gaps) return tl::unexpected(gaps.error());
  return std::unique_ptr<History>(new History(dir, std::move(*gaps)));
}

std::optional<HistoryGap> History::gap(market::Partition partition) const {
  const std::scoped_lock lock(mutex_);
  const auto found = gaps_.find(partition);
  return found == gaps_.end() ? std::nullopt : std::optional(found->second);
}

Result<void> History::add(market::Partition partition, HistoryGap gap) {
  const std::scoped_lock lock(mutex_);
  auto gaps = gaps_;
  const auto [known, added] = gaps.emplace(partition, gap);
  if (!added)
    known->second = {std::min(known->second.from, gap.from), std::max(known->second.to, gap.to)};
  return write(std::move(gaps));
}

Result<void> History::filled(market::Partition partition, HistoryGap gap) {
  const std::scoped_lock lock(mutex_);
  auto gaps = gaps_;
  const auto found = gaps.find(partition);
  if (found == gaps.end() || found->second != gap) return {};
  gaps.erase(found);
  return write(std::move(gaps));
}

Result<void> History::write(std::map<market::Partition, HistoryGap> gaps) {
  std::string text;
  for (const auto& [partition, gap] : gaps)
    text += fmt::format("{} {} {}\n", partition, gap.from, gap.to);
  if (!replace_file(dir_ + kName, text)) {
    return fail(ErrorCode::environment,
                fmt::format("{}{}: cannot be written: {}", dir_, kName, std::strerror(errno)));
  }
  gaps_ = std::move(gaps);
  return {};
}

}  // namespace tapedeck::apps
