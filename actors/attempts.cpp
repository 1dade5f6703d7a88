#include "actors/attempts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace tapedeck::actors {

namespace {

constexpr std::string_view kPassed = "passed";
constexpr std::size_t kMaxErrorBytes = 512;

/// Appends to a fixed buffer; what does not fit is left out. Async-signal-safe.
class Line {
public:
  explicit Line(char (&buffer)[kMaxAttemptLine]) noexcept : buffer_(buffer) {}
  void put(char c) noexcept {
    if (size_ + 1 < kMaxAttemptLine) buffer_[size_++] = c;
  }
  void put(std::string_view text) noexcept {
    for (const char c : text) put(c);
  }
  template <class Integer>
  void number(Integer value) noexcept {
    char digits[24];
    put({digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value).ptr -
                                          digits)});
  }
  void escaped(std::string_view text) noexcept {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte > ' ' && byte < 0x7f && c != '%') {
        put(c);
      } else {
        put('%'), put(kHex[byte >> 4]), put(kHex[byte & 15]);
      }
    }
  }
  [[nodiscard]] std::size_t end() noexcept {
    buffer_[size_++] = '\n';
    return size_;
  }

private:
  char* buffer_;
  std::size_t size_ = 0;
};

std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ec == std::errc{}) {
      plain.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

/// Cuts the next word off.
std::string_view word(std::string_view& rest, char until = ' ') {
  const auto end = std::min(rest.find(until), rest.size());
  const auto found = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return found;
}

template <class Integer>
bool number(std::string_view text, Integer& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

/// Nothing where the line is not one of ours.
std::optional<std::pair<market::FoldItem, std::string>> parse_attempt(std::string_view rest) {
  market::FoldItem item;
  auto place = word(rest);
  std::uint8_t kind = 0;
  market::DueItem due;
  if (!number(word(place, ':'), item.position.partition) ||
      !number(word(place, ':'), item.position.offset) || !number(place, item.position.index) ||
      !number(word(rest), kind) || !number(word(rest), due.width) ||
      !number(word(rest), due.time) || !number(word(rest), due.source))
    return std::nullopt;
  if (kind != 0) {
    due.kind = static_cast<market::OutputKind>(kind);
    item.due = due;
  }
  return std::pair(item, std::string(rest));
}

}  // namespace

std::size_t format_attempt(char (&buffer)[kMaxAttemptLine], std::string_view symbol,
                           const market::FoldItem& item, std::string_view error) noexcept {
  Line line(buffer);
  line.escaped(symbol), line.put(' ');
  line.number(item.position.partition), line.put(':');
  line.number(item.position.offset), line.put(':');
  line.number(item.position.index), line.put(' ');
  const market::DueItem due = item.due.value_or(market::DueItem{});
  line.number(item.due ? static_cast<unsigned>(due.kind) : 0U), line.put(' ');
  line.number(due.width), line.put(' ');
  line.number(due.time), line.put(' ');
  line.number(due.source), line.put(' ');
  for (const char c : error.substr(0, kMaxErrorBytes)) line.put(c == '\n' ? ' ' : c);
  return line.end();
}

Result<std::shared_ptr<Attempts>> Attempts::open(const std::string& path) {
  auto attempts = std::make_shared<Attempts>();
  {
    std::ifstream file(path, std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(file)), {});
    std::string_view rest = all;
    for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
      attempts->take_line(rest.substr(0, end));
      rest.remove_prefix(end + 1);
    }
  }
  const auto failed = [](const std::string& file) {
    return fail(ErrorCode::environment, file + ": " + std::strerror(errno));
  };
  const auto fresh = path + ".new";
  attempts->descriptor_ = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
                                 S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);
  if (attempts->descriptor_ < 0) return failed(fresh);
  for (const auto& [symbol, items] : attempts->symbols_) {
    for (const auto& [item, errors] : items) attempts->append_all(symbol, item, errors);
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return failed(path);
  return attempts;
}

Attempts::~Attempts() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Attempts::take_line(std::string_view line) {
  const auto symbol = unescaped(word(line));
  if (line.ends_with(kPassed)) {
    auto place = word(line);
    market::Offset offset = 0;
    word(place, ':');
    const auto items = symbols_.find(symbol);
    if (items == symbols_.end() || !number(place, offset)) return;
    std::erase_if(items->second,
                  [&](const auto& entry) { return entry.first.position.offset < offset; });
    if (items->second.empty()) symbols_.erase(items);
    return;
  }
  if (auto attempt = parse_attempt(line))
    symbols_[symbol][attempt->first].push_back(std::move(attempt->second));
}

void Attempts::append(std::string_view line) const {
  if (descriptor_ < 0) return;
  if (::write(descriptor_, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return;
  spdlog::error("an attempt is not counted beyond this process: {}", std::strerror(errno));
}

void Attempts::add(std::string_view symbol, const market::FoldItem& item, std::string_view error) {
  const std::scoped_lock lock(mutex_);
  char line[kMaxAttemptLine];
  append({line, format_attempt(line, symbol, item, error)});
  symbols_[std::string(symbol)][item].emplace_back(error);
}

void Attempts::passed(std::string_view symbol, market::Offset offset,
                      std::span<const market::FoldItem> but) {
  const std::scoped_lock lock(mutex_);
  const auto items = symbols_.find(symbol);
  if (items == symbols_.end()) return;
  const auto over = [&](const auto& entry) {
    return entry.first.position.offset < offset && std::ranges::find(but, entry.first) == but.end();
  };
  if (std::erase_if(items->second, over) == 0) return;
  char buffer[kMaxAttemptLine];
  Line line(buffer);
  line.escaped(symbol), line.put(" 0:"), line.number(offset), line.put(' '), line.put(kPassed);
  append({buffer, line.end()});
  // The line is about everything below: what stays is said again.
  for (const auto& [item, errors] : items->second) {
    if (item.position.offset >= offset) break;
    append_all(symbol, item, errors);
  }
  if (items->second.empty()) symbols_.erase(items);
}

void Attempts::append_all(std::string_view symbol, const market::FoldItem& item,
                          const std::vector<std::string>& errors) const {
  char line[kMaxAttemptLine];
  for (const auto& error : errors) append({line, format_attempt(line, symbol, item, error)});
}

void Attempts::settled(std::string_view symbol, const market::FoldItem& item) {
  passed(symbol, item.position.offset + 1);
}

bool Attempts::accused(std::string_view symbol) const {
  const std::scoped_lock lock(mutex_);
  return symbols_.contains(symbol);
}

std::optional<Poison> Attempts::poison(std::string_view symbol) const {
  const std::scoped_lock lock(mutex_);
  const auto items = symbols_.find(symbol);
  if (items == symbols_.end()) return std::nullopt;
  for (const auto& [item, errors] : items->second) {
    if (errors.size() >= kPoisonAttempts) return Poison{item, errors};
  }
  return std::nullopt;
}

std::vector<std::string> Attempts::accused_symbols() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> symbols;
  for (const auto& [symbol, items] : symbols_) symbols.push_back(symbol);
  return symbols;
}

}  // namespace tapedeck::actors
