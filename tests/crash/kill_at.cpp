// Preloaded into a process under test: kills it at its k-th persistence call (write, pwrite, fsync,
// fdatasync, rename, on regular files only), as kill -9 would.
//
// KILL_AT=k      dies in place of the k-th call, from 1 on; unset or 0: never
// KILL_TORN=1    a write is done by half first
// KILL_COUNT=F   appends to F how many calls there were, at an orderly exit
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace {

std::atomic<long> calls{0};

long number(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : std::atol(text);
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

[[noreturn]] void die() {
  (void)kill(getpid(), SIGKILL);
  while (true) pause();
}

bool regular(int file) {
  struct stat status {};
  return fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

/// Counts a call; true: it is the one to die in.
bool last() {
  static const long kill_at = number("KILL_AT");
  return calls.fetch_add(1) + 1 == kill_at;
}
bool torn() {
  static const bool is = number("KILL_TORN") != 0;
  return is;
}

struct Report {
  ~Report() {
    const char* path = std::getenv("KILL_COUNT");
    if (path == nullptr) return;
    if (std::FILE* file = std::fopen(path, "a")) {
      std::fprintf(file, "%ld\n", calls.load());
      std::fclose(file);
    }
  }
} report;

}  // namespace

extern "C" {

ssize_t write(int file, const void* bytes, size_t count) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  if (regular(file) && last()) {
    if (torn()) (void)real(file, bytes, count / 2);
    die();
  }
  return real(file, bytes, count);
}

ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  if (regular(file) && last()) {
    if (torn()) (void)real(file, bytes, count / 2, offset);
    die();
  }
  return real(file, bytes, count, offset);
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  return pwrite64(file, bytes, count, offset);
}

int fsync(int file) {
  static const auto real = next<int (*)(int)>("fsync");
  if (last()) die();
  return real(file);
}

int fdatasync(int file) {
  static const auto real = next<int (*)(int)>("fdatasync");
  if (last()) die();
  return real(file);
}

int rename(const char* from, const char* to) {
  static const auto real = next<int (*)(const char*, const char*)>("rename");
  if (last()) die();
  return real(from, to);
}

}  // extern "C"
