// api/url.hpp -- the target of a request taken apart: path segments and query parameters,
// percent-decoded.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "market/result.hpp"

namespace tapedeck::api {

struct Target {
  std::vector<std::string> segments;  ///< of the path: "/a/b" has two, "/" one that is empty
  std::vector<std::pair<std::string, std::string>> query;  ///< in the order given
  /// The path put together again, decoded.
  [[nodiscard]] std::string path() const;
};

/// Takes `/path?query` and the absolute form `http://host/path?query`. A plus sign is a plus sign,
/// not a space (times have them). Errors are ErrorCode::invalid with field "path" or the
/// parameter's name.
[[nodiscard]] Result<Target> parse_target(std::string_view target);

}  // namespace tapedeck::api
