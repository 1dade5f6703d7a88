#include "feeds/sim_l3.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "feeds/sim_market.hpp"

namespace tapedeck::feeds {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 16;
constexpr std::uint32_t kMaxSymbols = 10'000;
constexpr std::uint64_t kMaxMessages = 100'000'000'000;

class SimSource final : public ByteSource {
public:
  explicit SimSource(const SimL3Options& options) : market_(options) {
    block_.reserve(kBlock + 64);
  }

  Result<std::size_t> read(std::uint8_t* to, std::size_t capacity) override {
    if (taken_ == block_.size()) {
      block_.clear();
      taken_ = 0;
      while (block_.size() < kBlock && market_.next(block_)) {
      }
    }
    const std::size_t size = std::min(capacity, block_.size() - taken_);
    if (size > 0) std::memcpy(to, block_.data() + taken_, size);
    taken_ += size;
    return size;
  }
  [[nodiscard]] std::uint64_t total_bytes() const override { return 0; }

private:
  SimMarket market_;
  std::vector<std::uint8_t> block_;
  std::size_t taken_ = 0;
};

tl::unexpected<Error> bad_parameter(std::string text) {
  return fail(ErrorCode::invalid, "sim:l3: " + std::move(text), "--input");
}

tl::unexpected<Error> cannot_write(const std::string& path) {
  const int code = errno;
  return fail(ErrorCode::environment,
              fmt::format("cannot write {}: {}", path, std::strerror(code)));
}

/// A file that is renamed to its name when it is whole, and removed otherwise. Plain, or gzip.
class OutputFile {
public:
  explicit OutputFile(std::string path)
      : path_(std::move(path)), part_(fmt::format("{}.part.{}", path_, ::getpid())) {
    file_ = gzopen(part_.c_str(), std::string_view(path_).ends_with(".gz") ? "wb1" : "wbT");
    if (file_ != nullptr) gzbuffer(file_, 1U << 18);
  }
  ~OutputFile() {
    if (file_ != nullptr) gzclose(file_), std::remove(part_.c_str());
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] bool good() const { return file_ != nullptr; }
  bool write(const std::uint8_t* bytes, std::size_t size) {
    return gzwrite(file_, bytes, static_cast<unsigned>(size)) == static_cast<int>(size);
  }
  bool commit() {
    const bool closed = gzclose(std::exchange(file_, nullptr)) == Z_OK;
    if (closed && std::rename(part_.c_str(), path_.c_str()) == 0) return true;
    const int code = errno;
    std::remove(part_.c_str());
    errno = code;
    return false;
  }

private:
  std::string path_, part_;
  gzFile file_;
};

}  // namespace

Result<SimL3Options> parse_sim_l3(const std::string& text) {
  SimL3Options options;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    const std::string_view key = pair.substr(0, equals);
    const std::string_view digits =
        equals == pair.npos ? std::string_view{} : pair.substr(equals + 1);
    std::uint64_t value = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (code != std::errc{} || end != digits.data() + digits.size()) {
      return bad_parameter(fmt::format("expected key=number, found '{}'", pair));
    }
    const auto small =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(value, ~std::uint32_t{0}));
    if (key == "seed") {
      options.seed = value;
    } else if (key == "symbols") {
      options.symbols = small;
    } else if (key == "messages") {
      options.messages = value;
    } else if (key == "open") {
      options.open_s = small;
    } else if (key == "close") {
      options.close_s = small;
    } else {
      return bad_parameter(
          fmt::format("expected seed, symbols, messages, open or close, found '{}'", key));
    }
  }
  if (auto checked = check(options); !checked) return tl::unexpected(checked.error());
  return options;
}

std::string canonical(const SimL3Options& options) {
  const SimL3Options usual;
  std::string text = fmt::format("seed={},symbols={},messages={}", options.seed, options.symbols,
                                 options.messages);
  if (options.open_s != usual.open_s || options.close_s != usual.close_s) {
    text += fmt::format(",open={},close={}", options.open_s, options.close_s);
  }
  return text;
}

Result<void> check(const SimL3Options& options) {
  if (options.symbols < 1 || options.symbols > kMaxSymbols) {
    return bad_parameter(fmt::format("symbols={}, expected 1 to {}", options.symbols, kMaxSymbols));
  }
  const std::uint64_t least = 8 * std::uint64_t{options.symbols} + 16;
  if (options.messages < least || options.messages > kMaxMessages) {
    return bad_parameter(fmt::format("messages={}, expected {} to {} with {} symbols",
                                     options.messages, least, kMaxMessages, options.symbols));
  }
  if (options.open_s < 21'600 || options.close_s > 82'800 ||
      options.close_s < options.open_s + 60) {
    return bad_parameter(
        fmt::format("open={},close={}, expected 21600 <= open, open + 60 <= close <= 82800",
                    options.open_s, options.close_s));
  }
  return {};
}

std::unique_ptr<ByteSource> sim_l3_bytes(const SimL3Options& options) {
  return std::make_unique<SimSource>(options);
}

Result<void> write_sim_l3(const std::string& path, const SimL3Options& options) {
  if (auto checked = check(options); !checked) return checked;
  OutputFile file(path);
  if (!file.good()) return cannot_write(path);
  SimMarket market(options);
  std::vector<std::uint8_t> block;
  for (bool more = true; more;) {
    block.clear();
    while (block.size() < kBlock && (more = market.next(block))) {
    }
    if (!block.empty() && !file.write(block.data(), block.size())) return cannot_write(path);
  }
  if (!file.commit()) return cannot_write(path);
  return {};
}

}  // namespace tapedeck::feeds
