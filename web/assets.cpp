#include "web/assets.hpp"

#include <algorithm>

namespace tapedeck::web {

const Asset* find(std::string_view path) {
  if (path == "/") path = "/index.html";
  const auto all = assets();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Asset& asset) { return asset.path == path; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace tapedeck::web
