// web/assets.hpp -- the page's files, held by the program itself. Start here.
#pragma once

#include <span>
#include <string_view>

namespace tapedeck::web {

/// One file of web/dist. Views into static storage: valid as long as the program runs.
struct Asset {
  std::string_view path;          ///< as in a URL: "/app.js"
  std::string_view content_type;  ///< of HTTP, with the character set where it has one
  std::string_view bytes;
};

/// All files, ordered by path.
[[nodiscard]] std::span<const Asset> assets();

/// The file at `path`, "/" being the page; null if there is none. The path is without query.
[[nodiscard]] const Asset* find(std::string_view path);

}  // namespace tapedeck::web
