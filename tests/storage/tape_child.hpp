// tests/storage/tape_child.hpp -- starts tape_child and looks at what it left.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "storage/tape.hpp"

namespace tapedeck::storage::test {

inline constexpr const char* kChildSymbols[] = {"AAPL", "MSFT", "GOOG", "AMZN",
                                                "INTC", "NVDA", "TSLA", "AMD"};

/// A running tape_child; killed when destroyed.
class Child {
public:
  explicit Child(const std::vector<std::string>& arguments);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Waits for so many bytes of its output, or its end; returns them.
  std::string read(std::size_t bytes);
  void kill();
  /// Waits for its end; the exit status, or -signal.
  int wait();

private:
  pid_t pid_ = -1;
  int output_ = -1;
};

/// Requires that each child symbol has the records 1..n and that verify() is content; returns n.
std::uint64_t whole_appends(const TapeReader& reader);

}  // namespace tapedeck::storage::test
