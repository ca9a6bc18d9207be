// Aim: a decision reads a view of another source as of its event, whichever came first, in however
// many partitions, over a restart; its record names what it saw, and parity agrees. Method: two
// sources whose rows are handed over one by one, and what each decision must have seen.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <mutex>

#include "app/parity/app_parity.h"
#include "app/runtime/rolled_logs.h"
#include "flow_run.h"

namespace qw::test {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kBegin = 1'700'000'000 * kSecond;

struct Row {
  uint32_t partition = 0;
  std::string merchant;
  double value = 0;
  int64_t at_s = 0;
};

// What the test hands over; each row is a batch.
class Hands {
 public:
  void give(Row row) {
    const std::lock_guard lock(mutex_);
    rows_.push_back(std::move(row));
  }
  std::optional<Row> take() {
    const std::lock_guard lock(mutex_);
    if (rows_.empty()) return std::nullopt;
    Row row = std::move(rows_.front());
    rows_.pop_front();
    return row;
  }

 private:
  std::mutex mutex_;
  std::deque<Row> rows_;
};

class HandedSource final : public streams::Source {
 public:
  HandedSource(Hands& hands, std::shared_ptr<const schema::Schema> schema)
      : hands_(hands), schema_(std::move(schema)) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return schema_; }
  Result<void> open(const streams::SavedPositions&, streams::SourceHost&) override { return {}; }
  Result<streams::SourceBatch> poll(int64_t) override {
    streams::SourceBatch batch(schema_);
    const auto row = hands_.take();
    if (!row) {
      real_clock().sleep_us(1000);
      return batch;
    }
    batch.partition = row->partition;
    batch.rows.append_row({row->merchant, row->value, kBegin + row->at_s * kSecond});
    return batch;
  }
  void committed(uint32_t, const std::string&) override {}
  streams::SourceStatus status() const override {
    streams::SourceStatus status;
    status.state = streams::SourceState::kRunning;
    return status;
  }
  void close() override {}

 private:
  Hands& hands_;
  const std::shared_ptr<const schema::Schema> schema_;
};

app::Source source_of(const char* name, const char* value) {
  app::Source source;
  source.name = {name, {2, 3}};
  source.kind = app::FileSource{};
  source.event_time = {"ts", {3, 3}};
  source.allowed_lateness_us = 3600 * kSecond;
  source.schema = schema::Schema({{"merchant", schema::kString, false},
                                  {value, schema::kDouble, true},
                                  {"ts", schema::kTimestamp, false}});
  return source;
}

// risks (merchant, risk) beside payments (merchant, amount), which are decided on.
app::AppFile joined_app() {
  app::AppFile file;
  file.path = "joined.yaml";
  file.app = {"joined", {1, 1}};
  file.sources = {source_of("risks", "risk"), source_of("payments", "amount")};
  app::View view;
  view.name = {"table", {5, 3}};
  view.from = {"risks", {5, 3}};
  view.key = {{"merchant", {5, 3}}};
  view.windows = {{3600 * kSecond, 0, "1h", {6, 3}}};
  view.aggregates = {{{"n", {7, 3}}, text("count()")}, {{"risk", {7, 3}}, text("last(risk)")}};
  file.views.push_back(view);
  file.derives.push_back({{"at_risk", {8, 3}}, text("amount * table.risk_1h")});
  app::Model model;
  model.name = {"rule", {9, 3}};
  model.key = {{"merchant", {9, 3}}};
  model.rules = {{{"score", {9, 3}}, text("at_risk")}};
  file.models.push_back(model);
  app::Decision decision;
  decision.name = {"screen", {10, 3}};
  decision.on = {"payments", {10, 3}};
  decision.model = {"rule", {10, 3}};
  file.decisions.push_back(decision);
  return file;
}

