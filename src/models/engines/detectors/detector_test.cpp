// Aim: the promises every detector makes to the run-time, whatever its arithmetic: state is plain
// bytes that may move, scores are deterministic and never look ahead, missing and absurd input does
// no harm, few bytes change per row. Method: each property on every kind, over one synthetic series
// with seasons, noise, steps and spikes.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "models/engines/builtin.h"
#include "models/engines/detectors/settings.h"
#include "models/engines/detectors/testing.h"

namespace qw::models {
namespace {

using detectors::testing::State;
using detectors::testing::synthetic_series;

class EveryDetector : public ::testing::TestWithParam<std::string_view> {
 protected:
  std::unique_ptr<LearningEngine> make() {
    auto engine = make_detector(GetParam());
    EXPECT_TRUE(engine.ok());
    return std::move(engine).value();
  }
};

std::vector<double> scores_of(const LearningEngine& engine, const std::vector<Observation>& rows) {
  State state(engine);
  std::vector<double> scores;
  for (const Observation& row : rows) {
    scores.push_back(engine.update_and_score(row, state.bytes()).score);
  }
  return scores;
}

bool same_bits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

TEST_P(EveryDetector, GivesTheSameBitsAgainAndAfterTheStateMoved) {
  const auto engine = make();
  const auto rows = synthetic_series(3000);
  const std::vector<double> expected = scores_of(*engine, rows);
  EXPECT_GT(*std::max_element(expected.begin(), expected.end()), 1);
  for (const size_t every : {1, 7, 250}) {
    // Another engine of the same settings, as after a restart.
    const auto other = make();
    State here(*engine);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (i % every == 0) {
        State there(*engine);
        std::memcpy(there.bytes().data(), here.bytes().data(), engine->state_bytes());
        here = std::move(there);
      }
      const LearningEngine& one = i % 2 == 0 ? *engine : *other;
      const double score = one.update_and_score(rows[i], here.bytes()).score;
      ASSERT_TRUE(same_bits(score, expected[i])) << "row " << i << ", moved every " << every;
    }
  }
}

TEST_P(EveryDetector, NeverLooksAhead) {
  const auto engine = make();
  const auto rows = synthetic_series(2000);
  const std::vector<double> expected = scores_of(*engine, rows);
  for (const size_t cut : {100UL, 777UL, 1500UL}) {
    auto changed = rows;
    for (size_t i = cut; i < changed.size(); ++i) {
      changed[i].value = 1e6 - 50 * changed[i].value;
      changed[i].event_time_us += 1'000'000'000;
    }
    const std::vector<double> scores = scores_of(*engine, changed);
    for (size_t i = 0; i < cut; ++i) {
      ASSERT_TRUE(same_bits(scores[i], expected[i])) << "row " << i << ", cut " << cut;
    }
    changed.resize(cut);  // nor does the length matter
    const std::vector<double> shorter = scores_of(*engine, changed);
    for (size_t i = 0; i < cut; ++i) ASSERT_TRUE(same_bits(shorter[i], expected[i]));
  }
}

TEST_P(EveryDetector, CountsMissingValuesWithoutLearningFromThem) {
  const auto engine = make();
  const auto rows = synthetic_series(1500);
  const std::vector<double> expected = scores_of(*engine, rows);
  State state(*engine);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const double bad : {nan, infinity, -infinity}) {
      const Score score = engine->update_and_score({rows[i].event_time_us, bad}, state.bytes());
      EXPECT_TRUE(score.missing);
      EXPECT_EQ(score.score, 0);
    }
    const Score score = engine->update_and_score(rows[i], state.bytes());
    EXPECT_FALSE(score.missing);
    ASSERT_TRUE(same_bits(score.score, expected[i])) << "row " << i;
  }
}

TEST_P(EveryDetector, SurvivesAbsurdValuesAndTimes) {
  const auto engine = make();
  State state(*engine);
  const double huge = std::numeric_limits<double>::max();
  const double tiny = std::numeric_limits<double>::denorm_min();
  const std::vector<double> values = {0,    -0.0,  huge, -huge, tiny, 1e300, 1e-300,
                                      1e17, -1e17, 5,    5,     -5,   42};
  const std::vector<int64_t> times = {0, std::numeric_limits<int64_t>::min(),
                                      std::numeric_limits<int64_t>::max(), -1, 1};
  for (size_t i = 0; i < 3000; ++i) {
    const Score score = engine->update_and_score(
        {times[i % times.size()], values[i * 7 % values.size()]}, state.bytes());
    ASSERT_TRUE(std::isfinite(score.score)) << "row " << i;
    ASSERT_GE(score.score, 0);
  }
}

