// apps/output_file.hpp -- writes a result file whole or not at all.
#pragma once

#include <string>

#include "market/result.hpp"

namespace tapedeck::apps {

/// Beside the target first, then renamed: a reader never sees half of it. Error `environment` names
/// the path.
[[nodiscard]] Result<void> write_file(const std::string& path, const std::string& text);

}  // namespace tapedeck::apps
