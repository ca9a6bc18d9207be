// Runs the small application of flow_app.h over generated events and looks into what it left.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "app/runtime/runtime.h"
#include "flow_app.h"

namespace qw::test {

// A folder of its own for each test; removed at the end.
class FlowTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* const info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = (std::filesystem::temp_directory_path() /
             fmt::format("qw_{}_{}_{}", info->test_suite_name(), info->name(), ::getpid()))
                .string();
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  static std::shared_ptr<const app::Plan> plan_of(app::AppFile file) {
    auto plan = app::compile_plan(std::move(file));
    EXPECT_TRUE(plan.ok()) << plan.error().to_string();
    return *plan;
  }

  // Waits until `done`, at most a minute of the real clock; ten where all is checked and slow.
  static void wait_until(const char* what, const std::function<bool()>& done) {
#ifdef __SANITIZE_THREAD__
    constexpr int kLimitMs = 600'000;
#else
    constexpr int kLimitMs = 60'000;
#endif
    for (int waited = 0; !done(); ++waited) {
      if (waited == kLimitMs) FAIL() << "never came: " << what;
      real_clock().sleep_us(1000);
    }
  }

  // Runs until every generated event is durable, then stops cleanly.
  void run(const std::shared_ptr<const app::Plan>& plan, const GeneratedOptions& generated) {
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(generated));
    };
    MetricRegistry metrics;
    auto runtime = app::Runtime::start(plan, options, real_clock(), metrics, nullptr);
    ASSERT_TRUE(runtime.ok()) << runtime.error().to_string();
    wait_until("the end of the events",
               [&] { return runtime.value()->finished() || runtime.value()->failure(); });
    EXPECT_FALSE(runtime.value()->failure()) << runtime.value()->failure()->to_string();
    runtime.value()->stop();
  }

  std::unique_ptr<store::Store> open_store() {
    store::StoreOptions options;
    options.folder = root_;
    return store::Store::open(options, metrics_).value();
  }

  using JournalLine = std::pair<std::string, nlohmann::json>;
  static std::vector<JournalLine> journal_of(const store::Store& store) {
    std::vector<JournalLine> lines;
    EXPECT_TRUE(store
                    .scan(store::Log::kJournal, store::kJournalPartition, Seq{0}, Seq{~0ull},
                          [&](Seq, std::string_view bytes) {
                            const auto record = schema::decode_journal(bytes).value();
                            lines.emplace_back(record.kind, nlohmann::json::parse(record.json));
                            return true;
                          })
                    .ok());
    return lines;
  }

  std::string root_;
  MetricRegistry metrics_;
};

}  // namespace qw::test
