// config/expectations.hpp -- a suite of expectations from a TOML file. Docs: docs/quality.md.
#pragma once

#include <string>
#include <vector>

#include "market/expectations.hpp"
#include "market/result.hpp"

namespace tapedeck::config {

/// Errors (`invalid`, or `environment` where the file cannot be read) name the file, the line where
/// the parser knows it, the expectation and the key.
[[nodiscard]] Result<std::vector<market::Expectation>> load_expectations(const std::string& path);
/// The same from text; `path` is what messages say.
[[nodiscard]] Result<std::vector<market::Expectation>> parse_expectations(const std::string& text,
                                                                          const std::string& path);

}  // namespace tapedeck::config
