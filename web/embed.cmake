# cmake -DOUTPUT=FILE.cpp -DDIST=DIR -P embed.cmake: writes the files of DIR as constants of a C++ source.
set(types_html "text/html; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(types_svg "image/svg+xml")

file(GLOB names RELATIVE ${DIST} ${DIST}/*)
list(SORT names)
set(code "#include \"web/assets.hpp\"\n\n#include <array>\n\nnamespace tapedeck::web {\nnamespace {\n\n")
set(entries "")
set(count 0)
foreach(name IN LISTS names)
  string(REGEX REPLACE ".*\\." "" extension ${name})
  if(NOT DEFINED types_${extension})
    message(FATAL_ERROR "web/dist/${name}: no content type is known for .${extension}; add it to web/embed.cmake")
  endif()
  file(READ ${DIST}/${name} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  string(REGEX REPLACE "(................................................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND code "constexpr unsigned char kFile${count}[] = {\n${hex}};\n\n")
  string(APPEND entries "    Asset{\"/${name}\", \"${types_${extension}}\", text(kFile${count}, ${bytes})},\n")
  math(EXPR count "${count} + 1")
endforeach()
string(APPEND code "std::string_view text(const unsigned char* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

const std::array<Asset, ${count}> kAssets = {
${entries}};

}  // namespace

std::span<const Asset> assets() { return kAssets; }

}  // namespace tapedeck::web
")
file(WRITE ${OUTPUT} "${code}")
