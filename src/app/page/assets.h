// The page's files, embedded in the binary when it was built (cmake/page.cmake).
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace qw::app {

// One file of the page. Static: lives as long as the process, is never changed, any thread may read
// it.
struct PageAsset {
  std::string_view path;          // "/index.html", "/assets/index-1a2b3c4d.js"
  std::string_view content_type;  // "text/html; charset=utf-8"
  std::string_view etag;          // quoted, as HTTP wants it; another for another content
  std::string_view bytes;
};

// All of them, sorted by path; "/index.html" is always there.
std::span<const PageAsset> page_assets();

}  // namespace qw::app
