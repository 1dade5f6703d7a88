// chaos/child.hpp -- tapedeck itself as a process that can be killed, paused and asked.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "market/result.hpp"

namespace tapedeck::chaos {

using Environment = std::vector<std::pair<std::string, std::string>>;

/// A process of this very program, or of another. What it prints goes to a file. Killed where it
/// still runs when this ends.
class Child {
public:
  /// `more` is set beside this process's environment, without its TAPEDECK_* settings. Error
  /// `environment` where no process can be made.
  [[nodiscard]] static Result<Child> start(const std::vector<std::string>& arguments,
                                           const Environment& more, const std::string& log,
                                           const std::string& program = "/proc/self/exe");
  ~Child();
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Exit status, negative signal number where a signal ended it, none while it runs.
  [[nodiscard]] std::optional<int> status();
  /// None: it still runs after `patience`.
  [[nodiscard]] std::optional<int> wait(std::chrono::milliseconds patience);
  void signal(int number) const;
  /// kill -9. False: it had ended before.
  bool kill();
  [[nodiscard]] std::string printed() const;
  /// Resident memory, bytes; 0 where it is not known.
  [[nodiscard]] std::size_t memory() const;
  /// Port of the URL that a server prints first; none: it ended, or said none within `patience`.
  [[nodiscard]] std::optional<std::uint16_t> port(std::chrono::milliseconds patience);

private:
  Child(pid_t pid, std::string log) : pid_(pid), log_(std::move(log)) {}
  pid_t pid_ = -1;
  std::optional<int> status_;
  std::string log_;
};

}  // namespace tapedeck::chaos