class JoinedViewsTest : public FlowTest {
 protected:
  void start() {
    app::RuntimeOptions options;
    options.data_folder = root_;
    const auto plan = plan_of(joined_app());
    options.make_source = [this, plan](size_t index) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(
          std::make_unique<HandedSource>(hands_[index], plan->sources[index].schema));
    };
    auto runtime = app::Runtime::start(plan, options, real_clock(), metrics_, nullptr);
    ASSERT_TRUE(runtime.ok()) << runtime.error().to_string();
    runtime_ = std::move(runtime).value();
  }
  void stop() {
    runtime_->stop();
    runtime_.reset();
  }
  // Durable, and so seen by what comes next.
  void give(size_t source, Row row) {
    const uint64_t before = events();
    hands_[source].give(std::move(row));
    wait_until("the event", [&] { return events() > before; });
  }
  void risk(Row row) { give(0, std::move(row)); }
  void pay(Row row) { give(1, std::move(row)); }
  uint64_t events() {
    uint64_t all = 0;
    for (uint32_t id = 1; id < 20; ++id)
      all += runtime_->store().last_seq(store::Log::kEvents, PartitionId{id}).value().value();
    return all;
  }

  struct Seen {
    std::string merchant;
    int64_t n = 0;
    std::optional<double> risk;
    std::optional<double> score;
    std::string known;
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  std::vector<Seen> decisions() {
    const auto store = open_store();
    const auto plan = plan_of(joined_app());
    const auto logs = app::rolled_logs(*plan, *store).value();
    std::vector<Seen> all;
    for (const app::RolledLog& log : logs) {
      if (log.view != "decisions") continue;
      EXPECT_TRUE(store
                      ->scan(store::Log::kDecisions, log.partition, Seq{1}, Seq{~0ull},
                             [&](Seq, std::string_view bytes) {
                               const auto row = log.row(bytes).value();
                               const auto cell = [&](const char* name) {
                                 return row.cells[*row.columns->index_of(name)];
                               };
                               const auto number = [&](const char* name) {
                                 const schema::Value value = cell(name);
                                 return schema::is_null(value)
                                            ? std::optional<double>()
                                            : std::optional(std::get<double>(value));
                               };
                               all.push_back({std::get<std::string>(cell("key")),
                                              std::get<int64_t>(cell("table.n_1h")),
                                              number("table.risk_1h"), number("score"),
                                              schema::is_null(cell("record.known"))
                                                  ? ""
                                                  : std::get<std::string>(cell("record.known"))});
                               return true;
                             })
                      .ok());
    }
    return all;
  }

  std::array<Hands, 2> hands_;
  std::unique_ptr<app::Runtime> runtime_;
};

TEST_F(JoinedViewsTest, AreReadAsOfTheEvent) {
  start();
  pay({0, "a", 10, 1});  // before there is any
  risk({0, "a", 1, 10});
  risk({0, "b", 5, 10});
  pay({0, "a", 10, 20});
  pay({0, "b", 10, 5});  // earlier than what is known of b
  pay({0, "c", 10, 20});
  risk({0, "a", 9, 30});
  risk({0, "a", 2, 15});  // late
  pay({0, "a", 10, 29});
  pay({0, "a", 10, 30});  // with it
  stop();
  start();
  pay({0, "a", 10, 31});
  risk({1, "a", 11, 31});  // in another partition
  pay({0, "a", 10, 32});
  risk({0, "a", 12, 33});
  pay({0, "a", 10, 33});
  stop();
  const auto seen = decisions();
  ASSERT_EQ(seen.size(), 9u);
  const auto expect = [&](size_t at, const char* merchant, int64_t n, std::optional<double> risk) {
    EXPECT_EQ(seen[at].merchant, merchant) << at;
    EXPECT_EQ(seen[at].n, n) << at;
    EXPECT_EQ(seen[at].risk, risk) << at;
    EXPECT_EQ(seen[at].score, risk ? std::optional(*risk * 10) : std::nullopt) << at;
  };
  expect(0, "a", 0, std::nullopt);
  expect(1, "a", 1, 1);
  expect(2, "b", 0, std::nullopt);
  expect(3, "c", 0, std::nullopt);
  expect(4, "a", 2, 2);
  expect(5, "a", 3, 9);
  expect(6, "a", 3, 9);
  expect(7, "a", 4, 11);
  expect(8, "a", 5, 12);
  EXPECT_EQ(seen[1].known, R"({"payments/0":2,"risks/0":2})");
  EXPECT_EQ(seen[3].known, "") << "nobody has events of it";
  EXPECT_EQ(seen[7].known, R"({"payments/0":8,"risks/0":4,"risks/1":1})");

  const auto store = open_store();
  features::ParityReport report;
  const auto done = app::parity_of_history(*plan_of(joined_app()), *store, {}, report);
  ASSERT_TRUE(done.ok()) << done.error().to_string();
  EXPECT_EQ(report.outside(), 0u) << report.to_text();
  EXPECT_EQ(std::ranges::count(report.features, "table on payments, history",
                               &features::FeatureReport::scenario),
            4)
      << report.to_text();
}

TEST_F(JoinedViewsTest, NeedColumnsThatAreCalledAsTheKeyIs) {
  app::AppFile file = joined_app();
  file.sources[1].schema = schema::Schema(
      {{"shop", schema::kString}, {"amount", schema::kDouble}, {"ts", schema::kTimestamp}});
  file.models[0].key = {{"shop", {9, 3}}};
  const auto plan = app::compile_plan(file);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().message,
            "a decision on 'payments' reads the view 'table' of 'risks', whose key 'merchant' is a "
            "string there, but 'payments' has no such column");
  // Where nobody names the view, nothing is asked for.
  file.derives.clear();
  file.models[0].rules = {{{"score", {9, 3}}, text("amount")}};
  const auto alone = app::compile_plan(file);
  ASSERT_TRUE(alone.ok()) << alone.error().to_string();
  EXPECT_TRUE((*alone)->sources[1].joined.empty());
}

}  // namespace
}  // namespace qw::test
