// Aim: a key is not called silent as long as its events may wait unread: a program that cannot keep
// up neither fires nor ends alerts by the clock, nor judges a remedy. Method: a source that gives
// two events and then says, until told otherwise, that more of them wait.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "flow_run.h"

namespace qw::test {
namespace {

class StalledSource final : public streams::Source {
 public:
  explicit StalledSource(const std::atomic<bool>& caught_up) : caught_up_(caught_up) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions&, streams::SourceHost&) override { return {}; }
  Result<streams::SourceBatch> poll(int64_t wait_us) override {
    streams::SourceBatch batch(schema_);
    if (next_ > 2) {
      real_clock().sleep_us(std::min<int64_t>(wait_us, 1000));
      return batch;
    }
    const int64_t second = static_cast<int64_t>(next_);
    batch.rows.append_row({std::string("s"), next_ == 1 ? 2000.0 : 0.0,
                           int64_t{1'700'000'000'000'000} + second * 1'000'000});
    batch.positions.push_back(next_);
    batch.resume = std::to_string(next_++);
    return batch;
  }
  bool caught_up() const override { return caught_up_; }
  void committed(uint32_t, const std::string&) override {}
  streams::SourceStatus status() const override {
    streams::SourceStatus status;
    status.state = streams::SourceState::kRunning;
    return status;
  }
  void close() override {}

 private:
  const std::atomic<bool>& caught_up_;
  std::shared_ptr<const schema::Schema> schema_ = metric_schema();
  uint64_t next_ = 1;
};

class SilenceTest : public FlowTest {};

TEST_F(SilenceTest, NobodyIsSilentWhoseEventsWait) {
  app::AppFile file = value_app();
  app::Decision& decision = file.decisions[0];
  decision.alert->for_us = 0;
  decision.alert->resolve_after_us = 1'000'000;
  file.healing.enabled = true;
  file.healing.commands = {{{"nothing", {14, 3}}, {"/bin/true"}}};
  app::Heal heal;
  heal.name = {"ease", {13, 3}};
  heal.action = app::CommandAction{{"nothing", {13, 3}}, 1'000'000};
  heal.recover_within_us = 3'000'000;
  heal.limit_count = 1;
  heal.limit_per_us = 3'600'000'000;
  decision.heal.push_back(heal);
  std::atomic<bool> caught_up{false};
  app::RuntimeOptions options;
  options.data_folder = root_;
  options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
    return std::unique_ptr<streams::Source>(std::make_unique<StalledSource>(caught_up));
  };
  MetricRegistry metrics;
  auto runtime = app::Runtime::start(plan_of(file), options, real_clock(), metrics, nullptr);
  ASSERT_TRUE(runtime.ok()) << runtime.error().to_string();
  const auto open_alerts = [&] {
    return runtime.value()->between_events([](app::Pipeline& pipeline, store::PendingCommit&) {
      return pipeline.alerting().open_alerts();
    });
  };
  wait_until("the alert", [&] { return open_alerts() == 1; });
  real_clock().sleep_us(5'000'000);  // ticks come every second, and one of silence would do
  EXPECT_EQ(open_alerts(), 1u);
  caught_up = true;
  wait_until("its end by silence", [&] { return open_alerts() == 0; });
  runtime.value()->stop();
  runtime.value().reset();
  std::vector<std::string> outcomes;
  for (const auto& [kind, body] : journal_of(*open_store()))
    if (kind == "action_outcome") outcomes.push_back(body["outcome"]);
  EXPECT_EQ(outcomes, std::vector<std::string>{"recovered"}) << "nor was the remedy given up";
}

}  // namespace
}  // namespace qw::test
