#include "feeds/byte_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

namespace tapedeck::feeds {
namespace {

constexpr std::size_t kChunkSize = std::size_t{1} << 20;

/// An open file; closes itself.
class File {
public:
  File(std::string path, int descriptor, std::uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(File&& other) noexcept
      : path_(std::move(other.path_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        size_(other.size_) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  File& operator=(File&&) = delete;

  Result<std::size_t> read(void* to, std::size_t capacity) {
    for (;;) {
      const ssize_t got = ::read(descriptor_, to, capacity);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) {
        return fail(ErrorCode::environment,
                    fmt::format("cannot read {}: {}", path_, std::strerror(errno)), "--input");
      }
    }
  }
  /// The first bytes, without moving on.
  std::size_t peek(void* to, std::size_t capacity) const {
    const ssize_t got = ::pread(descriptor_, to, capacity, 0);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

private:
  std::string path_;
  int descriptor_;
  std::uint64_t size_;
};

Result<File> open_file(const std::string& path) {
  if (path.empty()) return fail(ErrorCode::invalid, "no input file given", "--input");
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return fail(ErrorCode::environment,
                fmt::format("cannot open {}: {}", path, std::strerror(errno)), "--input");
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    const bool directory = S_ISDIR(status.st_mode);
    ::close(descriptor);
    return fail(ErrorCode::invalid,
                fmt::format("{} is {}, expected a regular file", path,
                            directory ? "a directory" : "no file"),
                "--input");
  }
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
  return File{path, descriptor, static_cast<std::uint64_t>(status.st_size)};
}

class PlainSource final : public ByteSource {
public:
  explicit PlainSource(File file) : file_(std::move(file)) {}
  Result<std::size_t> read(std::uint8_t* to, std::size_t capacity) override {
    return file_.read(to, capacity);
  }
  [[nodiscard]] std::uint64_t total_bytes() const override { return file_.size(); }

private:
  File file_;
};

/// What gzip and zstd share: a window over the compressed file.
class CompressedSource : public ByteSource {
public:
  explicit CompressedSource(File file) : file_(std::move(file)), input_(kChunkSize) {}
  [[nodiscard]] std::uint64_t total_bytes() const override { return 0; }

protected:
  /// Makes `left_` > 0 unless the file ended.
  Result<void> fill() {
    if (left_ > 0) return {};
    auto got = file_.read(input_.data(), input_.size());
    if (!got) return tl::unexpected(got.error());
    next_ = input_.data();
    left_ = *got;
    read_ += *got;
    return {};
  }
  [[nodiscard]] tl::unexpected<Error> corrupt(std::string_view format,
                                              std::string_view what) const {
    return fail(ErrorCode::corrupt,
                fmt::format("{}: {} data damaged at byte {}: {}", file_.path(), format,
                            read_ - left_, what),
                "--input");
  }

  File file_;
  std::vector<std::uint8_t> input_;
  std::uint8_t* next_ = nullptr;
  std::size_t left_ = 0;
  std::uint64_t read_ = 0;
};

class GzipSource final : public CompressedSource {
public:
  explicit GzipSource(File file) : CompressedSource(std::move(file)) {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }

  Result<std::size_t> read(std::uint8_t* to, std::size_t capacity) override {
    if (error_) return tl::unexpected(*error_);
    stream_.next_out = to;
    stream_.avail_out = static_cast<uInt>(std::min(capacity, kChunkSize));
    const uInt room = stream_.avail_out;
    while (stream_.avail_out == room) {
      if (auto filled = fill(); !filled) return tl::unexpected(filled.error());
      if (left_ == 0) {
        if (between_members_ && members_ > 0) return 0;
        return corrupt("gzip", "the file ends inside a member");
      }
      if (between_members_ && members_ > 0 && skip_padding()) continue;
      between_members_ = false;
      step();
      // What was inflated before the damage is handed out first.
      if (error_ && stream_.avail_out == room) return tl::unexpected(*error_);
    }
    return room - stream_.avail_out;
  }

private:
  /// Zero bytes after a member are padding (tapes, block devices), as gzip itself takes them.
  bool skip_padding() {
    if (*next_ != 0) return false;
    while (left_ > 0 && *next_ == 0) ++next_, --left_;
    return true;
  }

  void step() {
    stream_.next_in = next_;
    stream_.avail_in = static_cast<uInt>(left_);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    next_ += left_ - stream_.avail_in;
    left_ = stream_.avail_in;
    if (code == Z_STREAM_END) {
      ++members_;
      between_members_ = true;
      inflateReset(&stream_);
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      error_ = corrupt("gzip", stream_.msg != nullptr ? stream_.msg : zError(code)).value();
    }
  }

  z_stream stream_{};
  std::uint64_t members_ = 0;
  bool between_members_ = true;
  std::optional<Error> error_;
};

class ZstdSource final : public CompressedSource {
public:
  explicit ZstdSource(File file)
      : CompressedSource(std::move(file)), context_(ZSTD_createDStream()) {
    if (context_ == nullptr) throw std::bad_alloc();
  }
  ~ZstdSource() override { ZSTD_freeDStream(context_); }

  Result<std::size_t> read(std::uint8_t* to, std::size_t capacity) override {
    ZSTD_outBuffer out{to, std::min(capacity, kChunkSize), 0};
    while (out.pos == 0) {
      if (auto filled = fill(); !filled) return tl::unexpected(filled.error());
      if (left_ == 0) {
        if (frame_left_ != 0 && !drained(out))
          return corrupt("zstd", "the file ends inside a frame");
        return out.pos;
      }
      ZSTD_inBuffer in{next_, left_, 0};
      frame_left_ = ZSTD_decompressStream(context_, &out, &in);
      if (ZSTD_isError(frame_left_) != 0) return corrupt("zstd", ZSTD_getErrorName(frame_left_));
      next_ += in.pos;
      left_ -= in.pos;
    }
    return out.pos;
  }

private:
  /// With the input used up the decoder may still hold output.
  bool drained(ZSTD_outBuffer& out) {
    ZSTD_inBuffer none{nullptr, 0, 0};
    const std::size_t left = ZSTD_decompressStream(context_, &out, &none);
    if (ZSTD_isError(left) != 0) return false;
    if (out.pos == 0) return left == 0;
    frame_left_ = left;
    return true;
  }

  ZSTD_DStream* context_;
  std::size_t frame_left_ = 1;  // an empty file is no zstd frame
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_bytes(const std::string& path) {
  auto file = open_file(path);
  if (!file) return tl::unexpected(file.error());
  std::uint8_t magic[4] = {};
  file->peek(magic, sizeof magic);
  const std::string_view name = path;
  if (name.ends_with(".gz") || (magic[0] == 0x1f && magic[1] == 0x8b)) {
    return std::make_unique<GzipSource>(std::move(*file));
  }
  constexpr std::uint8_t zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
  if (name.ends_with(".zst") || std::memcmp(magic, zstd_magic, 4) == 0) {
    return std::make_unique<ZstdSource>(std::move(*file));
  }
  return std::make_unique<PlainSource>(std::move(*file));
}

Result<std::string> hash_file(const std::string& path) {
  auto file = open_file(path);
  if (!file) return tl::unexpected(file.error());
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       &XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  std::vector<std::uint8_t> buffer(kChunkSize);
  for (;;) {
    auto got = file->read(buffer.data(), buffer.size());
    if (!got) return tl::unexpected(got.error());
    if (*got == 0) return fmt::format("{:016x}", XXH3_64bits_digest(state.get()));
    XXH3_64bits_update(state.get(), buffer.data(), *got);
  }
}

}  // namespace tapedeck::feeds
