// Aim: whoever looks at a running application from other threads sees it whole. Method: the loop
// runs at full speed while threads ask for features, health, metrics and a moment between two
// events; ThreadSanitizer (`./dev test --tsan`) says whether any of it races.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "app/runtime/runtime.h"
#include "flow_app.h"

namespace qw::test {
namespace {

// Sums what it is told; on_decision and on_journal come from different threads.
class Listener final : public app::Observer {
 public:
  void on_decision(const app::DecisionSeen&) override { ++decisions; }
  void on_journal(Seq, const schema::JournalRecord&) override { ++entries; }
  std::atomic<uint64_t> decisions{0}, entries{0};
};

TEST(Threads, AskingARunningApplicationChangesNothing) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("qw_threads_" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  constexpr uint64_t kEvents = 15'000;
  GeneratedOptions generated;
  generated.events = kEvents;
  generated.batch_rows = 50;
  Listener listener;
  MetricRegistry metrics;
  app::RuntimeOptions options;
  options.data_folder = folder.string();
  options.observers.push_back(&listener);
  options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
    return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(generated));
  };
  auto plan = app::compile_plan(flow_app());
  ASSERT_TRUE(plan.ok()) << plan.error().to_string();
  auto started = app::Runtime::start(*plan, options, real_clock(), metrics, nullptr);
  ASSERT_TRUE(started.ok()) << started.error().to_string();
  app::Runtime& runtime = **started;

  std::atomic<bool> done{false};
  std::atomic<uint64_t> answers{0};
  std::jthread features([&] {
    while (!done) {
      const auto answer = runtime.pipeline().features().read("metric", "s3", EventTime{INT64_MAX});
      answers += answer.ok() ? 1 : 0;
      real_clock().sleep_us(100);
    }
  });
  std::jthread health([&] {
    while (!done) {
      answers += runtime.sources().size();
      answers += runtime.committer().status().commits;
      answers += runtime.outboxes().status().size();
      for (const auto& family : metrics.families())
        for (const auto& sample : family.samples)
          answers += sample.counter != nullptr ? sample.counter->value() : 0;
      real_clock().sleep_us(100);
    }
  });
  std::jthread between([&] {
    while (!done) {
      runtime.between_events([&](app::Pipeline& pipeline, store::PendingCommit&) {
        answers += pipeline.gate(0).counts().ok + pipeline.alerting().open_alerts();
        answers += pipeline.progress().at(0).watermark.value() > 0 ? 1 : 0;
      });
      real_clock().sleep_us(200);
    }
  });
  const int64_t until_ns = real_clock().monotonic_ns() + 200'000'000'000;
  while (!runtime.finished() && !runtime.failure() && real_clock().monotonic_ns() < until_ns)
    real_clock().sleep_us(1000);
  EXPECT_TRUE(runtime.finished()) << "the loop does not finish";
  done = true;
  features.join();
  health.join();
  between.join();
  EXPECT_FALSE(runtime.failure());
  runtime.stop();
  EXPECT_EQ(listener.decisions, kEvents);
  EXPECT_GT(listener.entries, 0u);
  EXPECT_GT(answers, 0u);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace qw::test
