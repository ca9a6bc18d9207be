// Aim: the page in the binary is the page that was built. Method: every embedded file is compared
// with the file in the folder of the build, and the files that index.html names must be among them.
#include "app/page/assets.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace {

std::string read(const std::filesystem::path& file) {
  std::ifstream opened(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(opened), {}};
}

TEST(PageAssets, AreTheFilesOfTheBuild) {
  const std::filesystem::path dist = QW_PAGE_DIST;
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dist)) {
    files += entry.is_regular_file() ? 1U : 0U;
  }
  const auto assets = qw::app::page_assets();
  EXPECT_EQ(assets.size(), files);
  for (const qw::app::PageAsset& asset : assets) {
    EXPECT_EQ(asset.bytes, read(dist / asset.path.substr(1))) << asset.path;
    EXPECT_EQ(asset.etag.size(), 18U) << asset.etag;
  }
}

TEST(PageAssets, HoldWhatTheIndexNames) {
  std::set<std::string_view> paths;
  std::string index;
  for (const qw::app::PageAsset& asset : qw::app::page_assets()) {
    paths.insert(asset.path);
    if (asset.path == "/index.html") {
      index = asset.bytes;
      EXPECT_EQ(asset.content_type, "text/html; charset=utf-8");
    }
  }
  const std::regex reference("(?:src|href)=\"\\./([^\"]+)\"");
  size_t named = 0;
  for (std::sregex_iterator it(index.begin(), index.end(), reference), end; it != end; ++it) {
    EXPECT_TRUE(paths.contains("/" + (*it)[1].str())) << (*it)[1];
    ++named;
  }
  EXPECT_GE(named, 2U);
}

}  // namespace
