// Aim: what is said of the last minute forgets what was before it.
// Method: a histogram with slow values long ago and quick ones now; the quantiles are known.
#include "app/api/lately.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qw::app {
namespace {

StageLately stage(const std::vector<StageLately>& stages, const std::string& name) {
  for (const StageLately& stage : stages)
    if (stage.name == name) return stage;
  return {};
}

TEST(StagesLately, ForgetsWhatIsOlderThanAMinute) {
  constexpr int64_t kSecond = 1'000'000'000;
  MetricRegistry metrics;
  auto& computed =
      metrics.latency("quickwater_stage_latency_seconds", "x", {{"stage", "computed"}});
  StagesLately lately(metrics);
  int64_t now_ns = 0;
  for (; now_ns < 10 * kSecond; now_ns += kSecond) lately.sample(now_ns);
  for (int i = 0; i < 1000; ++i) computed.record_ns(1'000'000'000);
  EXPECT_EQ(stage(lately.read(), "computed").count, 1000u);
  EXPECT_NEAR(stage(lately.read(), "computed").p50_us, 1e6, 1e5);
  for (; now_ns < 80 * kSecond; now_ns += kSecond) lately.sample(now_ns);
  for (int i = 0; i < 10; ++i) computed.record_ns(100'000);
  EXPECT_EQ(stage(lately.read(), "computed").count, 10u);
  EXPECT_NEAR(stage(lately.read(), "computed").p999_us, 100, 10);
  EXPECT_EQ(stage(lately.read(), "delivered").count, 0u);
  EXPECT_TRUE(std::isnan(stage(lately.read(), "delivered").p50_us));
}

TEST(RateLately, IsThatOfTheLastSeconds) {
  RateLately rate;
  EXPECT_FALSE(rate.per_s());
  for (int s = 0; s < 100; ++s)
    rate.sample(s * int64_t{1'000'000'000}, s < 50 ? 0.0 : (s - 50) * 7.0);
  ASSERT_TRUE(rate.per_s());
  EXPECT_NEAR(*rate.per_s(), 7.0, 1e-9);
}

}  // namespace
}  // namespace qw::app
