// Aim: labelled windows come out under the name of their series, and a wrong file says what is
// wrong. Method: small files.
#include "app/api/dataset_labels.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/files.h"

namespace qw::app {
namespace {

Result<DatasetLabels> labels_in(const std::string& text) {
  const std::string path =
      ::testing::TempDir() + "quickwater-labels-" + std::to_string(::getpid()) + ".json";
  EXPECT_TRUE(write_file_atomically(path, text).ok());
  auto labels = read_dataset_labels(path);
  std::filesystem::remove(path);
  return labels;
}

TEST(DatasetLabels, AreNamedLikeTheirSeries) {
  const auto labels = labels_in(R"({"a/calm.csv": [], "realKnownCause/nyc_taxi.csv":
      [["2014-10-30 15:30:00.000000", "2014-11-03 22:30:00.000000"],
       ["1970-01-01 00:00:01", "1970-01-01 00:00:02"]]})");
  ASSERT_TRUE(labels.ok()) << labels.error().to_string();
  ASSERT_EQ(labels->size(), 1u);
  const auto& taxi = labels->at("nyc_taxi");
  ASSERT_EQ(taxi.size(), 2u);
  EXPECT_EQ(taxi[0].from_us, 1'414'683'000'000'000);
  EXPECT_EQ(taxi[0].to_us - taxi[0].from_us, 4LL * 86'400'000'000 + 7LL * 3'600'000'000);
  EXPECT_EQ(taxi[0].kind, "dataset");
  EXPECT_EQ(taxi[1].from_us, 1'000'000);
}

TEST(DatasetLabels, AWrongFileSaysWhatIsWrong) {
  for (const char* const text :
       {"", "[]", R"({"x.csv": 3})", R"({"x.csv": [["2014-01-01 00:00:00"]]})",
        R"({"x.csv": [[1, 2]]})", R"({"x.csv": [["soon", "later"]]})"}) {
    const auto labels = labels_in(text);
    ASSERT_FALSE(labels.ok()) << text;
    EXPECT_EQ(labels.error().code, ErrorCode::kBadInput) << text;
  }
  EXPECT_EQ(read_dataset_labels("/no/such/file").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace qw::app
