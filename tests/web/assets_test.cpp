#include "web/assets.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace web = tapedeck::web;

namespace {

std::string file_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

TEST_CASE("every file of web/dist is in the program, byte for byte", "[web]") {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TAPEDECK_WEB_DIST)) {
    const auto* asset = web::find("/" + entry.path().filename().string());
    INFO(entry.path());
    REQUIRE(asset != nullptr);
    CHECK(asset->bytes == file_bytes(entry.path()));
    ++files;
  }
  CHECK(files >= 4);
  CHECK(web::assets().size() == files);
}

TEST_CASE("the page is at / and everything has its content type", "[web]") {
  REQUIRE(web::find("/") != nullptr);
  CHECK(web::find("/") == web::find("/index.html"));
  CHECK(web::find("/")->content_type == "text/html; charset=utf-8");
  CHECK(web::find("/app.js")->content_type == "text/javascript; charset=utf-8");
  CHECK(web::find("/app.css")->content_type == "text/css; charset=utf-8");
  CHECK(web::find("/icon.svg")->content_type == "image/svg+xml");
}

TEST_CASE("what is no file of the page is not found", "[web]") {
  for (const auto* path :
       {"", "app.js", "/app", "/app.js/", "/../web/dist/app.js", "/APP.JS", "//"}) {
    INFO(path);
    CHECK(web::find(path) == nullptr);
  }
}

TEST_CASE("the page loads nothing from another host", "[web]") {
  const auto page = web::find("/")->bytes;
  CHECK(page.find("src=\"http") == std::string_view::npos);
  CHECK(page.find("<link rel=\"stylesheet\" href=\"/app.css\">") != std::string_view::npos);
  CHECK(page.find("<script src=\"/app.js\" defer></script>") != std::string_view::npos);
  CHECK(web::find("/app.css")->bytes.find("url(") == std::string_view::npos);
}
