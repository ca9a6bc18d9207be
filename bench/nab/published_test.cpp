// Aim: the scorer gives published detectors their published scores. Method: detectors that can be
// rewritten exactly, over the benchmark's own files, where these are at hand.
#include <gtest/gtest.h>

#include <cstdlib>

#include "nab/run.h"

namespace qw::bench::nab {
namespace {

class OnTheCorpus : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("QUICKWATER_DATA");
    if (data == nullptr) GTEST_SKIP() << "QUICKWATER_DATA is not set: no NAB files to read";
    auto corpus = read_corpus(std::string(data) + "/nab");
    if (!corpus) GTEST_SKIP() << corpus.error().to_string();
    corpus_ = std::move(corpus).value();
  }
  Corpus corpus_;
};

TEST_F(OnTheCorpus, HasTheBenchmarksShape) {
  EXPECT_EQ(corpus_.series.size(), 58U);
  size_t rows = 0, windows = 0;
  for (const Series& series : corpus_.series) {
    rows += series.rows.size();
    windows += series.windows.size();
  }
  EXPECT_EQ(rows, 365558U);
  EXPECT_EQ(windows, 116U);
  ASSERT_EQ(corpus_.profiles.size(), 3U);
  EXPECT_EQ(corpus_.profiles[0].name, "standard");
}

TEST_F(OnTheCorpus, NullIsZeroAndPerfectIsHundred) {
  const Scorer scorer(corpus_);
  Alarms none(corpus_.series.size()), perfect(corpus_.series.size());
  for (size_t file = 0; file < perfect.size(); ++file) {
    const auto worth = worth_of_rows(corpus_.series[file]);
    int last = -1;
    for (uint32_t row = 0; row < worth.size(); ++row) {
      if (worth[row].window > last) {
        perfect[file].push_back(row);
        last = worth[row].window;
      }
    }
  }
  for (const Profile& profile : corpus_.profiles) {
    EXPECT_NEAR(scorer.score(none, profile), 0, 1e-9);
    EXPECT_NEAR(scorer.score(perfect, profile), 100, 1e-9);
  }
}

// Figures of results/final_results.json, to a thousandth of a point.
TEST_F(OnTheCorpus, WindowedGaussianHasItsPublishedScores) {
  const Scorer scorer(corpus_);
  const Scores scores = run_windowed_gaussian(corpus_);
  const double published[] = {39.649523496077585, 20.86798582474138, 47.4100271583046};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(scorer.best_over_thresholds(scores, corpus_.profiles[i]).score, published[i], 1e-3)
        << corpus_.profiles[i].name;
  }
}

}  // namespace
}  // namespace qw::bench::nab
