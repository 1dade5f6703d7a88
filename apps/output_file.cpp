#include "apps/output_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace tapedeck::apps {

Result<void> write_file(const std::string& path, const std::string& text) {
  const std::string partial = path + ".partial";
  const auto failed = [&] {
    const std::string why = std::strerror(errno);
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    return fail(ErrorCode::environment, "cannot write " + path + ": " + why);
  };
  std::ofstream file(partial, std::ios::binary | std::ios::trunc);
  if (!file) return failed();
  file << text;
  file.close();
  if (!file) return failed();
  if (std::rename(partial.c_str(), path.c_str()) != 0) return failed();
  return {};
}

}  // namespace tapedeck::apps