// Not relative entropy: its bins follow the range, so one absurd value makes all others alike.
class DetectorOfScale : public EveryDetector {};

TEST_P(DetectorOfScale, IsNotBlindAfterOneAbsurdValue) {
  const auto engine = make();
  State state(*engine);
  auto rows = synthetic_series(4000);
  rows[1000].value = 1e15;
  for (size_t i = 3700; i < 3720; ++i) rows[i].value += 400;
  double highest = 0;
  for (size_t i = 0; i < 3720; ++i) {
    const Score score = engine->update_and_score(rows[i], state.bytes());
    if (i >= 3700) highest = std::max(highest, score.score);
  }
  EXPECT_GE(highest, engine->threshold());
}

TEST_P(EveryDetector, StaysCalmOnAConstantSeriesWithFloatNoise) {
  const auto engine = make();
  State state(*engine);
  for (int i = 0; i < 2000; ++i) {
    const double noise = i % 3 == 0 ? 3e-14 : 0;  // as of 0.1 + 0.2
    const Score score =
        engine->update_and_score({int64_t{i} * 1'000'000, 100 + noise}, state.bytes());
    ASSERT_LT(score.score, engine->threshold() / 2) << "row " << i;
  }
}

TEST_P(EveryDetector, SeesARealJumpOfAConstantSeries) {
  for (const double from : {0.0, 100.0, -1e9}) {
    const auto engine = make();
    State state(*engine);
    double highest = 0;
    for (int i = 0; i < 1000; ++i) {
      const double value = i < 980 ? from : from + 5 + std::abs(from) / 4;
      const Score score = engine->update_and_score({int64_t{i} * 1'000'000, value}, state.bytes());
      if (i < 980) {
        ASSERT_EQ(score.score, 0) << "row " << i << " from " << from;
      }
      highest = std::max(highest, score.score);
    }
    EXPECT_GE(highest, engine->threshold()) << "from " << from;
  }
}

TEST_P(EveryDetector, WarmsUpVisiblyAndInTime) {
  const auto engine = make();
  State state(*engine);
  float before = -1;
  size_t warm_at = 0;
  const auto rows = synthetic_series(1000);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Score score = engine->update_and_score(rows[i], state.bytes());
    EXPECT_GE(score.warm_up, before);
    EXPECT_EQ(score.warm, score.warm_up == 1);
    before = score.warm_up;
    if (warm_at == 0 && score.warm) warm_at = i + 1;
  }
  EXPECT_GT(warm_at, 20U);
  // A metric each second is warm after about two minutes; half-space trees need their window.
  EXPECT_LE(warm_at, GetParam() == "half_space_trees" ? 350U : 150U);
}

TEST_P(EveryDetector, ContributionsAddUpToTheScore) {
  const auto engine = make();
  State state(*engine);
  ASSERT_LE(engine->members().size(), kMembersMax);
  for (const Observation& row : synthetic_series(1500)) {
    const Score score = engine->update_and_score(row, state.bytes());
    double sum = 0;
    for (size_t i = 0; i < kMembersMax; ++i) {
      sum += static_cast<double>(score.contributions[i]);
      if (i >= engine->members().size()) {
        EXPECT_EQ(score.contributions[i], 0);
      }
    }
    ASSERT_NEAR(sum, score.score, 1e-5);
  }
}

TEST_P(EveryDetector, InitMakesAnyBytesFresh) {
  const auto engine = make();
  const auto rows = synthetic_series(500);
  const std::vector<double> expected = scores_of(*engine, rows);
  State state(*engine);
  std::memset(state.bytes().data(), 0xa5, engine->state_bytes());
  engine->init(state.bytes());
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_TRUE(same_bits(engine->update_and_score(rows[i], state.bytes()).score, expected[i]));
  }
}

TEST_P(EveryDetector, SettingsReadBackFromTheirOwnJson) {
  const auto engine = make();
  const auto settings = settings_from_json(GetParam(), engine->settings_json());
  ASSERT_TRUE(settings.ok()) << settings.error().to_string();
  EXPECT_EQ(settings->size(), settings_table(GetParam()).value_or({}).size());
  const auto again = make_detector(GetParam(), *settings);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->settings_json(), engine->settings_json());
}

