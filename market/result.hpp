// market/result.hpp -- how expected failures travel: a code that decides the exit status, and a
// text for a person.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace tapedeck {

/// What kind of failure; `apps` maps it to the exit code of the design.
enum class ErrorCode {
  invalid,       ///< bad argument, configuration or input (exit 2)
  not_found,     ///< names nothing that exists (exit 2; HTTP 404)
  out_of_range,  ///< a position or time beyond what the tape holds (exit 2; HTTP 400)
  corrupt,       ///< stored bytes do not match their checksum or format (exit 1)
  environment,   ///< disk, permission, port, lock (exit 3)
  exhausted,     ///< a restart budget is spent (exit 4)
  conflict,  ///< another process owns it, or other settings are stored (exit 2 or 3, as the message
             ///< says)
};

/// Message says what was expected, what was found, and where (file:offset, partition:offset,
/// setting).
struct Error {
  ErrorCode code = ErrorCode::invalid;
  std::string message;
  std::string field;  ///< the argument, setting or query parameter at fault; empty if none
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message,
                                                std::string field = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(field)});
}

}  // namespace tapedeck
