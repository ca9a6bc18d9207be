// Aim: a clock that is set wrong, while the application runs or while it is away, removes no
// history; a right one still lets the old go. Method: the running application on a clock that
// jumps; the segments of its events are counted after it looked at them.
#include <gtest/gtest.h>

#include <atomic>

#include "flow_run.h"
#include "store/segments/segment.h"

namespace qw::test {
namespace {

constexpr int64_t kHour = 3'600'000'000;
constexpr int64_t kYear = 365 * 24 * kHour;

// The machine's clock, set wrong by `off_us`.
class SetClock final : public Clock {
 public:
  int64_t wall_us() const override { return real_clock().wall_us() + off_us; }
  int64_t monotonic_ns() const override { return real_clock().monotonic_ns(); }
  void sleep_us(int64_t duration_us) const override { real_clock().sleep_us(duration_us); }
  std::atomic<int64_t> off_us{0};
};

class RetentionClock : public FlowTest {
 protected:
  std::unique_ptr<app::Runtime> start() {
    app::AppFile file = flow_app();
    file.segments = {40'000, 1'000'000, 3600'000'000};  // it looks when it is asked
    app::Retention hour;
    hour.max_age_us = kHour;
    file.retention = {hour, hour, hour, hour};
    GeneratedOptions generated;
    generated.events = 3000;
    generated.first_us = first_us_;
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.make_source = [generated](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(generated));
    };
    auto runtime = app::Runtime::start(plan_of(file), options, clock_, metrics_, nullptr);
    EXPECT_TRUE(runtime.ok()) << runtime.error().to_string();
    return std::move(runtime).value();
  }
  // Of events, after it looked twice.
  static size_t segments(app::Runtime& runtime) {
    for (int looks = 0; looks < 2; ++looks) EXPECT_TRUE(runtime.roller().roll_now(60'000'000).ok());
    return store::segments_of(runtime.store(), store::Log::kEvents, PartitionId{1})->size();
  }

  const int64_t first_us_ = real_clock().wall_us() - 300'000'000;
  SetClock clock_;
  MetricRegistry metrics_;
};

TEST_F(RetentionClock, AWrongClockRemovesNothingAndARightOneWhatIsOld) {
  auto runtime = start();
  wait_until("the end of the events", [&] { return runtime->finished(); });
  size_t kept = 0;
  wait_until("segments", [&] { return (kept = segments(*runtime)) > 3; });
  for (const int64_t off_us : {kYear, int64_t{0}, -kYear, int64_t{0}, 30 * 24 * kHour}) {
    clock_.off_us = off_us;
    EXPECT_GE(segments(*runtime), kept) << off_us;
  }
  runtime->stop();
  runtime.reset();
  for (const int64_t off_us : {kYear, -kYear}) {
    clock_.off_us = off_us;
    runtime = start();
    EXPECT_GE(segments(*runtime), kept) << "away, and then " << off_us;
    runtime->stop();
    runtime.reset();
  }
  // Two hours later: the events, whose times are another clock's, say that it may be.
  clock_.off_us = 2 * kHour;
  runtime = start();
  EXPECT_LT(segments(*runtime), kept) << "retention by age is gone";
  runtime->stop();
}

}  // namespace
}  // namespace qw::test
