// chaos/http_get.hpp -- a question to a server on this machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace tapedeck::chaos {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};
/// None: nobody answered whole within `patience`.
[[nodiscard]] std::optional<HttpAnswer> http_get(std::uint16_t port, const std::string& target,
                                                 std::chrono::milliseconds patience);

}  // namespace tapedeck::chaos