INSTANTIATE_TEST_SUITE_P(Detectors, DetectorOfScale,
                         ::testing::Values("knn", "seasonal", "activity", "half_space_trees",
                                           "ensemble"),
                         [](const auto& kind) { return std::string(kind.param); });

INSTANTIATE_TEST_SUITE_P(Detectors, EveryDetector,
                         ::testing::Values("knn", "seasonal", "relative_entropy", "activity",
                                           "half_space_trees", "ensemble"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST(Ensemble, FitsIn64KilobytesAndTouchesFewPages) {
  constexpr size_t kPage = 512;
  const auto engine = std::move(make_detector("ensemble")).value();
  EXPECT_LE(engine->state_bytes(), 64U * 1024);
  State state(*engine);
  std::vector<std::byte> before(engine->state_bytes());
  size_t pages = 0, most = 0;
  const auto rows = synthetic_series(4000);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(before.data(), state.bytes().data(), before.size());
    engine->update_and_score(rows[i], state.bytes());
    size_t changed = 0;
    for (size_t at = 0; at < before.size(); at += kPage) {
      const size_t bytes = std::min(kPage, before.size() - at);
      changed += std::memcmp(&before[at], &state.bytes()[at], bytes) != 0 ? 1 : 0;
    }
    pages += changed;
    most = std::max(most, changed);
  }
  EXPECT_LE(most, 8U);
  EXPECT_LE(static_cast<double>(pages) / static_cast<double>(rows.size()), 6.0);
  RecordProperty("pages_per_row_x100", static_cast<int>(100 * pages / rows.size()));
}

TEST(Ensemble, LeavesOutMembersWithoutWeight) {
  const auto all = std::move(make_detector("ensemble")).value();
  const auto some =
      std::move(make_detector("ensemble", {{"knn_short.weight", 0.0}, {"seasonal.weight", 0.0}}))
          .value();
  EXPECT_EQ(some->members().size() + 2, all->members().size());
  EXPECT_LT(some->state_bytes(), all->state_bytes());
}

TEST(MakeDetector, RefusesWhatItCannotMean) {
  const auto unknown = make_detector("knnn");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kBadInput);
  EXPECT_NE(unknown.error().to_string().find("half_space_trees"), std::string::npos);

  const auto misspelt = settings_from_json("ensemble", R"({"knn_long.dim": 5})");
  ASSERT_FALSE(misspelt.ok());
  EXPECT_NE(misspelt.error().to_string().find("knn_long.dims"), std::string::npos);

  EXPECT_FALSE(settings_from_json("knn", R"({"dims": 1000})").ok());
  EXPECT_FALSE(settings_from_json("knn", R"({"dims": 2.5})").ok());
  EXPECT_FALSE(settings_from_json("knn", R"({"dims": "two"})").ok());
  EXPECT_FALSE(settings_from_json("knn", "[1]").ok());
  EXPECT_FALSE(settings_from_json("knn", "{").ok());
  EXPECT_FALSE(make_detector("knn", {{"threshold", std::nan("")}}).ok());

  const auto large =
      make_detector("knn", {{"vectors", 2000}, {"dims", 32}, {"delay_rows", 1000}, {"stride", 1}});
  EXPECT_TRUE(large.ok());
  Settings nothing;
  const auto table = settings_table("ensemble").value_or({});
  for (const auto& info : table) {
    if (info.name.ends_with(".weight")) nothing[info.name] = 0;
  }
  const auto empty = make_detector("ensemble", nothing);
  ASSERT_FALSE(empty.ok());
  EXPECT_NE(empty.error().to_string().find("weight"), std::string::npos);
}

TEST(SettingsTable, DefaultsLieInTheirRanges) {
  for (const std::string_view kind : detectors::detector_kinds()) {
    const auto table = settings_table(kind).value_or({});
    EXPECT_FALSE(table.empty());
    for (const SettingInfo& info : table) {
      EXPECT_GE(info.default_value, info.min) << kind << " " << info.name;
      EXPECT_LE(info.default_value, info.max) << kind << " " << info.name;
      EXPECT_FALSE(info.help.empty() && info.unit.empty()) << info.name;
      if (info.log_scale) {
        EXPECT_GT(info.min, 0) << info.name;
      }
    }
  }
}

}  // namespace
}  // namespace qw::models
