# cmake -DDIST=folder -DOUT=file.cpp -P embed_page.cmake
# Writes the table of src/app/page/assets.h: every file of DIST, taken into the binary by the assembler.
cmake_policy(VERSION 3.25)
file(GLOB_RECURSE files RELATIVE ${DIST} ${DIST}/*)
list(SORT files)
if(NOT "index.html" IN_LIST files)
  message(FATAL_ERROR "${DIST} holds no index.html. To mend it: npm run build in ui/ says why")
endif()
set(types
  "css=text/css" "html=text/html" "ico=image/x-icon" "js=text/javascript"
  "json=application/json" "png=image/png" "svg=image/svg+xml" "txt=text/plain" "woff2=font/woff2"
  "webmanifest=application/manifest+json")
set(blobs "")
set(rows "")
set(number 0)
foreach(file ${files})
  string(REGEX REPLACE ".*\\." "" extension ${file})
  set(type "application/octet-stream")
  foreach(pair ${types})
    if(pair MATCHES "^${extension}=(.*)$")
      set(type ${CMAKE_MATCH_1})
    endif()
  endforeach()
  if(type MATCHES "^text/")
    string(APPEND type "; charset=utf-8")
  endif()
  file(SHA256 ${DIST}/${file} hash)
  string(SUBSTRING ${hash} 0 16 tag)
  string(APPEND blobs "QW_BLOB(${number}, \"${DIST}/${file}\")\n")
  string(APPEND rows "    {\"/${file}\", \"${type}\", \"\\\"${tag}\\\"\", QW_BYTES(${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT}.new "// Written by cmake/embed_page.cmake.
#include \"app/page/assets.h\"

#define QW_BLOB(n, file)                                      \\
  __asm__(\".section .rodata\\n\"                               \\
          \"qw_page_begin_\" #n \":\\n.incbin \\\"\" file \"\\\"\\n\"     \\
          \"qw_page_end_\" #n \":\\n.byte 0\\n.previous\\n\");     \\
  extern \"C\" {                                                \\
  extern const char qw_page_begin_##n[];                      \\
  extern const char qw_page_end_##n[];                        \\
  }
#define QW_BYTES(n) {qw_page_begin_##n, static_cast<size_t>(qw_page_end_##n - qw_page_begin_##n)}

${blobs}
namespace qw::app {

std::span<const PageAsset> page_assets() {
  static const PageAsset kAssets[] = {
${rows}  };
  return kAssets;
}

}  // namespace qw::app
")
file(RENAME ${OUT}.new ${OUT})
